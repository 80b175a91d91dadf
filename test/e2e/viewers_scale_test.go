package e2e_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// TestManyViewers has viewers who share a session block on reloads of its playlist, over a
// connection each, without fetching media; the camera sends 2 Mbit/s. However many they are, each
// state of the playlist is written once. With WEIR_SCALE=1 there are 2,000, the server has one
// processor, and the test logs how many states each viewer got and what a waiting viewer costs.
func TestManyViewers(t *testing.T) {
	works(t)
	viewers, length := 20, 2*time.Second
	big := os.Getenv("WEIR_SCALE") != ""
	if big {
		viewers, length = 2000, 20*time.Second
	}
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "http1", true: "https2"}[secure], func(t *testing.T) {
			watchTogether(t, viewers, length, big, secure)
		})
	}
}

func watchTogether(t *testing.T, viewers int, length time.Duration, pinned, secure bool) {
	pair := newKeyPair(t, t.TempDir())
	args := []string{weirBinary, "serve", "--listen", "127.0.0.1:0", "--log-level", "warn",
		"--viewers-per-session", fmt.Sprint(viewers + 1), "--max-connections", "0",
		"--playback-listen", "127.0.0.1:0"}
	if secure {
		args = append(args, "--playback-tls-cert", pair.certificate, "--playback-tls-key",
			pair.key)
	}
	if pinned {
		args = append([]string{"taskset", "-c", "0"}, args...)
	}
	data := t.TempDir()
	s := startCommand(t, data, exec.Command(args[0], append(args[1:], "--data", data)...))
	s.run("weir", "create-stream", "--stream-name", "parts", "--data-retention-in-hours", "1")
	p, err := connect(s, "parts")
	if err != nil {
		t.Fatal(err)
	}
	p.conn.SetDeadline(time.Now().Add(length + 2*time.Minute))
	camera, stop := &frameCamera{size: 20_000}, make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		if err := camera.run(p, stop); err != nil {
			t.Error(err)
		}
	})
	sending.Go(func() {
		for _, err := p.next(); err == nil; _, err = p.next() {
		}
	})
	defer sending.Wait()
	defer close(stop)

	c := &crowd{t: t, secure: secure, seen: map[string]*state{}}
	c.list = mediaPlaylist(awaitLive(t, s, "parts"), 1)
	c.join(1)
	c.settle(1)
	alone := residentMB(t, s.cmd.Process.Pid)
	c.join(viewers - 1)
	c.settle(viewers)
	waiting := residentMB(t, s.cmd.Process.Pid)
	written, answers := s.figure("weir_hls_playlists_written_total"), c.answers.Load()
	spent, began := cpuTime(t, []int{s.cmd.Process.Pid}), time.Now()
	time.Sleep(length) // what is measured
	spent, took := cpuTime(t, []int{s.cmd.Process.Pid})-spent, time.Since(began)
	answers = c.answers.Load() - answers
	written = s.figure("weir_hls_playlists_written_total") - written
	c.leave()
	late := c.late()
	t.Logf("%d viewers: %.0f states of the playlist, %.1f answers each; %.2f of a processor, "+
		"%.0f µs a viewer and second; %.1f KB a waiting viewer; answered after the first one: "+
		"p50 %v, p99 %v, most %v", viewers, written, float64(answers)/float64(viewers),
		spent.Seconds()/took.Seconds(),
		float64(spent.Microseconds())/took.Seconds()/float64(viewers),
		float64(waiting-alone)*1024/float64(viewers-1), late[len(late)/2],
		late[len(late)*99/100], late[len(late)-1])
	// Five parts a second, and each fragment's commit.
	if most := 6 * took.Seconds(); written > most {
		t.Errorf("%.0f playlists were written in %v", written, took)
	}
}

// crowd are viewers of one playlist.
type crowd struct {
	t       *testing.T
	secure  bool
	list    string // the playlist's URL
	answers atomic.Int64
	settled atomic.Int64 // viewers who have had two answers
	gone    atomic.Bool
	running sync.WaitGroup

	mu    sync.Mutex
	seen  map[string]*state // by text
	conns []io.Closer
}

// state is a state of the playlist: what is asked for after it, and when it came.
type state struct {
	next string
	came []time.Time
}

// join lets more viewers watch.
func (c *crowd) join(n int) {
	for range n {
		get := c.connect()
		c.running.Go(func() {
			next := ""
			for i := 0; !c.gone.Load(); i++ {
				text, err := get(c.list + next)
				if err != nil {
					if !c.gone.Swap(true) {
						c.t.Error(err) // the first one ends all
					}
					return
				}
				next = c.came(text)
				c.answers.Add(1)
				if i == 1 {
					c.settled.Add(1)
				}
			}
		})
	}
}

// connect returns what fetches over a connection of its own: HTTP/1.1, or HTTP/2 over TLS.
func (c *crowd) connect() func(address string) (string, error) {
	u, err := url.Parse(c.list)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.secure {
		transport := &http.Transport{ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true}
		client := &http.Client{Transport: transport}
		c.mu.Lock()
		c.conns = append(c.conns, idleCloser{transport})
		c.mu.Unlock()
		return func(address string) (string, error) { return body(client.Get(address)) }
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.conns = append(c.conns, conn)
	c.mu.Unlock()
	in := bufio.NewReader(conn)
	return func(address string) (string, error) {
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
			strings.TrimPrefix(address, u.Scheme+"://"+u.Host), u.Host)
		if err != nil {
			return "", err
		}
		return body(http.ReadResponse(in, nil))
	}
}

type idleCloser struct{ *http.Transport }

// Close implements io.Closer.
func (c idleCloser) Close() error { c.CloseIdleConnections(); return nil }

func body(res *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return string(text), err
}

// came notes an answer, and returns what is asked for next: the part after the last one.
func (c *crowd) came(text string) (next string) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seen[text]
	if s == nil {
		m, faults := conformance.ParseMedia([]byte(text))
		if len(faults) > 0 {
			c.t.Error(faults)
		}
		msn, part := m.Next()
		s = &state{next: fmt.Sprintf("&_HLS_msn=%d&_HLS_part=%d", msn, part)}
		c.seen[text] = s
	}
	s.came = append(s.came, now)
	return s.next
}

// settle waits until so many viewers have blocked and were answered.
func (c *crowd) settle(viewers int) {
	c.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		n := c.settled.Load()
		if n >= int64(viewers) {
			return
		}
		if c.gone.Load() || time.Now().After(deadline) {
			c.t.Fatalf("%d of %d viewers were answered", n, viewers)
		}
	}
}

// leave ends all viewers.
func (c *crowd) leave() {
	c.gone.Store(true)
	if !c.secure {
		for _, conn := range c.conns {
			conn.Close()
		}
	}
	c.running.Wait()
	for _, conn := range c.conns {
		conn.Close()
	}
}

// late is how long after the first viewer each one had a state, sorted.
func (c *crowd) late() (all []time.Duration) {
	for _, s := range c.seen {
		if len(s.came) < len(c.conns)/2 { // before all were there
			continue
		}
		for _, at := range s.came {
			all = append(all, at.Sub(s.came[0]).Round(100*time.Microsecond))
		}
	}
	slices.Sort(all)
	return all
}

// figure is the value of a metric without labels.
func (s *server) figure(name string) float64 {
	s.t.Helper()
	_, text, _ := strings.Cut(string(mustGet(s.t, s.URL+"/metrics")), "\n"+name+" ")
	value, err := strconv.ParseFloat(strings.SplitN(text, "\n", 2)[0], 64)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return value
}
