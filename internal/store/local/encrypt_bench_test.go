package local_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/storetest"
)

// BenchmarkEncryption stores fragments of 200 KB, and sends them to a connection like playback,
// from a plain and an encrypted store by turns. The metrics are processor seconds per GB, including
// the kernel's, of the thread that stores or sends.
func BenchmarkEncryption(b *testing.B) {
	clock := storetest.NewClock()
	var sides [2]encryptionSide
	for i := range sides {
		dir := b.TempDir()
		if i == 1 {
			key := []byte(strings.Repeat("2b", 32))
			if err := os.WriteFile(filepath.Join(dir, "encryption.key"), key, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		s := openStore(b, dir, clock)
		defer closeStore(b, s)
		st, err := s.CreateStream(b.Context(), store.Stream{Name: "cam", RetentionHours: 24})
		if err != nil {
			b.Fatal(err)
		}
		sides[i] = encryptionSide{b: b, s: s, st: st, clock: clock}
	}
	names := [2]string{"plain", "encrypted"}
	b.Run("ingest", func(b *testing.B) {
		interleave(b, names, func(i int) float64 { return sides[i].ingest(32) })
	})
	b.Run("playback", func(b *testing.B) {
		here, there := pipe(b)
		go func() { _, _ = io.Copy(io.Discard, there) }() // until it is closed
		for i := range sides {
			if len(sides[i].fragments) == 0 {
				sides[i].ingest(32)
			}
			sides[i].send(here) // verified once
		}
		interleave(b, names, func(i int) float64 { return sides[i].send(here) })
	})
}

// interleave runs both sides by turns and reports the processor seconds per GB of each, and the
// second divided by the first.
func interleave(b *testing.B, names [2]string, run func(side int) float64) {
	var cpu [2]float64
	turns := 0
	for b.Loop() {
		for i := range names {
			i = (i + turns) % 2
			cpu[i] += run(i)
		}
		turns++
	}
	for i, name := range names {
		b.ReportMetric(cpu[i]/(float64(turns)*32*benchFragment/1e9), name+"-cpu-s/GB")
	}
	b.ReportMetric(cpu[1]/cpu[0], "cpu-ratio")
}

// encryptionSide is one of the two stores.
type encryptionSide struct {
	b         *testing.B
	s         *local.Store
	st        store.Stream
	clock     *storetest.Clock
	fragments []store.FragmentInfo // the last ones
}

// threadTime is the processor time, in seconds, that a function takes on its thread.
func threadTime(b *testing.B, do func()) float64 {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := func() float64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	began := now()
	do()
	return now() - began
}

func (x *encryptionSide) ingest(n int) float64 {
	rec := storetest.Record(x.clock, 1, benchFragment)
	x.fragments = nil
	return threadTime(x.b, func() {
		for range n {
			mine := *rec
			f, err := storetest.Append(x.b.Context(), x.s, x.st.ID, &mine)
			if err != nil {
				x.b.Fatal(err)
			}
			x.fragments = append(x.fragments, f)
		}
	})
}

func (x *encryptionSide) send(to io.Writer) float64 {
	return threadTime(x.b, func() {
		for _, f := range x.fragments {
			m, err := x.s.Open(x.b.Context(), x.st.ID, f)
			if err != nil {
				x.b.Fatal(err)
			}
			for run := range m.Fragment().Runs {
				r, err := m.Payload(run)
				if err == nil {
					_, err = r.WriteTo(to)
				}
				if err != nil {
					x.b.Fatal(err)
				}
			}
			if err := m.Close(); err != nil {
				x.b.Fatal(err)
			}
		}
	})
}

// pipe returns both ends of a connection over loopback.
func pipe(b *testing.B) (here, there net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = here.Close(), there.Close() })
	return here, there
}
