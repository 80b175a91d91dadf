package ingest

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"time"
)

// errMemory: the memory for fragments in flight stayed used up for longer than a session may wait.
var errMemory = errors.New("memory for fragments in flight is used up")

// memoryStep is how much a fragment takes at a time, so that a frame seldom needs the lock. It is the least a fragment costs.
const memoryStep = 64 << 10

// Memory bounds the payload bytes that all sessions together hold in fragments in flight: being read, queued, or being made
// durable. It is shared between sessions and safe for concurrent use.
//
// The bound is hard: a session takes the size of a frame before it reads the frame, and waits when there is none left, which
// stops reading and so slows its producer. Sessions that all wait for one another would wait for ever, so a wait ends after
// Limits.MemoryWait with INTERNAL_ERROR (5000): the session drops its unfinished fragment, its memory goes to the others, and
// the producer connects again and resends. A rule such as "one fragment is always allowed" would have no bound but the number of
// connections times 50 MB.
//
// What is counted is payload and frame tables. Buffers grow by steps, so the process may use up to about twice the limit in the
// worst case, and close to the limit in practice, for buffers go round through a pool.
type Memory struct {
	limit int64

	mu      sync.Mutex
	used    int64
	changed chan struct{} // closed when bytes come back; nil while nobody waits

	pools [maxClass + 1]sync.Pool // pools[c] holds *[]byte of at least 1<<c bytes
}

const (
	minClass = 12 // 4 KiB
	maxClass = 26 // 64 MiB
)

// NewMemory makes a budget of so many bytes; less than one fragment of the largest size would be useless and is raised to 64 MiB.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: max(limit, 1<<maxClass)}
}

// Used returns the bytes taken now.
func (m *Memory) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// take takes n bytes, waiting up to the given time. It returns errMemory, or the context's error.
func (m *Memory) take(ctx context.Context, n int64, wait time.Duration) error {
	var timeout <-chan time.Time
	for {
		m.mu.Lock()
		if m.used+n <= m.limit {
			m.used += n
			m.mu.Unlock()
			return nil
		}
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		if timeout == nil {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-timeout:
			return errMemory
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// give returns n bytes.
func (m *Memory) give(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
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

// recycle takes a buffer back; nobody may use it any more.
func (m *Memory) recycle(b []byte) {
	class := min(bits.Len(uint(cap(b)))-1, maxClass)
	if class < minClass {
		return
	}
	m.pools[class].Put(&b)
}
