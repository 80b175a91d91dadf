package playback

import (
	"container/list"
	"sync"
	"time"
)

// viewCache keeps the views of the most recently used sessions, up to a total weight. Held views
// stay even beyond that: otherwise each request of a session would begin to follow the live edge
// again, besides the one before.
type viewCache struct {
	mu    sync.Mutex
	limit int64
	total int64
	// expireNext is when expire runs again, in Unix milliseconds.
	expireNext int64

	byID  map[string]*list.Element
	order *list.List // of *cached, the most recently used first: those that are not held
	held  *list.List // of *cached
}

type cached struct {
	id      string
	view    *view
	weight  int64
	expires int64 // of the session, Unix milliseconds
	in      *list.List
}

func newViewCache(limit int64) *viewCache {
	return &viewCache{limit: limit, byID: make(map[string]*list.Element), order: list.New(),
		held: list.New()}
}

// get finds the view of a session, or makes an empty one. expires is when the session ends, in
// milliseconds since the Unix epoch.
func (c *viewCache) get(id string, expires int64) *view {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok {
		e := el.Value.(*cached)
		e.in.MoveToFront(el)
		return e.view
	}
	v := &view{}
	c.byID[id] = c.order.PushFront(&cached{id: id, view: v, expires: expires, in: c.order})
	return v
}

// hold keeps a view until it is released. It returns false if the cache has dropped the view
// already.
func (c *viewCache) hold(id string, v *view) bool { return c.move(id, v, c.held) }

// release undoes hold.
func (c *viewCache) release(id string, v *view) { c.move(id, v, c.order) }

func (c *viewCache) move(id string, v *view, to *list.List) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byID[id]
	if !ok || el.Value.(*cached).view != v {
		return false
	}
	e := el.Value.(*cached)
	e.in.Remove(el)
	e.in = to
	c.byID[id] = to.PushFront(e)
	return true
}

// weigh records the weight of a view, and drops the least recently used views that are not held
// until the total fits. A view that is dropped while a request uses it serves that request and is
// then forgotten.
func (c *viewCache) weigh(id string, v *view, weight int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok && el.Value.(*cached).view == v {
		e := el.Value.(*cached)
		c.total += weight - e.weight
		e.weight = weight
	}
	for c.total > c.limit && c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

// expire drops the views of ended sessions, once a minute: a player that renews its session never
// asks for the old one again. now is in Unix milliseconds.
func (c *viewCache) expire(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now < c.expireNext {
		return
	}
	c.expireNext = now + time.Minute.Milliseconds()
	for el := c.order.Front(); el != nil; {
		next := el.Next()
		if el.Value.(*cached).expires <= now {
			c.remove(el)
		}
		el = next
	}
}

func (c *viewCache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok {
		c.remove(el)
	}
}

func (c *viewCache) remove(el *list.Element) {
	e := el.Value.(*cached)
	e.in.Remove(el)
	delete(c.byID, e.id)
	c.total -= e.weight
}
