package e2e_test

import (
	"bytes"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var mediaSequence = regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)`)

// newestSegment is the media sequence number of the last segment of a playlist.
func newestSegment(t *testing.T, playlist []byte) int {
	t.Helper()
	m := mediaSequence.FindSubmatch(playlist)
	if m == nil {
		t.Fatalf("no playlist:\n%s", playlist)
	}
	first, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return first + bytes.Count(playlist, []byte("#EXTINF")) - 1
}

// A viewer of a live stream asks another node each time, while one of them receives it: playlists
// never go back, what they list is there, and once the camera is silent all nodes have the same
// playlist byte by byte.
func TestClusterLiveViewerMoves(t *testing.T) {
	works(t)
	site := newClusterSite(t)
	one, two := site.node("--low-latency", "off"), site.node("--low-latency", "off")
	off := camera(t, one, "live")
	media := mediaPlaylist(awaitLive(t, two, "live"), 1)
	newest, moved := 0, 0
	for began := newestSegment(t, mustGet(t, media)); newest < began+4; moved++ {
		from := []*server{one, two}[moved%2]
		list := mustGet(t, at(media, from.URL))
		n := newestSegment(t, list)
		if n < newest {
			t.Fatalf("after segment %d another node shows a playlist that ends in %d", newest, n)
		}
		if n > newest { // and is there, at the node that has not listed it
			lines := strings.Split(strings.TrimSpace(string(list)), "\n")
			other := []*server{two, one}[moved%2]
			if status, _, _ := get(t, other.URL+"/hls/v1/"+lines[len(lines)-1]); status !=
				http.StatusOK {
				t.Errorf("segment %d: %d", n, status)
			}
		}
		newest = n
		time.Sleep(20 * time.Millisecond) // a player polls, though not so often
	}
	off()
	// Whatever was sent is stored at once, so that the state settles.
	within(t, 20*time.Second, "both nodes have the same playlist", func() bool {
		return bytes.Equal(mustGet(t, at(media, one.URL)), mustGet(t, at(media, two.URL)))
	})
}
