package connections

import (
	"container/list"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"

	"weir/internal/api"
)

// Conn is one connection. A nil Conn, as in tests that call a handler directly, counts nothing.
type Conn struct {
	net.Conn
	in       *Limiter
	listener string // its name
	prefix   netip.Prefix

	metered atomic.Bool  // what is read belongs to an unverified request
	read    atomic.Int64 // bytes of that request

	// Guarded by in.mu.
	counts  [2]*address // where it counts: among all, and for its address
	places  [2]*list.Element
	state   int   // stranger, idle or atWork
	known   bool  // it has shown a valid signature or token
	charged int64 // bytes taken from the budget
	gone    bool  // no longer counted
	// with HTTP/2: requests in handlers, and whether net/http says that no stream is open
	requests int
	quiet    bool
}

// Listener returns the name of the listener that accepted it, "" for a nil Conn.
func (c *Conn) Listener() string {
	if c == nil {
		return ""
	}
	return c.listener
}

// Read implements net.Conn. Without room in the budget it fails, but returns what it has read, so
// that the rest of the request can be found and discarded.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.metered.Load() && !c.charge(c.read.Add(int64(n))) {
		return n, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(),
			Err: ErrNoRoom}
	}
	return n, err
}

// ReadFrom lets net/http send files with sendfile(2).
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if under, ok := c.Conn.(io.ReaderFrom); ok {
		return under.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// CloseWrite lets net/http end an answer before the client has sent everything, so that a reset
// does not destroy the answer.
func (c *Conn) CloseWrite() error {
	if under, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return under.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.in.mu.Lock()
	c.in.remove(c)
	c.in.mu.Unlock()
	return c.Conn.Close()
}

// charge takes the request's bytes so far from the budget, and reports whether there was room.
func (c *Conn) charge(read int64) bool {
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

// take takes bytes from the budget, and reports whether there was room. The caller holds in.mu.
func (c *Conn) take(bytes int64) bool {
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

// release returns what the request has taken from the budget. The caller holds in.mu.
func (c *Conn) release() {
	for _, a := range c.counts {
		a.bytes -= c.charged
	}
	c.charged = 0
}

// wait moves the connection to the end of the queue for its new state, if it has one. The caller
// holds in.mu.
func (c *Conn) wait(state int) {
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

// Settle says that everything that the request still holds has limits of its own.
func (c *Conn) Settle() {
	if c == nil || !c.metered.Swap(false) {
		return
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if !c.gone {
		c.release()
	}
}

// Vouch says that the request has shown a valid signature or token.
func (c *Conn) Vouch() {
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
func (c *Conn) rest() {
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

// changed is told by net/http what the connection does.
func (c *Conn) changed(state http.ConnState) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.quiet = state == http.StateIdle
	// with HTTP/2, a handler may outlive a stream that its client has cancelled
	if c.quiet && c.requests == 0 {
		c.rest()
	}
}

// under returns the Conn below the connection that net/http serves, or nil.
func under(served net.Conn) *Conn {
	if secure, ok := served.(*tls.Conn); ok {
		served = secure.NetConn()
	}
	c, _ := served.(*Conn)
	return c
}

// connKey is the key of a request's *Conn in its context.
type connKey struct{}

// Of returns a request's connection, nil in tests without one.
func Of(r *http.Request) *Conn {
	c, _ := r.Context().Value(connKey{}).(*Conn)
	return c
}

// Watch makes an http.Server tell connections what their requests are doing.
func Watch(srv *http.Server) {
	srv.ConnContext = func(ctx context.Context, served net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, under(served))
	}
	srv.ConnState = func(served net.Conn, state http.ConnState) {
		if c := under(served); c != nil {
			c.changed(state)
		}
	}
}
