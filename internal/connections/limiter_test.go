package connections

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pipeListener accepts the test's connections and errors.
type pipeListener struct {
	net.Listener
	accepted chan any // a net.Conn or an error
}

func (l *pipeListener) Accept() (net.Conn, error) {
	switch v := (<-l.accepted).(type) {
	case net.Conn:
		return v, nil
	case error:
		return nil, v
	}
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error { close(l.accepted); return nil }

// fromConn is a connection from some address.
type fromConn struct {
	net.Conn
	remote net.Addr
}

func (c fromConn) RemoteAddr() net.Addr { return c.remote }

func from(address string) net.Conn {
	here, _ := net.Pipe()
	return fromConn{here, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))}
}

func newPipeListener(t *testing.T, limits Limits) (*pipeListener, net.Listener) {
	limiter, err := New(limits, []string{"main"}, prometheus.NewRegistry(),
		func(string, ...slog.Attr) {})
	must(t, err)
	under := &pipeListener{accepted: make(chan any, 10)}
	return under, limiter.Listen(under, "main")
}

// An address has its limit, whatever its port or, with IPv6, interface identifier. This machine has
// only the limit of all.
func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	under, l := newPipeListener(t, Limits{Total: 6, PerAddress: 2})
	defer l.Close()
	var all []*Conn
	for _, c := range []struct {
		remote string
		victim int // -1: none
	}{
		{"192.0.2.1:1", -1}, {"192.0.2.2:1", -1}, {"192.0.2.1:2", -1}, {"[::ffff:192.0.2.1]:3", 0},
		{"192.0.2.1:4", 2},
		{"[2001:db8::1]:1", -1}, {"[2001:db8::2]:1", -1}, {"[2001:db8::3]:1", 5},
		{"127.0.0.1:1", -1}, {"127.0.0.1:2", 1}, {"127.0.0.1:3", 3},
	} {
		under.accepted <- from(c.remote)
		accepted, err := l.Accept()
		must(t, err)
		all = append(all, accepted.(*Conn))
		if c.victim >= 0 && !all[c.victim].gone {
			t.Errorf("%s did not take the place of %s", c.remote, all[c.victim].RemoteAddr())
		}
		gone := 0
		for _, c := range all {
			if c.gone {
				gone++
			}
		}
		if left := len(all) - gone; left > 6 || c.victim < 0 && all[len(all)-1].gone {
			t.Errorf("%d connections after %s", left, c.remote)
		}
	}
	for _, c := range all {
		c.Close()
	}
	if l := all[0].in; l.all.count != 0 || len(l.of) != 0 {
		t.Errorf("%d connections of %d addresses are left", l.all.count, len(l.of))
	}
}

// After any error of Accept, the connections that are there and the next one are served.
func TestAcceptErrorsPass(t *testing.T) {
	t.Parallel()
	under, l := newPipeListener(t, Limits{})
	for _, err := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED,
		syscall.ENOBUFS, syscall.EPROTO} {
		under.accepted <- &net.OpError{Op: "accept", Err: err}
	}
	under.accepted <- from("192.0.2.1:1")
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	under.accepted <- syscall.EMFILE
	must(t, l.Close())
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error("after the end:", err)
	}
}
