package local_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/directory"
	"weir/internal/store/record"
	"weir/internal/store/storetest"
)

const benchFragment = 200_000 // bytes

// produce divides count pieces of work among n producers and returns how long they took.
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

// benchStreams makes n streams that keep a day.
func benchStreams(b *testing.B, s *local.Store, n int) (ids []store.StreamID) {
	b.Helper()
	for i := range n {
		st, err := s.CreateStream(b.Context(), store.Stream{Name: fmt.Sprint(i),
			RetentionHours: 24})
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, st.ID)
	}
	return ids
}

// BenchmarkAppend appends 200 KB fragments, each producer to a stream of its own. In between it
// measures the limit in the same way: plainFile, which makes the same calls for the bytes and does
// nothing else. ratio is the speed of Append divided by that limit, the median over the turns.
// cpu-s/GB is the processor time of Append, including the kernel's, and plain-cpu-s/GB that of the
// limit.
func BenchmarkAppend(b *testing.B) {
	for _, producers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			dir := b.TempDir()
			clock := storetest.NewClock()
			s := openStore(b, dir, clock)
			defer closeStore(b, s)
			rec := storetest.Record(clock, 1, benchFragment)
			rec.Number = 1
			head, _, err := record.EncodeFragment(rec, 0)
			if err != nil {
				b.Fatal(err)
			}
			ids := benchStreams(b, s, producers)
			var files []*plainFile
			for p := range producers {
				f := &plainFile{dir: filepath.Join(dir, fmt.Sprint("plain", p))}
				if err := os.Mkdir(f.dir, 0o700); err != nil {
					b.Fatal(err)
				}
				defer f.close()
				files = append(files, f)
			}
			stored := func(p int) error {
				mine := *rec
				_, err := storetest.Append(b.Context(), s, ids[p], &mine)
				return err
			}
			plain := func(p int) error { return files[p].append(head, rec.Payload) }
			produce(b, producers, producers, stored) // the first one of each makes its file
			produce(b, producers, producers, plain)
			b.ResetTimer()
			sides := []*benchSide{{work: stored}, {work: plain}}
			var ratios []float64
			for done, turn := 0, 0; done < b.N; turn++ {
				n := min(b.N-done, max(8*producers, 32)) // both meet the same disk
				var took [2]float64
				for i := range sides {
					i = (i + turn) % 2 // the first one meets what the other left to be written
					took[i] = sides[i].turn(b, producers, n)
				}
				ratios = append(ratios, took[1]/took[0])
				done += n
			}
			perSecond := float64(b.N) / sides[0].seconds
			gigabytes := float64(b.N) * benchFragment / 1e9
			b.ReportMetric(perSecond, "fragments/s")
			b.ReportMetric(perSecond*benchFragment/1e6, "MB/s")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(sides[0].cpu/gigabytes, "cpu-s/GB")
			b.ReportMetric(sides[1].cpu/gigabytes, "plain-cpu-s/GB")
			b.ReportMetric(sides[0].seconds*1e9/float64(b.N), "ns/op")
		})
	}
}

// benchSide is one of two kinds of work that take turns.
type benchSide struct {
	work         func(producer int) error
	seconds, cpu float64
}

// turn divides n pieces of the work among producers and returns the seconds that they took.
func (s *benchSide) turn(b *testing.B, producers, n int) float64 {
	before := processorSeconds(b)
	took := produce(b, producers, n, s.work).Seconds()
	s.cpu += processorSeconds(b) - before
	s.seconds += took
	return took
}

// plainFile is the bare program: one pwritev(2) and one fdatasync(2) for the bytes of a record, and
// a new file when one has 64 MB, whose name is synced. No number, no checksum, no row.
type plainFile struct {
	dir   string
	f     *os.File
	off   int64
	files int
}

func (p *plainFile) append(head []byte, payload [][]byte) error {
	if p.off >= 64_000_000 {
		p.close()
	}
	fresh := p.f == nil
	if fresh {
		var err error
		if p.f, err = os.Create(filepath.Join(p.dir, fmt.Sprint(p.files))); err != nil {
			return err
		}
		p.off, p.files = 0, p.files+1
	}
	n, err := unix.Pwritev(int(p.f.Fd()), slices.Concat([][]byte{head}, payload), p.off)
	if err != nil {
		return err
	}
	p.off += int64(n)
	if err := unix.Fdatasync(int(p.f.Fd())); err != nil || !fresh {
		return err
	}
	return directory.Sync(p.dir)
}

func (p *plainFile) close() {
	if p.f != nil {
		_ = p.f.Close()
		p.f = nil
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// processorSeconds is the processor time of this process, user and system.
func processorSeconds(b *testing.B) float64 {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// BenchmarkTogether measures what readers and producers of one store cost each other. One side
// works as fast as it can, the other at a steady 200 fragments a second (40 MB/s). They share
// processors, caches and the disk with everything else on the machine. So the other side works by
// turns on the same store and on a store of its own, which costs the machine the same but cannot be
// coupled.
//
// ratio is the speed beside work on the same store, divided by that beside work on another one:
// what locks, the index and the volumes do to each other. alone-ratio is the speed beside work on
// the same store, divided by the speed with nothing beside it. It says more about the machine.
// p99-ratio compares the 99th percentiles of the time for one piece of work. Each is the median
// over the turns.
//
// It can fail. Without a lock ratio is 0.96 to 1.02. A sync.RWMutex that each List takes alone and
// each write of a record shares makes the ratio of ingest 0.83. One that each write takes alone and
// each List shares makes the ratio of reading 0.85 to 0.92 and its p99-ratio 0.6 to 0.7.
func BenchmarkTogether(b *testing.B) {
	const streams, stored, steady = 16, 40, 200
	type side struct{ write, read func(int) error }
	var sides [2]side
	for i := range sides {
		clock := storetest.NewClock()
		s := openStore(b, b.TempDir(), clock)
		defer closeStore(b, s)
		rec := storetest.Record(clock, 1, benchFragment)
		ids := benchStreams(b, s, streams)
		sides[i].write = func(p int) error {
			mine := *rec
			_, err := storetest.Append(b.Context(), s, ids[p%streams], &mine)
			return err
		}
		produce(b, streams, streams*stored, sides[i].write)
		// like a segment request: a list for the playlist, then one payload
		sides[i].read = func(p int) error {
			l, err := s.List(b.Context(), ids[p%streams], store.Query{Order: store.ByNumberNewest,
				Limit: stored})
			if err != nil {
				return err
			}
			_, err = storetest.ReadPayload(b.Context(), s, ids[p%streams], l[len(l)/2])
			return err
		}
	}
	for _, c := range []struct {
		name              string
		fast, same, other func(int) error
	}{
		{"ingest while reading", sides[0].write, sides[0].read, sides[1].read},
		{"reading while ingest", sides[0].read, sides[0].write, sides[1].write},
	} {
		b.Run(c.name, func(b *testing.B) {
			const rounds, n = 11, 320
			var ratios, alone, tails []float64
			for turn := range b.N * rounds {
				beside := []func(int) error{c.same, c.other, nil}
				var took, p99 [3]float64
				for i := range beside {
					i = (i + turn) % len(beside)
					stop := steadily(b, beside[i], time.Second/steady)
					took[i], p99[i] = timed(b, streams, n, c.fast)
					stop()
				}
				ratios = append(ratios, took[1]/took[0])
				alone = append(alone, took[2]/took[0])
				tails = append(tails, p99[0]/p99[1])
			}
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(median(alone), "alone-ratio")
			b.ReportMetric(median(tails), "p99-ratio")
		})
	}
}

// timed is produce. It returns seconds, and the 99th percentile for one piece of work.
func timed(b *testing.B, n, count int, work func(producer int) error) (took, p99 float64) {
	b.Helper()
	times := make([]float64, count)
	var next atomic.Int64
	took = produce(b, n, count, func(p int) error {
		began := time.Now()
		err := work(p)
		times[next.Add(1)-1] = time.Since(began).Seconds()
		return err
	}).Seconds()
	slices.Sort(times)
	return took, times[count*99/100]
}

// steadily starts one piece of work at every interval until stop is called; a nil work does
// nothing.
func steadily(b *testing.B, work func(int) error, interval time.Duration) (stop func()) {
	b.Helper()
	if work == nil {
		return func() {}
	}
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for p := 0; ; p++ {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			wg.Go(func() {
				if err := work(p); err != nil {
					b.Error(err)
				}
			})
		}
	})
	return func() { close(end); wg.Wait() }
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
		{"server time", store.Query{
			Range: &store.TimeRange{Start: last.ServerTimestamp - listed*1000, End: math.MaxInt64},
			Limit: listed}},
		{"producer time", store.Query{
			Range: &store.TimeRange{Clock: store.ProducerTimestamp,
				Start: last.ProducerTimestamp - 3*listed*1000,
				End:   last.ProducerTimestamp - listed*1000},
			Limit: listed}},
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

// BenchmarkPayload opens a fragment of 200 KB: its head for the first time; its payload for the
// first time, which reads and verifies it; and both again.
func BenchmarkPayload(b *testing.B) {
	dir, clock := b.TempDir(), storetest.NewClock()
	s := openStore(b, dir, clock)
	defer func() { closeStore(b, s) }()
	st, err := s.CreateStream(b.Context(), store.Stream{Name: "cam", RetentionHours: 24})
	if err != nil {
		b.Fatal(err)
	}
	var numbers []store.Number
	for i := range 200 {
		f, err := storetest.Append(b.Context(), s, st.ID, storetest.Record(clock, uint64(i),
			benchFragment))
		if err != nil {
			b.Fatal(err)
		}
		numbers = append(numbers, f.Number)
	}
	open := func(n store.Number, payload bool) {
		f, err := s.Fragment(b.Context(), st.ID, n)
		if err != nil {
			b.Fatal(err)
		}
		m, err := s.Open(b.Context(), st.ID, f)
		if err == nil && payload {
			_, err = m.Payload(0)
		}
		if err = errors.Join(err, m.Close()); err != nil {
			b.Fatal(err)
		}
	}
	first := func(b *testing.B, payload bool) {
		for i := 0; b.Loop(); i++ {
			if i%len(numbers) == 0 { // as after a start
				b.StopTimer()
				closeStore(b, s)
				s = openStore(b, dir, clock)
				b.StartTimer()
			}
			open(numbers[i%len(numbers)], payload)
		}
	}
	b.Run("head", func(b *testing.B) { first(b, false) })
	b.Run("payload", func(b *testing.B) { first(b, true) })
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			open(numbers[0], true)
		}
	})
}
