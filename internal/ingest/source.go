package ingest

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// errStopped is what reading returns after stop.
var errStopped = errors.New("connection stopped")

// source is the body. It remembers how the body ended, which the Matroska reader cannot tell: a
// chunked body that ends without its last chunk and one that ends properly inside an element are
// both io.ErrUnexpectedEOF to it.
type source struct {
	body      io.Reader
	deadlines Deadlines // may be nil
	idle      time.Duration
	clock     func() time.Time
	count     func(n int)
	pace      func(now time.Time) error // called when bytes have come; an error ends reading
	read      int64                     // bytes that have come; for the reading goroutine

	err  error        // what the body ended with, once it has; for the reading goroutine
	last atomic.Int64 // Unix nanoseconds when bytes last came

	mu       sync.Mutex
	stopped  bool
	draining bool      // stops when no fragment is coming in
	inside   bool      // a fragment is coming in
	deadline time.Time // read deadline in force
}

// Read reads from the body, moving the idle deadline ahead.
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if err := s.arm(); err != nil {
		s.err = err
		return 0, err
	}
	n, err := s.body.Read(p)
	if n > 0 {
		now := s.clock()
		s.last.Store(now.UnixNano())
		s.count(n)
		s.read += int64(n)
		if err == nil {
			if err := s.pace(now); err != nil {
				return n, err // the body can still be read
			}
		}
	}
	if err != nil {
		s.err = err
	}
	return n, err
}

// arm moves the read deadline, only a few times per idle period, because that is not free.
func (s *source) arm() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped
	}
	if s.deadlines == nil {
		return nil
	}
	now := s.clock()
	if d := now.Add(s.idle); d.Sub(s.deadline) > s.idle/16 {
		if err := s.deadlines.SetReadDeadline(d); err != nil {
			return err
		}
		s.deadline = d
	}
	return nil
}

// stopGrace is how long a Read that is blocked may go on after stop. A body whose Read was broken
// off cannot be read any more (net/http), and linger needs it. Where bytes flow, Read returns in
// time by itself.
const stopGrace = 100 * time.Millisecond

// stop makes the Read that is blocked fail soon, and every later one at once.
func (s *source) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopLocked()
}

// drain stops at the end of the fragment that is coming in, at once when there is none.
func (s *source) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	if !s.inside {
		s.stopLocked()
	}
}

// begin says that a fragment is coming in. If no more may, it stops the source and returns false.
func (s *source) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		s.stopLocked()
		return false
	}
	s.inside = true
	return true
}

// end says that the fragment has come in.
func (s *source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside = false
	if s.draining {
		s.stopLocked()
	}
}

func (s *source) stopLocked() {
	if s.stopped {
		return
	}
	s.stopped = true
	if s.deadlines != nil {
		// a failure to set it means that the connection is gone, which ends Read too
		s.deadlines.SetReadDeadline(s.clock().Add(stopGrace))
	}
}

// readable reports whether the body can still be read, even if Read refuses to.
func (s *source) readable() bool { return s.err == nil || errors.Is(s.err, errStopped) }

// wasStopped reports whether stop was called.
func (s *source) wasStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}
