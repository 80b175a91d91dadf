package still

import (
	"bytes"
	"cmp"
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A file of the cache is
//
//	"WIMG"  version 1 (1 byte)  CRC32C of the image (4)  length of the image (4)  the image
//
// with numbers in big-endian order. It is written beside its place and renamed into it, without
// waiting for the disk: what a power cut tears fails its checksum and counts as absent.
const (
	cacheMagic  = "WIMG\x01"
	cacheHead   = len(cacheMagic) + 8
	cacheSuffix = ".image"
	cacheBlock  = 4096 // what a small file costs
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Key names an image by everything that it is made of.
type Key [sha256.Size]byte

// MakeKey hashes the parts, whose borders count.
func MakeKey(parts ...[]byte) Key {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return Key(h.Sum(nil))
}

// Cache keeps images in a directory, up to a number of bytes and for a time; the least recently
// used go first. An image that somebody holds stays. It is safe for concurrent use.
type Cache struct {
	dir   string
	most  int64
	life  time.Duration
	clock func() time.Time

	mu      sync.Mutex
	entries map[string]*list.Element // by path below dir
	order   *list.List               // of *entry, the least recently used first
	bytes   int64
}

type entry struct {
	name string // path below dir
	size int64  // of the image
	made time.Time
	held int // by Images
	gone bool
}

func (e *entry) cost() int64 { return e.size + cacheBlock }

// OpenCache opens or makes the cache in dir, which nobody else may use, of at most so many bytes on
// disk. Images are kept for life after they were made. clock may be nil.
func OpenCache(dir string, most int64, life time.Duration, clock func() time.Time) (*Cache, error) {
	c := &Cache{dir: dir, most: most, life: life, clock: clock, entries: map[string]*list.Element{},
		order: list.New()}
	if clock == nil {
		c.clock = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open image cache: %w", err)
	}
	var found []*entry
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || filepath.Ext(path) != cacheSuffix || info.Size() < int64(cacheHead) {
			return os.Remove(path) // left by a process that was killed
		}
		name, err := filepath.Rel(dir, path)
		found = append(found, &entry{name: name, size: info.Size() - int64(cacheHead),
			made: info.ModTime()})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open image cache: %w", err)
	}
	slices.SortFunc(found, func(a, b *entry) int {
		return cmp.Or(a.made.Compare(b.made), strings.Compare(a.name, b.name))
	})
	for _, e := range found {
		c.add(e)
	}
	c.sweep()
	return c, nil
}

// Image is an image that is held: it stays readable until Release.
type Image struct {
	cache *Cache
	entry *entry
}

// Size is the number of its bytes.
func (i *Image) Size() int64 { return i.entry.size }

// Open opens the image. fs.ErrNotExist when its stream was forgotten.
func (i *Image) Open() (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(i.cache.dir, i.entry.name))
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, int64(cacheHead), i.entry.size), f}, nil
}

// Release lets go of the image. It must be called once.
func (i *Image) Release() {
	i.cache.mu.Lock()
	defer i.cache.mu.Unlock()
	i.entry.held--
	i.cache.sweep()
}

func cacheName(stream string, k Key) string {
	return filepath.Join(stream, hex.EncodeToString(k[:])+cacheSuffix)
}

// Get finds an image of a stream, nil when it is not there or damaged. The caller releases it.
func (c *Cache) Get(stream string, k Key) *Image {
	name := cacheName(stream, k)
	c.mu.Lock()
	c.sweep()
	element := c.entries[name]
	if element == nil {
		c.mu.Unlock()
		return nil
	}
	e := element.Value.(*entry)
	e.held++
	c.order.MoveToBack(element)
	c.mu.Unlock()
	i := &Image{c, e}
	if err := c.check(e); err == nil {
		return i
	}
	c.mu.Lock()
	c.drop(e)
	c.mu.Unlock()
	i.Release()
	return nil
}

// check reads a file as a whole.
func (c *Cache) check(e *entry) error {
	f, err := os.Open(filepath.Join(c.dir, e.name))
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, cacheHead)
	if _, err := io.ReadFull(f, head); err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	if n != e.size || !bytes.Equal(head, appendHead(nil, sum.Sum32(), n)) {
		return errors.New("damaged")
	}
	return nil
}

func appendHead(dst []byte, sum uint32, size int64) []byte {
	dst = append(dst, cacheMagic...)
	dst = binary.BigEndian.AppendUint32(dst, sum)
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}

// Put keeps an image, which the caller releases. Errors are those of the file system.
func (c *Cache) Put(stream string, k Key, image []byte) (*Image, error) {
	e := &entry{name: cacheName(stream, k), size: int64(len(image)), made: c.clock(), held: 1}
	if err := c.write(e, image); err != nil {
		return nil, fmt.Errorf("keep image: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(e)
	c.sweep()
	return &Image{c, e}, nil
}

func (c *Cache) write(e *entry, image []byte) error {
	path := filepath.Join(c.dir, e.name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "*.new")
	if err != nil {
		return err
	}
	_, err = f.Write(append(appendHead(nil, crc32.Checksum(image, castagnoli), e.size), image...))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is told
	}
	return err
}

// Forget deletes all images of a stream, also those that are held.
func (c *Cache) Forget(stream string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, element := range c.entries {
		if filepath.Dir(name) == stream {
			c.drop(element.Value.(*entry))
		}
	}
	return os.RemoveAll(filepath.Join(c.dir, stream))
}

// add enters a file. The caller holds mu, or is alone.
func (c *Cache) add(e *entry) {
	if old := c.entries[e.name]; old != nil { // made twice at once: the file is the new one's
		c.forget(old.Value.(*entry))
	}
	c.entries[e.name] = c.order.PushBack(e)
	c.bytes += e.cost()
}

// sweep deletes what is too old and what is too much. The caller holds mu, or is alone.
func (c *Cache) sweep() {
	old := c.clock().Add(-c.life)
	for element := c.order.Front(); element != nil; {
		e := element.Value.(*entry)
		element = element.Next()
		if e.held == 0 && (c.bytes > c.most || e.made.Before(old)) {
			c.drop(e)
		}
	}
}

// Sweep deletes what is too old.
func (c *Cache) Sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
}

// drop deletes a file. The caller holds mu.
func (c *Cache) drop(e *entry) {
	if e.gone {
		return
	}
	c.forget(e)
	_ = os.Remove(filepath.Join(c.dir, e.name)) // what stays is found at the next start
}

// forget takes an entry off the books. The caller holds mu.
func (c *Cache) forget(e *entry) {
	e.gone = true
	c.order.Remove(c.entries[e.name])
	delete(c.entries, e.name)
	c.bytes -= e.cost()
}
