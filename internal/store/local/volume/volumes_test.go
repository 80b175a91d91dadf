package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

var stream = &store.Stream{ID: "00112233445566778899aabbccddeeff", Name: "cam", NumberTag: 7}

func open(t *testing.T, o Options) *Volumes {
	t.Helper()
	v, err := Open(filepath.Join(t.TempDir(), "volumes"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func entry(t *testing.T, n store.Number, at time.Time, size int) Entry {
	t.Helper()
	payload := bytes.Repeat([]byte{byte(n)}, size)
	rec := &store.Record{Number: n, Payload: [][]byte{payload}, Fragment: media.Fragment{
		ServerTimestamp: at.UnixMilli(),
		Tracks:          []media.Track{{Number: 1, Kind: media.Video}},
		Runs:            []media.Run{{Track: 1, Frames: []media.Frame{{Size: uint32(size)}}}},
	}}
	head, _, err := record.EncodeFragment(rec, 0)
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Number: n, ServerTimestamp: rec.ServerTimestamp, Head: head, Payload: rec.Payload}
}

// recovered returns the numbers of a volume's whole records.
func recovered(t *testing.T, v *Volumes, name string) string {
	t.Helper()
	var numbers []string
	_, _, cut, err := v.Recover(t.Context(), name, 0, func(_ store.Location, head []byte) error {
		h, _, err := record.DecodeFragment(head)
		numbers = append(numbers, fmt.Sprint(h.Number))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if cut > 0 {
		numbers = append(numbers, fmt.Sprintf("cut %d", cut))
	}
	return strings.Join(numbers, " ")
}

func TestRolling(t *testing.T) {
	v := open(t, Options{MaxSize: 3000})
	hour := time.Date(2026, 3, 14, 9, 59, 59, 0, time.UTC)
	var names []string
	for i, at := range []time.Time{
		hour, hour, hour, hour, // the fourth one meets more than 3000 bytes
		hour.Add(time.Second), // the next hour
		hour,                  // a clock that steps back changes nothing
	} {
		loc, err := v.Append(t.Context(), stream, entry(t, store.Number(i+1), at, 1000))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, loc.Volume)
	}
	prefix := string(stream.ID) + "/"
	want := []string{
		"2026031409-0000000000000001.vol", "2026031409-0000000000000001.vol",
		"2026031409-0000000000000001.vol",
		"2026031409-0000000000000004.vol", "2026031410-0000000000000005.vol",
		"2026031410-0000000000000005.vol",
	}
	for i := range want {
		if names[i] != prefix+want[i] {
			t.Errorf("record %d went to %s, want %s", i+1, names[i], want[i])
		}
	}
}

// A disk takes half a record and then nothing: the volume ends at its last whole record, and goes
// on when there is room.
func TestFull(t *testing.T) {
	hooks := &hookFS{}
	v := open(t, Options{FS: hooks})
	at := time.Now()
	fill := func(f File, bufs [][]byte, off int64) (int64, error) {
		n, err := f.WriteAt([][]byte{bytes.Join(bufs, nil)[:700]}, off)
		return n, errors.Join(err, unix.ENOSPC)
	}
	hooks.write = fill
	if _, err := v.Append(t.Context(), stream,
		entry(t, 1, at, 1000)); !errors.Is(err, store.ErrFull) {
		t.Fatalf("the first record of a volume: %v", err)
	}
	if err := v.List(t.Context(), func(name string) error {
		if !strings.HasSuffix(name, "/") {
			return errors.New("a volume is left: " + name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	hooks.write = nil
	loc, err := v.Append(t.Context(), stream, entry(t, 2, at, 1000))
	if err != nil {
		t.Fatal(err)
	}
	hooks.write = fill
	if _, err := v.Append(t.Context(), stream,
		entry(t, 3, at, 1000)); !errors.Is(err, store.ErrFull) {
		t.Fatalf("the second record of a volume: %v", err)
	}
	if info, err := os.Stat(filepath.Join(v.dir, loc.Volume)); err != nil ||
		info.Size() != loc.Offset+loc.Length {
		t.Fatalf("the volume has %d bytes, want %d: %v", info.Size(), loc.Offset+loc.Length, err)
	}
	hooks.write = nil
	next, err := v.Append(t.Context(), stream, entry(t, 4, at, 1000))
	if err != nil || next.Volume != loc.Volume || next.Offset != loc.Offset+loc.Length {
		t.Fatalf("%+v after %+v, %v", next, loc, err)
	}
	if got := recovered(t, v, loc.Volume); got != "2 4" {
		t.Fatalf("recovered %q", got)
	}
}

// After a failed sync the volume is never written again, and the record is taken back.
func TestFailedSync(t *testing.T) {
	hooks := &hookFS{}
	v := open(t, Options{FS: hooks})
	at := time.Now()
	synced := 0
	failing := func(File) error { synced++; return unix.EIO }
	hooks.sync = failing
	if _, err := v.Append(t.Context(), stream, entry(t, 1, at, 1000)); !errors.Is(err, unix.EIO) ||
		errors.Is(err, store.ErrFull) {
		t.Fatalf("failed with %v", err)
	}
	hooks.sync = nil
	first, err := v.Append(t.Context(), stream, entry(t, 2, at, 1000))
	if err != nil {
		t.Fatal(err)
	}
	hooks.sync = failing
	if _, err := v.Append(t.Context(), stream, entry(t, 3, at, 1000)); !errors.Is(err, unix.EIO) {
		t.Fatalf("failed with %v", err)
	}
	hooks.sync = nil
	next, err := v.Append(t.Context(), stream, entry(t, 4, at, 1000))
	if err != nil {
		t.Fatal(err)
	}
	if synced != 2 || next.Volume == first.Volume {
		t.Fatalf("%d syncs, then %+v after %+v", synced, next, first)
	}
	if got := recovered(t, v, first.Volume) + ", " + recovered(t, v, next.Volume); got != "2, 4" {
		t.Fatalf("recovered %q", got)
	}
	// If the abandoned volume cannot be removed, the same number gets another name.
	if err := v.Roll(t.Context(), stream.ID); err != nil {
		t.Fatal(err)
	}
	hooks.sync, hooks.remove = failing, func(string) error { return unix.EIO }
	if _, err := v.Append(t.Context(), stream, entry(t, 5, at, 1000)); !errors.Is(err, unix.EIO) {
		t.Fatalf("failed with %v", err)
	}
	hooks.sync, hooks.remove = nil, nil
	if next, err = v.Append(t.Context(), stream, entry(t, 5, at, 1000)); err != nil ||
		!strings.HasSuffix(next.Volume, "-0000000000000005-1.vol") {
		t.Fatalf("%+v, %v", next, err)
	}
}

// hookFS is OS, with calls that a test can replace.
type hookFS struct {
	OS
	write   func(f File, bufs [][]byte, off int64) (int64, error)
	sync    func(f File) error
	syncDir func(path string) error
	syncAll func(path string) error
	remove  func(path string) error
}

type hookFile struct {
	File
	fs *hookFS
}

func (h *hookFS) Create(path string) (File, error) {
	f, err := h.OS.Create(path)
	return &hookFile{f, h}, err
}

func (h *hookFS) OpenWrite(path string) (File, error) {
	f, err := h.OS.OpenWrite(path)
	return &hookFile{f, h}, err
}

func (h *hookFS) Remove(path string) error {
	if h.remove != nil {
		return h.remove(path)
	}
	return h.OS.Remove(path)
}

func (h *hookFS) SyncDir(path string) error {
	if h.syncDir != nil {
		return h.syncDir(path)
	}
	return h.OS.SyncDir(path)
}

func (h *hookFS) SyncAll(path string) error {
	if h.syncAll != nil {
		return h.syncAll(path)
	}
	return h.OS.SyncAll(path)
}

func (f *hookFile) WriteAt(bufs [][]byte, off int64) (int64, error) {
	if f.fs.write != nil {
		return f.fs.write(f.File, bufs, off)
	}
	return f.File.WriteAt(bufs, off)
}

func (f *hookFile) Datasync() error {
	if f.fs.sync != nil {
		return f.fs.sync(f.File)
	}
	return f.File.Datasync()
}

// What recovery finds may only be in the page cache, so it is synced before it gets a row. A
// directory whose name may not be durable is synced before a record in it is acknowledged.
func TestFoundRecordsAreSynced(t *testing.T) {
	hooks := &hookFS{}
	v := open(t, Options{FS: hooks})
	var dirs []string
	hooks.syncDir = func(path string) error {
		dirs = append(dirs, filepath.Base(path))
		return unix.EIO
	}
	if _, err := v.Append(t.Context(), stream,
		entry(t, 1, time.Now(), 1000)); !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	hooks.syncDir = func(path string) error { dirs = append(dirs, filepath.Base(path)); return nil }
	loc, err := v.Append(t.Context(), stream, entry(t, 2, time.Now(), 1000))
	if err != nil || strings.Join(dirs, " ") != "volumes volumes "+string(stream.ID) {
		t.Fatalf("synced %q, %v", dirs, err)
	}
	if err := v.Roll(t.Context(), stream.ID); err != nil {
		t.Fatal(err)
	}
	dirs = nil
	synced := 0
	hooks.sync = func(File) error { synced++; return nil }
	if got := recovered(t, v, loc.Volume); got != "2" || synced != 1 || len(dirs) != 1 {
		t.Fatalf("recovered %q with %d syncs, and of directories %q", got, synced, dirs)
	}
	hooks.sync = func(File) error { return unix.EIO }
	if _, _, _, err := v.Recover(t.Context(), loc.Volume, 0, func(store.Location,
		[]byte) error {
		return nil
	}); !errors.Is(err, unix.EIO) {
		t.Fatalf("recovered without a sync: %v", err)
	}
}

// readAll returns what a connection would receive.
func readAll(r store.Range) ([]byte, error) {
	var b bytes.Buffer
	_, err := r.WriteTo(&b)
	return b.Bytes(), err
}

// taker looks like a connection to io.Copy.
type taker struct {
	bytes.Buffer
	got   io.Reader
	files int
}

func (t *taker) ReadFrom(r io.Reader) (int64, error) {
	t.got = r
	t.files++
	return t.Buffer.ReadFrom(r)
}

// Runs of a record that follow each other reach a connection as one file; others do not.
func TestRunsAreOneFile(t *testing.T) {
	v := open(t, Options{})
	loc, err := v.Append(t.Context(), stream, entry(t, 5, time.Now(), 1000))
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.Open(t.Context(), loc)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	other, err := v.Open(t.Context(), loc)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	run := func(b Body, off, n int64) store.Range {
		t.Helper()
		r, err := b.Range(loc.MetaLength+off, n)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		runs  []store.Range
		files int
	}{
		{[]store.Range{run(b, 0, 300), run(b, 300, 0), run(b, 300, 600), run(b, 900, 100)}, 1},
		{[]store.Range{run(b, 0, 300), run(b, 301, 9)}, 2},
		{[]store.Range{run(b, 300, 300), run(b, 0, 300)}, 2},
		{[]store.Range{run(b, 0, 300), run(other, 300, 300)}, 2},
		{[]store.Range{run(b, 0, 300), store.Bytes([]byte("x")), run(b, 300, 300)}, 2},
	} {
		var want bytes.Buffer
		for _, r := range c.runs {
			if _, err := r.WriteTo(&want); err != nil {
				t.Fatal(err)
			}
		}
		var to taker
		if _, err := store.Concat(c.runs...).WriteTo(&to); err != nil ||
			!bytes.Equal(to.Bytes(), want.Bytes()) || to.files != c.files {
			t.Errorf("%d files, want %d, %v", to.files, c.files, err)
		}
	}
}

// A range reaches a connection in the form that package net passes to sendfile(2): a limited file,
// once.
func TestRangeIsAFile(t *testing.T) {
	v := open(t, Options{})
	e := entry(t, 5, time.Now(), 1000)
	loc, err := v.Append(t.Context(), stream, e)
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.Open(t.Context(), loc)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Delete(t.Context(), []string{loc.Volume, loc.Volume}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Open(t.Context(), loc); !errors.Is(err, store.ErrGone) {
		t.Fatalf("a deleted volume opens with %v", err)
	}
	whole, err := b.Range(loc.MetaLength, 1000)
	if err != nil {
		t.Fatal(err)
	}
	payload := e.Payload[0]
	for range 2 { // a range can be written twice
		for _, c := range [][2]int64{{0, 1000}, {10, 20}, {999, 1}, {1000, 0}} {
			r, to := whole.Slice(c[0], c[1]), &taker{}
			if n, err := r.WriteTo(to); err != nil || n != r.Size() {
				t.Fatalf("%v: wrote %d, %v", c, n, err)
			}
			if !bytes.Equal(to.Bytes(), payload[c[0]:c[0]+c[1]]) {
				t.Fatalf("%v: other bytes", c)
			}
			limited, ok := to.got.(*io.LimitedReader)
			if !ok {
				t.Fatalf("a connection gets a %T", to.got)
			}
			if _, ok := limited.R.(*os.File); !ok {
				t.Fatalf("a connection gets a limited %T", limited.R)
			}
		}
	}
	p := make([]byte, 30)
	if n, err := whole.ReadAt(p, 980); n != 20 || err != io.EOF || !bytes.Equal(p[:n],
		payload[980:]) {
		t.Fatalf("read %d at the end, %v", n, err)
	}
	if n, err := whole.ReadAt(p, 1000); n != 0 || err != io.EOF {
		t.Fatalf("read %d beyond the end, %v", n, err)
	}
	beyond, err := b.Range(loc.Length-10, 20) // as if the file had been truncated
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(beyond); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("a range that ends early is written with %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(whole); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("a closed record is written with %v", err)
	}
}

// A name from the index never leads out of the directory.
func TestNames(t *testing.T) {
	v := open(t, Options{})
	for _, name := range []string{"", "x", "../" + string(stream.ID) + "/a.vol", string(stream.ID) +
		"/../a.vol", string(stream.ID) + "/a", "/a.vol"} {
		if _, err := v.Open(t.Context(), store.Location{Volume: name}); err == nil ||
			errors.Is(err, store.ErrGone) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// The next process deletes what a killed process was deleting.
func TestTrash(t *testing.T) {
	v := open(t, Options{})
	trash := filepath.Join(v.dir, "trash-1")
	if err := os.MkdirAll(filepath.Join(trash, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	again, err := Open(v.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(trash); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the trash is there: %v", err)
	}
}
