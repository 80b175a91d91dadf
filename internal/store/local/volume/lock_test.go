package volume_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/store"
	"weir/internal/store/local/volume"
)

func lockDir(t *testing.T, dir string) *volume.Lock {
	t.Helper()
	l, err := volume.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// oldLock takes the lock like versions that locked only the file.
func oldLock(t *testing.T, dir string) (*os.File, error) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// Only one process uses a directory, whatever happens to the files in it and whatever the other
// one's version is.
func TestOneProcessPerDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l := lockDir(t, dir)
	must(t, os.Remove(filepath.Join(dir, "lock")))
	if _, err := volume.LockDir(dir); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("without its lock file the directory is locked twice: %v", err)
	}
	must(t, l.Check()) // takes the file again
	if _, err := oldLock(t, dir); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Fatalf("an older version starts beside this one: %v", err)
	}
	elsewhere := dir + "-moved"
	must(t, os.Rename(dir, elsewhere))
	if _, err := volume.LockDir(elsewhere); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("the moved directory is locked twice: %v", err)
	}
	must(t, l.Close())
	must(t, lockDir(t, elsewhere).Close())

	old, err := oldLock(t, elsewhere)
	must(t, err)
	if _, err := volume.LockDir(elsewhere); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("this one starts beside an older version: %v", err)
	}
	must(t, old.Close())
	lockDir(t, elsewhere)
}

func TestCheckOfALock(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		lost   bool
	}{
		"nothing": {func(*testing.T, string) {}, false},
		"lock file removed": {func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "lock")))
		}, false},
		"directory deleted": {func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) },
			true},
		"directory moved": {func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+"2")) },
			true},
		"watched file gone": {func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "index")))
		}, true},
		"watched file new": {func(t *testing.T, dir string) {
			replace(t, filepath.Join(dir, "index"))
		}, true},
		"watched file linked": {func(t *testing.T, dir string) {
			linkAway(t, filepath.Join(dir, "index"))
		}, false},
		"directory replaced": {func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+"2"))
			must(t, os.Mkdir(dir, 0o700))
		}, true},
		"directory moved and linked": {func(t *testing.T, dir string) { linkAway(t, dir) }, false},
		"taken by an older version": {func(t *testing.T, dir string) {
			must(t, os.Remove(filepath.Join(dir, "lock")))
			_, err := oldLock(t, dir)
			must(t, err)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			l := lockDir(t, dir)
			must(t, os.WriteFile(filepath.Join(dir, "index"), nil, 0o600))
			must(t, l.Watch(filepath.Join(dir, "index")))
			must(t, l.Check())
			c.change(t, dir)
			for range 2 {
				if err := l.Check(); errors.Is(err, store.ErrLost) != c.lost ||
					(err != nil) != c.lost {
					t.Errorf("checked with %v", err)
				}
			}
		})
	}
}

func replace(t *testing.T, path string) {
	t.Helper()
	must(t, os.Rename(path, path+"2"))
	must(t, os.WriteFile(path, nil, 0o600))
}

func linkAway(t *testing.T, path string) {
	t.Helper()
	must(t, os.Rename(path, path+"2"))
	must(t, os.Symlink(path+"2", path))
}

// The process that takes over waits for the one before it.
func TestWaitForTheLock(t *testing.T) {
	dir := t.TempDir()
	first := lockDir(t, dir)
	if _, err := volume.LockDirWithin(t.Context(), dir,
		time.Millisecond); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("the wait is not bounded: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		l, err := volume.LockDirWithin(t.Context(), dir, time.Minute)
		if err == nil {
			err = l.Close()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	must(t, first.Close())
	must(t, <-got)
}
