package sealed

import (
	"container/list"
	"sync"

	"weir/internal/store"
	"weir/internal/store/record"
)

// TableBytes is how much memory an engine gives its Tables.
const TableBytes = 32_000_000

// Tables holds the last used tables, still packed, up to a number of bytes. Nothing needs to be
// invalidated: a table never changes, one that is written again is in another place, and nobody
// asks for the table of a volume that is gone.
type Tables struct {
	limit int64

	mu     sync.Mutex
	bytes  int64                    // guarded by mu
	tables map[string]*list.Element // of *cachedTable; guarded by mu
	order  list.List                // the last used one in front; guarded by mu
}

type cachedTable struct {
	volume string
	at     store.Location
	table  *record.Table
}

// NewTables returns an empty cache for so many bytes.
func NewTables(limit int64) *Tables {
	return &Tables{limit: limit, tables: make(map[string]*list.Element)}
}

func (c *Tables) get(volume string, at store.Location) *record.Table {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.tables[volume]
	if e == nil || e.Value.(*cachedTable).at != at {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedTable).table
}

func (c *Tables) put(volume string, at store.Location, t *record.Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(volume)
	c.tables[volume] = c.order.PushFront(&cachedTable{volume, at, t})
	c.bytes += t.Bytes()
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back().Value.(*cachedTable).volume)
	}
}

// drop drops a volume's table. The caller holds mu.
func (c *Tables) drop(volume string) {
	if e := c.tables[volume]; e != nil {
		c.bytes -= e.Value.(*cachedTable).table.Bytes()
		c.order.Remove(e)
		delete(c.tables, volume)
	}
}
