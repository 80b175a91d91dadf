package objects

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is of a Gatherer that takes nothing more.
var ErrClosed = errors.New("gatherer is closed")

// Gathering says how a Gatherer makes objects. All have defaults.
type Gathering struct {
	// An object is put when it has so many bytes; default 8 MiB. A record that is larger has an
	// object of its own.
	Bytes int64
	// An object is put so long after its first record came; default 200 ms, negative: at once.
	Linger time.Duration
	// How many objects are put at a time; default 4. While so many are, another one gathers, and
	// once that is full too whoever comes waits: so memory is bounded by one more than these.
	Flights int
}

// Outcome is what became of one row.
type Outcome[R any] struct {
	Result R
	Err    error
}

// Gatherer collects the records of many streams into one object. Row describes a record, Result
// what its commit tells.
type Gatherer[Row, Result any] struct {
	o      Gathering
	commit func(data []byte, rows []Row) ([]Outcome[Result], error)
	slots  chan struct{}
	flying sync.WaitGroup
	spare  sync.Pool // of *[]byte: buffers of objects that were put

	mu     sync.Mutex
	open   *gathered[Row, Result] // what gathers; nil: nothing; guarded by mu
	closed bool                   // guarded by mu
}

// gathered is one object. Its data and rows change while it is Gatherer.open, under that mu.
type gathered[Row, Result any] struct {
	data     []byte
	rows     []Row
	full     chan struct{} // closed when nothing more fits
	taken    chan struct{} // closed when it gathers no more
	done     chan struct{} // closed when outcomes and err are set
	outcomes []Outcome[Result]
	err      error
}

// NewGatherer returns a gatherer. commit puts an object and then commits its rows; it returns one
// outcome for each row, or an error that is of all. It may be called several times at once, and
// must not keep data.
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

// Add adds a record, whose bytes are parts one after the other, and returns once it is put and
// committed. row is told where in the object it begins. An error, also that of ctx, leaves open
// whether the record is committed, but for that of a ctx that was over before. Nothing of parts is
// kept.
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

// place copies a record into the object that gathers and returns its place among the rows.
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

// begin makes the object that gathers. The caller holds mu.
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

// fill says that nothing more fits into an object. The caller holds mu.
func (g *Gatherer[Row, Result]) fill(o *gathered[Row, Result]) {
	select {
	case <-o.full:
	default:
		close(o.full)
	}
}

// fly waits until an object is to be put and it is its turn, puts it and tells who waits.
func (g *Gatherer[Row, Result]) fly(o *gathered[Row, Result]) {
	if g.o.Linger > 0 {
		linger := time.NewTimer(g.o.Linger)
		select {
		case <-o.full:
		case <-linger.C:
		}
		linger.Stop()
	}
	g.slots <- struct{}{} // while it waits here, more may come
	g.mu.Lock()
	g.open = nil
	g.mu.Unlock()
	close(o.taken)
	o.outcomes, o.err = g.commit(o.data, o.rows)
	if o.err == nil && len(o.outcomes) != len(o.rows) {
		o.err = errors.New("not every record has an outcome")
	}
	if data := o.data; o.err == nil && int64(cap(data)) <= 2*g.o.Bytes {
		g.spare.Put(&data) // after an error a request may still be on its way
	}
	o.data, o.rows = nil, nil
	<-g.slots
	close(o.done)
}

// Close puts what is gathered and waits for it; nothing more is taken.
func (g *Gatherer[Row, Result]) Close() {
	g.mu.Lock()
	g.closed = true
	if g.open != nil {
		g.fill(g.open)
	}
	g.mu.Unlock()
	g.flying.Wait()
}
