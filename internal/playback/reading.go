package playback

import (
	"bytes"
	"context"
	"slices"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// reading is a fragment that is read while it is coming in.
type reading struct {
	coming *live.Fragment // nil: none
	hold   *live.Hold     // of coming; nil when it cannot be read
	match  timeline.Match
	order  [timeline.MaxTracks]int // of the session's tracks in coming.Tracks; -1: not there
}

// leave ends reading.
func (r *reading) leave() {
	if r.hold != nil {
		r.hold.Release()
	}
	r.coming, r.hold = nil, nil
}

// follow returns what can be listed of a fragment that is being read, as far as it has come.
func (v *view) follow(r *reading, state *live.State) *timeline.Open {
	g := &media.Fragment{Tracks: r.coming.Tracks}
	for i := range state.Tracks {
		if run := state.Tracks[i].Final; len(run.Frames) > 0 {
			g.Runs = append(g.Runs, run)
		}
	}
	f := store.FragmentInfo{Number: r.coming.Number,
		ProducerTimestamp: r.coming.ProducerTimestamp,
		ServerTimestamp:   r.coming.ServerTimestamp, TrackSet: r.match.Generation.Set}
	return v.state.Follow(v.rules, f, r.match, g, state.Whole != nil && !state.Differs)
}

// approach begins to read a fragment if its tracks are those of the latest entry.
func (s *Service) approach(ctx context.Context, o *request, v *view,
	f *live.Fragment) (r reading, err error) {
	known := v.state.Generations
	r.coming = f
	if v.state.Generation >= len(known) {
		return r, nil
	}
	current, err := v.class(ctx, s, o, known[v.state.Generation].Set)
	if err != nil {
		return r, err
	}
	c := v.same.classify(f.Tracks)
	if !c.ok || !c.equal(current) {
		return r, nil
	}
	r.match = timeline.Match{Index: v.state.Generation, Generation: known[v.state.Generation]}
	for i := range r.order {
		r.order[i] = -1
		if i < len(o.p.tracks) {
			r.order[i] = slices.IndexFunc(f.Tracks, func(t media.Track) bool {
				return t.Number == o.p.tracks[i].Number
			})
		}
	}
	r.hold = f.Hold()
	return r, nil
}

// sentAgain reports whether the parts of the open fragment, which broke off, stay listed. The
// producer may resend it from its start, as SDKs do. If the resend begins with the same frames, it
// takes the fragment's place. This ends when the edge drops the broken fragment, because its parts
// cannot be read any more then. coming is the fragment that is coming in, or nil.
func (s *Service) sentAgain(ctx context.Context, o *request, v *view,
	coming *live.Fragment) (waits bool, err error) {
	l := v.low
	if l.hold == nil {
		return false, nil
	}
	said, ok := l.hold.State()
	if !ok || said.Differs || coming == nil {
		return ok && !said.Differs, nil
	}
	if l.again.coming != coming {
		l.again.leave()
		if l.again, err = s.approach(ctx, o, v, coming); err != nil {
			return false, err
		}
	}
	if l.again.hold == nil {
		return false, nil
	}
	state, ok := l.again.hold.State()
	if !ok {
		return false, nil
	}
	next := v.follow(&l.again, &state)
	if next == nil {
		return state.Whole == nil, nil // too little has come
	}
	same, all := l.open.Resumes(v.rules, next)
	if !same || !all {
		return same, nil
	}
	for i := range v.rules.Tracks {
		if n := len(l.open.Parts[i]); n > 0 {
			last := &l.open.Parts[i][n-1]
			if end := last.Offset + last.Size; !bytes.Equal(
				said.Tracks[l.order[i]].Payload[:end],
				state.Tracks[l.again.order[i]].Payload[:end]) {
				return false, nil
			}
		}
	}
	next.Resume(l.open)
	l.leave()
	l.reading, l.again, l.open = l.again, reading{}, next
	return true, nil
}
