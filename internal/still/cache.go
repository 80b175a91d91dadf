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
	"maps"
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
// with numbers in big-endian order. It is written under another name and renamed, without waiting
// for the disk: a file that a power cut has torn fails its checksum and counts as absent.
const (
	cacheMagic  = "WIMG\x01"
	cacheHead   = len(cacheMagic) + 8
	cacheSuffix = ".image"
	cacheBlock  = 4096 // what a small file takes on disk
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Key names an image. It is a hash of everything that the image is made from.
type Key [sha256.Size]byte

// MakeKey hashes the parts and their lengths.
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

// ErrForgotten says that the images of a stream were deleted for good.
var ErrForgotten = errors.New("the stream of the image was deleted")

// Cache keeps images in a directory, for a limited time and up to a number of bytes; the least
// recently used go first. An image that somebody holds stays. It is safe for concurrent use.
type Cache struct {
	dir   string
	most  int64
	life  time.Duration
	clock func() time.Time

	mu     sync.Mutex
	albums map[string]*Album // by stream: those that have images or are open
	idle   *list.List        // of *entry: those not held, the least recently used first
	bytes  int64
}

// Album has the images of a stream. After Forget it stays empty. So whoever opens it before reading
// the stream cannot leave an image of a deleted stream behind.
type Album struct {
	cache  *Cache
	stream string

	// Guarded by the cache's mu.
	users     int
	images    map[Key]*entry
	forgotten bool
}

type entry struct {
	album *Album
	key   Key
	size  int64 // of the image
	made  time.Time
	held  int           // by Images
	place *list.Element // in idle; nil if held or gone
}

func (e *entry) cost() int64 { return e.size + cacheBlock }

func (e *entry) path() string {
	return filepath.Join(e.album.cache.dir, e.album.stream,
		hex.EncodeToString(e.key[:])+cacheSuffix)
}

// OpenCache opens or makes a cache of at most most bytes in dir, which nobody else may use. It
// keeps images for life after they were made. A nil clock is time.Now.
func OpenCache(dir string, most int64, life time.Duration, clock func() time.Time) (*Cache, error) {
	c := &Cache{dir: dir, most: most, life: life, clock: clock, albums: map[string]*Album{},
		idle: list.New()}
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
		if err != nil {
			return err
		}
		e := c.entryOf(path, info)
		if e == nil {
			return os.Remove(path) // left by a process that was killed
		}
		found = append(found, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open image cache: %w", err)
	}
	slices.SortFunc(found, func(a, b *entry) int {
		return cmp.Or(a.made.Compare(b.made), bytes.Compare(a.key[:], b.key[:]))
	})
	for _, e := range found {
		c.add(e)
		e.place = c.idle.PushBack(e)
	}
	c.sweep()
	return c, nil
}

// entryOf returns the image in a file, or nil if the file cannot be one.
func (c *Cache) entryOf(path string, info fs.FileInfo) *entry {
	stream := filepath.Base(filepath.Dir(path))
	name, ok := strings.CutSuffix(filepath.Base(path), cacheSuffix)
	key, err := hex.DecodeString(name)
	if !ok || err != nil || len(key) != len(Key{}) || info.Size() < int64(cacheHead) ||
		path != filepath.Join(c.dir, stream, name+cacheSuffix) {
		return nil
	}
	return &entry{album: c.album(stream), key: Key(key), size: info.Size() - int64(cacheHead),
		made: info.ModTime()}
}

// album returns the album of a stream. The caller holds mu, or is alone.
func (c *Cache) album(stream string) *Album {
	a := c.albums[stream]
	if a == nil {
		a = &Album{cache: c, stream: stream, images: map[Key]*entry{}}
		c.albums[stream] = a
	}
	return a
}

// Album opens the album of a stream. The caller closes it.
func (c *Cache) Album(stream string) *Album {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.album(stream)
	a.users++
	return a
}

// Close must be called once. Held images stay held.
func (a *Album) Close() {
	a.cache.mu.Lock()
	defer a.cache.mu.Unlock()
	a.users--
	a.tidy()
}

// tidy removes an empty album's directory, and the album if nobody has it open. The caller holds
// mu.
func (a *Album) tidy() {
	if len(a.images) > 0 {
		return
	}
	if a.users == 0 && !a.forgotten {
		delete(a.cache.albums, a.stream)
	}
	_ = os.Remove(filepath.Join(a.cache.dir, a.stream)) // a directory that stays does no harm
}

// Image is a held image: it stays readable until Release.
type Image struct{ entry *entry }

// Size returns the size of the image in bytes.
func (i *Image) Size() int64 { return i.entry.size }

// Open opens the image. The error is fs.ErrNotExist if its stream was forgotten.
func (i *Image) Open() (io.ReadCloser, error) {
	f, err := os.Open(i.entry.path())
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
	e := i.entry
	c := e.album.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.held--; e.held == 0 && e.album.images[e.key] == e {
		e.place = c.idle.PushBack(e)
		c.makeRoom()
	}
}

// Get finds an image, nil if it is not there, too old or damaged. The caller releases it.
func (a *Album) Get(k Key) *Image {
	c := a.cache
	c.mu.Lock()
	e := a.images[k]
	if e == nil || c.old(e) {
		c.mu.Unlock()
		return nil
	}
	c.hold(e)
	c.mu.Unlock()
	i := &Image{e}
	if err := e.check(); err == nil {
		return i
	}
	c.mu.Lock()
	c.drop(e)
	c.mu.Unlock()
	i.Release()
	return nil
}

// hold takes an entry out of idle. The caller holds mu.
func (c *Cache) hold(e *entry) {
	if e.place != nil {
		c.idle.Remove(e.place)
		e.place = nil
	}
	e.held++
}

// check reads the whole file and checks it.
func (e *entry) check() error {
	f, err := os.Open(e.path())
	if err != nil {
		return err
	}
	defer f.Close() // it was only read from: nothing can be lost
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

// Put keeps an image, which the caller releases. If there is one with that key already, it stays,
// because somebody may hold it. Errors are ErrForgotten and those of the file system.
func (a *Album) Put(k Key, image []byte) (*Image, error) {
	c := a.cache
	e := &entry{album: a, key: k, size: int64(len(image)), made: c.clock(), held: 1}
	temporary, err := c.write(image)
	if err != nil {
		return nil, fmt.Errorf("keep image: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := a.images[k]; first != nil {
		_ = os.Remove(temporary) // the next start removes what is left
		c.hold(first)
		return &Image{first}, nil
	}
	if err = ErrForgotten; !a.forgotten {
		err = os.MkdirAll(filepath.Join(c.dir, a.stream), 0o700)
		if err == nil {
			err = os.Rename(temporary, e.path())
		}
	}
	if err != nil {
		_ = os.Remove(temporary) // the first error is returned
		return nil, fmt.Errorf("keep image: %w", err)
	}
	c.add(e)
	c.makeRoom()
	return &Image{e}, nil
}

// write writes an image to a file that the next start removes, unless it is renamed.
func (c *Cache) write(image []byte) (path string, err error) {
	f, err := os.CreateTemp(c.dir, "*.new")
	if err != nil {
		return "", err
	}
	head := appendHead(nil, crc32.Checksum(image, castagnoli), int64(len(image)))
	_, err = f.Write(append(head, image...))
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name()) // the first error is returned
	}
	return f.Name(), err
}

// Bytes returns how many bytes the images take on disk.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// Streams lists the streams that have images.
func (c *Cache) Streams() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.albums))
}

// Forget deletes all images of a stream, also those that are held. Images that come later for an
// album that is open now are not kept.
func (c *Cache) Forget(stream string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.albums[stream]; a != nil {
		a.forgotten = true
		delete(c.albums, stream)
		for _, e := range a.images {
			c.drop(e)
		}
	}
	return os.RemoveAll(filepath.Join(c.dir, stream))
}

// add enters a file. The caller holds mu, or is alone.
func (c *Cache) add(e *entry) {
	e.album.images[e.key] = e
	c.bytes += e.cost()
}

// makeRoom deletes the least recently used images until the rest fits. The caller holds mu.
func (c *Cache) makeRoom() {
	for c.bytes > c.most && c.idle.Len() > 0 {
		c.drop(c.idle.Front().Value.(*entry))
	}
}

// old reports whether an image is older than life.
func (c *Cache) old(e *entry) bool { return e.made.Before(c.clock().Add(-c.life)) }

// sweep deletes images that are too old, or too many. The caller holds mu, or is alone.
func (c *Cache) sweep() {
	for place := c.idle.Front(); place != nil; {
		e := place.Value.(*entry)
		place = place.Next()
		if c.old(e) {
			c.drop(e)
		}
	}
	c.makeRoom()
}

// Sweep deletes images that are too old. It looks at every image that is not held.
func (c *Cache) Sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
}

// drop deletes an image, unless that was done before. The caller holds mu.
func (c *Cache) drop(e *entry) {
	if e.album.images[e.key] != e {
		return
	}
	c.forget(e)
	_ = os.Remove(e.path()) // the next start finds what is left
	e.album.tidy()
}

// forget removes an entry from memory. The caller holds mu.
func (c *Cache) forget(e *entry) {
	if e.place != nil {
		c.idle.Remove(e.place)
		e.place = nil
	}
	delete(e.album.images, e.key)
	c.bytes -= e.cost()
}
