package client

import (
	"context"
	"sync"
	"time"

	"weir/internal/recut"
)

// window holds the fragments that are not safe at the server yet, to send them, and to send them
// again. The source fills it, one connection at a time reads it, and acknowledgements empty it.
type window struct {
	limit int64 // bytes; see add

	mu      sync.Mutex    // guards everything below
	changed chan struct{} // closed and replaced at each change
	header  []byte        // Matroska up to the first cluster; nil before the first frame
	open    []*outgoing   // oldest first: not yet acknowledged
	bytes   int64         // of all in open
	added   int64         // bytes ever added
	next    int           // sequence of the next fragment
	// the source's current fragment was given up: the rest of its frames is not wanted
	skipping bool
	ended    bool      // the source gives nothing more
	sending  *outgoing // what the connection is in the middle of; nil before its first fragment
	settled  int       // fragments acknowledged or given up
	first    int64     // time of the first frame in ms; valid with header
	last     int64     // greatest time of a frame in ms
}

// outgoing is one fragment: a cluster of Matroska, growing until the next one begins.
type outgoing struct {
	sequence int
	timecode int64     // of the cluster, as acknowledgements name it
	data     []byte    // only ever appended to
	complete bool      // the source has given all of it
	closed   time.Time // when a connection first sent what ends it; zero before
}

func newWindow(limit int64) *window {
	return &window{limit: limit, changed: make(chan struct{})}
}

// touch wakes everyone who waits. The caller holds mu.
func (w *window) touch() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// until waits, with mu held before and after, for ready to be true.
func (w *window) until(ctx context.Context, ready func() bool) error {
	for !ready() {
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		w.mu.Lock()
		if err := ctx.Err(); err != nil && !ready() {
			return err
		}
	}
	return nil
}

// begin sets the header and the time of the first frame in ms, before the first add.
func (w *window) begin(header []byte, first int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.header, w.first, w.last = header, first, first
}

// add takes a frame and its bytes on the wire. A frame with Start opens a fragment of the given
// timecode. add waits while the window is full, which slows down the source. The first frame of a
// fragment never waits: only the cluster header tells the server that the fragment before is
// complete, and without that it would never be acknowledged. A fragment that is alone does not
// wait either.
func (w *window) add(ctx context.Context, data []byte, f recut.Frame, timecode int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !f.Start {
		err := w.until(ctx, func() bool {
			return w.ended || w.skipping || len(w.open) <= 1 || w.bytes+int64(len(data)) <= w.limit
		})
		if err != nil {
			return err
		}
	}
	if w.ended {
		return context.Canceled
	}
	if f.Start {
		w.completeLast()
		w.skipping = false
		w.open = append(w.open, &outgoing{sequence: w.next, timecode: timecode})
		w.next++
	}
	if w.skipping {
		return nil
	}
	newest := w.open[len(w.open)-1]
	newest.data = append(newest.data, data...)
	w.last = max(w.last, f.Time)
	w.bytes += int64(len(data))
	w.added += int64(len(data))
	w.touch()
	return nil
}

// completeLast marks the newest fragment as whole. The caller holds mu.
func (w *window) completeLast() {
	if n := len(w.open); n > 0 {
		w.open[n-1].complete = true
	}
}

// end says that the source has no more; the newest fragment is complete with what it has.
func (w *window) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended = true
		w.completeLast()
		w.touch()
	}
}

// work waits until a connection has something to do: a complete fragment, bytes beyond those that
// it has seen, or an end to announce. done says that the source has ended and everything is
// settled.
func (w *window) work(ctx context.Context, seen int64) (done bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err = w.until(ctx, func() bool {
		return w.ended || w.added > seen && len(w.open) > 0 || len(w.open) > 1
	})
	return w.ended && len(w.open) == 0, err
}

// progress returns how many bytes were ever added, for work, and how many fragments are settled.
func (w *window) progress() (added int64, settled int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.added, w.settled
}

// position is how far a connection has read.
type position struct {
	sequence int // fragment
	offset   int // bytes of it that were read
}

// read waits for the next bytes to send, and returns them. end says that everything was read and
// the source has ended.
func (w *window) read(
	ctx context.Context, pos *position, now func() time.Time,
) (data []byte, end bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var from *outgoing
	err = w.until(ctx, func() bool {
		from = nil
		for _, f := range w.open {
			if f.sequence < pos.sequence {
				continue
			}
			if f.sequence > pos.sequence {
				*pos = position{sequence: f.sequence}
			}
			if pos.offset < len(f.data) {
				from = f
				break
			}
			if !f.complete {
				break
			}
		}
		return from != nil || w.ended
	})
	if err != nil {
		return nil, false, err
	}
	if from == nil {
		w.closeBefore(w.next, now)
		return nil, true, nil
	}
	w.closeBefore(from.sequence, now)
	w.sending = from
	data = from.data[pos.offset:len(from.data):len(from.data)]
	pos.offset = len(from.data)
	return data, false, nil
}

// closeBefore notes when the fragments before a sequence became whole on the wire. The caller holds
// mu.
func (w *window) closeBefore(sequence int, now func() time.Time) {
	for _, f := range w.open {
		if f.sequence < sequence && f.closed.IsZero() {
			f.closed = now()
		}
	}
}

// rewind is called when a connection begins: it will send everything that is open again.
func (w *window) rewind() (header []byte, first int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending = nil
	return w.header, w.first
}

// settle takes a fragment out of the window, because it is safe or given up. With given, the
// fragment may still be growing; a safe one must be complete. It returns nil if no such fragment
// is open.
func (w *window) settle(timecode int64, given bool) *outgoing {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, f := range w.open {
		if f.timecode != timecode {
			continue
		}
		if !f.complete && !given {
			return nil
		}
		if !f.complete {
			w.skipping = true
		}
		w.open = append(w.open[:i:i], w.open[i+1:]...)
		w.bytes -= int64(len(f.data))
		w.settled++
		w.touch()
		return f
	}
	return nil
}

// current is the timecode of the fragment that the connection is in the middle of.
func (w *window) current() (timecode int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sending == nil {
		return 0, false
	}
	return w.sending.timecode, true
}

// empty waits until nothing is open.
func (w *window) empty(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.until(ctx, func() bool { return len(w.open) == 0 })
}

// finished reports whether the source has ended and everything is settled.
func (w *window) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended && len(w.open) == 0
}

// report fills in what the window has counted.
func (w *window) report(s *Summary) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Fragments, s.Bytes = w.next, w.added
	s.Duration = time.Duration(w.last-w.first) * time.Millisecond
}

// unsettled counts the fragments that are neither safe nor given up.
func (w *window) unsettled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open)
}
