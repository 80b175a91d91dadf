package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// TestLiveStreams measures what live streams with readers cost the server, with low latency and
// without, in turns (`make scale`). The cameras send 2 Mbit/s in groups of two seconds. A reader
// fetches all there is to show: by parts and blocked reloads if there are any, else by segments.
func TestLiveStreams(t *testing.T) {
	if os.Getenv("WEIR_SCALE") == "" {
		t.Skip("WEIR_SCALE is not set; `make scale` sets it")
	}
	for _, n := range []struct{ streams, readers int }{{1, 1}, {50, 1}, {1, 50}, {1, 200}} {
		t.Run(fmt.Sprintf("%d streams, %d readers each", n.streams, n.readers),
			func(t *testing.T) { compareLive(t, n.streams, n.readers) })
	}
}

func compareLive(t *testing.T, streams, readers int) {
	const turns = 3
	processor, memory := map[string][]float64{}, map[string][]float64{}
	for turn := range 2 * turns {
		mode := []string{"on", "off"}[(turn+turn/2)%2]
		c := measureLive(t, mode, streams, readers)
		processor[mode] = append(processor[mode], c.processor)
		memory[mode] = append(memory[mode], c.memory)
		t.Logf("low latency %s: %.3f of a processor, %.0f MB", mode, c.processor, c.memory)
	}
	for _, mode := range []string{"on", "off"} {
		slices.Sort(processor[mode])
		slices.Sort(memory[mode])
		t.Logf("low latency %s: %.3f of a processor, %.0f MB more than at the start", mode,
			processor[mode], memory[mode])
	}
}

// liveCost is what a server takes: of a processor, and MB of memory more than without streams.
type liveCost struct{ processor, memory float64 }

// measureLive has readers follow streams for ten seconds.
func measureLive(t *testing.T, mode string, streams, readers int) liveCost {
	const warm, length = 3 * time.Second, 10 * time.Second
	s := start(t, "", "--low-latency", mode, "--hls-sessions-per-stream", "0",
		"--max-connections", "0")
	defer s.stop()
	pid := s.cmd.Process.Pid
	idle := residentMB(t, pid)
	stop := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer close(stop)
	for i := range streams {
		stream := fmt.Sprint("live-", i)
		s.run("weir", "create-stream", "--stream-name", stream, "--data-retention-in-hours", "1")
		p, err := connect(s, stream)
		if err != nil {
			t.Fatal(err)
		}
		p.conn.SetDeadline(time.Now().Add(5 * time.Minute))
		running.Go(func() {
			if err := (&frameCamera{size: 20_000}).run(p, stop); err != nil {
				t.Error(err)
			}
		})
		running.Go(func() {
			for _, err := p.next(); err == nil; _, err = p.next() {
			}
		})
	}
	var followed sync.WaitGroup
	var bytes atomic.Int64
	for i := range streams {
		for range readers {
			r := &liveReader{t: t, list: mediaPlaylist(awaitLive(t, s, fmt.Sprint("live-", i)), 1),
				client: &http.Client{Transport: &http.Transport{}}, bytes: &bytes}
			followed.Add(1)
			running.Go(func() { r.follow(stop, followed.Done) })
		}
	}
	followed.Wait()
	time.Sleep(warm)
	before, began, sent := cpuTime(t, []int{pid}), time.Now(), bytes.Load()
	time.Sleep(length) // what is measured
	c := liveCost{(cpuTime(t, []int{pid}) - before).Seconds() / time.Since(began).Seconds(),
		float64(residentMB(t, pid) - idle)}
	rate := float64(bytes.Load()-sent) * 8 / 1e6 / time.Since(began).Seconds()
	if want := 2 * float64(streams*readers); rate < 0.8*want {
		t.Errorf("%d streams, %d readers, %s: %.1f Mbit/s were read of %.1f", streams, readers,
			mode, rate, want)
	}
	return c
}

// liveReader is a player that decodes nothing.
type liveReader struct {
	t      *testing.T
	list   string // its media playlist
	client *http.Client
	bytes  *atomic.Int64 // of media that came
	seen   []string      // addresses of media, the newest last
}

// follow reads what is new until stop; begun is called when there was something.
func (r *liveReader) follow(stop <-chan struct{}, begun func()) {
	defer func() {
		if begun != nil {
			begun()
		}
		r.client.CloseIdleConnections()
	}()
	at, err := url.Parse(r.list)
	for next := ""; err == nil; {
		var text string
		if text, err = body(r.client.Get(r.list + next)); err != nil {
			break
		}
		m, faults := conformance.ParseMedia([]byte(text))
		if len(faults) > 0 {
			err = fmt.Errorf("%v", faults)
			break
		}
		media := addresses(m)
		if r.seen == nil {
			r.seen = media // it begins at the end
		}
		for _, address := range media {
			if err == nil && !slices.Contains(r.seen, address) {
				r.seen = append(r.seen, address)
				err = r.fetch(at, address)
			}
		}
		r.seen = r.seen[max(0, len(r.seen)-200):]
		if begun != nil && len(r.seen) > len(media) {
			begun()
			begun = nil
		}
		wait := m.TargetDuration // without blocked reloads (RFC 8216 section 6.3.4)
		if m.PartTarget > 0 {
			msn, part := m.Next()
			next, wait = fmt.Sprintf("&_HLS_msn=%d&_HLS_part=%d", msn, part), 0
		}
		select {
		case <-stop:
			return
		case <-time.After(wait):
		}
	}
	select {
	case <-stop: // the server may have ended first
	default:
		r.t.Error(err)
	}
}

// addresses are those of a playlist's parts, or of its segments if it has no parts.
func addresses(m *conformance.Media) (all []string) {
	for i := range m.Segments {
		if m.PartTarget == 0 {
			all = append(all, m.Segments[i].URI)
		}
		for _, p := range m.Segments[i].Parts {
			all = append(all, p.URI)
		}
	}
	for _, p := range m.Open.Parts {
		all = append(all, p.URI)
	}
	return all
}

func (r *liveReader) fetch(at *url.URL, address string) error {
	u, err := at.Parse(address)
	if err != nil {
		return err
	}
	data, err := body(r.client.Get(u.String()))
	r.bytes.Add(int64(len(data)))
	return err
}
