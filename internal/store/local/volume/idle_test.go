package volume

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/store"
)

// countFS counts the files that are open for reading, and how often one was opened.
type countFS struct {
	hookFS
	open, opened atomic.Int64
}

type countFile struct {
	File
	fs *countFS
}

func (c *countFS) Open(path string) (File, error) {
	f, err := c.hookFS.Open(path)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	c.opened.Add(1)
	return &countFile{f, c}, nil
}

func (f *countFile) Close() error {
	f.fs.open.Add(-1)
	return f.File.Close()
}

func (c *countFS) want(t *testing.T, when string, open, opened int64) {
	t.Helper()
	if c.open.Load() != open || c.opened.Load() != opened {
		t.Fatalf("%s: %d files are open and %d were opened, not %d and %d", when, c.open.Load(),
			c.opened.Load(), open, opened)
	}
}

// idleReads reads the records of volumes that it has filled. Only a few of their files may be idle.
type idleReads struct {
	*testing.T
	volumes *Volumes
	places  []store.Location
	entries []Entry
}

func (r *idleReads) add(s *store.Stream, n store.Number) {
	r.Helper()
	e := entry(r.T, n, time.Now(), 1000)
	loc, err := r.volumes.Append(r.Context(), s, e)
	if err != nil {
		r.Fatal(err)
	}
	r.places, r.entries = append(r.places, loc), append(r.entries, e)
}

// begin opens record i.
func (r *idleReads) begin(i int) Body {
	r.Helper()
	b, err := r.volumes.Open(r.Context(), r.places[i])
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func (r *idleReads) read(b Body, i int) {
	r.Helper()
	meta := r.places[i].MetaLength
	payload, err := b.Range(meta, r.places[i].Length-meta)
	if err != nil {
		r.Fatal(err)
	}
	if got, err := readAll(payload); err != nil || !bytes.Equal(got, r.entries[i].Payload[0]) {
		r.Fatalf("record %d: %d bytes, %v", i, len(got), err)
	}
}

func (r *idleReads) end(b Body) {
	r.Helper()
	if err := b.Close(); err != nil {
		r.Fatal(err)
	}
}

// Reads that follow one another share one file; concurrent reads have one each. No more files are
// kept than the limit says, and none of a deleted volume, because its space would not be freed.
func TestIdleFiles(t *testing.T) {
	count := &countFS{}
	r := &idleReads{T: t, volumes: open(t, Options{FS: count, IdleFiles: 2})}
	r.add(stream, 1)
	r.add(stream, 2)
	for i := range 2 {
		b := r.begin(i)
		r.read(b, i)
		r.end(b)
	}
	count.want(t, "one after the other", 1, 1)

	// Closing twice is harmless, and nothing can be read after it.
	b := r.begin(0)
	r.end(b)
	if err := b.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := b.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
	x, y, z := r.begin(0), r.begin(1), r.begin(0)
	count.want(t, "three at the same time", 3, 3)
	r.read(x, 0)
	r.read(z, 0)
	r.read(y, 1)
	r.end(x)
	r.end(y)
	r.end(z)
	count.want(t, "as many as the limit", 2, 3)

	testIdleOfDeleted(t, r, count)

	// A volume that is abandoned after a failed sync can still be read, and the record that failed
	// is in no file that is kept.
	count.sync = func(File) error { return unix.EIO }
	if _, err := r.volumes.Append(t.Context(), stream,
		entry(t, 5, time.Now(), 1000)); !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	count.sync = nil
	r.add(stream, 5)
	for _, i := range []int{3, 4} {
		b := r.begin(i)
		r.read(b, i)
		r.end(b)
	}

	b = r.begin(3)
	if err := r.volumes.Close(); err != nil {
		t.Fatal(err)
	}
	r.read(b, 3)
	r.end(b)
	if n := count.open.Load(); n != 0 {
		t.Fatalf("%d files are open after the end", n)
	}
}

// testIdleOfDeleted deletes what is being read: idle files are closed at once, those in use when
// they no longer are.
func testIdleOfDeleted(t *testing.T, r *idleReads, count *countFS) {
	other := &store.Stream{ID: "ffeeddccbbaa99887766554433221100", Name: "other"}
	b := r.begin(0)
	if err := r.volumes.Delete(t.Context(), []string{r.places[0].Volume}); err != nil {
		t.Fatal(err)
	}
	count.want(t, "deleted while it is read", 1, 3)
	r.read(b, 0)
	r.end(b)
	count.want(t, "deleted", 0, 3)
	if _, err := r.volumes.Open(t.Context(), r.places[0]); !errors.Is(err, store.ErrGone) {
		t.Fatal(err)
	}
	r.add(other, 3)
	r.add(stream, 4)
	b, keep := r.begin(2), r.begin(3)
	r.end(r.begin(2))
	r.end(keep)
	count.want(t, "two streams", 3, 6)
	if err := r.volumes.DeleteStream(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	r.read(b, 2)
	r.end(b)
	count.want(t, "a deleted stream", 1, 6)
	if _, err := r.volumes.Open(t.Context(), r.places[2]); !errors.Is(err, store.ErrGone) {
		t.Fatal(err)
	}
}

// Where few files may be open, most of them are left to connections.
func TestIdleForFewFiles(t *testing.T) {
	for files, want := range map[uint64]int{
		0: -1, 3: -1, 64: 16, 256: 64, 511: 127, 512: 128, 1 << 20: 128, math.MaxUint64: 128,
	} {
		if got := idleFor(files); got != want {
			t.Errorf("of %d files %d are kept open, want %d", files, got, want)
		}
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: 200, Max: was.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	v, err := Open(t.TempDir(), Options{})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.idle.most != 50 {
		t.Errorf("%d files are kept open, want 50", v.idle.most)
	}
}
