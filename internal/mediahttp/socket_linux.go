//go:build linux && (amd64 || arm64 || riscv64)

package mediahttp

import (
	"cmp"
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

	// What is being done, by one of the functions; they are kept because making a method a value allocates.
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
func (s *socket) Write(p []byte) (int, error) { return s.write(p, 0) }

// WriteMore is Write with more to follow at once: the kernel waits for it before it sends a packet that is not full.
func (s *socket) WriteMore(p []byte) (int, error) { return s.write(p, unix.MSG_MORE) }

func (s *socket) write(p []byte, flags uintptr) (int, error) {
	s.data, s.flags, s.n, s.err = p, flags|unix.MSG_NOSIGNAL, 0, nil
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

// SendFile sends n bytes of a file from off on, with sendfile(2).
func (s *socket) SendFile(f *os.File, off, n int64) (sent int64, err error) {
	file, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	at, end := off, off+n
	var closed, failed error
	closed = file.Control(func(from uintptr) {
		err = s.raw.Write(func(to uintptr) (done bool) {
			done, failed = sendPieces(to, from, &at, end)
			return done
		})
	})
	return at - off, cmp.Or(closed, err, failed)
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

// sendPiece sends some of n bytes of a file from *off on, and moves *off. When they are not in memory it has to wait for the device, and
// then the scheduler must know.
func sendPiece(to, from uintptr, off *int64, n int64) (int, error) {
	if !inMemory(from, *off, n) {
		return unix.Sendfile(int(to), int(from), off, int(n))
	}
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDFILE, to, from, uintptr(unsafe.Pointer(off)), uintptr(n), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}

var pageSize = int64(os.Getpagesize())

// inMemory reports whether all n bytes of a file from off on are in the page cache, by cachestat(2) of Linux 6.5. Where that is
// not to be had nothing is.
func inMemory(fd uintptr, off, n int64) bool {
	within := unix.CachestatRange{Off: uint64(off), Len: uint64(n)}
	var found unix.Cachestat_t
	_, _, errno := unix.RawSyscall6(unix.SYS_CACHESTAT, fd, uintptr(unsafe.Pointer(&within)), uintptr(unsafe.Pointer(&found)), 0, 0, 0)
	pages := (off+n-1)/pageSize - off/pageSize + 1
	return errno == 0 && found.Cache >= uint64(pages)
}
