package recent

import (
	"sync"

	"weir/internal/store"
)

// maxSessionBytes limits the sessions kept in memory. The checkpoint of a recording may have 100
// kB.
const maxSessionBytes = 16 << 20

// Sessions keeps the rows of sessions that are asked for, because every playlist and every segment
// asks for one. It is right because only this process writes them. Whatever changes a row
// (OpenSession, Checkpoint, BindSession, CloseSession, DeleteStream, the sweep) removes it here,
// also when the change failed, since it may have been applied. It takes at most maxSessionBytes.
type Sessions struct {
	mu    sync.Mutex
	rows  map[string]store.Session
	bytes int
	// how often rows were removed: what was read from the index before the last time is not kept
	changes int
}

// Get returns a row, if it is kept, and what to pass to Put.
func (c *Sessions) Get(id string) (row store.Session, changes int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row, ok = c.rows[id]
	return row, c.changes, ok
}

// Put keeps a row that was read after Get returned changes, unless one was removed since.
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

// Forget removes the row of one session.
func (c *Sessions) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if row, ok := c.rows[id]; ok {
		c.bytes -= int(row.Size())
		delete(c.rows, id)
	}
	c.changes++
}

// ForgetAll removes every row. It is for changes that are rare compared with requests.
func (c *Sessions) ForgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows, c.bytes = nil, 0
	c.changes++
}
