package e2e_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"weir/internal/store/cluster/clustertest"
)

// patience is how long hls.js and Shaka Player wait for a playlist, at most.
const patience = 10 * time.Second

// The database refuses connections, and is silent, while players wait for parts at the node that
// receives the camera and at another one. Every request is answered before a player gives up, with
// a playlist that goes on from the last. What was served before is served again. When the database
// is back, so are the parts.
func TestClusterPartsWithoutDatabase(t *testing.T) {
	waits(t)
	site := newClusterSite(t)
	database := clustertest.NewProxy(t, site.postgres.Address())
	site.reach(database.Address(), site.gateway.Endpoint())
	one, two := site.node("--hls-playlist-rate", "0"), site.node("--hls-playlist-rate", "0")
	one.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "1")
	camera := &frameCamera{group: 25}
	off := camera.beginAt(t, one, "cam")
	session := awaitLive(t, one, "cam", partsFlags...)
	viewers := []*partsViewer{openParts(t, session), openParts(t, at(session, two.URL))}
	for _, v := range viewers {
		list := v.lists[0]
		awaitHint(t, v, list)
		if status, _, _ := v.read(list.url, list.known.Segments[0].URI); status != http.StatusOK {
			t.Fatalf("the first segment: status %d", status)
		}
	}
	for _, f := range []struct {
		name       string
		begin, end func()
	}{
		{"refuses", func() { database.Refuse(true); database.Drop() },
			func() { database.Refuse(false) }},
		{"is silent", func() { database.Silence(true) }, func() { database.Silence(false) }},
	} {
		f.begin()
		var watching sync.WaitGroup
		for _, v := range viewers {
			watching.Go(func() { v.endure(t, f.name) })
		}
		watching.Wait()
		f.end()
		off()
		within(t, time.Minute, "the node is ready again", func() bool {
			status, _, _ := get(t, one.URL+"/readyz")
			return status == http.StatusOK
		})
		again := &frameCamera{group: 25}
		off = again.beginAt(t, one, "cam")
		for _, v := range viewers {
			list := v.lists[0]
			end := list.known.Open.Sequence + 2
			within(t, time.Minute, "parts come again after the database "+f.name, func() bool {
				_ = v.reload(list)
				return list.known.Open.Sequence >= end && len(list.known.Open.Parts) > 0
			})
		}
	}
	for _, v := range viewers {
		v.report(t)
	}
}

// endure reloads for some seconds, and reads again what was served before.
func (v *partsViewer) endure(t *testing.T, name string) {
	list := v.lists[0]
	var longest time.Duration
	for range 4 {
		longest = max(longest, v.reload(list))
		status, _, took := v.read(list.url, list.known.Segments[0].URI)
		if status != http.StatusOK || took > patience {
			v.fault("while the database %s a segment has status %d after %v", name, status, took)
		}
	}
	t.Logf("while the database %s a reload takes %v at most", name, longest)
}
