package playback

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/quota"
	"weir/internal/sessionurl"
)

// The number of waiting requests is limited: for a session, times the viewers who may share it, for
// a stream, and in all. A request beyond a limit is refused at once, and one that leaves makes
// room.
func TestWaitingIsLimited(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		most   int
		code   api.ErrorCode
	}{
		{Limits{WaitingPerSession: 3}, 3, api.ClientLimitExceededException},
		{Limits{WaitingPerSession: 3, Viewers: 4}, 12, api.ClientLimitExceededException},
		{Limits{WaitingPerSession: 9, WaitingPerStream: 5}, 5, api.ServiceUnavailable},
		// of one opener's sessions
		{Limits{WaitingPerSession: 9, WaitingPerStream: 9, Waiting: 8}, 6, api.ServiceUnavailable},
	} {
		lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
			r.service.limits, r.service.waiting = c.limits, newWaiters(&c.limits)
			f := r.begin()
			f.until(330)
			ref := sessionurl.MediaPlaylist{Track: 1,
				Directives: sessionurl.Directives{MSN: strconv.FormatInt(r.read(1).Open.Sequence,
					10), Part: "1"}}
			ctx, leave := context.WithCancel(t.Context())
			began := make(chan struct{}, c.most)
			ctx = OnWait(ctx, func() { began <- struct{}{} })
			for range c.most {
				go r.service.ReloadPlaylist(ctx, r.token, ref)
			}
			synctest.Wait()
			if len(began) != c.most {
				t.Errorf("%d requests wait, want %d", len(began), c.most)
			}
			_, err := r.service.ReloadPlaylist(t.Context(), r.token, ref)
			wantError(t, err, c.code, strconv.Itoa(max(c.most, c.limits.Waiting)))
			r.reload(1, sessionurl.Directives{}) // a request that does not wait is answered
			leave()
			synctest.Wait()
			go r.service.ReloadPlaylist(t.Context(), r.token, ref)
			synctest.Wait()
			if n := r.service.waiting.shares.Used(); n != 1 {
				t.Errorf("%d wait where there is room again", n)
			}
		})
	}
}

// A session that may be shared has the limits of one viewer for each.
func TestViewersOfASession(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.sendMedia()
	limits := LimitsOf(quota.Defaults())
	limits.PlaylistsPerSecond, limits.Viewers = 2, 10
	s := New(Options{Store: r.store, Tokens: fakeTokens{}, Limits: limits, Clock: r.store.Clock})
	token := r.open(r.input())
	for range 10 * 2 * api.RateBurstSeconds {
		r.playlist(s, token, 1)
	}
	_, err := s.MediaPlaylist(t.Context(), token, 1)
	wantError(t, err, api.ClientLimitExceededException, "is for 10 players")
}
