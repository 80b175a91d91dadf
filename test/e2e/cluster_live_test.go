package e2e_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// newestSegment returns the last segment of a playlist.
func newestSegment(t *testing.T, playlist []byte) conformance.Segment {
	t.Helper()
	m, _ := conformance.ParseMedia(playlist)
	if len(m.Segments) == 0 {
		t.Fatalf("no segment in\n%s", playlist)
	}
	return m.Segments[len(m.Segments)-1]
}

// A viewer of a live stream asks another node each time, while one of them receives the stream.
// Playlists never go back, and what they list is there. Once the camera is silent, all nodes have
// the same playlist, byte by byte.
func TestClusterLiveViewerMoves(t *testing.T) {
	works(t)
	site := newClusterSite(t)
	one, two := site.node("--low-latency", "off"), site.node("--low-latency", "off")
	off := camera(t, one, "live")
	media := mediaPlaylist(awaitLive(t, two, "live"), 1)
	newest, moved := int64(0), 0
	for end := newestSegment(t, mustGet(t, media)).Sequence + 4; newest < end; moved++ {
		from, other := one, two
		if moved%2 == 1 {
			from, other = two, one
		}
		last := newestSegment(t, mustGet(t, at(media, from.URL)))
		if last.Sequence < newest {
			t.Fatalf("after segment %d another node shows a playlist that ends in %d", newest,
				last.Sequence)
		}
		if last.Sequence > newest { // and is there, at the node that has not listed it
			status, _, _ := get(t, other.URL+"/hls/v1/"+last.URI)
			if status != http.StatusOK {
				t.Errorf("segment %d: %d", last.Sequence, status)
			}
		}
		newest = last.Sequence
		time.Sleep(20 * time.Millisecond) // a player polls, though not so often
	}
	off()
	// Whatever was sent is stored at once, so that the state settles.
	within(t, 20*time.Second, "both nodes have the same playlist", func() bool {
		return bytes.Equal(mustGet(t, at(media, one.URL)), mustGet(t, at(media, two.URL)))
	})
}
