//go:build linux && (amd64 || arm64 || riscv64)

// Processors whose system calls take an offset of 64 bits as one argument, and have no other names for it.

package mediahttp

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a connection's way to the kernel. Its calls do not go through package net, which tells the scheduler of each one in case
// that it blocks: once told, the scheduler's monitor thread looks every 0.02 ms how long it takes, and while players are served that
// costs as much as finding their segments. A socket of package net never blocks, so these calls return at once; what is to
// be waited for, package net waits for, up to the connection's deadlines. For one goroutine.
//
// The race detector knows of package net's own calls that what is received was sent before; it does not know it of these.
type socket struct {
	raw syscall.RawConn

	// What is being done, by one of the functions, which are methods made into values once.
	data               []byte
	flags              uintptr
	n                  int
	err                error
	receiving, sending func(fd uintptr) (done bool)
}

func newSocket(tcp *net.TCPConn) *socket {
	raw, err := tcp.SyscallConn()
	if err != nil {
		panic(err) // only a connection that is nil has none
	}
	s := &socket{raw: raw}
	s.receiving, s.sending = s.recv, s.send
	return s
}

// Read implements io.Reader.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.data, s.n, s.err = p, 0, nil
	err := s.raw.Read(s.receiving)
	s.data = nil
	return s.n, cmp.Or(err, s.err)
}

// recv takes what there is, with recv(2).
func (s *socket) recv(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&s.data[0])), uintptr(len(s.data)), 0, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return false
		case errno != 0:
			s.err = os.NewSyscallError("recv", errno)
		case n == 0:
			s.err = io.EOF
		default:
			s.n = int(n)
		}
		return true
	}
}

// Write implements io.Writer.
func (s *socket) Write(p []byte) (int, error) { return s.Send(p, false) }

// Send sends all of p. With more to follow at once the kernel waits for it before it sends a packet that is not full (MSG_MORE).
func (s *socket) Send(p []byte, more bool) (int, error) {
	s.data, s.flags, s.n, s.err = p, unix.MSG_NOSIGNAL, 0, nil
	if more {
		s.flags |= unix.MSG_MORE
	}
	err := s.raw.Write(s.sending)
	s.data = nil
	return s.n, cmp.Or(err, s.err)
}

// send gives what is left to the socket, with send(2).
func (s *socket) send(fd uintptr) bool {
	for len(s.data) > 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&s.data[0])), uintptr(len(s.data)), s.flags, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return false
		case errno != 0:
			s.err = os.NewSyscallError("send", errno)
			return true
		default:
			s.data, s.n = s.data[n:], s.n+int(n)
		}
	}
	return true
}

// maxPiece is how many bytes of a file one call is to send: some 0.1 ms, for which nothing can stop the goroutine.
const maxPiece = 1 << 20

// SendFile sends n bytes of a file from off on, with sendfile(2) where the file system has it.
func (s *socket) SendFile(f *os.File, off, n int64) (sent int64, err error) {
	file, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	at, end := off, off+n
	var fileErr, socketErr, sendErr error
	fileErr = file.Control(func(from uintptr) {
		socketErr = s.raw.Write(func(to uintptr) (done bool) {
			done, sendErr = sendPieces(to, from, &at, end)
			return done
		})
	})
	if at == off && (errors.Is(sendErr, unix.EINVAL) || errors.Is(sendErr, errors.ErrUnsupported)) {
		return io.CopyN(s, io.NewSectionReader(f, off, n), n)
	}
	return at - off, cmp.Or(fileErr, socketErr, sendErr)
}

// sendPieces sends what the socket takes of a file's bytes from *at up to end, and moves *at. done is false when there is more.
func sendPieces(to, from uintptr, at *int64, end int64) (done bool, err error) {
	for *at < end {
		n, err := sendPiece(to, from, at, min(end-*at, maxPiece))
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return false, nil
		case err != nil:
			return true, os.NewSyscallError("sendfile", err)
		case n == 0:
			return true, io.ErrUnexpectedEOF
		}
	}
	return true, nil
}

// sendPiece sends some of n bytes of a file from *off on, and moves *off. When it may have to wait, for the device or for whoever
// writes the file, the scheduler must know.
func sendPiece(to, from uintptr, off *int64, n int64) (int, error) {
	if !ready(from, *off, n) {
		return unix.Sendfile(int(to), int(from), off, int(n))
	}
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDFILE, to, from, uintptr(unsafe.Pointer(off)), uintptr(n), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}

// ready reports whether n bytes of a file from off on can be had without waiting: the page cache has all of their pages (cachestat(2),
// Linux 6.5), and the first and the last are such that a read would not wait, as it would for a page that is still on its
// way from the device, or for XFS's lock of a file that is being written. Where the kernel does not tell they are not ready.
func ready(fd uintptr, off, n int64) bool {
	within := unix.CachestatRange{Off: uint64(off), Len: uint64(n)}
	var found unix.Cachestat_t
	_, _, errno := unix.RawSyscall6(unix.SYS_CACHESTAT, fd, uintptr(unsafe.Pointer(&within)), uintptr(unsafe.Pointer(&found)), 0, 0, 0)
	pages := (off+n-1)/pageSize - off/pageSize + 1
	return errno == 0 && found.Cache >= uint64(pages) && readable(fd, off) && readable(fd, off+n-1)
}

var pageSize = int64(os.Getpagesize())

// readable reports whether a byte of a file can be read without waiting, by reading it (RWF_NOWAIT of preadv2(2)).
func readable(fd uintptr, off int64) bool {
	var b [1]byte
	vector := unix.Iovec{Base: &b[0], Len: 1}
	n, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, fd, uintptr(unsafe.Pointer(&vector)), 1, uintptr(off), 0, unix.RWF_NOWAIT)
	return errno == 0 && n == 1
}
