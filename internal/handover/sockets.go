package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Names of sockets, also for FileDescriptorName of systemd.socket(5).
const (
	Main     = "main"
	Playback = "playback"
	Metrics  = "metrics"
	Camera   = "camera"
	Redirect = "redirect"
)

// Sockets are listening sockets by name.
type Sockets map[string]*os.File

// Activated returns the sockets that systemd, or a program in its place, has passed to this process
// (sd_listen_fds(3)), and hides them from child processes. A socket that is not called "playback",
// "metrics", "camera" or "redirect" is the main one, whatever its name.
func Activated() (Sockets, error) {
	files := activation.Files(true)
	s := Sockets{}
	for _, f := range files {
		name := f.Name()
		if name != Playback && name != Metrics && name != Camera &&
			name != Redirect {
			name = Main
		}
		if s[name] != nil {
			return nil, closeAll(files, fmt.Errorf("more than one socket was passed as %s", name))
		}
		if _, err := Address(f); err != nil {
			return nil, closeAll(files, fmt.Errorf("the socket passed as %s: %w", f.Name(), err))
		}
		s[name] = f
	}
	return s, nil
}

// Listen opens a listening socket.
func Listen(ctx context.Context, address string) (*os.File, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	file, err := listener.(*net.TCPListener).File()
	return file, errors.Join(err, listener.Close())
}

// Address returns where a socket listens. It must be a TCP socket.
func Address(socket *os.File) (*net.TCPAddr, error) {
	// Not net.FileListener, which would make the socket blocking for a moment, for every process
	// that has it.
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	var name unix.Sockaddr
	listens := 0
	e := raw.Control(func(fd uintptr) {
		if name, err = unix.Getsockname(int(fd)); err == nil {
			listens, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		}
	})
	if err := errors.Join(e, err); err != nil {
		return nil, err
	}
	if listens == 0 {
		return nil, errors.New("it does not listen")
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}, nil
	case *unix.SockaddrInet6:
		zone := ""
		if link, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
			zone = link.Name
		}
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port, Zone: zone}, nil
	}
	return nil, errors.New("it is no TCP socket")
}

// Serves reports whether a socket listens where Listen would for an address; port 0 is any.
func Serves(socket *os.File, address string) bool {
	have, err := Address(socket)
	if err != nil {
		return false
	}
	want, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return false
	}
	anywhere := func(ip net.IP) bool { return len(ip) == 0 || ip.IsUnspecified() }
	same := anywhere(have.IP) && anywhere(want.IP) ||
		have.IP.Equal(want.IP) && have.Zone == want.Zone
	return same && (want.Port == 0 || want.Port == have.Port)
}

// Close closes all sockets.
func (s Sockets) Close() {
	for _, f := range s {
		_ = f.Close()
	}
}
