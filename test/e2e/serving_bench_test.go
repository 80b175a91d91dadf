package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// viewers is how many connections fetch at a time; each is kept alive.
const viewers = 8

// BenchmarkSegmentServing fetches media segments from Weir (a moof made for each request, then the
// record's bytes), and the same bytes from nginx as ready-made files, without and with TLS (one
// certificate, one cipher suite), on the machine as it is. The two take turns of some 50 ms, and
// change who goes first.
//
// An iteration is a run of twenty turns of each. The benchmark reports, over the runs, the median
// requests a second and CPU seconds per gigabyte of each, and the median, least and greatest ratio
// of Weir to nginx. A bare handler of net/http sends the same files after them, and shows what of
// that is net/http's: floor-ratio is its processor time to nginx's, over-floor Weir's to its.
func BenchmarkSegmentServing(b *testing.B) {
	nginx := nginxPath(b)
	for _, scheme := range []string{"http", "https"} {
		for _, size := range []int{200_000, 2_000_000} {
			b.Run(fmt.Sprintf("%s/%dKB", scheme, size/1000), func(b *testing.B) {
				serveSegments(b, nginx, scheme == "https", size)
			})
		}
	}
}

func serveSegments(b *testing.B, nginx string, secure bool, size int) {
	s := start(b, "", "--hls-fragment-rate=0") // one session fetches as fast as it can
	urls := pushSegments(b, s, size)
	files := mirror(b, urls)
	var pair *keyPair
	if secure {
		pair = newKeyPair(b, files)
		plain := s.URL
		s.stop()
		s = start(b, s.Data, "--hls-fragment-rate=0", "--tls-cert", pair.certificate, "--tls-key",
			pair.key)
		for i := range urls {
			urls[i] = s.URL + strings.TrimPrefix(urls[i], plain)
		}
	}
	weir := newSide(b, urls, pair, s.cmd.Process.Pid)
	floorURLs, floorPID := startFloor(b, files, len(urls), pair)
	floor := newSide(b, floorURLs, pair, floorPID)
	urls, workers := startNginx(b, nginx, files, len(urls), pair)
	peer := newSide(b, urls, pair, workers...)
	if weir.cipher != peer.cipher {
		b.Fatalf("Weir speaks %s, nginx %s", weir.cipher, peer.cipher)
	}
	for b.Loop() {
		for turn := range 20 {
			first, second := weir, peer
			if turn%2 == 1 {
				first, second = peer, weir
			}
			first.turn(80_000_000 / int64(size))
			second.turn(80_000_000 / int64(size))
			floor.turn(80_000_000 / int64(size))
		}
		floor.endRun()
		weir.endRun()
		peer.endRun()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(weir.requests), "weir-req/s")
	b.ReportMetric(median(peer.requests), "nginx-req/s")
	b.ReportMetric(median(weir.cpu), "weir-cpu-s/GB")
	b.ReportMetric(median(peer.cpu), "nginx-cpu-s/GB")
	reportSpread(b, map[string][]float64{
		"cpu-ratio": ratios(weir.cpu, peer.cpu), "floor-ratio": ratios(floor.cpu, peer.cpu),
		"over-floor": ratios(weir.cpu, floor.cpu),
		"req-ratio":  ratios(weir.requests, peer.requests),
	})
}

// reportSpread reports the median, least and greatest value of each figure.
func reportSpread(b *testing.B, figures map[string][]float64) {
	for name, values := range figures {
		b.ReportMetric(median(values), name)
		b.ReportMetric(slices.Min(values), name+"-min")
		b.ReportMetric(slices.Max(values), name+"-max")
	}
}

// besideSimplest measures Weir, nginx and the simplest form of Weir's own code, which take turns,
// and reports their processor time, and Weir's as a ratio to that of the others.
func besideSimplest(b *testing.B, sides []*side) {
	for b.Loop() {
		for turn := range 12 {
			for i := range sides {
				sides[(i+turn)%len(sides)].turn(8)
			}
		}
		for _, side := range sides {
			side.endRun()
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range []string{"weir", "nginx", "simplest"} {
		b.ReportMetric(median(sides[i].cpu), name+"-cpu-s/GB")
	}
	reportSpread(b, map[string][]float64{
		"cpu-ratio":      ratios(sides[0].cpu, sides[1].cpu),
		"simplest-ratio": ratios(sides[0].cpu, sides[2].cpu),
	})
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
			p.body.Write(syntheticCluster(base+int64(k)*syntheticMillis,
				syntheticPayload("bench", k, size)))
		}
		p.body.Write(endOfFragment())
	}()
	p.persisted(b, fragments)
	u := s.hls("bench", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
		everything("PRODUCER_TIMESTAMP"))
	segments, _ := parsePlaylist(b, mediaPlaylist(u, 1))
	var urls []string
	for _, seg := range segments {
		urls = append(urls, seg.uri)
	}
	return urls
}

// side is a server under measurement, and what its runs came to.
type side struct {
	b        *testing.B
	urls     []string
	pids     []int
	client   *http.Client
	cipher   string                         // the protocol and cipher suite; empty without TLS
	open     func() (*http.Response, error) // instead of a GET of a URL
	limit    int64                          // bytes of an answer that are read; 0: all
	requests []float64                      // a second, of each run
	cpu      []float64                      // seconds per GB, of each run

	// Of the turns of this run so far.
	made, bytes    int64
	elapsed, spent time.Duration
}

// newSide takes the server of the URLs, which has the given processes, and the given key pair if it
// speaks TLS.
func newSide(b *testing.B, urls []string, pair *keyPair, pids ...int) *side {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: viewers, DisableCompression: true}
	s := &side{b: b, urls: urls, pids: pids, client: &http.Client{Transport: transport}}
	if pair != nil {
		roots := x509.NewCertPool()
		roots.AddCert(pair.parsed)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	b.Cleanup(s.client.CloseIdleConnections)
	if res, err := s.client.Head(urls[0]); err != nil {
		b.Fatal(err)
	} else if state := res.TLS; state != nil {
		s.cipher = tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
	}
	s.warm(int64(4 * len(urls)))
	return s
}

// warm makes requests that do not count, after which everything is known and in memory.
func (s *side) warm(requests int64) {
	s.turn(requests)
	s.endRun()
	s.requests, s.cpu = nil, nil
}

// fetch reads an answer.
func (s *side) fetch(i int64) (int64, error) {
	open := s.open
	if open == nil {
		open = func() (*http.Response, error) { return s.client.Get(s.urls[i%int64(len(s.urls))]) }
	}
	res, err := open()
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("answer: %s", res.Status)
	}
	if s.limit > 0 {
		return io.CopyN(io.Discard, res.Body, s.limit)
	}
	return io.Copy(io.Discard, res.Body)
}

// turn makes so many requests over the connections, each as fast as it is answered.
func (s *side) turn(requests int64) {
	var next, bytes atomic.Int64
	var wg sync.WaitGroup
	before, began := cpuTime(s.b, s.pids), time.Now()
	for range viewers {
		wg.Go(func() {
			for i := next.Add(1); i <= requests; i = next.Add(1) {
				n, err := s.fetch(i)
				if err != nil {
					s.b.Error(err)
					return
				}
				bytes.Add(n)
			}
		})
	}
	wg.Wait()
	s.elapsed += time.Since(began)
	s.spent += cpuTime(s.b, s.pids) - before
	s.made += requests
	s.bytes += bytes.Load()
}

// endRun notes the sums of the turns since the last run.
func (s *side) endRun() {
	s.requests = append(s.requests, float64(s.made)/s.elapsed.Seconds())
	s.cpu = append(s.cpu, s.spent.Seconds()/(float64(s.bytes)/1e9))
	s.made, s.bytes, s.elapsed, s.spent = 0, 0, 0, 0
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// ratios returns a[i]/b[i].
func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// cpuTime is what the processes have used so far, in user and system mode, from their clocks
// (clock_gettime(2)).
func cpuTime(b testing.TB, pids []int) time.Duration {
	b.Helper()
	// CPUCLOCK_SCHED of the kernel: all threads of the process, in nanoseconds
	const schedulerClock = 2
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
