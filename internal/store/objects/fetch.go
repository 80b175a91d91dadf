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

// fetch is a running request. What a reader waits for is in memory until the disk has it, because
// the disk may take longer than the request: to make a file waits for its journal.
type fetch struct {
	span  span
	ahead bool          // reads ahead: its failure, or an early end of the object, concerns nobody
	came  chan struct{} // closed when memory has all of the span; never if it goes to the disk only
	done  chan struct{} // closed when err is set and the disk has what came
	err   error

	memory []byte // the span; nil before it came and after its last use; guarded by Cache.mu
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
	f := &fetch{span: want, ahead: ahead, came: make(chan struct{}), done: make(chan struct{})}
	buffered := !ahead && c.memory+f.size() <= c.most
	if buffered {
		f.users = 1
		c.memory += f.size()
	}
	o.flying = append(o.flying, f)
	c.asked++
	c.fetches.Go(func() { c.run(o, f, buffered) })
	return f
}

func (f *fetch) size() int64 { return f.span.to - f.span.from }

// readAhead fetches a part that may be empty. Whoever asks for it later gets the error.
func (c *Cache) readAhead(o *cached, part span) {
	if part.from < part.to {
		c.fetch(o, part, true)
	}
}

// await waits until a fetch has what is missing of a part of an object. It returns the part if all
// of it came with this fetch, nil if the caller must look again.
func (c *Cache) await(ctx context.Context, o *cached, f *fetch, want, missing span) (*Body, error) {
	select {
	case <-f.came:
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b := c.fromMemory(o, f, want); b != nil {
		return b, nil
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.ahead || f.span.from > missing.from {
		return nil, nil
	}
	return nil, f.err
}

// has reports whether memory has a part of the object. The caller holds Cache.mu.
func (f *fetch) has(part span) bool {
	return f.memory != nil && f.span.from <= part.from && part.to <= f.span.to
}

// fromMemory opens a part of an object that a fetch has in memory; nil if it is not there.
func (c *Cache) fromMemory(o *cached, f *fetch, part span) *Body {
	c.mu.Lock()
	if !f.has(part) {
		c.mu.Unlock()
		return nil
	}
	f.users++
	b := memoryBody(f.memory[part.from-f.span.from : part.to-f.span.from])
	b.cache, b.fetch = c, f
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
		c.memory -= f.size()
		f.memory = nil
	}
}

// run makes the request of a fetch, and writes what comes to the disk: after it came if it is
// buffered, else as it comes.
func (c *Cache) run(o *cached, f *fetch, buffered bool) {
	read := func(sink func(p []byte, at int64) error) error {
		return c.bucket.Read(context.Background(), o.key, f.span.from, f.size(), sink)
	}
	if buffered {
		defer c.release(f)
		data, err := c.bucket.ReadAll(context.Background(), o.key, f.span.from, f.size())
		if err != nil {
			c.landed(o, f, f.span.from, err)
			return
		}
		c.mu.Lock()
		f.memory = data
		c.mu.Unlock()
		close(f.came)
		read = func(sink func(p []byte, at int64) error) error { return sink(data, 0) }
	}
	came, err := c.write(o, f.span.from, read)
	if f.ahead && errors.Is(err, errShort) {
		err = nil // what came is what there is
	}
	c.landed(o, f, came, err)
}

// write writes to the file of an object, from an offset on, what read passes to its sink. It
// returns the offset up to which something was written. errDisk; an error of read.
func (c *Cache) write(
	o *cached, from int64, read func(sink func(p []byte, at int64) error) error,
) (came int64, err error) {
	came = from
	file, err := c.file(o)
	if err != nil {
		return came, fmt.Errorf("%w: %w", errDisk, err)
	}
	err = read(func(p []byte, at int64) error {
		if _, err := file.WriteAt(p, from+at); err != nil {
			return fmt.Errorf("%w: %w", errDisk, err)
		}
		came = max(came, from+at+int64(len(p)))
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

// landed ends a fetch, which got the bytes up to an offset onto the disk.
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
