package volume

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/store"
)

// With an interval, the records of many streams wait for one round, whose work is one sync of the
// file system. None returns before its own sync. A sync that fails is reported to its own caller
// only, whatever the sync of the file system says.
func TestSyncInterval(t *testing.T) {
	hooks := &hookFS{}
	const interval = 2 * time.Second // all records must come within it, even on a busy machine
	v := open(t, Options{FS: hooks, SyncInterval: interval})
	var synced, returned atomic.Int64
	hooks.sync = func(f File) error {
		if n := synced.Add(1); n <= returned.Load() {
			t.Error("a record was acknowledged before its sync")
		} else if n == 3 {
			return unix.EIO
		}
		return f.Datasync()
	}
	var all atomic.Int64
	hooks.syncAll = func(string) error {
		if all.Add(1); synced.Load() > 0 {
			t.Error("files were synced before all of them")
		}
		return unix.EIO
	}
	const streams = 8
	var failed atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			s := &store.Stream{ID: store.StreamID(fmt.Sprintf("%032x", i)), Name: fmt.Sprint(i)}
			_, err := v.Append(t.Context(), s, entry(t, store.Number(i+1), time.Now(), 100))
			returned.Add(1)
			if errors.Is(err, unix.EIO) {
				failed.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < interval || synced.Load() != streams ||
		failed.Load() != 1 || all.Load() != 1 {
		t.Fatalf("%d syncs, %d of all, and %d failures in %s", synced.Load(), all.Load(),
			failed.Load(), took)
	}
}

// A volume also ends after so many records, so its table stays small.
func TestRollingByRecords(t *testing.T) {
	v := open(t, Options{FS: &hookFS{sync: func(File) error { return nil }}})
	at := time.Now()
	var first, last store.Location
	var err error
	for n := range maxRecords + 1 {
		if last, err = v.Append(t.Context(), stream, entry(t, store.Number(n+1), at,
			1)); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			first = last
		}
		if n == maxRecords-1 && last.Volume != first.Volume {
			t.Fatalf("record %d is in %s", n, last.Volume)
		}
	}
	if last.Volume == first.Volume {
		t.Fatal("the volume goes on")
	}
}
