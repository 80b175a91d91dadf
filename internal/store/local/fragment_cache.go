package local

import (
	"slices"
	"sync"

	"weir/internal/media"
	"weir/internal/store"
)

// fragmentCache keeps the rows of fragments that are asked for one by one, and the heads of those
// that were opened: a live segment is fetched by every viewer of its stream, a consumer of GetMedia
// opens what it has listed, and finding a fragment of a recording means to read a table. A head is
// true for as long as the record is there, because records never change. A row is true for as long
// as the fragment is there, because rows never change and this process alone takes fragments away:
// Replace, DeleteStream and the sweep let go of them here, also when they failed, since they may
// have been applied. Retention is not among that: it is looked at for each request. It takes
// Options.FragmentBytes at most.
//
// What was used since half of the limit was filled is young, what was used in the half before it is
// old, the rest is forgotten.
type fragmentCache struct {
	limit int64 // bytes

	mu         sync.Mutex
	young, old map[fragmentKey]cachedFragment
	bytes      int64 // of young
	changes    int   // as in sessionCache
}

type fragmentKey struct {
	stream store.StreamID
	number store.Number
}

type cachedFragment struct {
	info store.FragmentInfo
	// row tells that info was read from the index since anything was taken away. Otherwise it says
	// of which record the head is, and no more.
	row  bool
	head *media.Fragment // verified; nil when it was not opened
	// whole tells that the payload was verified since the start.
	whole bool
}

// size estimates the memory that it takes.
func (f *cachedFragment) size() int64 {
	n := 512 + len(f.info.Location.Volume) + 96*len(f.info.Spans)
	if f.head != nil {
		n += 256 + len(f.head.Header)
		for i := range f.head.Runs {
			n += 64 + 16*len(f.head.Runs[i].Frames)
		}
		for i := range f.head.Tracks {
			n += 256 + len(f.head.Tracks[i].CodecPrivate)
		}
		for _, t := range f.head.Tags {
			n += 64 + len(t.Name) + len(t.Value)
		}
	}
	return int64(n)
}

// get returns the row that is kept of a fragment, and what put must be told.
func (c *fragmentCache) get(
	id store.StreamID, n store.Number,
) (info store.FragmentInfo, changes int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.find(fragmentKey{id, n})
	return f.info, c.changes, ok && f.row
}

// head returns what is kept of the record of a fragment, whose head is nil when nothing is.
func (c *fragmentCache) head(id store.StreamID, info *store.FragmentInfo) cachedFragment {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.find(fragmentKey{id, info.Number}); ok && f.info.Location == info.Location {
		return f
	}
	return cachedFragment{}
}

// find looks a fragment up and makes it a young one. The caller holds mu.
func (c *fragmentCache) find(key fragmentKey) (f cachedFragment, ok bool) {
	f, ok = c.young[key]
	if !ok {
		if f, ok = c.old[key]; ok {
			delete(c.old, key)
			c.add(key, f)
		}
	}
	return f, ok
}

// put keeps a row that was read after get told changes.
func (c *fragmentCache) put(id store.StreamID, info store.FragmentInfo, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if changes != c.changes {
		return
	}
	key := fragmentKey{id, info.Number}
	f, ok := c.find(key)
	if !ok || f.info.Location != info.Location {
		f = cachedFragment{}
	}
	// those of a table share one array with all that was read with them
	info.Spans = slices.Clone(info.Spans)
	f.info, f.row = info, true
	c.add(key, f)
}

// opened keeps the head of a fragment.
func (c *fragmentCache) opened(id store.StreamID, info *store.FragmentInfo, head *media.Fragment) {
	key := fragmentKey{id, info.Number}
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.find(key)
	if !ok || f.info.Location != info.Location {
		f = cachedFragment{info: store.FragmentInfo{Number: info.Number, Location: info.Location}}
	}
	f.head = head
	c.add(key, f)
}

// verified remembers that the payload of a fragment whose head is kept is whole.
func (c *fragmentCache) verified(id store.StreamID, info *store.FragmentInfo) {
	key := fragmentKey{id, info.Number}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.young[key]; ok && f.info.Location == info.Location {
		f.whole = true
		c.young[key] = f
	}
}

// add puts a fragment among the young ones. The caller holds mu.
func (c *fragmentCache) add(key fragmentKey, f cachedFragment) {
	size := f.size()
	if was, ok := c.young[key]; ok {
		c.bytes -= was.size()
		delete(c.young, key)
	}
	if size > c.limit/2 {
		return
	}
	if c.bytes+size > c.limit/2 {
		c.young, c.old, c.bytes = nil, c.young, 0
	}
	if c.young == nil {
		c.young = make(map[fragmentKey]cachedFragment)
	}
	c.young[key] = f
	c.bytes += size
}

// forget lets go of one fragment.
func (c *fragmentCache) forget(id store.StreamID, n store.Number) {
	key := fragmentKey{id, n}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.young[key]; ok {
		c.bytes -= f.size()
		delete(c.young, key)
	}
	delete(c.old, key)
	c.changes++
}

// forgetAll lets go of every fragment, after what happens seldom beside requests.
func (c *fragmentCache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old, c.bytes = nil, nil, 0
	c.changes++
}
