package playback

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/api"
	"weir/internal/live"
	"weir/internal/sessionurl"
)

// A live session lists as many stored fragments as a playlist may have, also across a gap, and its
// reloads stay small.
func TestLongLivePlaylistReloadsByDeltas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, videoTrack(), audioTrack())
		r.store.retain(r.stream.ID, 24)
		const most = api.MaxMaxFragmentResults
		for i := range most {
			if i == most/2 {
				r.camera.pass(time.Hour.Milliseconds())
			}
			r.camera.send()
		}
		r.camera.sendMedia()
		s := New(Options{Store: r.store, Tokens: longTokens{}, Limits: patient(),
			Clock: r.store.Clock, Edge: live.New(live.Options{}), PartTarget: time.Second / 3})
		defer func() {
			s.Stop()
			synctest.Wait()
		}()
		in := r.input()
		in.Expires, in.MaxMediaPlaylistFragmentResults = api.MaxExpires, most
		in.DiscontinuityMode = api.DiscontinuityOnDiscontinuity
		token, err := tokenOf(s.OpenHLS(t.Context(), r.stream, "", in))
		if err != nil {
			t.Fatal(err)
		}
		read := func(d sessionurl.Directives) *Playlist {
			p, err := s.ReloadPlaylist(t.Context(), token, sessionurl.MediaPlaylist{Track: 1,
				Directives: d})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		whole, delta := read(sessionurl.Directives{}), read(sessionurl.Directives{Skip: "YES"})
		t.Logf("%d bytes, %d with gzip; a delta update %d, %d", len(whole.Text),
			len(whole.Gzip()), len(delta.Text), len(delta.Gzip()))
		if text := string(whole.Text); strings.Count(text, "#EXTINF:") != most ||
			strings.Count(text, "#EXT-X-DISCONTINUITY\n") != 1 {
			t.Errorf("it lists %d fragments", strings.Count(text, "#EXTINF:"))
		}
		if len(delta.Text) > 8<<10 || len(delta.Gzip()) > 1<<10 {
			t.Error("a delta update is large")
		}
	})
}
