package objects

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
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
// once, in one request for what is missing.
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

// fetch is a running request.
type fetch struct {
	span  span
	ahead bool          // reads ahead: its failure, or an early end of the object, concerns nobody
	done  chan struct{} // closed when err is set and what came is stored
	err   error
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
	return &Cache{bucket: bucket, dir: dir, limit: limit, objects: make(map[string]*cached)}, nil
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
		if first && c.Opened != nil {
			c.Opened(!ok)
		}
		if !ok {
			f, err := os.Open(o.path) // its own: sendfile(2) uses the file's offset
			ahead := o.ahead(want)
			c.mu.Unlock()
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errDisk, err)
			}
			if ahead.from < ahead.to {
				_, _ = c.fetch(o, ahead, true) // whoever asks for it later gets the error
			}
			return &Body{file: f, offset: offset, length: length, cache: c, object: o}, nil
		}
		f := o.flight(missing)
		c.mu.Unlock()
		if f == nil {
			var err error
			if f, err = c.fetch(o, missing, false); err != nil {
				return nil, err
			}
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err != nil && !f.ahead && f.span.from <= missing.from {
			return nil, f.err
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

// fetch begins to fetch the part of an object that nobody else is fetching. The request continues
// when its caller has left, because others may wait for it.
func (c *Cache) fetch(o *cached, want span, ahead bool) (*fetch, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := o.flight(want); f != nil {
		return f, nil
	}
	// If the object had to go in the meantime, this makes a file that nobody reads; it goes too.
	file, err := os.OpenFile(o.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDisk, err)
	}
	if o.gone {
		_ = os.Remove(o.path)
	}
	for _, f := range o.flying {
		if f.span.from > want.from {
			want.to = min(want.to, f.span.from)
		}
	}
	f := &fetch{span: want, ahead: ahead, done: make(chan struct{})}
	o.flying = append(o.flying, f)
	c.asked++
	c.fetches.Go(func() {
		came := want.from
		err := c.bucket.Read(context.Background(), o.key, want.from, want.to-want.from,
			func(p []byte, at int64) error {
				if _, err := file.WriteAt(p, want.from+at); err != nil {
					return fmt.Errorf("%w: %w", errDisk, err)
				}
				came = max(came, want.from+at+int64(len(p)))
				return nil
			})
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("%w: %w", errDisk, closeErr)
		}
		if ahead && errors.Is(err, errShort) {
			err = nil // what came is what there is
		}
		c.landed(o, f, came, err)
	})
	return f, nil
}

// landed ends a fetch, which got the bytes up to an offset.
func (c *Cache) landed(o *cached, f *fetch, came int64, err error) {
	c.mu.Lock()
	f.err = err
	if err == nil && came < f.span.to {
		o.end, f.span.to = came, came
	}
	o.flying = slices.DeleteFunc(o.flying, func(other *fetch) bool { return other == f })
	if err == nil && f.span.from < f.span.to && !o.gone {
		c.bytes += o.here.add(f.span)
		c.makeRoom(o)
	}
	if !o.gone && (errors.Is(err, errDisk) || len(o.here) == 0 && len(o.flying) == 0) {
		c.drop(o) // what was written of it, if anything
	}
	c.mu.Unlock()
	close(f.done)
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
