package e2e_test

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/test/output"
)

// upgrade is a cluster whose nodes are replaced, with a producer and a viewer that move from node
// to node all the time.
type upgrade struct {
	t      *testing.T
	mu     sync.Mutex
	nodes  []*server // guarded by mu
	turn   int       // likewise
	sent   *crashCamera
	viewer *partsViewer
}

// next returns the node that gets the next request.
func (u *upgrade) next() *server {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.turn++
	return u.nodes[u.turn%len(u.nodes)]
}

func (u *upgrade) change(to ...*server) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nodes = to
}

// goesOn waits until the viewer has more segments and the producer more acknowledgements, and looks
// whether all nodes are ready.
func (u *upgrade) goesOn(when string) {
	u.t.Helper()
	list, acknowledged := u.viewer.lists[0], u.sent.acknowledged()
	end := list.known.Open.Sequence + 3
	within(u.t, time.Minute, "everything goes on: "+when, func() bool {
		u.viewer.reload(list)
		u.viewer.media(list, list.known)
		return list.known.Open.Sequence >= end && u.sent.acknowledged() >= acknowledged+3
	})
	for _, s := range u.nodes {
		if status, _, body := get(u.t, s.URL+"/readyz"); status != http.StatusOK {
			u.t.Errorf("%s: a node says %q", when, body)
		}
	}
}

// TestRollingUpgrade replaces nodes of an older program, which WEIR_UPGRADE_FROM names, by nodes of
// this one, one after the other, over one database (`make upgrade`). Streams, sessions, playlists,
// parts of what another node receives and acknowledgements go on across both.
func TestRollingUpgrade(t *testing.T) {
	from := os.Getenv("WEIR_UPGRADE_FROM")
	if from == "" {
		t.Skip("WEIR_UPGRADE_FROM names no older program; `make upgrade FROM=OLD/weir` does")
	}
	site := newClusterSite(t)
	old := []*server{site.nodeOf(from), site.nodeOf(from)}
	for _, stream := range []string{"cam", "sent"} {
		old[0].run("weir", "create-stream", "--stream-name", stream, "--data-retention-in-hours",
			"24")
	}
	u := &upgrade{t: t, nodes: old, sent: &crashCamera{stream: "sent",
		base: time.Now().Add(-time.Hour).UnixMilli(), acked: map[int]string{}}}
	off := (&frameCamera{group: 25}).beginAt(t, old[0], "cam")
	stop, errs := make(chan struct{}), &output.Buffer{}
	var roaming sync.WaitGroup
	roaming.Go(func() { u.sent.roam(stop, errs, u.next) })
	session := awaitLive(t, old[1], "cam", partsFlags...)
	u.viewer = openParts(t, at(session, balance(t, u.next).URL))
	list := u.viewer.lists[0]
	awaitHint(t, u.viewer, list)
	u.goesOn("two old nodes")
	var fresh []*server
	for i, was := range old {
		now := site.node()
		fresh = append(fresh, now)
		u.change(append(fresh[:i+1:i+1], old[i:]...)...)
		u.goesOn("a new node beside an old one")
		opened := at(mediaPlaylist(awaitLive(t, now, "cam"), 1), was.URL)
		if !bytes.Contains(mustGet(t, opened), []byte("#EXTINF")) {
			t.Error("a session of a new node has no segments at an old one")
		}
		off()
		off = (&frameCamera{group: 25}).beginAt(t, now, "cam")
		u.goesOn("the camera sends to the new node")
		u.change(append(fresh[:i+1:i+1], old[i+1:]...)...)
		was.stop()
		u.goesOn("the old node has stopped")
	}
	close(stop)
	roaming.Wait()
	u.sent.check(t, fresh[0])
	u.viewer.report(t)
	for line := range strings.Lines(errs.String()) {
		t.Errorf("a producer was told %s", line)
	}
	t.Logf("%d segments; %d fragments acknowledged", len(list.known.Segments),
		u.sent.acknowledged())
}
