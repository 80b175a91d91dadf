package mediahttp

import (
	"cmp"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// send writes all of data. With more to follow the kernel waits for it before it sends a packet that is not full (MSG_MORE of send(2)).
func send(tcp *net.TCPConn, data []byte, more bool) error {
	if !more {
		_, err := tcp.Write(data)
		return err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for len(data) > 0 {
			n, err := unix.SendmsgN(int(fd), data, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return false
			case err == nil && n == 0:
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				failed = err
				return true
			}
			data = data[n:]
		}
		return true
	})
	return cmp.Or(err, failed)
}
