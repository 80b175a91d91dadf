package ingest

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"time"

	"weir/internal/store"
)

// errMemory says that there was no memory for fragments in flight for longer than a connection may
// wait.
var errMemory = errors.New("memory for fragments in flight is used up")

// memoryStep is the least number of bytes that a fragment takes at a time, so that a frame seldom
// needs the lock.
const memoryStep = 64 << 10

// Memory bounds the bytes that all connections together hold of what their producers sent: payload
// and frame tables of fragments being read, queued, or being made durable, BlockGroups, Matroska
// headers, tracks and Tags. Connections share it. It is safe for concurrent use.
//
// It counts the capacity of buffers, which grow as bytes arrive: to twice as much, beyond 4 MiB to
// a quarter more. What a producer declares but does not send costs nothing. Memory that the garbage
// collector has not freed yet is not counted; the memory limit of the process keeps it small.
//
// The bound is hard. A connection that may not take more waits, which stops reading and so slows
// its producer. Connections that all wait for one another would wait for ever, so a wait ends after
// Limits.MemoryWait with INTERNAL_ERROR (5000): the connection drops its unfinished fragment, its
// memory goes to the others, and the producer connects again and resends. A rule such as "one
// fragment is always allowed" would have no bound but the number of connections times 50 MB.
//
// Nobody can starve the others. A stream may hold half, all streams of a principal three quarters.
// If a connection still waits after evictAfter, another one ends with 5000 to make room. It belongs
// to another principal that holds more than twice as much as that of the one that waits, or to
// another stream of the same principal that holds more than twice as much as the stream of the one
// that waits. Of those connections it is the one with the largest unfinished fragment.
type Memory struct {
	limit int64

	mu         sync.Mutex
	used       int64
	streams    map[store.StreamID]int64 // used by each
	principals map[string]int64         // used by each
	claims     map[*claim]struct{}
	evicting   *claim        // was told to end, and still holds something
	changed    chan struct{} // closed when bytes come back; nil while nobody waits

	pools [maxClass + 1]sync.Pool // pools[c] holds *[]byte of 1<<c bytes
}

// owner is whose shares bytes count against.
type owner struct {
	stream    store.StreamID
	principal string
}

// claim is what a connection holds of Memory.
type claim struct {
	owner
	evict func(error) // ends the connection; must not block
	open  int64       // bytes of what it is still reading; guarded by Memory.mu
}

// evictAfter is how long a connection waits before another one must end: disks stall for moments.
const evictAfter = 200 * time.Millisecond

// errEvicted: others needed the memory more.
var errEvicted = errors.New("holds more of the memory for fragments in flight than others, who " +
	"wait for it")

// MinMemory is the least useful limit: a camera of 4 Mbit/s with a key frame every 10 s sends
// fragments of 5 MB, and Largest is then 6.7 MB.
const MinMemory = 32 << 20

// NewMemory makes a Memory of limit bytes, at least MinMemory.
func NewMemory(limit int64) *Memory { return newMemory(max(limit, MinMemory)) }

func newMemory(limit int64) *Memory {
	return &Memory{limit: limit, streams: map[store.StreamID]int64{},
		principals: map[string]int64{}, claims: map[*claim]struct{}{}}
}

// Largest returns how large the payload of a fragment may be, in bytes, to fit into its stream's
// half in the worst case: a single BlockGroup, which is held whole and then copied, in buffers that
// are a quarter larger.
func (m *Memory) Largest() int { return int(m.limit / 5) }

// Used returns the bytes taken now.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// join makes the claim of a connection. evict is called when the connection must end so that others
// get memory.
func (m *Memory) join(o owner, evict func(error)) *claim {
	c := &claim{owner: o, evict: evict}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims[c] = struct{}{}
	return c
}

// leave ends a claim. Bytes that are still taken must be given.
func (m *Memory) leave(c *claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.claims, c)
	m.settled(c)
}

// fits reports whether o may take n bytes more.
func (m *Memory) fits(o owner, n int64) bool {
	return m.used+n <= m.limit && m.streams[o.stream]+n <= m.limit/2 &&
		m.principals[o.principal]+n <= m.limit/4*3
}

func (m *Memory) add(o owner, n int64) {
	m.used += n
	if m.streams[o.stream] += n; m.streams[o.stream] == 0 {
		delete(m.streams, o.stream)
	}
	if m.principals[o.principal] += n; m.principals[o.principal] == 0 {
		delete(m.principals, o.principal)
	}
}

// take takes n bytes, waiting up to the given time. It returns errMemory, or the cause of the
// context's end.
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

// makeRoom ends a connection that holds much more than o, who needs n bytes, if there is one and
// none is ending already. Between fragments, the open bytes of a connection are its Matroska
// header: ending it would free next to nothing.
func (m *Memory) makeRoom(o owner, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.evicting != nil {
		return
	}
	var victim *claim
	for c := range m.claims {
		more := m.streams[c.stream] > 2*(m.streams[o.stream]+n)
		if c.principal != o.principal {
			more = m.principals[c.principal] > 2*(m.principals[o.principal]+n)
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

// settle says that n bytes of a claim are no longer open: reading them has ended, or they are about
// to be given.
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

// Buffers of at most maxPooled come from pools and grow by doubling. Larger ones are made for their
// fragment, grow by a quarter, and are left to the garbage collector: few have the same size, and
// nobody counts what lies in a pool.
const (
	minClass  = 12 // 4 KiB
	maxClass  = 22
	maxPooled = 1 << maxClass
)

// buffer returns an empty buffer with room for at least n bytes; its capacity is bufferSize(n).
func (m *Memory) buffer(n int) []byte {
	if n > maxPooled {
		return make([]byte, 0, n)
	}
	class := sizeClass(n)
	if b, ok := m.pools[class].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<class)
}

// sizeClass returns the least class whose buffers have room for n bytes, at most maxPooled.
func sizeClass(n int) int { return max(bits.Len(uint(max(n, 1)-1)), minClass) }

// roomSize returns the capacity of what room returns.
func roomSize(b []byte, n int) int {
	switch need := len(b) + n; {
	case cap(b) >= need:
		return cap(b)
	case need > maxPooled:
		return max(need, cap(b)+cap(b)/4)
	default:
		return 1 << sizeClass(need)
	}
}

// room returns b with room for n bytes more. b must not be used again.
func (m *Memory) room(b []byte, n int) []byte {
	if roomSize(b, n) == cap(b) {
		return b
	}
	grown := m.grown(b, n)
	m.recycle(b)
	return grown
}

// grown returns a copy of b with room for n bytes more than it has.
func (m *Memory) grown(b []byte, n int) []byte { return append(m.buffer(roomSize(b, n)), b...) }

// recycle puts a buffer into its pool. Nobody may use it any more.
func (m *Memory) recycle(b []byte) {
	if c := cap(b); c >= 1<<minClass && c <= maxPooled && c&(c-1) == 0 {
		m.pools[sizeClass(c)].Put(&b)
	}
}
