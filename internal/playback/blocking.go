package playback

import (
	"context"
	"errors"
	"strconv"
	"time"

	"weir/internal/api"
	"weir/internal/sessionurl"
)

// reload is what directives ask for.
type reload struct {
	blocks bool
	msn    int64
	part   int // negative: the whole segment
	skip   bool
}

// reloadOf reads directives. The error is InvalidArgument.
func reloadOf(d *sessionurl.Directives) (reload, error) {
	q := reload{msn: -1, part: -1, skip: d.Skip == "YES" || d.Skip == "v2"}
	if d.MSN == "" {
		if d.Part != "" {
			return q, api.NewError(api.InvalidArgumentException, "_HLS_part without _HLS_msn.")
		}
		return q, nil
	}
	n, err := strconv.ParseUint(d.MSN, 10, 63)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // a number out of range is too far ahead
		return q, api.NewError(api.InvalidArgumentException, "_HLS_msn is not a decimal number.")
	}
	q.blocks, q.msn = true, int64(n)
	if d.Part == "" {
		return q, nil
	}
	part, err := strconv.ParseUint(d.Part, 10, 31)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return q, api.NewError(api.InvalidArgumentException, "_HLS_part is not a decimal number.")
	}
	q.part = int(part)
	return q, nil
}

// How far ahead of the last segment and of the last part a request may be (RFC 8216bis section
// 6.2.5.2), besides the slices that a server which was killed has forgotten. partsAhead counts
// parts, or seconds' worth of parts, whichever allows more. Any part that its segment may have is
// accepted: without lowLatencyMode, hls.js asks for the last one
// (src/controller/base-playlist-controller.ts), and a refusal would end it.
const (
	segmentsAhead = 2
	partsAhead    = 3
)

// blockedShare is the percentage of the target duration after which a request is answered with what
// there is. At 80, hls.js considers a request lost (src/loader/playlist-loader.ts), and then asks
// without directives. It gives up after ten seconds in any case, as Shaka does (connectionTimeout
// in lib/net/backoff.js), so blockedMost is the longest wait.
const (
	blockedShare = 70
	blockedMost  = 8 * time.Second
)

// hintBlocked is how long a request waits for a part that has not come: Shaka gives up after 30
// seconds (its retry parameters).
const hintBlocked = 20 * time.Second

// lowLatencyPlaylist is MediaPlaylist of a session with parts. A request that waits does not count
// against the session's requests per second: how many may wait has a limit of its own.
func (s *Service) lowLatencyPlaylist(ctx context.Context, o *request, track int,
	d *sessionurl.Directives) (text *Playlist, err error) {
	q, err := reloadOf(d)
	if err != nil {
		return nil, err
	}
	if !q.blocks {
		if err := s.throttle(o.session.ID, o.p, getMediaPlaylist, o.now); err != nil {
			return nil, err
		}
	}
	var share time.Duration
	waited, err := s.await(ctx, o, func(v *view) (bool, error) {
		if err := q.refuse(v, track); err != nil {
			return true, err
		}
		share = min(time.Duration(v.state.Target)*time.Second*blockedShare/100, blockedMost)
		has, err := s.has(ctx, o, v, track, q)
		if has || !q.blocks {
			text, err = s.lowText(ctx, o, v, track, q.skip)
		}
		return has, err
	}, func() time.Duration { return share })
	switch {
	case err != nil:
		return nil, err
	case text == nil: // in time for the player nothing has come
		err = s.lookLive(ctx, o, func(v *view) (err error) {
			text, err = s.lowText(ctx, o, v, track, q.skip)
			return err
		})
		return text, err
	case q.blocks && !waited:
		err = s.throttle(o.session.ID, o.p, getMediaPlaylist, o.now)
	}
	return text, err
}

// await brings the session's view up to date and calls done with it, now and whenever there is more
// to list. It stops when done returns true or an error, or when the time of wait, which it calls
// once, is over. It reports whether it has waited.
func (s *Service) await(ctx context.Context, o *request, done func(*view) (bool, error),
	wait func() time.Duration) (waited bool, err error) {
	var v *view
	var changed <-chan struct{}
	over := false
	look := func(at *view) (err error) {
		v, changed = at, at.low.changed
		over, err = done(at)
		return err
	}
	if err := s.lookLive(ctx, o, look); err != nil || over {
		return false, err
	}
	leave, err := s.enter(ctx, o)
	if err != nil {
		return false, err
	}
	defer leave()
	timer := time.NewTimer(wait())
	defer timer.Stop()
	for !over {
		select {
		case <-changed: // the follower has brought the view up to date
		case <-timer.C:
			return true, nil
		case <-s.stopped:
			return true, nil
		case <-ctx.Done():
			return true, ctx.Err()
		}
		o.now = s.clock()
		v.mu.Lock()
		v.low.used = o.now
		err := look(v)
		v.mu.Unlock()
		if err != nil {
			return true, err
		}
	}
	return true, nil
}

// refuse returns the answer to a request for something too far ahead to wait for.
func (q *reload) refuse(v *view, track int) error {
	if !q.blocks {
		return nil
	}
	next, parts := v.low.next[track], 0
	if v.low.open != nil {
		parts = len(v.low.open.Parts[track])
	}
	target := v.rules.PartTarget
	ahead := max(partsAhead, int((partsAhead*1000+target-1)/target))
	most := v.mostParts()
	switch {
	case q.msn >= next+v.segmentsAhead(),
		q.msn > next && q.part >= max(ahead, most),
		q.msn == next && q.part >= max(parts+ahead, most):
		return api.Errorf(api.InvalidArgumentException,
			"The playlist is at segment %d, part %d: what was asked for is too far ahead.", next,
			parts)
	}
	return nil
}

// segmentsAhead is how far ahead of the last segment a request may be: as many slices as the
// longest fragment is listed in, and two segments more.
func (v *view) segmentsAhead() int64 {
	return segmentsAhead + int64(api.MaxFragmentDuration/time.Second)/v.state.Target
}

// mostParts returns the most parts that a segment has: except for the last, none is shorter than
// half a part target.
func (v *view) mostParts() int { return int(2 * v.state.Target * 1000 / v.rules.PartTarget) }

// has reports whether the playlist has what the request waits for.
func (s *Service) has(ctx context.Context, o *request, v *view, track int,
	q reload) (bool, error) {
	next := v.low.next[track]
	msn, part := q.msn, q.part
	if part < 0 || msn < next-1 || !q.blocks {
		return msn < next, nil
	}
	if msn == next-1 { // the latest segment: perhaps the first part of the next one
		e := v.listed().At(track, msn)
		if e == nil {
			return true, nil
		}
		p, err := s.partsOf(ctx, o, v, e)
		if err != nil || part < len(p.tracks[track]) || p.ended[track] {
			return true, err
		}
		msn, part = next, 0
	}
	return msn == next && v.low.open != nil && part < len(v.low.open.Parts[track]), nil
}

// MediaPart returns a part of a segment, or a whole slice, by its name, and waits for it if it may
// follow soon. The caller closes it. The error is ResourceNotFound if it is not one of the
// session's, or does not come in time.
func (s *Service) MediaPart(ctx context.Context, token string,
	ref sessionurl.Part) (*Segment, error) {
	o, err := s.sessionOf(ctx, token, getMediaSegment, hlsFragmentedMP4)
	if err != nil {
		return nil, err
	}
	track := o.p.track(ref.Track)
	if track < 0 || o.p.partTarget == 0 {
		return nil, noTrack(ref.Track)
	}
	var segment *Segment
	var found place
	var wait bool
	_, err = s.await(ctx, o, func(v *view) (bool, error) {
		var err error
		found, wait, err = s.findPart(ctx, o, v, track, ref)
		if err == nil && !wait && found.open {
			segment, err = openPart(o, v, track, &found, moofSequence(ref))
			wait = segment == nil
		}
		return !wait || err != nil, err
	}, func() time.Duration { return hintBlocked })
	if err == nil && segment == nil {
		if wait { // it has not come
			return nil, noFragment()
		}
		segment, err = s.storedPart(ctx, o, &found, track, moofSequence(ref))
	}
	if err != nil {
		return nil, err
	}
	s.metrics.parts.Inc()
	return segment, nil
}
