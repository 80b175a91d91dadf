package objects

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed says that a Gatherer is closed.
var ErrClosed = errors.New("gatherer is closed")

// Gathering are the options of a Gatherer. All have defaults.
type Gathering struct {
	// An object is put when it has so many bytes; default 8 MiB. A larger record gets an object to
	// itself.
	Bytes int64
	// An object is put so long after its first record arrived; default 200 ms, negative: at once.
	Linger time.Duration
	// How many objects are put at a time; default 4. While all of them are being put, one more
	// gathers records; once it is full, callers wait. So memory is limited to one object more than
	// Flights.
	Flights int
}

// Outcome is the result for one row.
type Outcome[R any] struct {
	Result R
	Err    error
}

// Gatherer collects the records of many streams into one object. Row describes a record, Result is
// what its commit returns.
type Gatherer[Row, Result any] struct {
	o      Gathering
	commit func(data []byte, rows []Row) ([]Outcome[Result], error)
	slots  chan struct{}
	flying sync.WaitGroup
	spare  sync.Pool // of *[]byte: buffers of objects that were put

	mu     sync.Mutex
	open   *gathered[Row, Result] // the object that gathers; nil: none; guarded by mu
	closed bool                   // guarded by mu
}

// gathered is one object. While it is Gatherer.open, its data and rows change, guarded by
// Gatherer.mu.
type gathered[Row, Result any] struct {
	data     []byte
	rows     []Row
	full     chan struct{} // closed when nothing more fits into it
	taken    chan struct{} // closed when it no longer gathers
	done     chan struct{} // closed when outcomes and err are set
	outcomes []Outcome[Result]
	err      error
}

// NewGatherer returns a gatherer. commit puts an object and then commits its rows. It returns one
// outcome for each row, or one error for all. It may be called concurrently, and must not keep
// data.
func NewGatherer[Row, Result any](
	o Gathering, commit func(data []byte, rows []Row) ([]Outcome[Result], error),
) *Gatherer[Row, Result] {
	if o.Bytes == 0 {
		o.Bytes = 8 << 20
	}
	if o.Linger == 0 {
		o.Linger = 200 * time.Millisecond
	}
	if o.Flights == 0 {
		o.Flights = 4
	}
	return &Gatherer[Row, Result]{o: o, commit: commit, slots: make(chan struct{}, o.Flights)}
}

// Add adds a record, which is the concatenation of parts, and returns when it is put and committed.
// row gets the record's offset in the object. An error leaves open whether the record is committed;
// so does the end of ctx, unless ctx had ended before the call. It keeps nothing of parts.
func (g *Gatherer[Row, Result]) Add(
	ctx context.Context, row func(offset int64) Row, parts ...[]byte,
) (Result, error) {
	var none Result
	size := int64(0)
	for _, p := range parts {
		size += int64(len(p))
	}
	o, at, err := g.place(ctx, size, row, parts)
	if err != nil {
		return none, err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if o.err != nil {
		return none, o.err
	}
	return o.outcomes[at].Result, o.outcomes[at].Err
}

// place copies a record into the gathering object and returns its place among the rows.
func (g *Gatherer[Row, Result]) place(
	ctx context.Context, size int64, row func(offset int64) Row, parts [][]byte,
) (*gathered[Row, Result], int, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			return nil, 0, ErrClosed
		}
		o := g.open
		if o == nil {
			o = g.begin()
		}
		if len(o.rows) == 0 || int64(len(o.data))+size <= g.o.Bytes {
			o.rows = append(o.rows, row(int64(len(o.data))))
			for _, p := range parts {
				o.data = append(o.data, p...)
			}
			at := len(o.rows) - 1
			if int64(len(o.data)) >= g.o.Bytes {
				g.fill(o)
			}
			g.mu.Unlock()
			return o, at, nil
		}
		g.fill(o)
		g.mu.Unlock()
		select {
		case <-o.taken:
		case <-ctx.Done():
		}
	}
}

// begin begins a new object. The caller holds mu.
func (g *Gatherer[Row, Result]) begin() *gathered[Row, Result] {
	o := &gathered[Row, Result]{full: make(chan struct{}), taken: make(chan struct{}),
		done: make(chan struct{})}
	if b, ok := g.spare.Get().(*[]byte); ok {
		o.data = (*b)[:0]
	}
	g.open = o
	g.flying.Go(func() { g.fly(o) })
	return o
}

// fill notes that nothing more fits into an object. The caller holds mu.
func (g *Gatherer[Row, Result]) fill(o *gathered[Row, Result]) {
	select {
	case <-o.full:
	default:
		close(o.full)
	}
}

// fly waits until an object is due and it is its turn, puts it, and wakes its callers.
func (g *Gatherer[Row, Result]) fly(o *gathered[Row, Result]) {
	if g.o.Linger > 0 {
		linger := time.NewTimer(g.o.Linger)
		select {
		case <-o.full:
		case <-linger.C:
		}
		linger.Stop()
	}
	g.slots <- struct{}{} // while it waits here, more records may come
	g.mu.Lock()
	g.open = nil
	g.mu.Unlock()
	close(o.taken)
	o.outcomes, o.err = g.commit(o.data, o.rows)
	if o.err == nil && len(o.outcomes) != len(o.rows) {
		o.err = errors.New("not every record has an outcome")
	}
	if data := o.data; o.err == nil && int64(cap(data)) <= 2*g.o.Bytes {
		g.spare.Put(&data) // after an error a request may still be running
	}
	o.data, o.rows = nil, nil
	<-g.slots
	close(o.done)
}

// Close puts what is gathered and waits for it. Nothing can be added any more.
func (g *Gatherer[Row, Result]) Close() {
	g.mu.Lock()
	g.closed = true
	if g.open != nil {
		g.fill(g.open)
	}
	g.mu.Unlock()
	g.flying.Wait()
}
