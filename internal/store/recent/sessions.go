package recent

import (
	"sync"

	"weir/internal/store"
)

// maxSessionBytes bounds the sessions kept in memory; a recording's checkpoint may have 100 kB.
const maxSessionBytes = 16 << 20

// Sessions keeps the rows of sessions that are asked for: every playlist and every segment asks for
// its own. It is true because this process alone writes them: whatever changes a row (OpenSession,
// Checkpoint, BindSession, CloseSession, DeleteStream, the sweep) lets go of it here, also when the
// change failed, since it may have been applied. It takes maxSessionBytes at most.
type Sessions struct {
	mu    sync.Mutex
	rows  map[string]store.Session
	bytes int
	// how often rows were let go of: what was read from the index before the last change is not
	// kept
	changes int
}

// Get returns a row that is kept, and how often rows were let go of, for Put.
func (c *Sessions) Get(id string) (row store.Session, changes int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row, ok = c.rows[id]
	return row, c.changes, ok
}

// Put keeps a row that was read after Get told changes.
func (c *Sessions) Put(row store.Session, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := int(row.Size())
	if changes != c.changes || size > maxSessionBytes {
		return
	}
	if c.rows == nil || c.bytes+size > maxSessionBytes {
		c.rows, c.bytes = make(map[string]store.Session), 0
	}
	if _, ok := c.rows[row.ID]; !ok {
		c.rows[row.ID] = row
		c.bytes += size
	}
}

// Forget lets go of one session's row.
func (c *Sessions) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if row, ok := c.rows[id]; ok {
		c.bytes -= int(row.Size())
		delete(c.rows, id)
	}
	c.changes++
}

// ForgetAll lets go of every row, after what happens seldom beside requests.
func (c *Sessions) ForgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows, c.bytes = nil, 0
	c.changes++
}
