package relay

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/live"
)

// BenchmarkFrame brings frames of a camera of 4 Mbit/s and 25 pictures a second from one node to
// another over loopback, one at a time. It reports how much later a follower at the second node
// sees each, and the processor time of both nodes.
func BenchmarkFrame(b *testing.B) {
	s := newSite()
	one, two := s.node(b, nil), s.node(b, nil)
	b.Cleanup(one.edge.Receive(camera))
	here, there := one.edge.Follow(camera), two.edge.Follow(camera)
	defer here.Close()
	defer there.Close()
	frame := strings.Repeat("x", 20_000)
	const group = 50
	var late []time.Duration
	p := one.begin(1)
	seen := func(w *live.Follower, number, blocks int) {
		for {
			fragments, changed := w.Fragments()
			for _, f := range fragments {
				if int(f.Number) == number && f.Latest(0) >= int64(99+blocks) {
					return
				}
			}
			<-changed
		}
	}
	p.block(frame)
	seen(there, 1, 1)
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	number := 1
	for i := 1; b.Loop(); i++ {
		if i%group == 0 {
			p.store()
			number++
			p = one.begin(p.Number + 1)
		}
		sent := time.Now()
		p.block(frame)
		seen(here, number, i%group+1)
		local := time.Since(sent)
		seen(there, number, i%group+1)
		late = append(late, time.Since(sent)-local)
	}
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "µs-p99")
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() -
		before.Stime.Nano())
	b.ReportMetric(float64(cpu.Microseconds())/float64(len(late)), "µs-processor/frame")
	b.SetBytes(int64(len(frame)))
}
