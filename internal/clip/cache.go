package clip

import (
	"container/list"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"weir/internal/fmp4"
	"weir/internal/store"
)

const (
	// memoryHeader is the size of the largest header that is kept in memory, in bytes: about ten
	// minutes of video.
	memoryHeader = 256 << 10
	// memoryBytes is how many bytes those may take together.
	memoryBytes = 8 << 20
)

// Prefixes of file names in the directory.
const (
	headerFile = "header-"
	tableFile  = "table-"
)

// cache keeps headers: small ones in memory, others in files. A header is a function of its key, so
// it is never out of date; one that cannot be read is made again. The files belong to this process:
// a start removes those of others.
type cache struct {
	dir           string // "": everything in memory
	memory, files headers
}

func newCache(dir string, limit int64) (*cache, error) {
	c := &cache{dir: dir, memory: headers{limit: memoryBytes}, files: headers{limit: limit}}
	if dir == "" {
		return c, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make directory of clips: %w", err)
	}
	for _, kind := range []string{headerFile, tableFile} {
		old, err := filepath.Glob(filepath.Join(dir, kind+"*"))
		if err != nil {
			return nil, fmt.Errorf("empty directory of clips: %w", err)
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("empty directory of clips: %w", err)
			}
		}
	}
	return c, nil
}

// get finds a header, and opens its file if it has one. It returns nil if there is no such header.
func (c *cache) get(key clipKey) (*header, *os.File) {
	if h := c.memory.get(key); h != nil {
		return h, nil
	}
	h := c.files.get(key)
	if h == nil {
		return nil, nil
	}
	f, err := os.Open(h.path)
	if err == nil {
		info, serr := f.Stat()
		if serr == nil && info.Size() == h.length() {
			return h, f
		}
		f.Close() // it was only read from: nothing can be lost
	}
	c.files.drop(key)
	return nil, nil
}

// keep takes what was written to out as the content of h, and opens its file if it has one.
func (c *cache) keep(h *header, out *output) (*os.File, error) {
	if out.f == nil {
		h.memory = out.b
		c.memory.put(h, int64(len(out.b)))
		return nil, nil
	}
	h.path = out.f.Name()
	if err := out.flush(); err != nil {
		return nil, errors.Join(err, out.discard())
	}
	if err := out.f.Close(); err != nil {
		return nil, errors.Join(full(err), os.Remove(h.path))
	}
	f, err := os.Open(h.path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open clip header: %w", err), os.Remove(h.path))
	}
	if h.length() > c.files.limit {
		return f, os.Remove(h.path) // for this answer only
	}
	c.files.put(h, h.length())
	return f, nil
}

// headers keeps the most recently used headers, up to a number of bytes.
type headers struct {
	limit int64

	mu    sync.Mutex
	bytes int64
	known map[clipKey]*list.Element // of *kept
	order list.List                 // the most recently used first
}

type kept struct {
	h     *header
	bytes int64
}

func (c *headers) get(key clipKey) *header {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept).h
}

func (c *headers) put(h *header, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[clipKey]*list.Element{}
	}
	c.remove(c.known[h.key])
	c.known[h.key] = c.order.PushFront(&kept{h, size})
	c.bytes += size
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.remove(c.order.Back())
	}
}

func (c *headers) drop(key clipKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(c.known[key])
}

// remove forgets a header. Its file stays readable for whoever has it open. The caller holds mu.
func (c *headers) remove(e *list.Element) {
	if e == nil {
		return
	}
	k := c.order.Remove(e).(*kept)
	delete(c.known, k.h.key)
	c.bytes -= k.bytes
	if k.h.path != "" {
		_ = os.Remove(k.h.path) // a start removes what is left
	}
}

// output is a header while it is written: in memory while it is short.
type output struct {
	dir string
	b   []byte
	f   *os.File
}

func (o *output) Write(p []byte) (int, error) {
	if o.dir == "" || o.f == nil && len(o.b)+len(p) <= memoryHeader {
		o.b = append(o.b, p...)
		return len(p), nil
	}
	if o.f == nil {
		var err error
		if o.f, err = os.CreateTemp(o.dir, headerFile+"*"); err != nil {
			return 0, full(err)
		}
	}
	if err := o.flush(); err != nil {
		return 0, err
	}
	n, err := o.f.Write(p)
	return n, full(err)
}

// flush writes what waits in memory to the file.
func (o *output) flush() error {
	_, err := o.f.Write(o.b)
	o.b = nil
	return full(err)
}

// discard removes the file, if there is one.
func (o *output) discard() error {
	if o.f == nil {
		return nil
	}
	return errors.Join(o.f.Close(), os.Remove(o.f.Name()))
}

// full makes the error of a failed write, store.ErrFull if the disk is full.
func full(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("write clip: %w", err)
}

// scratch makes files for the tables of a movie.
type scratch struct {
	dir   string
	files []*os.File
}

// file makes a file without a name, which is gone when it is closed.
func (s *scratch) file() (fmp4.Scratch, error) {
	if s.dir == "" {
		return fmp4.MemoryScratch(), nil
	}
	f, err := os.CreateTemp(s.dir, tableFile+"*")
	if err != nil {
		return nil, full(err)
	}
	s.files = append(s.files, f)
	return f, os.Remove(f.Name())
}

func (s *scratch) close() {
	for _, f := range s.files {
		f.Close() // it is not needed any more
	}
}
