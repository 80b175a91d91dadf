package ingest

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"time"

	"weir/internal/store"
)

// errMemory: the memory for fragments in flight stayed used up for longer than a connection may wait.
var errMemory = errors.New("memory for fragments in flight is used up")

// memoryStep is how much a fragment takes at a time, so that a frame seldom needs the lock. It is the least a fragment costs.
const memoryStep = 64 << 10

// Memory bounds the bytes that all connections together hold of what their producers sent: payload and frame tables of fragments
// being read, queued, or being made durable, BlockGroups, Matroska headers, tracks and Tags. It is shared between connections and
// safe for concurrent use.
//
// The bound is hard. A connection takes bytes as they come, 64 KiB ahead at most: what a producer declares and does not send
// costs nothing. It waits when it may take none, which stops reading and so slows its producer. Connections that all wait for
// one another would wait for ever, so a wait ends after Limits.MemoryWait with INTERNAL_ERROR (5000): the connection drops its
// unfinished fragment, its memory goes to the others, and the producer connects again and resends. A rule such as "one
// fragment is always allowed" would have no bound but the number of connections times 50 MB.
//
// Nobody can starve the others. A stream may hold half, the streams of an access key three quarters. Who still finds none left
// for evictAfter has room made: of the key that holds more than twice as much as his, or of the stream of his own key that holds
// more than twice as much as his, the connection whose unfinished fragment is the largest ends with 5000.
//
// What is counted is bytes that have come. Buffers grow by doubling, and the garbage collector lets the heap double again, so a
// process whose producers hold all of it with fragments of 45 MB was measured at two to three times the limit.
type Memory struct {
	limit int64

	mu       sync.Mutex
	used     int64
	streams  map[store.StreamID]int64 // used by each
	keys     map[string]int64         // used by each
	claims   map[*claim]struct{}
	evicting *claim        // has been told to end and still holds something
	changed  chan struct{} // closed when bytes come back; nil while nobody waits

	pools [maxClass + 1]sync.Pool // pools[c] holds *[]byte of at least 1<<c bytes
}

// owner is on whose account bytes are taken.
type owner struct {
	stream store.StreamID
	key    string // access key
}

// claim is what a connection holds of Memory.
type claim struct {
	owner
	evict func(error) // ends the connection; must not block
	open  int64       // bytes of what it has not read to its end; guarded by Memory.mu
}

// evictAfter is how long one waits for bytes to come back by themselves: disks stall for moments.
const evictAfter = 200 * time.Millisecond

// errEvicted: others needed the memory more.
var errEvicted = errors.New("holds more of the memory for fragments in flight than others, who wait for it")

const (
	minClass = 12 // 4 KiB
	maxClass = 26 // 64 MiB
)

// minMemory is the least useful limit: half of it is a fragment of the largest size.
const minMemory = 2 << maxClass

// NewMemory makes a budget of so many bytes; less than 128 MiB is raised to that.
func NewMemory(limit int64) *Memory { return newMemory(max(limit, minMemory)) }

func newMemory(limit int64) *Memory {
	return &Memory{limit: limit, streams: map[store.StreamID]int64{}, keys: map[string]int64{}, claims: map[*claim]struct{}{}}
}

// Used returns the bytes taken now.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// join opens the account of a connection. evict is called when it must end so that others get memory.
func (m *Memory) join(o owner, evict func(error)) *claim {
	c := &claim{owner: o, evict: evict}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims[c] = struct{}{}
	return c
}

// leave closes it; what is still taken must be given.
func (m *Memory) leave(c *claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.claims, c)
	m.settled(c)
}

// fits says whether o may take n bytes more.
func (m *Memory) fits(o owner, n int64) bool {
	return m.used+n <= m.limit && m.streams[o.stream]+n <= m.limit/2 && m.keys[o.key]+n <= m.limit/4*3
}

func (m *Memory) add(o owner, n int64) {
	m.used += n
	if m.streams[o.stream] += n; m.streams[o.stream] == 0 {
		delete(m.streams, o.stream)
	}
	if m.keys[o.key] += n; m.keys[o.key] == 0 {
		delete(m.keys, o.key)
	}
}

// take takes n bytes, waiting up to the given time. It returns errMemory, or the cause of the context's end.
func (m *Memory) take(ctx context.Context, c *claim, n int64, wait time.Duration) error {
	m.mu.Lock()
	if m.fits(c.owner, n) {
		m.add(c.owner, n)
		c.open += n
		m.mu.Unlock()
		return nil
	}
	m.mu.Unlock()

	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	evict := time.NewTicker(evictAfter)
	defer evict.Stop()
	for {
		m.mu.Lock()
		if m.fits(c.owner, n) {
			m.add(c.owner, n)
			c.open += n
			m.mu.Unlock()
			return nil
		}
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-evict.C:
			m.makeRoom(c.owner, n)
		case <-timeout.C:
			return errMemory
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// makeRoom ends a connection, if there is one that holds much more than o, who needs n bytes, and none is ending already. The open
// bytes of a connection between fragments are its Matroska header: ending it would give next to nothing back.
func (m *Memory) makeRoom(o owner, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.evicting != nil {
		return
	}
	var victim *claim
	for c := range m.claims {
		more := m.streams[c.stream] > 2*(m.streams[o.stream]+n)
		if c.key != o.key {
			more = m.keys[c.key] > 2*(m.keys[o.key]+n)
		}
		if more && c.open >= memoryStep && (victim == nil || c.open > victim.open) {
			victim = c
		}
	}
	if victim != nil {
		m.evicting = victim
		victim.evict(errEvicted)
	}
}

// settle says that n bytes of a claim are no longer open: they were read to their end, or are about to be given.
func (m *Memory) settle(c *claim, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.open -= n; c.open == 0 {
		m.settled(c)
	}
}

func (m *Memory) settled(c *claim) {
	if m.evicting == c {
		m.evicting = nil
	}
}

// give returns n bytes.
func (m *Memory) give(o owner, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(o, -n)
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// buffer returns an empty buffer with room for at least n bytes.
func (m *Memory) buffer(n int) []byte {
	class := min(max(bits.Len(uint(max(n, 1)-1)), minClass), maxClass)
	if b, ok := m.pools[class].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<class)
}

// room returns b with room for n bytes more; b may not be used any more.
func (m *Memory) room(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	grown := append(m.buffer(max(len(b)+n, 2*cap(b))), b...)
	m.recycle(b)
	return grown
}

// recycle takes a buffer back; nobody may use it any more.
func (m *Memory) recycle(b []byte) {
	class := min(bits.Len(uint(cap(b)))-1, maxClass)
	if class < minClass {
		return
	}
	m.pools[class].Put(&b)
}
