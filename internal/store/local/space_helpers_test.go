package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/localtest"
	"weir/internal/store/local/volume"
)

// onDisk opens a store whose volumes are on a Disk, with its index in a directory of the test.
func onDisk(t *testing.T, disk *localtest.Disk, o local.Options) *local.Store {
	t.Helper()
	x, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	if o.Volumes, err = volume.Open("/volumes", volume.Options{FS: disk,
		MaxSize: 20_000}); err != nil {
		t.Fatal(err)
	}
	o.Index = x
	s, err := local.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

// metric returns the value of a gauge or counter without labels.
func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func newStream(t *testing.T, s *local.Store, name string, hours int) store.StreamID {
	t.Helper()
	st, err := s.CreateStream(t.Context(), store.Stream{Name: name, RetentionHours: hours})
	if err != nil {
		t.Fatal(err)
	}
	return st.ID
}

// small mounts a file system of so many bytes; false when this user may not.
func small(t *testing.T, size int) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		return dir, false
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// used is the space that a directory takes: what the file system says if the directory has its own,
// or else the sum of its files.
func used(t *testing.T, dir string, own bool) int64 {
	t.Helper()
	if own {
		free, total, err := volume.OS{}.Space(dir)
		if err != nil {
			t.Fatal(err)
		}
		return total - free
	}
	var n int64
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && unix.Lstat(path, &st) == nil {
			n += st.Blocks * 512
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually waits for background work, up to a time.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(within)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}
