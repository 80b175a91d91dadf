// Package mediahttp answers the plain GET requests of players on their kept connections, and leaves every other connection to net/http.
//
// A segment of 200 KB costs the kernel some 0.04 ms to send. net/http adds half of that again, most of it for what such a request
// does not need (docs/scale.md): a second goroutine that watches the connection while the first one answers, and its wakeups; a
// context; two buffers; a packet of its own for the header; a scheduler that is told of calls which never wait. So a request that
// can be recognised at once as a simple one (Options.Prefix tells which) is answered here, by the same http.Handler. Whatever is
// out of the ordinary, a body, an odd header, a head of more than 4 KB or of another form than all the world sends, makes the
// connection net/http's, together with what was read of it: its rules hold for it, and nothing is decided twice. A connection does
// not come back: a player whose program has used its connection for something else, a page of this server or a signed call, goes
// on with net/http there.
//
// Only HTTP/1.1 without TLS is spoken here (RFC 9112).
package mediahttp

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options say what is answered here and how long a client may take.
type Options struct {
	Prefix string // of the request targets that are answered here, such as "/hls/v1/"; letters as clients spell them

	// Handler answers them. It sets the deadline by which each answer must be written (http.ResponseController), and its Content-Type.
	// One that it begins without a Content-Length ends with the connection. There is no Flush, no Hijack and no interim answer,
	// and the request's context does not end when the client leaves. Request, URL and Header are those of the connection's next
	// request when the handler has returned: nobody may keep them. A string of them may be kept, and keeps all of the head.
	Handler http.Handler

	// Both are required. A connection that is handed on has its time for a head once more.
	HeaderTimeout time.Duration // for the head of a request, from its first byte on; and for the first byte of a connection
	IdleTimeout   time.Duration // for the next request

	ErrorLog *log.Logger // for panics; nil: none is logged
}

// Listener takes connections from another listener, answers on them what it can, and gives the others to whoever calls Accept,
// an http.Server. Close ends accepting; Shutdown ends what is answered here. It is safe for concurrent use.
type Listener struct {
	under  net.Listener
	o      Options
	handed chan net.Conn // to Accept
	failed chan error    // likewise
	closed chan struct{} // by Close
	close  func() error

	mu       sync.Mutex
	conns    map[*conn]struct{}
	stopping bool
	gone     chan struct{} // closed when it is stopping and no connection is left
}

// Listen begins to accept connections from under. Those that are not TCP are handed on as they are.
func Listen(under net.Listener, o Options) *Listener {
	l := &Listener{
		under: under, o: o, handed: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}),
		conns: map[*conn]struct{}{}, gone: make(chan struct{}),
	}
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		return under.Close()
	})
	go l.take()
	return l
}

// take accepts until the listener is closed. An error is for the caller of Accept, who knows how long to wait after it; until it is
// taken nothing more is accepted.
func (l *Listener) take() {
	for {
		under, err := l.under.Accept()
		if err != nil {
			select {
			case l.failed <- err:
				if errors.Is(err, net.ErrClosed) {
					return
				}
				continue
			case <-l.closed:
				return
			}
		}
		tcp, ok := under.(*net.TCPConn)
		if !ok {
			go l.hand(under)
		} else if c := newConn(l, tcp); l.add(c) {
			go c.serve()
		} else {
			c.close()
		}
	}
}

// hand gives a connection to the caller of Accept.
func (l *Listener) hand(c net.Conn) {
	select {
	case l.handed <- c:
	case <-l.closed:
		_ = c.Close() // nobody serves it any more
	}
}

// Accept gives a connection that is not answered here, with everything that its client has sent. Its errors are those of the
// listener underneath, and net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.handed:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr is the address of the listener underneath.
func (l *Listener) Addr() net.Addr { return l.under.Addr() }

// Close ends accepting. Connections that are answered here go on until Shutdown.
func (l *Listener) Close() error { return l.close() }

// Shutdown ends accepting and the connections that wait for a request, lets the others end what they are answering, and waits for
// them; when ctx ends before that they are cut off, and its error is returned.
func (l *Listener) Shutdown(ctx context.Context) error {
	err := l.Close()
	l.mu.Lock()
	if !l.stopping {
		l.stopping = true
		for c := range l.conns {
			c.wake()
		}
		if len(l.conns) == 0 {
			close(l.gone)
		}
	}
	l.mu.Unlock()
	select {
	case <-l.gone:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.close()
	}
	return ctx.Err()
}

// add counts a connection in, unless no more are served.
func (l *Listener) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopping {
		l.conns[c] = struct{}{}
	}
	return !l.stopping
}

func (l *Listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if l.stopping && len(l.conns) == 0 {
		close(l.gone)
	}
}

func (l *Listener) isStopping() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopping
}
