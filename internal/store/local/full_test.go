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

// filler is another program that takes every byte of a disk.
type filler struct {
	t    *testing.T
	path string
}

// fill takes what is free. It returns how much that was.
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

// onMount opens a store in a directory as the server does.
func onMount(t *testing.T, dir string, o local.Options) *local.Store {
	t.Helper()
	e := embedded{dir}
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

// Another program takes the last byte, again after each step. The store starts and reads all the
// same, refuses what is new, lets every stream be deleted and its retention be shortened, and goes
// on when there is space.
func TestDiskFilledByAnother(t *testing.T) {
	mount, own := small(t, 32<<20)
	if !own {
		t.Skip("mounting a file system needs root")
	}
	clock, other := storetest.NewClock(), &filler{t, filepath.Join(mount, "other")}
	o := local.Options{Clock: clock.Now, MinFree: 1 << 20}
	s := onMount(t, mount, o)
	stored := make(map[string][]store.FragmentInfo)
	ids := make(map[string]store.StreamID)
	for i := range 30 {
		name := fmt.Sprint("cam", i)
		ids[name] = newStream(t, s, name, 24)
		for n := range 8 {
			rec := storetest.Record(clock, uint64(n), 40_000)
			f, err := storetest.Append(t.Context(), s, ids[name], rec)
			if err != nil {
				t.Fatal(err)
			}
			stored[name] = append(stored[name], f)
		}
	}
	whole := func() {
		t.Helper()
		for name, want := range stored {
			l, err := s.List(t.Context(), ids[name], store.Query{})
			if err != nil {
				t.Fatal(err)
			}
			sameFragments(t, l, want)
			for _, f := range l {
				if _, err := storetest.ReadPayload(t.Context(), s, ids[name], f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	refuses := func() {
		t.Helper()
		rec := storetest.Record(clock, 1, 10_000)
		_, err := storetest.Append(t.Context(), s, ids["cam1"], rec)
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("append: %v", err)
		}
		_, err = s.CreateStream(t.Context(), store.Stream{Name: "new", RetentionHours: 1})
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("create stream: %v", err)
		}
		tag := func(tags map[string]string) error { tags["place"] = "door"; return nil }
		if err := s.TagStream(t.Context(), ids["cam1"], tag); !errors.Is(err, store.ErrFull) {
			t.Fatalf("tag stream: %v", err)
		}
		longer := func(st *store.Stream) error { st.RetentionHours++; return nil }
		_, err = s.UpdateStream(t.Context(), ids["cam1"], "", longer)
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("longer retention: %v", err)
		}
	}

	other.fill()
	checkSpace(t, s)
	if !s.Full() {
		t.Fatal("the store does not know that the disk is full")
	}
	refuses()
	for range 2 {
		closeStore(t, s)
		other.fill()
		s = onMount(t, mount, o)
		if !s.Full() {
			t.Fatal("the store does not know that the disk is full")
		}
		whole()
		refuses()
	}
	for i := range 29 {
		other.fill()
		name := fmt.Sprint("cam", i)
		shorter := func(st *store.Stream) error { st.RetentionHours = 2; return nil }
		if _, err := s.UpdateStream(t.Context(), ids[name], "", shorter); err != nil {
			t.Fatal(name, err)
		}
		if err := s.DeleteStream(t.Context(), ids[name], ""); err != nil {
			t.Fatal(name, err)
		}
		delete(stored, name)
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(name, err)
		}
	}
	eventually(t, 10*time.Second, "the bytes of the streams go", func() bool {
		left, err := os.ReadDir(filepath.Join(mount, "volumes"))
		return err == nil && len(left) == 1
	})
	whole()

	other.leave()
	checkSpace(t, s)
	if s.Full() {
		t.Fatal("the store does not know that there is space")
	}
	f, err := storetest.Append(t.Context(), s, ids["cam29"], storetest.Record(clock, 1, 10_000))
	if err != nil {
		t.Fatal(err)
	}
	stored["cam29"] = append(stored["cam29"], f)
	closeStore(t, s)
	s = onMount(t, mount, o)
	whole()
	closeStore(t, s)
}
