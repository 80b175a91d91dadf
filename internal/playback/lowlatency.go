package playback

import (
	"bytes"
	"context"
	"slices"
	"time"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// Playlists with parts (RFC 8216bis, "Low-Latency HLS"). The rules are in DESIGN.md and in the
// timeline's.
//
//	lowlatency.go  lowLatency: what a session's view knows of the fragment that is being received
//	reading.go     how such a fragment is read, and recognised when it is resent
//	parts.go       the parts of segments, their names and bytes
//	blocking.go    requests that wait
//	lowtext.go     the text of playlists

const (
	// followIdle is how long a session is followed after a request.
	followIdle = 10 * time.Second
	// partHoldBack is PART-HOLD-BACK in part targets, the least that Apple's authoring
	// specification allows. holdBack is how many target durations behind players stay without parts
	// (RFC 8216 section 6.3.3).
	partHoldBack = 3
	holdBack     = 3
	// newestRuns is how many fragments PART-TARGET is measured on.
	newestRuns = 3
)

// lowLatency is what a view of a session with parts has besides its timeline. It is guarded by
// view.mu. Like the view it is a cache, except for open: parts that were listed must not be
// forgotten while anybody asks for the session.
type lowLatency struct {
	follower *live.Follower // nil: nobody follows
	used     time.Time      // when the session was last asked for

	reading                // the fragment that is open, or could be
	open    *timeline.Open // the fragment that is listed in parts; nil: none
	// how that ended, if it is stored; its commit is seen later, if the store is away for a while
	stored *live.End
	with   *timeline.State // the view's state, with so many complete slices of open
	done   int
	others []*live.Fragment // what comes in beside it, and is not the same one sent again

	seen    []*live.Fragment          // at the last step
	going   []*live.Fragment          // those of them that had not ended
	whole   int                       // how many of them had come whole
	need    [timeline.MaxTracks]int64 // before these times (ns) coming has no more parts
	edge    <-chan struct{}           // closed at a change of the live edge since the last step
	state   listing                   // what can be listed
	changed chan struct{}             // closed when that changes
	next    [timeline.MaxTracks]int64 // sequence numbers of the segments that come next
	parts   map[partsKey]*segmentParts
	written [timeline.MaxTracks][2]writtenPlaylist
}

// listing identifies a state of the playlists.
type listing struct {
	entries int64 // since the state was loaded
	open    store.Number
	parts   [timeline.MaxTracks]int
}

// partTargetOf returns PART-TARGET of a session that begins with a selection, in milliseconds, 0 if
// it has no parts.
func (s *Service) partTargetOf(ctx context.Context, stream *store.Stream, p *parameters,
	sel *selection) (int64, error) {
	if s.partTarget == 0 || p.max < leastSegments || p.mode != timeline.Live ||
		p.format != hlsFragmentedMP4 {
		return 0, nil
	}
	lead := &sel.tracks[0]
	var runs []media.Run
	for i := max(0, len(sel.fragments)-newestRuns); i < len(sel.fragments); i++ {
		if sel.classes[i].tracks[0].Timescale != lead.Timescale {
			continue
		}
		f, err := s.frames(ctx, stream.ID, sel.fragments[i])
		if err != nil {
			return 0, err
		}
		if f == nil {
			continue
		}
		if j := f.RunOf(lead.Number); j >= 0 {
			runs = append(runs, f.Runs[j].Units())
		}
	}
	var sound float64
	if len(sel.tracks) > 1 {
		if aac, err := media.AACOf(&sel.tracks[1]); err == nil {
			sound = float64(aac.FrameLength) * 1000 / float64(aac.SampleRate)
		}
	}
	return timeline.PartTarget(runs, int64(lead.Timescale),
		float64(s.partTarget)/float64(time.Millisecond), sound), nil
}

// settleParts decides whether the session has parts, and how far behind players stay. They must not
// run out of media between the bursts of a producer, nor while fragments wait for their commit
// because they have no sound or begin with an open group. target is in seconds.
func (p *parameters) settleParts(sel *selection, target int64) {
	burst := p.partHoldBack
	p.partHoldBack = 0
	if p.partTarget > target*1000 {
		p.partTarget = 0
	}
	if p.partTarget == 0 {
		return
	}
	p.partHoldBack = max(partHoldBack*p.partTarget, burst+2*p.partTarget)
	newest := &sel.fragments[len(sel.fragments)-1]
	for i := range p.tracks {
		span := newest.Span(p.tracks[i].Number)
		if span == nil || span.Traits&media.LeadingNext != 0 {
			p.partHoldBack = holdBack * target * 1000
		}
	}
	p.partHoldBack = min(p.partHoldBack, max(holdBack*target*1000, partHoldBack*p.partTarget))
}

// lookLive is look for a session with parts: it brings the view to the live edge, which is followed
// from then on.
func (s *Service) lookLive(ctx context.Context, o *request, do func(*view) error) error {
	v := s.followed(ctx, o)
	defer func() {
		weight := v.weight()
		v.mu.Unlock()
		s.views.weigh(o.session.ID, v, weight)
	}()
	v.low.used = s.clock()
	if err := s.step(ctx, o, v); err != nil {
		return err
	}
	return do(v)
}

// followed returns the session's view, locked, and begins to follow the live edge for it, unless
// that is done already. The view is held while it is followed.
func (s *Service) followed(ctx context.Context, o *request) *view {
	for {
		v := s.views.get(o.session.ID, o.session.ExpiresMillis)
		v.mu.Lock()
		if v.low == nil {
			v.low = &lowLatency{changed: make(chan struct{})}
		}
		switch {
		case v.low.follower != nil || s.edge == nil:
			return v
		case s.views.hold(o.session.ID, v):
			if s.beginFollower(*o, v) {
				v.low.follower.AwaitRemote(ctx, othersTime)
			}
			return v
		}
		v.mu.Unlock() // the cache has dropped it meanwhile
	}
}

// othersTime is how long a session's first answer waits for what other nodes receive of its stream:
// a player that comes from there has seen it.
const othersTime = 500 * time.Millisecond

// beginFollower begins to follow the live edge for a view that is held. Once the service has been
// stopped, it releases the view instead, and returns false.
func (s *Service) beginFollower(o request, v *view) bool {
	s.stopping.Lock()
	defer s.stopping.Unlock()
	if s.isStopped() {
		s.views.release(o.session.ID, v)
		return false
	}
	v.low.follower = s.edge.Follow(o.stream.ID)
	s.followers.Go(func() { s.follower(o, v) })
	return true
}

// follower keeps a view at the live edge while the session is asked for, on behalf of all who wait.
func (s *Service) follower(o request, v *view) {
	ctx := context.Background()
	idle := time.NewTicker(followIdle)
	defer idle.Stop()
	for {
		v.mu.Lock()
		l := v.low
		o.now = s.clock()
		if err := s.step(ctx, &o, v); err != nil {
			s.log.Debug("session not followed", "stream", o.stream.Name, "error", err)
		}
		if stopped := s.isStopped(); stopped || o.now.Sub(l.used) >= followIdle {
			if stopped && l.brokeOff() {
				s.leaveGap(ctx, &o, v)
			}
			l.leave()
			l.follower.Close()
			l.follower = nil
			s.views.release(o.session.ID, v)
			v.mu.Unlock()
			return
		}
		changed := l.edge
		v.mu.Unlock()
		for waiting := true; waiting; {
			select {
			case <-changed:
				v.mu.Lock()
				changed = l.await(v)
				waiting = changed != nil
				v.mu.Unlock()
			case <-idle.C:
				waiting = false
			case <-s.stopped:
				waiting = false
			}
		}
	}
}

// await returns a channel to wait for if a step would list nothing more, otherwise nil. It is
// cheap, because it is called for every frame.
func (l *lowLatency) await(v *view) <-chan struct{} {
	fragments, changed := l.follower.Fragments()
	if !slices.Equal(fragments, l.seen) || live.CountWhole(fragments) != l.whole {
		return nil
	}
	if slices.ContainsFunc(l.going, v.mayBeAgain) {
		return nil
	}
	if l.coming == nil || l.hold == nil {
		return changed
	}
	for i, at := range l.order {
		if at >= 0 && l.need[i] != media.NoTime && l.coming.Latest(at) >= l.need[i] {
			return nil
		}
	}
	return changed
}

// step brings the view up to date with the commits and with the fragment that is coming in.
func (s *Service) step(ctx context.Context, o *request, v *view) error {
	l := v.low
	fragments, changed := l.follower.Fragments()
	// Fragments that have ended are committed by now, or never will be.
	l.seen, l.whole, l.edge = fragments, live.CountWhole(fragments), changed
	l.going = live.Going(fragments)
	if err := s.advance(ctx, o, v); err != nil {
		return err
	}
	if l.open != nil && l.stored == nil {
		l.stored = live.Stored(fragments, l.open.Info.Number)
	}
	if l.open != nil && l.stored == nil && l.follower != nil {
		if err := s.resume(ctx, o, v); err != nil {
			return err
		}
	}
	coming := live.After(l.going, v.state.Greatest())
	if l.open != nil {
		coming = live.Numbered(l.going, l.open.Info.Number)
	}
	if !v.listsParts(o) {
		coming = nil
	}
	if err := s.receive(ctx, o, v, coming); err != nil {
		return err
	}
	l.settle(v)
	return nil
}

// leaveGap lists as a gap what was listed of the open fragment.
func (s *Service) leaveGap(ctx context.Context, o *request, v *view) {
	v.state.Break(v.rules, v.low.open)
	v.closeOpen(true)
	s.save(ctx, o, v)
}

// listed returns the state that playlists list: that of the view, with the complete slices of the
// open fragment.
func (v *view) listed() *timeline.State {
	l := v.low
	if l == nil || l.open == nil || len(l.open.Done) == 0 {
		return v.state
	}
	if l.with == nil || l.done != len(l.open.Done) {
		l.with, l.done = v.state.With(l.open), len(l.open.Done)
	}
	return l.with
}

// closeOpen ends the open fragment. gap says that it became a gap: the text of its complete slices
// is another one now.
func (v *view) closeOpen(gap bool) {
	if gap && len(v.low.open.Done) > 0 {
		v.text = [timeline.MaxTracks]trackText{}
	}
	v.low.open, v.low.with, v.low.stored, v.low.others = nil, nil, nil, nil
}

// brokeOff reports whether the open fragment broke off and has not been sent again. The process
// that comes next knows nothing of it: without a gap, players would see the playlist go back.
func (l *lowLatency) brokeOff() bool {
	if l.open == nil || l.stored != nil {
		return false
	}
	if l.coming == nil {
		return true
	}
	end, ended := l.coming.End()
	return ended && (!end.Stored || end.Info.Partial)
}

// leastSegments is how many segments are listed before there are parts and the hint of the next
// one. When Shaka Player 5.2.12 opens a playlist, it looks for captions in three segments, and
// fails if one of these has no URI of its own yet (getClosedCaptionProbeSegments_ in its
// lib/hls/hls_parser.js).
const leastSegments = 3

// listsParts reports whether there are parts in the playlist.
func (v *view) listsParts(o *request) bool {
	if v.low.open != nil {
		return true
	}
	from, to := v.state.Window(v.rules, o.now.UnixMilli(), o.edge())
	return to-from >= leastSegments
}

// receive lists what can be listed of the fragment that is coming in, if any.
func (s *Service) receive(ctx context.Context, o *request, v *view, coming *live.Fragment) error {
	l := v.low
	if l.open != nil && (coming == nil || coming.Number != l.open.Info.Number) {
		return nil // another one began before it, unseen: the next commit decides
	}
	if coming != l.coming || coming != nil && l.hold == nil { // perhaps there is memory again
		l.leave()
		if coming != nil {
			var err error
			if l.reading, err = s.approach(ctx, o, v, coming); err != nil {
				return err
			}
		}
	}
	if l.hold == nil {
		return nil
	}
	state, ok := l.hold.State()
	if !ok {
		l.leave()
		return nil
	}
	open := v.follow(&l.reading, &state)
	if open != nil && open.Listed() {
		if l.open != nil && l.open.Again {
			open.Resume(l.open)
		}
		l.open = open
	}
	l.expect(v.rules, open)
	return nil
}

// expect computes when the next part can be complete at the earliest.
func (l *lowLatency) expect(r *timeline.Rules, open *timeline.Open) {
	const soon = 20 * time.Millisecond
	for i, at := range l.order {
		l.need[i] = media.NoTime
		switch {
		case at < 0:
		case open == nil:
			if latest := l.coming.Latest(at); latest != media.NoTime {
				l.need[i] = latest + soon.Nanoseconds()
			} else {
				l.need[i] = media.NoTime + 1
			}
		default:
			if due, more := open.Due(r, i); more {
				l.need[i] = due
			}
		}
	}
}

// missesGap reports whether the session's checkpoint, whose cursor is saved, has a gap that the
// view does not have: another process has listed parts of a fragment that then broke off.
func (v *view) missesGap(o *request, saved int64) bool {
	if v.low == nil || v.state.Cursor != saved || bytes.Equal(v.saved, o.session.Checkpoint) {
		return false
	}
	v.saved = o.session.Checkpoint
	state, err := timeline.Decode(v.saved, len(o.p.tracks))
	return err == nil && state.Newer(v.state) // whoever needs an unreadable one reports it
}

// forget starts again, because the timeline does.
func (l *lowLatency) forget() {
	l.leave()
	l.open, l.with, l.stored, l.others, l.parts = nil, nil, nil, nil, nil
	l.written = [timeline.MaxTracks][2]writtenPlaylist{}
	l.state = listing{entries: -1}
}

// settle wakes those who wait if there is something new to list.
func (l *lowLatency) settle(v *view) {
	t := v.listed()
	now := listing{entries: t.Gone + int64(len(t.Entries))}
	if l.open != nil {
		now.open = l.open.Info.Number
		for i := range l.open.Parts {
			now.parts[i] = len(l.open.Parts[i])
		}
	}
	if now == l.state {
		return
	}
	l.state = now
	for i := range v.rules.Tracks {
		l.next[i] = t.Next(i)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}
