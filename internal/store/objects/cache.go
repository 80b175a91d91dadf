package objects

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// readAhead is how much a Cache reads beyond what was asked for when an object is read in its
// order.
const readAhead = 2 << 20

// Cache keeps on the local disk what was read of objects. An object never changes, so what is here
// stays right, and nothing needs to be invalidated: nobody asks for a deleted object, and Drop
// drops one whose bytes are damaged. Each object has one sparse file. The bytes in all of them are
// limited, and the object that was used longest ago goes first. What a reader waits for is fetched
// once, in one request for what is missing, and read from memory until the disk has it.
//
// The files contain what this process has fetched, and no other process knows which parts they
// have. So they are deleted when a process starts.
type Cache struct {
	// Opened is called for each record that is opened, with whether all of it was here; may be nil.
	// Set it before the first call.
	Opened func(here bool)

	bucket *Bucket
	dir    string
	limit  int64

	mu      sync.Mutex
	objects map[string]*cached // guarded by mu
	order   list.List          // of *cached, the last used one in front; guarded by mu
	bytes   int64              // of all objects; guarded by mu
	memory  int64              // bytes that fetches have in memory; guarded by mu
	most    int64              // of memory
	files   int                // how many files were made: their names; guarded by mu
	fetches sync.WaitGroup
	asked   int  // how many requests were made; guarded by mu
	closed  bool // guarded by mu
}

// cached is what is here of one object. Cache.mu guards it. Its file is open only while it is read
// or written, because there are more objects than a process may have open files.
type cached struct {
	key    string
	path   string
	place  *list.Element
	here   spans
	flying []*fetch
	next   int64 // where the last read ended
	end    int64 // of the object; 0: not known
	gone   bool  // it is no longer in Cache.objects

	verified map[int64]bool // offsets of the parts that were verified
}

// NewCache returns an empty cache in a directory, which it empties and owns. limit is how many
// bytes it may take. What a reader asks for may exceed it while it is read.
func NewCache(bucket *Bucket, dir string, limit int64) (*Cache, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("empty cache: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return &Cache{bucket: bucket, dir: dir, limit: limit, most: memoryBytes,
		objects: make(map[string]*cached)}, nil
}

// errDisk says that the local disk failed: the bytes can be had, but not kept.
var errDisk = errors.New("cache cannot be written")

// Open returns a part of an object, and fetches what is missing of it. What is open can be read to
// its end, whatever happens to the object. ErrGone when there is no such object, ErrCorrupt when it
// ends too early.
func (c *Cache) Open(ctx context.Context, key string, offset, length int64) (*Body, error) {
	b, err := c.open(ctx, key, offset, length)
	if errors.Is(err, errDisk) {
		data, err := c.bucket.ReadAll(ctx, key, offset, length)
		if err != nil {
			return nil, err
		}
		return memoryBody(data), nil
	}
	return b, err
}

func (c *Cache) open(ctx context.Context, key string, offset, length int64) (*Body, error) {
	want := span{offset, offset + length}
	for first := true; ; first = false {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, os.ErrClosed
		}
		o := c.object(key)
		missing, ok := o.here.missing(want)
		f := o.flight(missing)
		if first && c.Opened != nil {
			c.Opened(!ok || f != nil && f.has(want))
		}
		if !ok {
			file, err := os.Open(o.path) // its own: sendfile(2) uses the file's offset
			ahead := o.ahead(want)
			c.mu.Unlock()
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errDisk, err)
			}
			c.readAhead(o, ahead)
			return &Body{file: file, offset: offset, length: length, cache: c, object: o}, nil
		}
		c.mu.Unlock()
		if f == nil {
			f = c.fetch(o, missing, false)
		}
		if b, err := c.await(ctx, o, f, want, missing); b != nil || err != nil {
			return b, err
		}
	}
}

// object returns what is here of an object, and marks it as the last used one. The caller holds mu.
func (c *Cache) object(key string) *cached {
	if o := c.objects[key]; o != nil {
		c.order.MoveToFront(o.place)
		return o
	}
	c.files++
	o := &cached{key: key, path: filepath.Join(c.dir, strconv.Itoa(c.files))}
	o.place = c.order.PushFront(o)
	c.objects[key] = o
	return o
}

// flight returns the fetch for the first of the missing bytes, nil when there is none.
func (o *cached) flight(missing span) *fetch {
	for _, f := range o.flying {
		if f.span.from <= missing.from && missing.from < f.span.to {
			return f
		}
	}
	return nil
}

// ahead returns what to fetch after a read, and remembers the read: nothing, unless it continues
// where the last one ended. The caller holds mu.
func (o *cached) ahead(read span) span {
	follows := o.next > 0 && read.from == o.next
	o.next = read.to
	if !follows {
		return span{}
	}
	most := int64(math.MaxInt64)
	if o.end > 0 {
		most = o.end
	}
	// At least half of it is kept ahead, so that requests are not small.
	if _, ok := o.here.missing(span{read.to, min(read.to+readAhead/2, most)}); !ok {
		return span{}
	}
	missing, ok := o.here.missing(span{read.to, min(read.to+readAhead, most)})
	if !ok || o.flight(missing) != nil {
		return span{}
	}
	return missing
}

// makeRoom drops objects until the bytes are within the limit, but keeps one. The caller holds mu.
func (c *Cache) makeRoom(keep *cached) {
	for e := c.order.Back(); e != nil && c.bytes > c.limit; {
		o := e.Value.(*cached)
		e = e.Prev()
		if o != keep {
			c.drop(o)
		}
	}
}

// drop removes an object from the cache. The caller holds mu.
func (c *Cache) drop(o *cached) {
	c.order.Remove(o.place)
	delete(c.objects, o.key)
	c.bytes -= o.here.size()
	o.gone = true
	_ = os.Remove(o.path) // else the next start does
}

// Drop removes an object from the cache: it is damaged here, or it was deleted.
func (c *Cache) Drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.objects[key]; o != nil {
		c.drop(o)
	}
}

// Bytes is how many bytes the cache has.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// Requests is how many requests the cache has made.
func (c *Cache) Requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// Close waits for running requests and deletes the files.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.fetches.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.objects {
		c.drop(o)
	}
	return nil
}
