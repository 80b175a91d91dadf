package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
)

// ConnectionLimits bound what connections take of the machine. A connection from this machine,
// where a proxy would be, counts for the limit in all and for none per address; addresses of IPv6
// count by their /64, which is what one site gets.
type ConnectionLimits struct {
	Total      int // connections; 0: no limit
	PerAddress int // of one address; 0: no limit
}

// connections bound what the connections of a server, and the strangers on them, take of the
// machine.
//
// A connection is a stranger's until it has shown a signature or a token that is right; after each
// answer it is idle. When there are as many as may be, in all or of one address, a new one takes
// the place of the stranger that has waited longest, or without strangers of the connection that
// has been idle longest. (nginx makes room in the same way, with idle connections only.) What is at
// work never makes room: when all are, the new one is closed at once.
//
// The bytes of a request that nobody has vouched for yet come out of a budget, so that a crowd of
// half requests does not fill the memory. Those that fit into net/http's own buffer are free: small
// requests, which is all that most clients send, go on whatever others hold.
type connections struct {
	limits  ConnectionLimits
	metrics *connectionMetrics
	log     *slog.Logger
	notes   *notes

	mu  sync.Mutex
	all address
	of  map[netip.Prefix]*address
	at  map[string]int // connections by the name of their listener
}

// address is what the connections of one address come to, or all of them.
type address struct {
	count   int
	bytes   int64                   // of unverified requests
	waiting [waitingKinds]list.List // of *conn, the one that has waited longest first
}

// What a connection that could make room is doing. Strangers make room first.
const (
	stranger = iota
	idle
	waitingKinds
	atWork = waitingKinds // not waiting
)

// errNoRoom ends the reading of a request that is not verified.
var errNoRoom = errors.New("no room for more requests that are not verified")

// errorPause is how long Accept waits after an error, at most.
const errorPause = time.Second

func newConnections(limits ConnectionLimits, reg prometheus.Registerer, log *slog.Logger,
	notes *notes) (*connections, error) {
	cs := &connections{limits: limits, log: log, notes: notes, of: map[netip.Prefix]*address{},
		at: map[string]int{}}
	var err error
	cs.metrics, err = newConnectionMetrics(reg, cs.held, cs.on)
	return cs, err
}

// held tells how many connections there are, and how many bytes of unverified requests.
func (cs *connections) held() (count int, bytes int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.all.count, cs.all.bytes
}

// on tells how many connections a listener has.
func (cs *connections) on(listener string) int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.at[listener]
}

// listener takes the connections of any other one.
type listener struct {
	net.Listener
	name        string // in metrics
	connections *connections
	closed      chan struct{}
	close       func() error
}

func (cs *connections) listen(l net.Listener, name string) net.Listener {
	closed := make(chan struct{})
	return &listener{l, name, cs, closed, sync.OnceValue(func() error {
		close(closed)
		return l.Close()
	})}
}

// Close implements net.Listener. The connections stay.
func (l *listener) Close() error { return l.close() }

// Accept implements net.Listener. Its only error is net.ErrClosed: what else can go wrong, no
// descriptor left above all, passes, and must not end what is being served.
func (l *listener) Accept() (net.Conn, error) {
	pause := 5 * time.Millisecond
	for {
		accepted, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			l.connections.metrics.acceptErrors.Inc()
			l.connections.warn("connections cannot be accepted", slog.Any(logError, err))
			select {
			case <-time.After(pause):
			case <-l.closed:
				return nil, net.ErrClosed
			}
			pause = min(2*pause, errorPause)
			continue
		}
		if c := l.connections.admit(accepted, l.name); c != nil {
			return c, nil
		}
		_ = accepted.Close() // its client learns nothing more
	}
}

// admit counts a connection in, and makes room for it where that is needed. Without room it is nil.
func (cs *connections) admit(accepted net.Conn, listener string) *conn {
	prefix := prefixOf(accepted.RemoteAddr())
	c := &conn{Conn: accepted, in: cs, listener: listener, prefix: prefix, state: atWork}
	c.metered.Store(true)
	cs.mu.Lock()
	its := cs.of[prefix]
	if its == nil {
		its = &address{}
	}
	var victim *conn
	crowd := ""
	switch {
	case prefix.IsValid() && cs.limits.PerAddress > 0 && its.count >= cs.limits.PerAddress:
		victim, crowd = its.longest(), "of one address"
	case cs.limits.Total > 0 && cs.all.count >= cs.limits.Total:
		victim, crowd = cs.all.longest(), "in all"
	}
	if victim != nil {
		cs.remove(victim)
	}
	admitted := crowd == "" || victim != nil
	if admitted {
		cs.of[prefix] = its
		cs.at[listener]++
		c.counts = [2]*address{&cs.all, its}
		for _, a := range c.counts {
			a.count++
		}
		c.wait(stranger)
	}
	cs.mu.Unlock()
	if crowd != "" {
		reason := "refused"
		if victim != nil {
			reason = "replaced"
			_ = victim.Conn.Close() // its client learns nothing more
		}
		cs.metrics.closed.WithLabelValues(reason).Inc()
		cs.warn("the limit of connections "+crowd+" is reached", slog.String("connection", reason),
			slog.String(logRemote, accepted.RemoteAddr().String()))
	}
	if !admitted {
		return nil
	}
	return c
}

// longest returns the connection that makes room first, or nil when all are at work.
func (a *address) longest() *conn {
	for kind := range a.waiting {
		if front := a.waiting[kind].Front(); front != nil {
			return front.Value.(*conn)
		}
	}
	return nil
}

// remove counts a connection out. The caller holds mu.
func (cs *connections) remove(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	cs.at[c.listener]--
	c.release()
	c.wait(atWork)
	for _, a := range c.counts {
		a.count--
	}
	if c.counts[1].count == 0 {
		delete(cs.of, c.prefix)
	}
}

// warn logs that something is short. Whoever causes it must not fill the log, too.
func (cs *connections) warn(text string, attrs ...slog.Attr) {
	left, ok := cs.notes.due(noteKind{what: text})
	if !ok {
		return
	}
	if left > 0 {
		attrs = append(attrs, slog.Int(logRepeated, left))
	}
	cs.log.LogAttrs(context.Background(), slog.LevelWarn, text, attrs...)
}

// prefixOf is what a connection counts by; invalid for this machine's own, and where there is no
// address (a Unix socket).
func prefixOf(remote net.Addr) netip.Prefix {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return siteOf(tcp.AddrPort())
}

// siteOf is an address, of IPv6 the /64 that one site gets; invalid for this machine's own.
func siteOf(remote netip.AddrPort) netip.Prefix {
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

// siteOfRequest is that of who sent a request.
func siteOfRequest(req *request) netip.Prefix {
	remote, _ := netip.ParseAddrPort(req.RemoteAddr) // a Unix socket has none
	return siteOf(remote)
}

// conn is one of the connections.
type conn struct {
	net.Conn
	in       *connections
	listener string // its name
	prefix   netip.Prefix

	metered atomic.Bool  // what is read belongs to a request that nobody has vouched for
	read    atomic.Int64 // bytes of it

	// Guarded by in.mu.
	counts  [2]*address // where it counts: among all, and for its address
	places  [2]*list.Element
	state   int   // stranger, idle or atWork
	known   bool  // it has shown a right signature or token
	charged int64 // bytes out of the budget
	gone    bool  // counted out
	// of HTTP/2: requests that a handler has, and whether net/http says that no stream is open
	requests int
	quiet    bool
}

// Read implements net.Conn. Without room for what it has read it fails, but returns that: the rest
// of the request can be found then, and thrown away.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.metered.Load() && !c.charge(c.read.Add(int64(n))) {
		return n, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(),
			Err: errNoRoom}
	}
	return n, err
}

// ReadFrom lets net/http send files with sendfile(2).
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if under, ok := c.Conn.(io.ReaderFrom); ok {
		return under.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// CloseWrite lets net/http end an answer before the client has sent everything, so that no reset
// takes the answer along.
func (c *conn) CloseWrite() error {
	if under, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return under.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.in.mu.Lock()
	c.in.remove(c)
	c.in.mu.Unlock()
	return c.Conn.Close()
}

// charge takes what a request has come to from the budget, and reports whether there was room.
func (c *conn) charge(read int64) bool {
	if read <= api.FreeUnverifiedBytes {
		return true
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.gone || !c.metered.Load() {
		return true
	}
	if !c.take(read - c.charged) {
		return false
	}
	c.charged = read
	return true
}

// take takes bytes from the budget, if they are there. The caller holds in.mu.
func (c *conn) take(bytes int64) bool {
	all, its := c.counts[0], c.counts[1]
	if all.bytes+bytes > api.MaxUnverifiedBytes ||
		c.prefix.IsValid() && its.bytes+bytes > api.MaxUnverifiedBytesPerAddress {
		c.in.metrics.unverified.Inc()
		return false
	}
	all.bytes += bytes
	its.bytes += bytes
	return true
}

// release gives back what the request has taken from the budget. The caller holds in.mu.
func (c *conn) release() {
	for _, a := range c.counts {
		a.bytes -= c.charged
	}
	c.charged = 0
}

// wait puts the connection at the end of a queue of those that could make room, or into none. The
// caller holds in.mu.
func (c *conn) wait(state int) {
	for i, a := range c.counts {
		if c.state != atWork {
			a.waiting[c.state].Remove(c.places[i])
		}
		if state != atWork {
			c.places[i] = a.waiting[state].PushBack(c)
		}
	}
	c.state = state
}

// settle says that nothing of the request needs to be kept any more but what has its own bounds.
func (c *conn) settle() {
	if c == nil || !c.metered.Swap(false) {
		return
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if !c.gone {
		c.release()
	}
}

// vouch says that the request has shown a right signature or token.
func (c *conn) vouch() {
	if c == nil {
		return
	}
	c.metered.Store(false)
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if !c.gone {
		c.release()
		c.known = true
		c.wait(atWork)
	}
}

// rest says that the connection waits for its next request. The caller holds in.mu.
func (c *conn) rest() {
	if c.gone {
		return
	}
	c.release()
	c.read.Store(0)
	c.metered.Store(true)
	if c.known {
		c.wait(idle)
	} else {
		c.wait(stranger)
	}
}

// changed hears from net/http what the connection does.
func (c *conn) changed(state http.ConnState) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.quiet = state == http.StateIdle
	// a handler of HTTP/2 may outlive the stream, which the client takes back
	if c.quiet && c.requests == 0 {
		c.rest()
	}
}

// under is the connection of this package below what net/http serves, or nil.
func under(served net.Conn) *conn {
	if secure, ok := served.(*tls.Conn); ok {
		served = secure.NetConn()
	}
	c, _ := served.(*conn)
	return c
}

// connKey is the key of a request's *conn in its context.
type connKey struct{}

// connOf returns a request's connection, nil in tests without one; settle and vouch take that.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// watch makes an http.Server tell connections what their requests are doing.
func watch(srv *http.Server) {
	srv.ConnContext = func(ctx context.Context, served net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, under(served))
	}
	srv.ConnState = func(served net.Conn, state http.ConnState) {
		if c := under(served); c != nil {
			c.changed(state)
		}
	}
}
