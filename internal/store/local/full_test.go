package local_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/storetest"
)

// filler is another program, which takes every byte of a disk.
type filler struct {
	t    *testing.T
	path string
}

// fill takes what is free, and returns how much that was.
func (f *filler) fill() (taken int64) {
	f.t.Helper()
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	for size := 1 << 20; size > 0; {
		n, err := file.Write(make([]byte, size))
		taken += int64(n)
		if errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			f.t.Fatal(err)
		}
	}
	return taken
}

func (f *filler) leave() {
	f.t.Helper()
	if err := os.Remove(f.path); err != nil {
		f.t.Fatal(err)
	}
}

// onMount opens a store in a directory like the server.
func onMount(t *testing.T, dir string, o local.Options) *local.Store {
	t.Helper()
	e := embedded{dir: dir}
	var err error
	if o.Index, o.Volumes, err = e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := local.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkSpace(t, s)
	return s
}

func checkSpace(t *testing.T, s *local.Store) {
	t.Helper()
	if err := s.CheckSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// filled is a store with fragments on a disk that another program fills up.
type filled struct {
	*testing.T
	clock  *storetest.Clock
	mount  string
	other  *filler
	o      local.Options
	store  *local.Store
	ids    map[string]store.StreamID
	stored map[string][]store.FragmentInfo
}

func newFilled(t *testing.T, mount string, streams, fragments int) *filled {
	t.Helper()
	clock := storetest.NewClock()
	d := &filled{T: t, clock: clock, mount: mount, other: &filler{t, filepath.Join(mount, "other")},
		o:   local.Options{Clock: clock.Now, MinFree: 1 << 20},
		ids: map[string]store.StreamID{}, stored: map[string][]store.FragmentInfo{}}
	d.store = onMount(t, mount, d.o)
	for i := range streams {
		name := fmt.Sprint("cam", i)
		d.ids[name] = newStream(t, d.store, name, 24)
		for n := range fragments {
			d.append(name, uint64(n), 40_000)
		}
	}
	return d
}

func (d *filled) append(name string, seed uint64, size int) {
	d.Helper()
	f, err := storetest.Append(d.Context(), d.store, d.ids[name],
		storetest.Record(d.clock, seed, size))
	if err != nil {
		d.Fatal(err)
	}
	d.stored[name] = append(d.stored[name], f)
}

func (d *filled) reopen() {
	d.Helper()
	d.store = onMount(d.T, d.mount, d.o)
}

// full wants the store to know whether its disk is full.
func (d *filled) full(want bool) {
	d.Helper()
	if d.store.Full() != want {
		d.Fatalf("the disk is full for the store: %v, want %v", !want, want)
	}
}

// whole reads everything that was stored and not deleted.
func (d *filled) whole() {
	d.Helper()
	for name, want := range d.stored {
		l, err := d.store.List(d.Context(), d.ids[name], store.Query{})
		if err != nil {
			d.Fatal(err)
		}
		sameFragments(d.T, l, want)
		for _, f := range l {
			if _, err := storetest.ReadPayload(d.Context(), d.store, d.ids[name], f); err != nil {
				d.Fatal(err)
			}
		}
	}
}

// refuses wants everything that needs space to be refused.
func (d *filled) refuses() {
	d.Helper()
	ctx, id := d.Context(), d.ids["cam1"]
	tag := func(tags map[string]string) error { tags["place"] = "door"; return nil }
	longer := func(st *store.Stream) error { st.RetentionHours++; return nil }
	_, appended := storetest.Append(ctx, d.store, id, storetest.Record(d.clock, 1, 10_000))
	_, created := d.store.CreateStream(ctx, store.Stream{Name: "new", RetentionHours: 1})
	_, updated := d.store.UpdateStream(ctx, id, "", longer)
	_, document := d.store.PutDocument(ctx, "key", "new", nil, store.NewDocument)
	for what, err := range map[string]error{"append": appended, "create stream": created,
		"new document": document,
		"tag stream":   d.store.TagStream(ctx, id, tag), "longer retention": updated} {
		if !errors.Is(err, store.ErrFull) {
			d.Fatalf("%s: %v", what, err)
		}
	}
}

// After every step another program takes the last free byte. The store still starts and reads. It
// refuses what is new, lets every stream be deleted and its retention be shortened, and goes on
// when there is space.
func TestDiskFilledByAnother(t *testing.T) {
	mount, own := small(t, 32<<20)
	if !own {
		t.Skip("mounting a file system needs root")
	}
	d := newFilled(t, mount, 30, 8)
	key, err := d.store.PutDocument(t.Context(), "key", "stolen", []byte("on"), store.NewDocument)
	if err != nil {
		t.Fatal(err)
	}
	d.other.fill()
	checkSpace(t, d.store)
	d.full(true)
	d.refuses()
	for range 2 {
		closeStore(t, d.store)
		d.other.fill()
		d.reopen()
		d.full(true)
		d.whole()
		d.refuses()
		// A key can still be disabled.
		key, err = d.store.PutDocument(t.Context(), "key", "stolen", []byte("disabled"), key)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.store.DeleteDocument(t.Context(), "key", "stolen", key); err != nil {
		t.Fatal(err)
	}
	for i := range 29 {
		d.other.fill()
		name := fmt.Sprint("cam", i)
		shorter := func(st *store.Stream) error { st.RetentionHours = 2; return nil }
		if _, err := d.store.UpdateStream(t.Context(), d.ids[name], "", shorter); err != nil {
			t.Fatal(name, err)
		}
		if err := d.store.DeleteStream(t.Context(), d.ids[name], ""); err != nil {
			t.Fatal(name, err)
		}
		delete(d.stored, name)
		if err := d.store.Sweep(t.Context()); err != nil {
			t.Fatal(name, err)
		}
	}
	eventually(t, 10*time.Second, "the bytes of the streams go", func() bool {
		left, err := os.ReadDir(filepath.Join(mount, "volumes"))
		return err == nil && len(left) == 1
	})
	d.whole()

	d.other.leave()
	checkSpace(t, d.store)
	d.full(false)
	d.append("cam29", 1, 10_000)
	closeStore(t, d.store)
	d.reopen()
	d.whole()
	closeStore(t, d.store)
}
