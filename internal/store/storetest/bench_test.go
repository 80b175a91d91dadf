package storetest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/store"
	"weir/internal/store/storetest"
)

const benchFragment = 200_000 // bytes

// produce lets n producers share count pieces of work and gives the time it took.
func produce(b *testing.B, n, count int, work func(producer int) error) time.Duration {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for p := range n {
		wg.Go(func() {
			for next.Add(1) <= int64(count) {
				if err := work(p); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// BenchmarkAppend appends 200 KB fragments, each producer to a stream of its own. In between it measures the limit in the same
// way: the same bytes written and synced to one file per producer, without records, checksums and index. ratio is the speed
// of Append by that limit.
func BenchmarkAppend(b *testing.B) {
	for _, producers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			dir := b.TempDir()
			clock := storetest.NewClock()
			s := openStore(b, dir, clock)
			defer closeStore(b, s)
			var ids []store.StreamID
			var files []*os.File
			offsets := make([]int64, producers)
			for p := range producers {
				st, err := s.CreateStream(b.Context(), store.Stream{Name: fmt.Sprint(p), RetentionHours: 24})
				if err != nil {
					b.Fatal(err)
				}
				ids = append(ids, st.ID)
				f, err := os.Create(filepath.Join(dir, fmt.Sprint("plain", p)))
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = f.Close() }()
				files = append(files, f)
			}
			rec := storetest.Record(clock, 1, benchFragment)
			store1 := func(p int) error {
				mine := *rec
				_, err := storetest.Append(b.Context(), s, ids[p], &mine)
				return err
			}
			plain := func(p int) error {
				for _, part := range rec.Payload {
					if _, err := files[p].WriteAt(part, offsets[p]); err != nil {
						return err
					}
					offsets[p] += int64(len(part))
				}
				if offsets[p] > 64_000_000 {
					offsets[p] = 0
					if err := files[p].Truncate(0); err != nil {
						return err
					}
				}
				return unix.Fdatasync(int(files[p].Fd()))
			}
			produce(b, producers, producers, store1) // the first of each stream makes its volume
			produce(b, producers, producers, plain)
			b.ResetTimer()
			var append1, limit time.Duration
			for done := 0; done < b.N; {
				n := min(b.N-done, max(4*producers, 16)) // turns, so that both meet the same disk
				append1 += produce(b, producers, n, store1)
				limit += produce(b, producers, n, plain)
				done += n
			}
			perSecond := float64(b.N) / append1.Seconds()
			b.ReportMetric(perSecond, "fragments/s")
			b.ReportMetric(perSecond*benchFragment/1e6, "MB/s")
			b.ReportMetric(limit.Seconds()/append1.Seconds(), "ratio")
			b.ReportMetric(append1.Seconds()*1e9/float64(b.N), "ns/op")
		})
	}
}

// BenchmarkList lists the newest 1,000 of 20,000 fragments, as a playlist does.
func BenchmarkList(b *testing.B) {
	dir := b.TempDir()
	clock := storetest.NewClock()
	s := openStore(b, dir, clock)
	defer closeStore(b, s)
	st, err := s.CreateStream(b.Context(), store.Stream{Name: "cam", RetentionHours: 24})
	if err != nil {
		b.Fatal(err)
	}
	const total, listed = 20_000, 1000
	var last store.FragmentInfo
	produce(b, 32, total, func(p int) error {
		rec := storetest.Record(clock, uint64(p), 30)
		clock.Add(time.Second)
		f, err := storetest.Append(b.Context(), s, st.ID, rec)
		if f.Sequence == total {
			last = f
		}
		return err
	})
	for _, c := range []struct {
		name string
		q    store.Query
	}{
		{"newest", store.Query{Order: store.ByNumberNewest, Limit: listed}},
		{"tail", store.Query{Order: store.BySequence, AfterSequence: total - listed}},
		{"server time", store.Query{Start: last.ServerTimestamp - listed*1000, Limit: listed}},
		{"producer time", store.Query{Timestamp: store.ProducerTimestamp, Start: last.ProducerTimestamp - 3*listed*1000, End: last.ProducerTimestamp - listed*1000, Limit: listed}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				l, err := s.List(b.Context(), st.ID, c.q)
				if err != nil || len(l) < listed*9/10 {
					b.Fatal(len(l), err)
				}
			}
		})
	}
}
