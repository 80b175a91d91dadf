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

// Reads that follow one another have one file, those at the same time have each its own; no more
// files are kept than the limit says, and none of what is deleted: its space would not be free.
func TestIdleFiles(t *testing.T) {
	count := &countFS{}
	v := open(t, Options{FS: count, IdleFiles: 2})
	other := &store.Stream{ID: "ffeeddccbbaa99887766554433221100", Name: "other"}
	var places []store.Location
	var entries []Entry
	add := func(s *store.Stream, n store.Number) {
		t.Helper()
		e := entry(t, n, time.Now(), 1000)
		loc, err := v.Append(t.Context(), s, e)
		if err != nil {
			t.Fatal(err)
		}
		places, entries = append(places, loc), append(entries, e)
	}
	add(stream, 1)
	add(stream, 2)
	read := func(b Body, i int) {
		t.Helper()
		r, err := b.Range(places[i].MetaLength, places[i].Length-places[i].MetaLength)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(r); err != nil || !bytes.Equal(got, entries[i].Payload[0]) {
			t.Fatalf("record %d: %d bytes, %v", i, len(got), err)
		}
	}
	begin := func(i int) Body {
		t.Helper()
		b, err := v.Open(t.Context(), places[i])
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	end := func(b Body) {
		t.Helper()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		b := begin(i)
		read(b, i)
		end(b)
	}
	count.want(t, "one after the other", 1, 1)

	// Closing twice gives nothing away, and what is closed reads nothing.
	b := begin(0)
	end(b)
	if err := b.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := b.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
	x, y, z := begin(0), begin(1), begin(0)
	count.want(t, "three at the same time", 3, 3)
	read(x, 0)
	read(z, 0)
	read(y, 1)
	end(x)
	end(y)
	end(z)
	count.want(t, "as many as the limit", 2, 3)

	// Deleted: idle files at once, those in use when they are not any more.
	b = begin(0)
	if err := v.Delete(t.Context(), []string{places[0].Volume}); err != nil {
		t.Fatal(err)
	}
	count.want(t, "deleted while it is read", 1, 3)
	read(b, 0)
	end(b)
	count.want(t, "deleted", 0, 3)
	if _, err := v.Open(t.Context(), places[0]); !errors.Is(err, store.ErrGone) {
		t.Fatal(err)
	}
	add(other, 3)
	add(stream, 4)
	b, keep := begin(2), begin(3)
	end(begin(2))
	end(keep)
	count.want(t, "two streams", 3, 6)
	if err := v.DeleteStream(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	read(b, 2)
	end(b)
	count.want(t, "a deleted stream", 1, 6)
	if _, err := v.Open(t.Context(), places[2]); !errors.Is(err, store.ErrGone) {
		t.Fatal(err)
	}

	// A volume that is abandoned after a failed sync is read on, and the record that failed is in
	// no file that is kept.
	count.sync = func(File) error { return unix.EIO }
	if _, err := v.Append(t.Context(), stream,
		entry(t, 5, time.Now(), 1000)); !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	count.sync = nil
	add(stream, 5)
	for _, i := range []int{3, 4} {
		b := begin(i)
		read(b, i)
		end(b)
	}

	b = begin(3)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	read(b, 3)
	end(b)
	if n := count.open.Load(); n != 0 {
		t.Fatalf("%d files are open after the end", n)
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
