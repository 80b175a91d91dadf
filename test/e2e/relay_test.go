package e2e_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/mkv"
)

// beginAt sends to a stream of a node until the test calls stop.
func (c *frameCamera) beginAt(t *testing.T, s *server, stream string) (stop func()) {
	t.Helper()
	p, err := connect(s, stream)
	if err != nil {
		t.Fatal(err)
	}
	p.conn.SetDeadline(time.Now().Add(5 * time.Minute))
	end := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { _ = c.run(p, end) }) // the node may be killed
	sending.Go(func() {
		for {
			if _, err := p.next(); err != nil {
				return
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(end)
		p.conn.Close()
		sending.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// sentFrames is how many frames the camera has sent.
func (c *frameCamera) sentFrames() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

// followAt reads a stream at a node from the newest fragment on, until for so many fragments the
// first frame has come before the camera had sent the last one.
func (c *frameCamera) followAt(t *testing.T, s *server, stream string, fragments int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := s.command(ctx, "weir", "get-media", "--stream-name", stream, "--start-selector",
		"StartSelectorType=NOW", "/dev/stdout")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	r := mkv.NewReader(out, mkv.DefaultLimits())
	for first := int64(-1); fragments > 0; {
		ev, err := r.Next()
		if err != nil {
			t.Fatalf("%d fragments were not read frame by frame: %v", fragments, err)
		}
		switch {
		case ev.Kind == mkv.ClusterStart:
			c.mu.Lock()
			first = (ev.Timecode - c.begin) / 40
			c.mu.Unlock()
		case ev.Kind == mkv.Frame && first >= 0:
			if c.sentFrames() < int(first)+c.group {
				fragments--
			}
			first = -1
		}
	}
}

// What one node receives is seen at another one frame by frame: by GetMedia, and in parts by a
// player whose every request goes to another node and who is never shown less than before. When
// the node that receives is killed, the fragment is a gap at the other one, where the camera goes
// on. It runs alone, because how long a request is blocked is a rule.
func TestLiveAcrossNodes(t *testing.T) {
	site := newClusterSite(t)
	one, two := site.node("--hls-playlist-rate", "0"), site.node("--hls-playlist-rate", "0")
	one.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "1")
	camera := &frameCamera{group: 25}
	camera.beginAt(t, one, "cam")
	one.run("weir", "create-stream", "--stream-name", "fleeting", "--data-retention-in-hours", "0")
	fleeting := &frameCamera{group: 25}
	fleeting.beginAt(t, one, "fleeting")
	fleeting.followAt(t, two, "fleeting", 2) // without retention nothing but this is there
	for _, s := range []*server{one, two} {
		_, stderr, err := s.try("weir", "get-hls-streaming-session-url", "--stream-name",
			"fleeting")
		if err == nil || !strings.Contains(string(stderr), "NoDataRetentionException") {
			t.Errorf("a session without retention: %v\n%s", err, stderr)
		}
	}
	session := awaitLive(t, two, "cam", partsFlags...)
	camera.followAt(t, two, "cam", 2)

	v := openParts(t, at(session, through(t, one, two).URL))
	list := v.lists[0]
	awaitHint(t, v, list)
	v.follow(list, 2)
	v.report(t)
	if v.whole < 1 || v.hints < 3 {
		t.Errorf("%d segments with their parts, %d hinted parts", v.whole, v.hints)
	}

	// A fragment of ten seconds is listed slice by slice.
	camera.grow.Store(true)
	v.grows = true
	v.follow(list, 12)
	v.report(t)
	if v.whole < 10 || v.gaps > 0 {
		t.Errorf("%d segments with their parts, %d gaps", v.whole, v.gaps)
	}

	awaitPart(t, v)
	one.kill()
	host, _ := url.Parse(two.URL)
	list.url.Host = host.Host
	again := &frameCamera{group: 25}
	again.beginAt(t, two, "cam")
	v.follow(list, 2)
	v.report(t)
	gaps := list.gaps()
	if last := list.known.Segments[len(list.known.Segments)-1]; last.Gap || gaps != 1 {
		t.Errorf("%d gaps for the fragment that broke off", gaps)
	}
}
