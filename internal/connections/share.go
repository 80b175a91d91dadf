package connections

import (
	"net/http"

	"weir/internal/api"
)

// Share is what a request on an HTTP/2 connection takes from the budget for unverified requests.
// With HTTP/1.1 it is enough to count what the connection reads. With HTTP/2 a stranger's
// connection may have many requests, each held until its client reads the answer. One of them is
// free, as with HTTP/1.1.
type Share struct {
	c     *Conn // nil in tests
	bytes int64 // guarded by c.in.mu
}

// Enter counts a request. It returns nil if there is no room for it.
func (c *Conn) Enter(r *http.Request) *Share {
	if c == nil {
		return &Share{}
	}
	bytes := int64(api.StreamBytes + len(r.RequestURI))
	for name, values := range r.Header {
		for _, value := range values {
			bytes += int64(len(name) + len(value))
		}
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.known || c.requests == 0 {
		bytes = 0
	}
	if c.gone || !c.take(bytes) {
		return nil
	}
	c.requests++
	return &Share{c, bytes}
}

// Release returns what the request has taken. It may be called again, and on nil.
func (s *Share) Release() {
	if s == nil || s.c == nil {
		return
	}
	s.c.in.mu.Lock()
	defer s.c.in.mu.Unlock()
	s.free()
}

// free is Release for a caller that holds in.mu.
func (s *Share) free() {
	for _, a := range s.c.counts {
		a.bytes -= s.bytes
	}
	s.bytes = 0
}

// Leave stops counting the request.
func (s *Share) Leave() {
	if s.c == nil {
		return
	}
	s.c.in.mu.Lock()
	defer s.c.in.mu.Unlock()
	s.free()
	s.c.requests--
	if s.c.quiet && s.c.requests == 0 {
		s.c.rest()
	}
}
