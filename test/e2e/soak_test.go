package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSoak shows that a server that runs for long stops growing (`make soak`). Producers send,
// viewers follow and renew their sessions, and memory, open files and goroutines must not be
// higher in the last third than in the second. Everything is faster than in real life, so that
// what is bounded by a count or by bytes reaches its bound: each producer sends twenty fragments a
// second, and a session is renewed after some seconds. At the end, the heap's profile is in the
// directory that WEIR_SOAK_PROFILE names.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("WEIR_SOAK"))
	if err != nil {
		t.Skip("WEIR_SOAK is no duration; `make soak` runs it")
	}
	const producers, viewers = 10, 4
	const apart = 50 * time.Millisecond // between the fragments of a producer
	const renewal = 5 * time.Second
	s := start(t, "", "--metrics-listen", "127.0.0.1:0")
	metrics := metricsAddress(t, s)
	for i := range producers {
		s.run("weir", "create-stream", "--stream-name", fmt.Sprint("soak", i),
			"--data-retention-in-hours", "24")
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range producers {
		all.Go(func() { soakProducer(t, s, fmt.Sprint("soak", i), apart, stop) })
	}
	for i := range viewers {
		all.Go(func() { soakViewer(t, s, fmt.Sprint("soak", i), renewal, stop) })
	}

	names := []string{"process_resident_memory_bytes", "go_memstats_heap_inuse_bytes",
		"process_open_fds", "go_goroutines"}
	var samples [][]float64
	every := max(length/60, time.Second)
	for end := time.Now().Add(length); time.Now().Before(end) && !t.Failed(); {
		time.Sleep(every) // a sample is of a moment
		row := gauges(t, metrics, names)
		samples = append(samples, row)
		t.Logf("%4.0f s: %5.1f MB resident, %5.1f MB heap, %3.0f files, %4.0f goroutines",
			(length - time.Until(end)).Seconds(), row[0]/1e6, row[1]/1e6, row[2], row[3])
	}
	close(stop)
	all.Wait()
	if dir := os.Getenv("WEIR_SOAK_PROFILE"); dir != "" {
		profile := mustGet(t, metrics+"/debug/pprof/heap")
		if err := os.WriteFile(dir+"/soak-heap.pprof", profile, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	third := len(samples) / 3
	for i, name := range names {
		most := func(rows [][]float64) (m float64) {
			for _, row := range rows {
				m = max(m, row[i])
			}
			return m
		}
		second, last := most(samples[third:2*third]), most(samples[2*third:])
		t.Logf("%s: at most %.0f, %.0f and %.0f in the three thirds", name, most(samples[:third]),
			second, last)
		if last > 1.1*second+2 {
			t.Errorf("%s still grows", name)
		}
	}
}

// soakProducer sends small fragments until stop is closed, each when the one before is acknowledged
// and its time has come. It opens a new connection each minute, as producers do when their
// credentials expire.
func soakProducer(t *testing.T, s *server, stream string, apart time.Duration,
	stop <-chan struct{}) {
	for k := 0; ; {
		p, err := connect(s, stream)
		if err != nil {
			t.Error(err)
			return
		}
		p.conn.SetDeadline(time.Time{})
		body := httputil.NewChunkedWriter(p.conn)
		body.Write(syntheticHeader())
		for renew := time.Now().Add(time.Minute); time.Now().Before(renew); k++ {
			select {
			case <-stop:
				p.conn.Close()
				return
			case <-time.After(apart):
			}
			body.Write(syntheticCluster(time.Now().UnixMilli(), syntheticPayload(stream, k, 4_000)))
			body.Write(endOfFragment())
			for {
				a, err := p.next()
				if err != nil || a.EventType == "ERROR" {
					t.Errorf("%s: %+v, %v", stream, a, err)
					p.conn.Close()
					return
				}
				if a.EventType == "PERSISTED" {
					break
				}
			}
		}
		p.conn.Close()
	}
}

// soakViewer plays a stream as hls.js does, and renews its session again and again.
func soakViewer(t *testing.T, s *server, stream string, renewal time.Duration,
	stop <-chan struct{}) {
	base := s.URL + "/hls/v1/"
	uri := regexp.MustCompile(`(?m)^[^#\n]+$|URI="([^"]+)"`)
	for {
		session := awaitLive(t, s, stream)
		list := uri.FindString(string(mustGet(t, session)))
		seen := map[string]bool{}
		for renew := time.Now().Add(renewal); time.Now().Before(renew); {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
			}
			for _, m := range uri.FindAllStringSubmatch(string(mustGet(t, base+list)), -1) {
				name := m[1]
				if name == "" {
					name = m[0]
				}
				if !seen[name] {
					seen[name] = true
					mustGet(t, base+name)
				}
			}
		}
	}
}

// metricsAddress is where the server says that its metrics are.
func metricsAddress(t *testing.T, s *server) string {
	t.Helper()
	m := regexp.MustCompile(`url=(http://\S+)/metrics`).FindStringSubmatch(s.log.String())
	if m == nil {
		t.Fatalf("no address of metrics in the log:\n%s", s.log)
	}
	return m[1]
}

// gauges reads metrics by their names.
func gauges(t *testing.T, address string, names []string) []float64 {
	t.Helper()
	res, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	values := make([]float64, len(names))
	for lines := bufio.NewScanner(io.LimitReader(res.Body, 1<<20)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if i := slices.Index(names, name); i >= 0 {
			if values[i], err = strconv.ParseFloat(value, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return values
}
