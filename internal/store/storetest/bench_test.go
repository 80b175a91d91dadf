package storetest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
// of Append by that limit, the median over the turns. cpu-s/GB is the processor time of Append, the kernel's included.
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
			var append1 time.Duration
			var ratios []float64
			var cpu float64
			for done := 0; done < b.N; {
				n := min(b.N-done, max(4*producers, 16)) // turns, so that both meet the same disk
				before := processorSeconds(b)
				took := produce(b, producers, n, store1)
				cpu += processorSeconds(b) - before
				ratios = append(ratios, produce(b, producers, n, plain).Seconds()/took.Seconds())
				append1 += took
				done += n
			}
			perSecond := float64(b.N) / append1.Seconds()
			b.ReportMetric(perSecond, "fragments/s")
			b.ReportMetric(perSecond*benchFragment/1e6, "MB/s")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(cpu/(float64(b.N)*benchFragment/1e9), "cpu-s/GB")
			b.ReportMetric(append1.Seconds()*1e9/float64(b.N), "ns/op")
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// processorSeconds is what this process used, user and system.
func processorSeconds(b *testing.B) float64 {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// BenchmarkTogether holds readers and producers against each other: one side as fast as it can, the other at a steady 200
// fragments a second (40 MB/s), with and without, in turns. ratio is the speed with by the speed without, the median over the
// turns.
func BenchmarkTogether(b *testing.B) {
	dir := b.TempDir()
	clock := storetest.NewClock()
	s := openStore(b, dir, clock)
	defer closeStore(b, s)
	const streams, stored, steady = 16, 40, 200
	rec := storetest.Record(clock, 1, benchFragment)
	var ids []store.StreamID
	for i := range streams {
		st, err := s.CreateStream(b.Context(), store.Stream{Name: fmt.Sprint(i), RetentionHours: 24})
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, st.ID)
	}
	write := func(p int) error {
		mine := *rec
		_, err := storetest.Append(b.Context(), s, ids[p%streams], &mine)
		return err
	}
	produce(b, streams, streams*stored, write)
	read := func(p int) error { // what a segment request does: a list for the playlist, then one payload
		l, err := s.List(b.Context(), ids[p%streams], store.Query{Order: store.ByNumberNewest, Limit: stored})
		if err != nil {
			return err
		}
		_, err = storetest.ReadPayload(b.Context(), s, ids[p%streams], l[len(l)/2])
		return err
	}
	for _, c := range []struct {
		name        string
		fast, other func(int) error
	}{{"ingest while reading", write, read}, {"reading while ingest", read, write}} {
		b.Run(c.name, func(b *testing.B) {
			var ratios []float64
			for range b.N {
				const n = 400
				alone := produce(b, streams, n, c.fast)
				stop := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					tick := time.NewTicker(time.Second / steady)
					defer tick.Stop()
					for p := 0; ; p++ {
						select {
						case <-stop:
							return
						case <-tick.C:
						}
						wg.Go(func() {
							if err := c.other(p); err != nil {
								b.Error(err)
							}
						})
					}
				})
				ratios = append(ratios, alone.Seconds()/produce(b, streams, n, c.fast).Seconds())
				close(stop)
				wg.Wait()
			}
			b.ReportMetric(median(ratios), "ratio")
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
