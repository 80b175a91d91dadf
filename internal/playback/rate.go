package playback

import (
	"fmt"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

// action is the kind of a request of a session.
type action uint8

const (
	getMasterPlaylist action = iota
	getMediaPlaylist
	getInitSegment
	getMediaSegment
	getManifest
	openHLS
	openDASH
	// getMediaPlaylist that may wait: in a session with parts it counts only if it has not
	reloadPlaylist
)

// name returns the API's name of the action. Actions with the same name have one limit.
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

// allowSessionURL counts a call that opens a session of a stream, in a bucket one second deep.
func (s *Service) allowSessionURL(id store.StreamID, a action, now time.Time) error {
	n := s.limits.SessionURLsPerSecond
	if !s.rate.Allow(limitKey{string(id), a}, n, n, now) {
		return api.Errorf(api.ClientLimitExceededException,
			"The stream allows %d calls of %s per second.", n, a.name())
	}
	return nil
}

// throttle counts a request of a session. Buckets are some seconds deep (api.RateBurstSeconds).
// That of fragments is deep enough to read the whole playlist several times: a player may fetch it
// once as fast as it can, and seek.
func (s *Service) throttle(id string, p *parameters, a action, now time.Time) error {
	if a == reloadPlaylist {
		if p.partTarget > 0 {
			return nil
		}
		a = getMediaPlaylist
	}
	perSecond := s.limits.PlaylistsPerSecond
	depth := api.RateBurstSeconds * perSecond
	viewers := s.limits.viewers()
	whole := api.FragmentReadsBurst * p.max * len(p.tracks)
	switch a {
	case getMediaSegment:
		perSecond = s.limits.FragmentsPerSecond
		depth = perSecond + whole
	case getInitSegment: // some players ask for it again at each discontinuity
		depth += whole
	}
	if s.rate.Allow(limitKey{id, a}, perSecond*viewers, depth*viewers, now) {
		return nil
	}
	shared := "a session URL must not be shared between players"
	if viewers > 1 {
		shared = fmt.Sprintf("a session URL is for %d players", viewers)
	}
	return api.Errorf(api.ClientLimitExceededException,
		"The streaming session allows %d requests of %s per second; %s.", perSecond*viewers,
		a.name(), shared)
}
