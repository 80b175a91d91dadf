package local_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/storetest"
)

// spinning is a file system whose syncs take as long as on a disk with one head, and do nothing
// else. The sync of one file goes to its place and then to the journal. The sync of all files goes
// to their places in order, and to the journal once (counted on ext4: 64 files cost 64 commits when
// synced one by one, 17 to 64 side by side, and 1 by syncfs).
type spinning struct {
	volume.OS
	head  sync.Mutex
	dirty map[*spinningFile]bool // guarded by head
	moves int                    // of the head; guarded by it
}

const (
	seek      = 8 * time.Millisecond // to any place, including rotation
	shortSeek = 4 * time.Millisecond // to the next of many places in order
)

type spinningFile struct {
	volume.File
	disk *spinning
}

func (d *spinning) Create(path string) (volume.File, error) {
	f, err := d.OS.Create(path)
	return &spinningFile{f, d}, err
}

func (f *spinningFile) WriteAt(bufs [][]byte, off int64) (int64, error) {
	f.disk.head.Lock()
	f.disk.dirty[f] = true
	f.disk.head.Unlock()
	return f.File.WriteAt(bufs, off)
}

// move moves the head so many times. The caller holds it.
func (d *spinning) move(n int, way time.Duration) {
	d.moves += n
	time.Sleep(time.Duration(n) * way)
}

func (f *spinningFile) Datasync() error {
	f.disk.head.Lock()
	defer f.disk.head.Unlock()
	if f.disk.dirty[f] {
		delete(f.disk.dirty, f)
		f.disk.move(2, seek)
	}
	return nil
}

func (d *spinning) SyncAll(string) error {
	d.head.Lock()
	defer d.head.Unlock()
	d.move(len(d.dirty), shortSeek)
	d.move(1, seek)
	clear(d.dirty)
	return nil
}

// SyncDir costs no time: names are rarely new.
func (d *spinning) SyncDir(string) error { return nil }

// BenchmarkSpinningDisk stores 200 KB fragments of 64 producers on a simulated spinning disk, with
// and without a sync interval: fragments/s, the median and the 99th percentile of the time to the
// acknowledgement, and moves of the head per fragment.
func BenchmarkSpinningDisk(b *testing.B) {
	for _, interval := range []time.Duration{0, 250 * time.Millisecond} {
		b.Run(fmt.Sprintf("interval=%v", interval), func(b *testing.B) {
			const producers, each = 64, 6
			dir := b.TempDir()
			disk := &spinning{dirty: make(map[*spinningFile]bool)}
			clock := storetest.NewClock()
			x, err := index.OpenSQLite(b.Context(), filepath.Join(dir, "index.db"))
			if err != nil {
				b.Fatal(err)
			}
			v, err := volume.Open(filepath.Join(dir, "volumes"), volume.Options{FS: disk,
				SyncInterval: interval})
			if err != nil {
				b.Fatal(err)
			}
			s, err := local.New(b.Context(), local.Options{Index: x, Volumes: v, Clock: clock.Now})
			if err != nil {
				b.Fatal(err)
			}
			defer closeStore(b, s)
			rec := storetest.Record(clock, 1, benchFragment)
			ids := benchStreams(b, s, producers)
			var mu sync.Mutex
			var times []float64
			var took time.Duration
			for range b.N {
				took += produce(b, producers, producers*each, func(p int) error {
					mine := *rec
					began := time.Now()
					_, err := storetest.Append(b.Context(), s, ids[p], &mine)
					mu.Lock()
					defer mu.Unlock()
					times = append(times, float64(time.Since(began).Milliseconds()))
					return err
				})
			}
			slices.Sort(times)
			b.ReportMetric(float64(len(times))/took.Seconds(), "fragments/s")
			b.ReportMetric(times[len(times)/2], "ack-ms-p50")
			b.ReportMetric(times[len(times)*99/100], "ack-ms-p99")
			b.ReportMetric(float64(disk.moves)/float64(len(times)), "moves/fragment")
		})
	}
}
