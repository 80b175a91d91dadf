//go:build !(linux && (amd64 || arm64 || riscv64))

package mediahttp

import (
	"io"
	"net"
	"os"
)

// socket is a connection's way to the kernel, by package net. For one goroutine.
type socket struct{ *net.TCPConn }

func newSocket(tcp *net.TCPConn) *socket { return &socket{tcp} }

// Send sends all of p. That more follows at once there is no way to tell the kernel.
func (s *socket) Send(p []byte, more bool) (int, error) { return s.Write(p) }

// SendFile sends n bytes of a file from off on. It moves the file's own offset.
func (s *socket) SendFile(f *os.File, off, n int64) (sent int64, err error) {
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	sent, err = s.ReadFrom(&io.LimitedReader{R: f, N: n})
	if err == nil && sent < n {
		err = io.ErrUnexpectedEOF
	}
	return sent, err
}
