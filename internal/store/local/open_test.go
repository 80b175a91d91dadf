package local

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/store"
)

// Options.Locked is called when the directory is locked and nothing has been read. Its error
// releases the directory.
func TestOpenAsksOnceTheLockIsHeld(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	no := errors.New("no")
	_, err := Open(t.Context(), dir, Options{Locked: func() error {
		if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("another one opens it: %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir, IndexFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the index is there already: %v", err)
		}
		return no
	}})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A process that waits for the directory gets it when the other process closes its store, with all
// that that one wrote.
func TestOpenWaitsForTheLock(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateStream(t.Context(), store.Stream{Name: "cam"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("one that does not wait: %v", err)
	}
	type result struct {
		s   *Store
		err error
	}
	opened := make(chan result)
	go func() {
		s, err := Open(t.Context(), dir, Options{LockWait: time.Minute})
		opened <- result{s, err}
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	next := <-opened
	if next.err != nil {
		t.Fatal(next.err)
	}
	if _, err := next.s.Stream(t.Context(), "cam"); err != nil {
		t.Error(err)
	}
	if err := next.s.Close(); err != nil {
		t.Error(err)
	}
}
