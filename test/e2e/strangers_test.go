package e2e_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Strangers who promise bodies of 1 MiB without a signature and hold back the last byte, and
// others who send half a head, take little memory, and a viewer beside them is answered. `make
// attack` does this with 1,600 and 4,000 of them, and prints the figures.
func TestStrangers(t *testing.T) {
	bodies, heads := 100, 300
	if os.Getenv("WEIR_ATTACK") != "" {
		bodies, heads = 1600, 4000
	}
	s := start(t, "")
	s.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "1")
	p, err := connect(s, "cam")
	if err != nil {
		t.Fatal(err)
	}
	p.body.Write(syntheticHeader())
	p.body.Write(syntheticCluster(time.Now().UnixMilli(), syntheticPayload("cam", 0, 50_000)))
	p.body.Write(endOfFragment())
	for a, err := p.next(); a.EventType != "PERSISTED"; a, err = p.next() {
		if err != nil {
			t.Fatal(err)
		}
	}
	p.conn.Close()
	url := s.hls("cam")
	address := strings.TrimPrefix(s.URL, "http://")
	median, p99, failed := watch(url, 300)
	before := residentMB(t, s.cmd.Process.Pid)
	t.Logf("nobody else: %d MB, a playlist %v, p99 %v", before, median, p99)
	if failed > 0 {
		t.Fatalf("%d playlists failed before any stranger came", failed)
	}
	for _, c := range []struct {
		name   string
		number int
		sent   string
	}{
		{"bodies", bodies,
			"POST /listStreams HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" +
				strings.Repeat("x", 1<<20-1)},
		{"heads", heads,
			"GET /listStreams HTTP/1.1\r\nHost: x\r\nCookie: " + strings.Repeat("c", 30_000)},
	} {
		var strangers, sending sync.WaitGroup
		sending.Add(c.number)
		leave := make(chan struct{})
		for range c.number {
			strangers.Go(func() {
				conn, err := net.Dial("tcp", address)
				if err == nil {
					defer conn.Close()
					conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
					io.WriteString(conn, c.sent) // an error: the server has heard enough
				}
				sending.Done()
				<-leave
			})
		}
		sending.Wait()
		median, p99, failed := watch(url, 1000)
		after := residentMB(t, s.cmd.Process.Pid)
		close(leave)
		strangers.Wait()
		t.Logf("beside %d %s: %d MB, a playlist %v, p99 %v", c.number, c.name, after, median, p99)
		// some 30 KB for each, and what the collector has not collected
		if most := before + 60 + c.number/10; after > most || failed > 0 {
			t.Errorf("beside %d %s the server takes %d MB, after %d; %d playlists failed", c.number,
				c.name, after, before, failed)
		}
	}
}

// watch fetches a playlist again and again, at most 20 times a second so that it meets no limit,
// and returns how long that took.
func watch(url string, milliseconds int) (median, p99 time.Duration, failed int) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var took []time.Duration
	for end := time.Now().Add(time.Duration(milliseconds) * time.Millisecond); time.Now().Before(
		end); time.Sleep(60 * time.Millisecond) {
		began := time.Now()
		res, err := client.Get(url)
		if err != nil {
			failed++
			continue
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			failed++
		}
		res.Body.Close()
		took = append(took, time.Since(began))
	}
	if len(took) == 0 {
		return 0, 0, failed
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], failed
}
