package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/storetest"
)

// openLocked opens a store like a server: with the directory's lock, which watches the files.
func openLocked(t *testing.T, dir string, clock *storetest.Clock) (*local.Store, *volume.Lock) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	lock, err := volume.LockDir(dir)
	must(err)
	x, err := index.OpenSQLite(t.Context(), filepath.Join(dir, "index.db"))
	must(err)
	v, err := volume.Open(filepath.Join(dir, "volumes"), volume.Options{Check: lock.Check})
	must(err)
	must(lock.Watch(filepath.Join(dir, "index.db"), filepath.Join(dir, "volumes")))
	s, err := local.New(t.Context(), local.Options{Index: x, Volumes: v, Clock: clock.Now,
		Check: lock.Check})
	must(err)
	return s, lock
}

// Nothing is acknowledged into files that no name leads to. What can be made again is; the rest
// waits until the directory is back.
func TestFilesTakenAway(t *testing.T) {
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		what func(dir string, f store.FragmentInfo) string // what is moved away
		// what is put in its place; nil: nothing
		instead func(path string) error
		goesOn  bool // with the next fragment
	}{
		"volume": {what: volumePath, goesOn: true},
		"replaced volume": {volumePath, func(path string) error {
			return os.WriteFile(path, nil, 0o600)
		}, true},
		"directory of the stream": {what: func(dir string, f store.FragmentInfo) string {
			return filepath.Dir(volumePath(dir, f))
		}, goesOn: true},
		"directory of the volumes": {what: func(dir string, _ store.FragmentInfo) string {
			return filepath.Join(dir, "volumes")
		}},
		"replaced directory of the volumes": {func(dir string, _ store.FragmentInfo) string {
			return filepath.Join(dir, "volumes")
		}, func(path string) error { return os.Mkdir(path, 0o700) }, false},
		"index": {what: func(dir string, _ store.FragmentInfo) string {
			return filepath.Join(dir, "index.db")
		}},
		"data directory": {what: func(dir string, _ store.FragmentInfo) string {
			return dir
		}},
		"replaced data directory": {func(dir string, _ store.FragmentInfo) string { return dir },
			func(path string) error {
				return os.MkdirAll(filepath.Join(path, "volumes"), 0o700)
			}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, clock := filepath.Join(t.TempDir(), "data"), storetest.NewClock()
			s, lock := openLocked(t, dir, clock)
			cam := newStream(t, s, "cam", 24)
			add := func() (store.FragmentInfo, error) {
				return storetest.Append(t.Context(), s, cam, storetest.Record(clock, 1, 2000))
			}
			f, err := add()
			if err != nil {
				t.Fatal(err)
			}
			path := c.what(dir, f)
			rename(t, path, path+"-away")
			if c.instead != nil {
				if err := c.instead(path); err != nil {
					t.Fatal(err)
				}
			}
			_ = s.CheckFiles() // as every second
			if _, err := add(); !errors.Is(err, store.ErrLost) {
				t.Fatalf("appended with %v", err)
			}
			if err := s.Ready(t.Context()); !errors.Is(err, store.ErrLost) {
				t.Fatalf("ready with %v", err)
			}
			if c.goesOn {
				if f, err = add(); err != nil {
					t.Fatalf("the next fragment: %v", err)
				}
			} else {
				if _, err := add(); !errors.Is(err, store.ErrLost) {
					t.Fatalf("appended with %v", err)
				}
				if _, err := s.CreateStream(t.Context(),
					store.Stream{Name: "cam2"}); !errors.Is(err, store.ErrLost) {
					t.Fatalf("created with %v", err)
				}
				if err := s.DeleteStream(t.Context(), cam, ""); !errors.Is(err, store.ErrLost) {
					t.Fatalf("deleted with %v", err)
				}
				if err := s.Sweep(t.Context()); !errors.Is(err, store.ErrLost) {
					t.Fatalf("swept with %v", err)
				}
				if c.instead != nil {
					rename(t, path, path+"-other")
				}
				rename(t, path+"-away", path)
				if err := s.CheckFiles(); err != nil {
					t.Fatal(err)
				}
				if f, err = add(); err != nil {
					t.Fatalf("with the directory back: %v", err)
				}
			}
			closeStore(t, s)
			if err := lock.Close(); err != nil {
				t.Fatal(err)
			}
			// The next start has what was acknowledged.
			s = openStore(t, dir, clock)
			defer closeStore(t, s)
			if _, err := storetest.ReadPayload(t.Context(), s, cam, f); err != nil {
				t.Fatal(err)
			}
		})
	}
}
