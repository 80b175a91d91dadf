package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// TestPartLatency measures how long after its last frame a part can be read: listed in the answer
// to a blocked request, and whole in the answer to a request for the hinted address. A producer of
// ours sends each frame by itself, so that the moment of sending is known.
func TestPartLatency(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("WEIR_GLASS"))
	if err != nil {
		t.Skip("WEIR_GLASS is no duration; `make glass` runs it")
	}
	length = min(length, time.Minute)
	s := start(t, "", append([]string{"--hls-playlist-rate", "0"},
		strings.Fields(os.Getenv("WEIR_GLASS_SERVE"))...)...)
	s.run("weir", "create-stream", "--stream-name", "parts", "--data-retention-in-hours", "1")
	p, err := connect(s, "parts")
	if err != nil {
		t.Fatal(err)
	}
	p.conn.SetDeadline(time.Now().Add(length + time.Minute))
	camera := &frameCamera{}
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		if err := camera.run(p, stop); err != nil {
			t.Error(err)
		}
	})
	defer sending.Wait()
	defer close(stop)
	sending.Go(func() {
		for {
			if _, err := p.next(); err != nil {
				return
			}
		}
	})
	v := openParts(t, awaitLive(t, s, "parts", "--discontinuity-mode", "ON_DISCONTINUITY",
		"--hls-fragment-selector", "FragmentSelectorType=PRODUCER_TIMESTAMP",
		"--display-fragment-timestamp", "ALWAYS"))
	listed, hinted := camera.follow(t, v, length)
	for name, l := range map[string][]time.Duration{"listed": listed, "hinted": hinted} {
		if len(l) == 0 {
			t.Fatalf("no part was %s", name)
		}
		slices.Sort(l)
		t.Logf("part %s after the frame that follows it: p50 %v, p95 %v, most %v, of %d", name,
			l[len(l)/2].Round(100*time.Microsecond),
			l[len(l)*95/100].Round(100*time.Microsecond),
			l[len(l)-1].Round(100*time.Microsecond), len(l))
	}
}

// frameCamera sends 25 frames a second, one write each, in groups, and knows when it sent which.
type frameCamera struct {
	size  int         // bytes of two frames; 4,000 when 0
	group int         // frames of a fragment; 50 when 0
	grow  atomic.Bool // the next fragment has ten times as many
	mu    sync.Mutex
	begin int64 // of the first frame, milliseconds since 1970
	sent  []time.Time
}

func (c *frameCamera) run(p *putMedia, stop <-chan struct{}) error {
	const apart = 40
	at, group := 0, cmp.Or(c.group, 50)
	if _, err := p.body.Write(syntheticHeader()); err != nil {
		return err
	}
	tick := time.NewTicker(apart * time.Millisecond)
	defer tick.Stop()
	c.mu.Lock()
	c.begin = time.Now().UnixMilli()
	c.mu.Unlock()
	for n := 0; ; n++ {
		frames := syntheticPayload("parts", n, cmp.Or(c.size, 4000))
		frame := frames[1]
		var text []byte
		if at == 0 {
			frame = frames[0]
			text = clusterHead(c.begin + int64(n)*apart)
		}
		text = append(text, simpleBlock(1, int64(at*apart), at == 0, frame)...)
		c.mu.Lock()
		c.sent = append(c.sent, time.Now())
		c.mu.Unlock()
		if _, err := p.body.Write(text); err != nil {
			return err
		}
		if at++; at >= group {
			at, group = 0, cmp.Or(c.group, 50)
			if c.grow.Swap(false) {
				group *= 10
			}
		}
		select {
		case <-tick.C: // the camera's clock
		case <-stop:
			p.body.Write(endOfFragment())
			p.body.Close()
			_, err := fmt.Fprint(p.conn, "\r\n")
			return err
		}
	}
}

// follow blocks for part after part, in the playlist and at the hinted address, and says how long
// after its last frame each part was there.
func (c *frameCamera) follow(
	t *testing.T, v *partsViewer, length time.Duration,
) (listed, hinted []time.Duration) {
	t.Helper()
	list := v.lists[0]
	awaitHint(t, v, list)
	first := list.known.Segments[0]
	_, data, _ := v.read(list.url, first.Map.URI)
	in, _ := conformance.ParseInit(data)
	_, data, _ = v.read(list.url, first.URI)
	zero, _ := conformance.ParseFragment(in, first.URI, data)
	// Where the session's first frame is among the camera's; groups are read whole.
	offset := (first.Date.UnixMilli()-c.begin)/40 - zero.Start*25/zero.Scale
	for end := time.Now().Add(length); time.Now().Before(end); {
		msn, part := list.known.Next()
		hint := list.known.Hints[0].URI
		var came time.Time
		var data []byte
		var waiting sync.WaitGroup
		waiting.Go(func() {
			_, data, _ = v.read(list.url, hint)
			came = time.Now()
		})
		m, status, _ := v.playlist(list, fmt.Sprintf("&_HLS_msn=%d&_HLS_part=%d", msn, part))
		there := time.Now()
		waiting.Wait()
		if m == nil {
			t.Fatalf("status %d", status)
		}
		has := m.Has(msn, part)
		list.known = m
		timing, f := conformance.ParseFragment(in, hint, data)
		if len(f) > 0 || !has || len(data) == 0 {
			continue // nothing came in time
		}
		next := offset + (timing.Start+timing.Duration)*25/timing.Scale
		c.mu.Lock()
		if next >= 0 && next < int64(len(c.sent)) {
			listed = append(listed, there.Sub(c.sent[next]))
			hinted = append(hinted, came.Sub(c.sent[next]))
		}
		c.mu.Unlock()
	}
	return listed, hinted
}
