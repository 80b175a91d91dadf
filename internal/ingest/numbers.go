package ingest

import (
	"context"
	"sync"

	"weir/internal/store"
)

// Numbers holds the fragment numbers in flight: those whose fragments are neither stored nor given
// up yet. They were given to connections of this process, or of other processes that it follows. It
// is safe for concurrent use; a nil one knows nothing. It is bounded as connections are: each has
// at most the numbers of its fragments in flight (Limits.InFlight) and of the one being read.
type Numbers struct {
	mu      sync.Mutex
	streams map[store.StreamID]*pending
}

// pending is the numbers in flight of a stream.
type pending struct {
	numbers map[*store.Number]struct{} // 0: not known yet
	changed chan struct{}              // closed when a number leaves; nil when nobody waits
}

// NewNumbers makes an empty one.
func NewNumbers() *Numbers {
	return &Numbers{streams: make(map[store.StreamID]*pending)}
}

// next takes a number from the store. It is in flight until done is called.
func (n *Numbers) next(ctx context.Context, from Store, id store.StreamID) (
	number store.Number, done func(), err error) {
	if n == nil {
		number, err = from.NextNumber(ctx, id)
		return number, func() {}, err
	}
	entry := new(store.Number)
	p, done := n.enter(id, entry)
	if number, err = from.NextNumber(ctx, id); err != nil {
		done()
		return 0, nil, err
	}
	n.mu.Lock()
	*entry = number
	p.wake()
	n.mu.Unlock()
	return number, done, nil
}

// Add adds a number that was given to a connection of another process. It is in flight until done
// is called.
func (n *Numbers) Add(id store.StreamID, number store.Number) (done func()) {
	p, done := n.enter(id, &number)
	n.mu.Lock()
	defer n.mu.Unlock()
	p.wake()
	return done
}

func (n *Numbers) enter(id store.StreamID, entry *store.Number) (p *pending, done func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p = n.streams[id]
	if p == nil {
		p = &pending{numbers: make(map[*store.Number]struct{})}
		n.streams[id] = p
	}
	p.numbers[entry] = struct{}{}
	return p, sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(p.numbers, entry)
		p.wake()
		if len(p.numbers) == 0 && n.streams[id] == p {
			delete(n.streams, id)
		}
	})
}

func (p *pending) wake() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// Lowest returns the lowest number greater than after that is in flight or may soon be, and a
// channel that is closed when that may have changed. The channel is nil when there is no such
// number. The fragment of a number that has left is in every later List, or never will be.
func (n *Numbers) Lowest(
	id store.StreamID, after store.Number,
) (lowest store.Number, changed <-chan struct{}) {
	if n == nil {
		return 0, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.streams[id]
	if p == nil {
		return 0, nil
	}
	found := false
	for entry := range p.numbers {
		number := *entry
		if number == 0 {
			number = after + 1
		}
		if number > after && (!found || number < lowest) {
			lowest, found = number, true
		}
	}
	if !found {
		return 0, nil
	}
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return lowest, p.changed
}
