package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// viewers is how many connections fetch at a time.
const viewers = 8

// BenchmarkSegmentServing fetches media segments from Weir (a moof made per request, then the record's bytes), the same bytes from
// nginx as ready-made files, and from a bare net/http program. They take turns of some 50 ms, and change who goes first; reported
// are requests a second and CPU seconds per gigabyte of each, and the ratios of Weir and of the bare program to nginx, all as
// medians over the turns. An iteration is ten turns of each.
func BenchmarkSegmentServing(b *testing.B) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if nginx = "/usr/sbin/nginx"; !exists(nginx) {
			b.Skip("nginx is not installed; `make bench-deps` installs it")
		}
	}
	for _, size := range []int{200_000, 2_000_000} {
		b.Run(fmt.Sprintf("%dKB", size/1000), func(b *testing.B) {
			s := start(b, "", "--hls-fragment-rate=0") // one session fetches as fast as it can
			segments := pushSegments(b, s, size)
			files := mirror(b, segments)
			weir := newSide(b, segments, s.cmd.Process.Pid)
			urls, workers := startNginx(b, nginx, files, len(segments))
			plain := newSide(b, urls, workers...)
			urls, process := startBare(b, files, len(segments))
			bare := newSide(b, urls, process)
			sides := []*side{weir, plain, bare}
			turn := 0
			for b.Loop() {
				for range 10 {
					for i := range sides {
						sides[(turn+i)%len(sides)].turn(80_000_000 / size)
					}
					turn++
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(weir.requests), "weir-req/s")
			b.ReportMetric(median(plain.requests), "nginx-req/s")
			b.ReportMetric(median(ratios(weir.requests, plain.requests)), "req-ratio")
			b.ReportMetric(median(weir.cpu), "weir-cpu-s/GB")
			b.ReportMetric(median(plain.cpu), "nginx-cpu-s/GB")
			b.ReportMetric(median(ratios(weir.cpu, plain.cpu)), "cpu-ratio")
			b.ReportMetric(median(ratios(bare.requests, plain.requests)), "bare-req-ratio")
			b.ReportMetric(median(ratios(bare.cpu, plain.cpu)), "bare-cpu-ratio")
		})
	}
}

// pushSegments stores fragments of the given payload size and returns the URLs of their segments.
func pushSegments(b *testing.B, s *server, size int) []string {
	const fragments = 40
	s.run("weir", "create-stream", "--stream-name", "bench", "--data-retention-in-hours", "1")
	p, err := connect(s, "bench")
	if err != nil {
		b.Fatal(err)
	}
	defer p.conn.Close()
	go func() { // errors show as missing acknowledgements
		p.body.Write(syntheticHeader())
		base := time.Now().UnixMilli()
		for k := range fragments {
			p.body.Write(syntheticCluster(base+int64(k)*syntheticMillis, syntheticPayload("bench", k, size)))
		}
		p.body.Write(endOfFragment())
	}()
	for persisted := 0; persisted < fragments; {
		a, err := p.next()
		if err != nil || a.EventType == "ERROR" {
			b.Fatal(a, err)
		}
		if a.EventType == "PERSISTED" {
			persisted++
		}
	}
	u := s.hls("bench", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))
	segments, _ := parsePlaylist(b, strings.Replace(u, "getHLSMasterPlaylist.m3u8", "getHLSMediaPlaylist.m3u8", 1)+"&TrackNumber=1")
	var urls []string
	for _, seg := range segments {
		urls = append(urls, seg.uri)
	}
	return urls
}

// side is a server under measurement, and what its turns came to.
type side struct {
	b        *testing.B
	urls     []string
	pids     []int
	client   *http.Client
	requests []float64 // a second
	cpu      []float64 // seconds per GB
}

// newSide takes the server of the URLs, which has the given processes.
func newSide(b *testing.B, urls []string, pids ...int) *side {
	s := &side{b: b, urls: urls, pids: pids, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: viewers, DisableCompression: true}}}
	b.Cleanup(s.client.CloseIdleConnections)
	s.turn(4 * len(urls)) // everything is known and in memory
	s.requests, s.cpu = nil, nil
	return s
}

// turn makes so many requests over the connections, each as fast as it is answered.
func (s *side) turn(requests int) {
	var next, bytes atomic.Int64
	var wg sync.WaitGroup
	before, began := cpuTime(s.b, s.pids), time.Now()
	for range viewers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(requests); i = next.Add(1) {
				res, err := s.client.Get(s.urls[i%int64(len(s.urls))])
				if err != nil {
					s.b.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != http.StatusOK {
					s.b.Errorf("%s: %v", res.Status, err)
					return
				}
				bytes.Add(n)
			}
		})
	}
	wg.Wait()
	elapsed, spent := time.Since(began), cpuTime(s.b, s.pids)-before
	s.requests = append(s.requests, float64(requests)/elapsed.Seconds())
	s.cpu = append(s.cpu, spent.Seconds()/(float64(bytes.Load())/1e9))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratios gives a[i]/b[i].
func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// cpuTime is what the processes have used so far, in user and system mode, from their clocks (clock_gettime(2)).
func cpuTime(b *testing.B, pids []int) time.Duration {
	const schedulerClock = 2 // CPUCLOCK_SCHED of the kernel: all threads of the process, in nanoseconds
	var sum time.Duration
	for _, pid := range pids {
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|schedulerClock), &t); err != nil {
			b.Fatalf("processor time of process %d: %v", pid, err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum
}
