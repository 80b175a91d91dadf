package playback

import (
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline"
	"weir/internal/timeline/timelinetest"
)

// actions returns every request that a service answers for a session.
func (r *rig) actions(s *Service) map[string]func(token string) error {
	return map[string]func(token string) error{
		"master": func(token string) error {
			_, err := s.MasterPlaylist(r.Context(), token)
			return err
		},
		"media": func(token string) error {
			_, err := s.MediaPlaylist(r.Context(), token, 1)
			return err
		},
		"init": func(token string) error {
			_, err := s.InitSegment(r.Context(), token, 1, 0)
			return err
		},
		"later init": func(token string) error {
			_, err := s.InitSegment(r.Context(), token, 1, 1)
			return err
		},
		"I-frames": func(token string) error {
			_, err := s.IFramePlaylist(r.Context(), token, 1)
			return err
		},
		"TS segment": func(token string) error {
			_, err := s.TSSegment(r.Context(), token,
				sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(r.camera.Number)})
			return err
		},
		"segment": func(token string) error {
			_, err := s.MediaSegment(r.Context(), token,
				sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(r.camera.Number)})
			return err
		},
	}
}

func TestSessionsEnd(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.sendMedia()
	var tokens []string
	for range 5 {
		tokens = append(tokens, r.open(r.input()))
		r.playlist(r.service, tokens[0], 1)
	}
	tokens = append(tokens, r.open(r.input())) // the sixth closes the first
	never := fakeTokens{}.Seal(
		auth.Claims{SessionID: strings.Repeat("x", 16), Expires: r.store.Clock().Add(time.Hour)})
	services := []*Service{r.service, r.another()}
	for _, s := range services {
		for name, do := range r.actions(s) {
			t.Run(name, func(t *testing.T) {
				wantError(t, do(tokens[0]), api.NotAuthorizedException, "closed")
				wantError(t, do("forged"), api.NotAuthorizedException, "invalid")
				wantError(t, do(never), api.NotAuthorizedException, "closed")
			})
		}
		r.playlist(s, tokens[1], 1)
	}
	r.store.Sleep(5 * time.Minute)
	for _, s := range services {
		for name, do := range r.actions(s) {
			t.Run(name+" later", func(t *testing.T) {
				for _, token := range []string{tokens[5], tokens[0]} {
					wantError(t, do(token), api.NotAuthorizedException,
						"Streaming session token is expired")
				}
			})
		}
	}
	r.camera.sendMedia()
	token := r.open(r.input())
	r.playlist(r.service, token, 1)
	r.store.remove(r.stream.ID)
	_, err := r.service.MediaPlaylist(t.Context(), token, 1)
	wantError(t, err, api.NotAuthorizedException, "closed")
}

func TestSessionURLRate(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	for range 25 {
		r.open(r.input())
	}
	_, err := r.service.OpenHLS(t.Context(), r.stream, "", r.input())
	wantError(t, err, api.ClientLimitExceededException, "25")
	r.store.Sleep(40 * time.Millisecond)
	r.open(r.input())
}

// The same with a replay, whose schedule continues where it was.
func TestLostCommitsOfAReplay(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	for range 5 {
		r.camera.send()
	}
	in := r.replay("", r.store.Clock().UnixMilli()-10_000, 0)
	in.Expires = 43_200
	token := r.open(in)
	check := newRFC(t)
	check.reload(r.playlist(r.service, token, 1))
	for range 3000 { // 100 minutes
		r.camera.send()
	}
	first := r.another()
	for n := range 30 {
		text := r.playlist(first, token, 1)
		check.reload(text)
		if n == 0 && !strings.Contains(text, "#EXT-X-MEDIA-SEQUENCE:3000\n") {
			t.Errorf("the newest are not the last of 3005:\n%s", text)
		}
		for _, s := range []*Service{r.service, r.another()} {
			if got := r.playlist(s, token, 1); got != text {
				t.Fatal(timelinetest.Difference(got, text))
			}
		}
		r.camera.send()
	}
}

// Nobody polls a session for longer than its stream keeps fragments. Fragments that came and went
// are counted, numbers only grow, and every process returns the same playlist.
func TestLostCommits(t *testing.T) {
	for _, mode := range []api.DiscontinuityMode{api.DiscontinuityAlways, api.DiscontinuityNever} {
		r := newRig(t, videoTrack(), audioTrack())
		for range 5 {
			r.camera.send()
		}
		in := r.input()
		in.Expires, in.DiscontinuityMode = 43_200, mode
		token := r.open(in)
		check := newRFC(t)
		r.camera.send()
		check.reload(r.playlist(r.service, token, 1))
		for range 3000 { // 100 minutes
			r.camera.send()
		}
		first := r.another()
		text := r.playlist(first, token, 1)
		check.reload(text)
		if want := "#EXT-X-MEDIA-SEQUENCE:3001\n"; !strings.Contains(text, want) {
			t.Errorf("want %s in\n%s", want, text)
		}
		for range 10 {
			for _, s := range []*Service{r.service, r.another(), first} {
				if got := r.playlist(s, token, 1); got != text {
					t.Fatalf("got\n%s\nwant\n%s", got, text)
				}
			}
			r.camera.send()
			text = r.playlist(r.service, token, 1)
			check.reload(text)
		}
		r.store.Sleep(61 * time.Minute)
		_, err := r.service.MediaPlaylist(t.Context(), token, 1)
		wantError(t, err, api.ResourceNotFoundException, api.MessageNoFragments)
		r.camera.send()
		check.reload(r.playlist(r.service, token, 1))
	}
}

// A session of an incompatible version counts as closed, not as a fault of the server, so that the
// player asks for a new one. That holds for a server that has served it before, too: a later
// version goes on with sessions of an earlier one while both run.
func TestSessionOfAnotherVersion(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	token := r.open(r.input())
	served := r.another()
	r.playlist(served, token, 1)
	for _, c := range []struct {
		service *Service
		change  func(*store.Session)
	}{
		{r.another(), func(s *store.Session) { s.Parameters[0]++ }},
		{r.another(), func(s *store.Session) { s.Checkpoint[0] += 16 }},
		{served, func(s *store.Session) { s.Checkpoint[0] += 16 }},
	} {
		r.store.session = c.change
		_, err := c.service.MediaPlaylist(t.Context(), token, 1)
		wantError(t, err, api.NotAuthorizedException, "another version")
	}
}

func TestSilentCameraKeepsItsPlaylist(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	in := r.input()
	in.Expires = 3600
	token := r.open(in)
	want := r.playlist(r.service, token, 1)
	r.store.Sleep(10 * time.Minute)
	if got := r.playlist(r.service, token, 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCheckpointsAreFew(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	in := r.input()
	in.Expires = 43_200
	token := r.open(in)
	for range 640 {
		r.camera.send()
		r.playlist(r.service, token, 1)
	}
	if r.store.saves < 9 || r.store.saves > 11 {
		t.Errorf("%d checkpoints for 640 fragments", r.store.saves)
	}
	if n := r.checkpoint(token); n > 2000 {
		t.Errorf("a checkpoint of %d bytes for the last %d fragments", n, timeline.History)
	}
	r.store.failSave = true
	began := r.store.Clock()
	for range 200 {
		r.camera.send()
		r.playlist(r.service, token, 1)
	}
	if n, most := strings.Count(r.log.String(), "disk on fire"),
		int(r.store.Clock().Sub(began)/checkpointRetry)+1; n < 2 || n > most {
		t.Errorf("a checkpoint that cannot be written was tried %d times, want 2 to %d", n, most)
	}
}

func TestConcurrentReaders(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	r.camera.send()
	token := r.open(r.input())
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				if _, err := r.service.MediaPlaylist(t.Context(), token, 1+i%2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		r.camera.send()
	}
	group.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	r := newRig(t, videoTrack())
	limits := patient()
	limits.HLSSessionsPerStream, limits.SessionURLsPerSecond, limits.CacheBytes = 0, 0, 100_000
	r.service = New(Options{Store: r.store, Tokens: fakeTokens{}, Limits: limits,
		Clock: r.store.Clock})
	for range 10 {
		r.camera.send()
	}
	for range 200 {
		r.playlist(r.service, r.open(r.input()), 1)
	}
	c := r.service.views
	if c.total > limits.CacheBytes || len(c.byID) != c.order.Len() || len(c.byID) == 0 ||
		len(c.byID) > 25 {
		t.Errorf("%d sessions of %d bytes in the cache", len(c.byID), c.total)
	}
}
