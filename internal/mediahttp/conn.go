package mediahttp

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

// maxHead is the size of a request's head in bytes up to which it is answered here. A URL with a session token and a browser's
// headers have about 1 KB.
const maxHead = 4096

// conn is a connection until it is closed or handed on. All but wake and close is for the goroutine of serve.
type conn struct {
	l      *Listener
	tcp    *net.TCPConn
	socket *socket // of tcp, for the bytes
	in     *bufio.Reader
	out    response

	// For requests that are answered here, from the first one on.
	remote   string
	req      request
	answered bool
}

func newConn(l *Listener, tcp *net.TCPConn) *conn {
	socket := newSocket(tcp)
	c := &conn{l: l, tcp: tcp, socket: socket, in: bufio.NewReaderSize(socket, maxHead)}
	c.out.c = c
	return c
}

// close cuts the connection off; it may be called at any time, and more than once.
func (c *conn) close() { _ = c.tcp.Close() } // what was not sent by now is not missed by anybody

// wake ends the wait for a request.
func (c *conn) wake() { _ = c.tcp.SetReadDeadline(time.Unix(1, 0)) } // an error: the connection is closed

// serve answers one request after the other, until the connection is over or not for this package.
func (c *conn) serve() {
	handOn := c.run()
	if !handOn {
		c.close()
	}
	c.l.remove(c)
	if handOn {
		_ = c.tcp.SetDeadline(time.Time{}) // as net/http expects it; an error shows when it reads
		rest, _ := c.in.Peek(c.in.Buffered())
		c.l.hand(&replayed{TCPConn: c.tcp, rest: rest})
	}
}

// run is serve without the end: it tells whether the connection is to be handed on. A panic ends the connection, as in net/http.
func (c *conn) run() (handOn bool) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if fault != http.ErrAbortHandler && c.l.o.ErrorLog != nil { //nolint:errorlint // the value is compared as net/http does
			c.l.o.ErrorLog.Printf("mediahttp: panic serving %s: %v\n%s", c.tcp.RemoteAddr(), fault, debug.Stack())
		}
		handOn = false
	}()
	for patience := c.l.o.HeaderTimeout; ; patience = c.l.o.IdleTimeout {
		req, handOn := c.next(patience)
		if req == nil {
			return handOn
		}
		c.out.begin(req)
		c.l.o.Handler.ServeHTTP(&c.out, req)
		if !c.out.end() {
			return false
		}
		c.req.forget()
		c.answered = true
	}
}

// next waits for a request. Without one the connection is to be handed on, or it is over.
func (c *conn) next(patience time.Duration) (req *http.Request, handOn bool) {
	_ = c.tcp.SetReadDeadline(time.Now().Add(patience)) // an error shows when it is read
	if c.l.isStopping() {                               // else wake comes, or came, after the deadline above
		return nil, false
	}
	least := 1
	if c.answered { // net/http takes less for nothing, once it has answered
		least = 4
	}
	if _, err := c.in.Peek(least); err != nil {
		return nil, false
	}
	for began := false; ; began = true {
		sent, _ := c.in.Peek(c.in.Buffered())
		if !c.mayBegin(sent) {
			return nil, true
		}
		if end := bytes.Index(sent, []byte("\r\n\r\n")) + 4; end >= 4 {
			req := c.read(sent[:end])
			if req == nil {
				return nil, true
			}
			_, _ = c.in.Discard(end) // they are there
			return req, false
		}
		// net/http takes bare line feeds for ends of lines, too.
		if len(sent) == maxHead || bytes.Contains(sent, []byte("\n\n")) || bytes.Contains(sent, []byte("\n\r\n")) {
			return nil, true
		}
		if !began {
			_ = c.tcp.SetReadDeadline(time.Now().Add(c.l.o.HeaderTimeout)) // as above
			if c.l.isStopping() {
				return nil, false
			}
		}
		if _, err := c.in.Peek(len(sent) + 1); err != nil {
			return nil, err == io.EOF // half a head, and the client waits for what is said to it
		}
	}
}

// mayBegin tells whether the first bytes of a request, as many as there are, are those of one that is answered here.
func (c *conn) mayBegin(sent []byte) bool {
	for _, method := range [...]string{http.MethodGet, http.MethodHead} {
		n := min(len(sent), len(method)+1+len(c.l.o.Prefix))
		if string(sent[:n]) == (method + " " + c.l.o.Prefix)[:n] {
			return true
		}
	}
	return false
}

// read parses the head of a request. It gives nil for one that net/http is to answer, or to refuse.
func (c *conn) read(head []byte) *http.Request {
	if c.remote == "" {
		c.remote = c.tcp.RemoteAddr().String()
	}
	if !c.req.parse(string(head), c.remote) {
		return nil
	}
	return &c.req.Request
}

// replayed is a connection of which something was read already.
type replayed struct {
	*net.TCPConn
	rest []byte
}

// Read gives what was read already, then what comes.
func (r *replayed) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return r.TCPConn.Read(p)
	}
	n := copy(p, r.rest)
	if r.rest = r.rest[n:]; len(r.rest) == 0 {
		r.rest = nil // the buffer is free, for as long as the connection lasts
	}
	return n, nil
}

// WriteTo does the same for io.Copy, which would ask the connection for it.
func (r *replayed) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}
