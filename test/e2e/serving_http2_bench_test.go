package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// BenchmarkSegmentsOverHTTP2 fetches media segments over TLS from the listener for players, with
// HTTP/1.1 and with HTTP/2, each over as many connections, in turns. Reported are of the runs the
// processor seconds per gigabyte of each, in the median, and median, least and most of their ratio.
func BenchmarkSegmentsOverHTTP2(b *testing.B) {
	for _, size := range []int{200_000, 2_000_000} {
		b.Run(fmt.Sprintf("%dKB", size/1000), func(b *testing.B) {
			pair := newKeyPair(b, b.TempDir())
			s := start(b, "", "--hls-fragment-rate=0")
			urls := pushSegments(b, s, size)
			plain := s.URL
			s.stop()
			s = start(b, s.Data, "--hls-fragment-rate=0", "--playback-listen", "127.0.0.1:0",
				"--playback-tls-cert", pair.certificate, "--playback-tls-key", pair.key)
			players := playersAt.FindString(s.log.String())
			for i := range urls {
				urls[i] = players + strings.TrimPrefix(urls[i], plain)
			}
			one := newSide(b, urls, pair, s.cmd.Process.Pid)
			two := newSide(b, urls, pair, s.cmd.Process.Pid)
			two.open = overHTTP2(b, urls, pair)
			two.warm(int64(4 * len(urls)))
			for b.Loop() {
				for turn := range 10 {
					sides := []*side{one, two}
					for i := range sides {
						sides[(i+turn)%2].turn(80_000_000 / int64(size))
					}
				}
				one.endRun()
				two.endRun()
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(one.cpu), "http1-cpu-s/GB")
			b.ReportMetric(median(two.cpu), "http2-cpu-s/GB")
			reportSpread(b, map[string][]float64{"http2-ratio": ratios(two.cpu, one.cpu)})
		})
	}
}

// playersAt is where the server's log says that players go.
var playersAt = regexp.MustCompile(`https://[0-9.:]+`)

// overHTTP2 returns what fetches one of the URLs after the other, over as many connections as there
// are viewers.
func overHTTP2(b *testing.B, urls []string, pair *keyPair) func() (*http.Response, error) {
	roots := x509.NewCertPool()
	roots.AddCert(pair.parsed)
	clients := make(chan *http.Client, viewers)
	for range viewers {
		transport := &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{RootCAs: roots}}
		b.Cleanup(transport.CloseIdleConnections)
		clients <- &http.Client{Transport: transport}
	}
	next := make(chan int, 1)
	next <- 0
	return func() (*http.Response, error) {
		i := <-next
		next <- (i + 1) % len(urls)
		c := <-clients
		res, err := c.Get(urls[i])
		if err == nil && res.ProtoMajor != 2 {
			err = fmt.Errorf("answered over %s", res.Proto)
		}
		clients <- c
		return res, err
	}
}
