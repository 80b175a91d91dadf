// Package recent has what an engine keeps only in memory: caches of the fragments and sessions that
// were asked for, and sessions for which there is no space.
package recent

import (
	"slices"
	"sync"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/encryption"
)

// Fragments keeps the rows of fragments that are asked for one by one, and the heads of those that
// were opened. A live segment is fetched by every viewer of its stream, a consumer of GetMedia
// opens what it has listed, and finding a fragment of a recording means reading a table. A head is
// right as long as the record exists, because records never change. A row is right as long as the
// fragment exists, because rows never change, and only this process removes fragments: Replace,
// DeleteStream and the sweep of the engine remove them here, also when they failed, since they may
// have been applied. Retention removes nothing here: it is checked at each request. It takes at
// most Limit bytes.
//
// What was used since half of the limit was filled is young, what was used in the half before that
// is old, and the rest is forgotten.
type Fragments struct {
	Limit int64 // bytes; set before the first call

	mu         sync.Mutex
	young, old map[key]kept
	bytes      int64 // of young
	changes    int   // how often something was removed: see Put
}

type key struct {
	stream store.StreamID
	number store.Number
}

type kept struct {
	info store.FragmentInfo
	// row says that nothing was removed since info was read from the index. Otherwise info only
	// says which record the head belongs to.
	row  bool
	head *media.Fragment // verified; nil when it was not opened
	// decrypts the payload; nil when that is plain, or when the record was not opened
	cipher *encryption.Payload
	// whole tells that the payload was verified since the start.
	whole bool
}

// size estimates the memory that a fragment takes.
func (f *kept) size() int64 {
	n := 512 + len(f.info.Location.Volume) + 96*len(f.info.Spans)
	if f.cipher != nil {
		n += f.cipher.Bytes()
	}
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

// Get returns the row of a fragment, if it is kept, and what to pass to Put.
func (c *Fragments) Get(
	id store.StreamID, n store.Number,
) (info store.FragmentInfo, changes int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.find(key{id, n})
	return f.info, c.changes, ok && f.row
}

// Head returns the head of a fragment's record, nil when it is not kept; what decrypts its payload,
// nil when that is plain; and whether the payload was verified.
func (c *Fragments) Head(
	id store.StreamID, info *store.FragmentInfo,
) (head *media.Fragment, cipher *encryption.Payload, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.find(key{id, info.Number}); ok && f.info.Location == info.Location {
		return f.head, f.cipher, f.whole
	}
	return nil, nil, false
}

// find looks up a fragment and makes it young. The caller holds mu.
func (c *Fragments) find(k key) (f kept, ok bool) {
	f, ok = c.young[k]
	if !ok {
		if f, ok = c.old[k]; ok {
			delete(c.old, k)
			c.add(k, f)
		}
	}
	return f, ok
}

// Put keeps a row that was read after Get returned changes, unless something was removed since.
func (c *Fragments) Put(id store.StreamID, info store.FragmentInfo, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if changes != c.changes {
		return
	}
	k := key{id, info.Number}
	f, ok := c.find(k)
	if !ok || f.info.Location != info.Location {
		f = kept{}
	}
	// those of a table share one array with all that was read with them
	info.Spans = slices.Clone(info.Spans)
	f.info, f.row = info, true
	c.add(k, f)
}

// Opened keeps the head of a fragment and what decrypts its payload.
func (c *Fragments) Opened(id store.StreamID, info *store.FragmentInfo, head *media.Fragment,
	cipher *encryption.Payload) {
	k := key{id, info.Number}
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.find(k)
	if !ok || f.info.Location != info.Location {
		f = kept{info: store.FragmentInfo{Number: info.Number, Location: info.Location}}
	}
	f.head, f.cipher = head, cipher
	c.add(k, f)
}

// Verified notes that the payload of a fragment, whose head is kept, is intact.
func (c *Fragments) Verified(id store.StreamID, info *store.FragmentInfo) {
	k := key{id, info.Number}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.young[k]; ok && f.info.Location == info.Location {
		f.whole = true
		c.young[k] = f
	}
}

// add puts a fragment among the young ones. The caller holds mu.
func (c *Fragments) add(k key, f kept) {
	size := f.size()
	if was, ok := c.young[k]; ok {
		c.bytes -= was.size()
		delete(c.young, k)
	}
	if size > c.Limit/2 {
		return
	}
	if c.bytes+size > c.Limit/2 {
		c.young, c.old, c.bytes = nil, c.young, 0
	}
	if c.young == nil {
		c.young = make(map[key]kept)
	}
	c.young[k] = f
	c.bytes += size
}

// Forget removes one fragment.
func (c *Fragments) Forget(id store.StreamID, n store.Number) {
	k := key{id, n}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.young[k]; ok {
		c.bytes -= f.size()
		delete(c.young, k)
	}
	delete(c.old, k)
	c.changes++
}

// ForgetAll removes all fragments. It is for changes that are rare compared with requests.
func (c *Fragments) ForgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old, c.bytes = nil, nil, 0
	c.changes++
}
