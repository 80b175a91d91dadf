package objects

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
)

// memoryBytes is how many bytes of fetches, and of what readers have open of them, may be in
// memory. What comes beyond it is written to the disk before it is read.
const memoryBytes = 32 << 20

// fetch is a running request. What comes is kept in memory until it is on the disk, because the
// disk may take longer than the request: to make a file waits for its journal.
type fetch struct {
	span  span
	ahead bool          // reads ahead: its failure, or an early end of the object, concerns nobody
	done  chan struct{} // closed when err is set and what came can be read
	err   error
	kept  chan struct{} // closed when lost is set and the disk has what came, if it ever will
	lost  error         // why it will not: errDisk

	memory []byte // what came; nil: it is on the disk; guarded by Cache.mu
	users  int    // of memory: the fetch itself and open bodies; guarded by Cache.mu
}

// fetch begins to fetch the part of an object that nobody else is fetching. The request continues
// when its caller has left, because others may wait for it.
func (c *Cache) fetch(o *cached, want span, ahead bool) *fetch {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := o.flight(want); f != nil {
		return f
	}
	for _, f := range o.flying {
		if f.span.from > want.from {
			want.to = min(want.to, f.span.from)
		}
	}
	f := &fetch{span: want, ahead: ahead, done: make(chan struct{}), kept: make(chan struct{})}
	if n := want.to - want.from; !ahead && c.memory+n <= c.most {
		f.memory, f.users = make([]byte, n), 1
		c.memory += n
	}
	o.flying = append(o.flying, f)
	c.asked++
	c.fetches.Go(func() { c.run(o, f) })
	return f
}

// readAhead fetches a part that may be empty. Whoever asks for it later gets the error.
func (c *Cache) readAhead(o *cached, part span) {
	if part.from < part.to {
		c.fetch(o, part, true)
	}
}

// await waits until a fetch has what is missing of a part of an object. It returns the part if all
// of it came with this fetch, nil if the caller must look again.
func (c *Cache) await(ctx context.Context, o *cached, f *fetch, want, missing span) (*Body, error) {
	concerns := !f.ahead && f.span.from <= missing.from
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.err != nil && concerns {
		return nil, f.err
	}
	if b := c.arrived(o, f, want); b != nil {
		return b, nil
	}
	select {
	case <-f.kept:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.lost != nil && concerns {
		return nil, f.lost
	}
	return nil, nil
}

// has reports whether a part of the object has come and is in memory. The caller holds Cache.mu.
func (f *fetch) has(part span) bool {
	select {
	case <-f.done:
		return f.memory != nil && f.err == nil && f.span.from <= part.from && part.to <= f.span.to
	default:
		return false
	}
}

// arrived returns a part of an object from the memory of a fetch that is done; nil if it is not
// there.
func (c *Cache) arrived(o *cached, f *fetch, part span) *Body {
	c.mu.Lock()
	if !f.has(part) {
		c.mu.Unlock()
		return nil
	}
	f.users++
	b := memoryBody(f.memory[part.from-f.span.from : part.to-f.span.from])
	b.closed = func() { c.release(f) }
	ahead := o.ahead(part)
	c.mu.Unlock()
	c.readAhead(o, ahead)
	return b
}

// release ends a use of a fetch's memory.
func (c *Cache) release(f *fetch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.users--; f.users == 0 {
		c.memory -= int64(cap(f.memory))
		f.memory = nil
	}
}

// run makes the request of a fetch, and keeps what comes.
func (c *Cache) run(o *cached, f *fetch) {
	if f.memory == nil {
		came, err := c.toDisk(o, f.span, func(sink func(p []byte, at int64) error) error {
			return c.request(o, f, sink)
		})
		c.came(o, f, came, err)
		c.landed(o, f, err)
		return
	}
	came := f.span.from
	err := c.request(o, f, func(p []byte, at int64) error {
		copy(f.memory[at:], p)
		came = max(came, f.span.from+at+int64(len(p)))
		return nil
	})
	c.came(o, f, came, err)
	if err == nil {
		_, err = c.toDisk(o, f.span, func(sink func(p []byte, at int64) error) error {
			return sink(f.memory[:came-f.span.from], 0)
		})
	}
	c.landed(o, f, err)
	c.release(f)
}

// request reads the part of a fetch. That the object ends is no error if it reads ahead.
func (c *Cache) request(o *cached, f *fetch, sink func(p []byte, at int64) error) error {
	err := c.bucket.Read(context.Background(), o.key, f.span.from, f.span.to-f.span.from, sink)
	if f.ahead && errors.Is(err, errShort) {
		return nil // what came is what there is
	}
	return err
}

// toDisk writes a part of an object to its file: what read passes to its sink. It returns up to
// which byte the part was written. errDisk; an error of read.
func (c *Cache) toDisk(
	o *cached, part span, read func(sink func(p []byte, at int64) error) error,
) (came int64, err error) {
	came = part.from
	file, err := c.file(o)
	if err != nil {
		return came, fmt.Errorf("%w: %w", errDisk, err)
	}
	err = read(func(p []byte, at int64) error {
		if _, err := file.WriteAt(p, part.from+at); err != nil {
			return fmt.Errorf("%w: %w", errDisk, err)
		}
		came = max(came, part.from+at+int64(len(p)))
		return nil
	})
	if closeErr := file.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("%w: %w", errDisk, closeErr)
	}
	return came, err
}

// file opens the file of an object for writing. If the object had to go in the meantime, the file
// goes too, and what is written to it nobody reads.
func (c *Cache) file(o *cached) (*os.File, error) {
	file, err := os.OpenFile(o.path, os.O_WRONLY|os.O_CREATE, 0o600)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && o.gone {
		_ = os.Remove(o.path)
	}
	return file, err
}

// came notes up to which byte the part of a fetch came, and lets its readers go on.
func (c *Cache) came(o *cached, f *fetch, came int64, err error) {
	c.mu.Lock()
	f.err = err
	if err == nil && came < f.span.to {
		o.end, f.span.to = came, came
	}
	c.mu.Unlock()
	close(f.done)
}

// landed ends a fetch, which is on the disk unless err is set.
func (c *Cache) landed(o *cached, f *fetch, err error) {
	c.mu.Lock()
	f.lost = err
	o.flying = slices.DeleteFunc(o.flying, func(other *fetch) bool { return other == f })
	if err == nil && f.span.from < f.span.to && !o.gone {
		c.bytes += o.here.add(f.span)
		c.makeRoom(o)
	}
	if !o.gone && (errors.Is(err, errDisk) || len(o.here) == 0 && len(o.flying) == 0) {
		c.drop(o) // what was written of it, if anything
	}
	c.mu.Unlock()
	close(f.kept)
}
