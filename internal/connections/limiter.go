// Package connections limits the connections of a server: how many there are, in all and from one
// address, and how many bytes of unverified requests they hold.
package connections

import (
	"container/list"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits of connections. A connection from this machine, where a proxy would be, counts for the
// total but not for the limit per address. IPv6 addresses count by their /64, which is what one
// site gets.
type Limits struct {
	Total      int // connections; 0: no limit
	PerAddress int // from one address; 0: no limit
}

// Limiter limits the connections of a server, and the memory that strangers take with them. It is
// safe for concurrent use.
//
// A connection is a stranger until it has shown a valid signature or token. After each answer it is
// idle. When a limit is reached, in total or for one address, a new connection replaces the
// stranger that has waited longest or, without strangers, the connection that has been idle
// longest. (nginx makes room in the same way, but only with idle connections.) A connection at work
// is never closed to make room. When all are at work, the new one is closed at once.
//
// The bytes of unverified requests come out of a budget, so that many incomplete requests do not
// fill the memory. Bytes that fit into net/http's own buffer are free: small requests, which are
// all that most clients send, are served whatever others hold.
type Limiter struct {
	limits  Limits
	metrics *metrics
	warn    Warn

	mu  sync.Mutex
	all address
	of  map[netip.Prefix]*address
	at  map[string]int // connections by the name of their listener
}

// address has the totals of the connections from one address, or of all.
type address struct {
	count   int
	bytes   int64                   // of unverified requests
	waiting [waitingKinds]list.List // of *Conn, the one that has waited longest first
}

// States of connections. Strangers make room first, then idle ones.
const (
	stranger = iota
	idle
	waitingKinds
	atWork = waitingKinds // not waiting
)

// ErrNoRoom ends the reading of an unverified request.
var ErrNoRoom = errors.New("no room for more requests that are not verified")

// errorPause is the longest that Accept waits after an error.
const errorPause = time.Second

// Warn logs a shortage, but not too often: whoever causes it must not fill the log as well.
type Warn func(text string, attrs ...slog.Attr)

// New makes a Limiter for the connections of listeners with these names. The error is that of
// registering its metrics.
func New(
	limits Limits, listeners []string, reg prometheus.Registerer, warn Warn,
) (*Limiter, error) {
	l := &Limiter{limits: limits, warn: warn, of: map[netip.Prefix]*address{},
		at: map[string]int{}}
	var err error
	l.metrics, err = newMetrics(reg, l, listeners)
	return l, err
}

// Held is what connections take now.
type Held struct {
	Connections int
	Idle        int   // of those: have had an answer and wait for their next request
	Bytes       int64 // of unverified requests, beyond the free ones of each
}

// Held returns what the connections take.
func (l *Limiter) Held() Held {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Held{l.all.count, l.all.waiting[idle].Len(), l.all.bytes}
}

// On returns how many connections a listener has.
func (l *Limiter) On(listener string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at[listener]
}

// listener wraps another listener.
type listener struct {
	net.Listener
	name    string // in metrics
	limiter *Limiter
	closed  chan struct{}
	close   func() error
}

// Listen wraps a listener so that its connections are limited. Its name must be one of those given
// to New.
func (l *Limiter) Listen(on net.Listener, name string) net.Listener {
	closed := make(chan struct{})
	return &listener{on, name, l, closed, sync.OnceValue(func() error {
		close(closed)
		return on.Close()
	})}
}

// Close implements net.Listener. The connections stay.
func (l *listener) Close() error { return l.close() }

// Accept implements net.Listener. Its only error is net.ErrClosed. Other failures, such as a lack
// of descriptors, are temporary and must not end the server.
func (l *listener) Accept() (net.Conn, error) {
	pause := 5 * time.Millisecond
	for {
		accepted, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			l.limiter.metrics.acceptErrors.Inc()
			l.limiter.warn("connections cannot be accepted", slog.Any("error", err))
			select {
			case <-time.After(pause):
			case <-l.closed:
				return nil, net.ErrClosed
			}
			pause = min(2*pause, errorPause)
			continue
		}
		if c := l.limiter.admit(accepted, l.name); c != nil {
			return c, nil
		}
		_ = accepted.Close() // its client learns nothing more
	}
}

// admit counts a connection, after making room for it if necessary. It returns nil if there is no
// room.
func (l *Limiter) admit(accepted net.Conn, listener string) *Conn {
	prefix := prefixOf(accepted.RemoteAddr())
	c := &Conn{Conn: accepted, in: l, listener: listener, prefix: prefix, state: atWork}
	c.metered.Store(true)
	l.mu.Lock()
	its := l.of[prefix]
	if its == nil {
		its = &address{}
	}
	var victim *Conn
	crowd := ""
	switch {
	case prefix.IsValid() && l.limits.PerAddress > 0 && its.count >= l.limits.PerAddress:
		victim, crowd = its.longest(), "of one address"
	case l.limits.Total > 0 && l.all.count >= l.limits.Total:
		victim, crowd = l.all.longest(), "in all"
	}
	if victim != nil {
		l.remove(victim)
	}
	admitted := crowd == "" || victim != nil
	if admitted {
		l.of[prefix] = its
		l.at[listener]++
		c.counts = [2]*address{&l.all, its}
		for _, a := range c.counts {
			a.count++
		}
		c.wait(stranger)
	}
	l.mu.Unlock()
	if crowd != "" {
		reason := "refused"
		if victim != nil {
			reason = "replaced"
			_ = victim.Conn.Close() // its client learns nothing more
		}
		l.metrics.closed.WithLabelValues(reason).Inc()
		l.warn("the limit of connections "+crowd+" is reached", slog.String("connection", reason),
			slog.String("remote", accepted.RemoteAddr().String()))
	}
	if !admitted {
		return nil
	}
	return c
}

// longest returns the connection that makes room first, or nil if all are at work.
func (a *address) longest() *Conn {
	for kind := range a.waiting {
		if front := a.waiting[kind].Front(); front != nil {
			return front.Value.(*Conn)
		}
	}
	return nil
}

// remove stops counting a connection. The caller holds mu.
func (l *Limiter) remove(c *Conn) {
	if c.gone {
		return
	}
	c.gone = true
	l.at[c.listener]--
	c.release()
	c.wait(atWork)
	for _, a := range c.counts {
		a.count--
	}
	if c.counts[1].count == 0 {
		delete(l.of, c.prefix)
	}
}

// prefixOf returns the address that a connection counts for. It is invalid for this machine's own,
// and for a Unix socket.
func prefixOf(remote net.Addr) netip.Prefix {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return SiteOf(tcp.AddrPort())
}

// SiteOf returns an address, for IPv6 the /64 that one site gets. It is invalid for this machine's
// own.
func SiteOf(remote netip.AddrPort) netip.Prefix {
	ip := remote.Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits) // an address has that many bits
	return prefix
}
