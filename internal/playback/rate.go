package playback

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"weir/internal/api"
	"weir/internal/store"
)

// maxRateLimits bounds how many streams and sessions are remembered at a time.
const maxRateLimits = 16_384

// action is what a session is asked for.
type action uint8

const (
	getMasterPlaylist action = iota
	getMediaPlaylist
	getInitSegment
	getMediaSegment
	getManifest
	openHLS
	openDASH
	getMedia // of a stream, not of a session
)

// name is the action in the API's words, limited together with those like it.
func (a action) name() string {
	return [...]string{"GetHLSMasterPlaylist", "GetHLSMediaPlaylist", "GetMP4InitFragment",
		"GetMP4MediaFragment",
		"GetDASHManifest", "GetHLSStreamingSessionURL", "GetDASHStreamingSessionURL"}[a]
}

// limitKey names a bucket: the session URLs of a stream, or one action of a session.
type limitKey struct {
	id     string
	action action
}

// rateLimits holds token buckets.
type rateLimits struct {
	mu      sync.Mutex
	buckets map[limitKey]*rate.Limiter
}

func newRateLimits() *rateLimits { return &rateLimits{buckets: make(map[limitKey]*rate.Limiter)} }

// allow takes one call from a bucket that is filled at so many calls a second up to depth, and
// reports whether there was one to take.
func (l *rateLimits) allow(key limitKey, perSecond, depth int, now time.Time) bool {
	if perSecond <= 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) >= maxRateLimits {
			l.forget(now)
		}
		b = rate.NewLimiter(rate.Limit(perSecond), depth)
		l.buckets[key] = b
	}
	return b.AllowN(now, 1)
}

// forget drops the buckets that are full again, which say nothing, and when most are in use any
// ones, so that it is not called for every new one.
func (l *rateLimits) forget(now time.Time) {
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(b.Burst()) {
			delete(l.buckets, key)
		}
	}
	for key := range l.buckets {
		if len(l.buckets) <= maxRateLimits*3/4 {
			return
		}
		delete(l.buckets, key)
	}
}

// allowSessionURL takes one call of a stream that opens a session, in a bucket one second deep.
func (s *Service) allowSessionURL(id store.StreamID, a action, now time.Time) error {
	n := s.limits.SessionURLsPerSecond
	if !s.rate.allow(limitKey{string(id), a}, n, n, now) {
		return api.Errorf(api.ClientLimitExceededException,
			"The stream allows %d calls of %s per second.", n, a.name())
	}
	return nil
}

// throttle takes one request of a session. Buckets are a few seconds deep (api/limits.go), and the
// fragments' as deep as reading the whole playlist several times: a player may fetch as fast as it
// can, once, and seek.
func (s *Service) throttle(id string, p *parameters, a action, now time.Time) error {
	perSecond := s.limits.PlaylistsPerSecond
	depth := api.RateBurstSeconds * perSecond
	whole := api.FragmentReadsBurst * p.max * len(p.tracks)
	switch a {
	case getMediaSegment:
		perSecond = s.limits.FragmentsPerSecond
		depth = perSecond + whole
	case getInitSegment: // some players ask for it again at each discontinuity
		depth += whole
	}
	if !s.rate.allow(limitKey{id, a}, perSecond, depth, now) {
		return api.Errorf(api.ClientLimitExceededException,
			"The streaming session allows %d requests of %s per second; a session URL must not "+
				"be shared between players.", perSecond, a.name())
	}
	return nil
}
