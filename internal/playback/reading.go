package playback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// said returns what has come, and false if that cannot be read.
func (r *reading) said() (live.State, bool) {
	if r.hold == nil {
		return live.State{}, false
	}
	return r.hold.State()
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

// mayBeAgain reports whether a fragment that is coming in may be the open one, sent on another
// connection, and has come as far as that is listed.
func (v *view) mayBeAgain(f *live.Fragment) bool {
	open := v.low.open
	if open == nil || v.low.stored != nil || f.Number == open.Info.Number ||
		f.Number <= v.state.Greatest() || slices.Contains(v.low.others, f) {
		return false
	}
	i := slices.IndexFunc(f.Tracks, func(t media.Track) bool {
		return t.Number == v.rules.Tracks[0].Number
	})
	return i < 0 || f.Latest(i) >= open.ListedUntil(v.rules)
}

// resume looks whether the open fragment is sent again, from its start, as SDKs do. What begins
// with the same frames takes its place: if it broke off, when all that was listed has come again,
// otherwise with one part more, because the connection of the open one may have died in silence.
// Players see the one that has come further. What broke off becomes a gap if another fragment
// comes, or when the edge drops it, because its parts cannot be read any more then.
func (s *Service) resume(ctx context.Context, o *request, v *view) error {
	l := v.low
	l.others = slices.DeleteFunc(l.others, func(f *live.Fragment) bool {
		return !slices.Contains(l.going, f)
	})
	comes := live.Numbered(l.going, l.open.Info.Number) != nil
	said, readable := l.said()
	readable = readable && !said.Differs
	gap := !readable && !comes
	for _, f := range l.going {
		if !readable || !v.mayBeAgain(f) {
			continue
		}
		same, replaced, err := s.replace(ctx, o, v, comes, f, &said)
		if err != nil || replaced {
			return err
		}
		if !same {
			l.others, gap = append(l.others, f), !comes
		}
	}
	if gap {
		s.leaveGap(ctx, o, v)
	}
	return nil
}

// replace lets a fragment take the place of the open one, of which said has come, when it may. It
// reports whether it may be the same, and whether it has taken the place.
func (s *Service) replace(ctx context.Context, o *request, v *view, comes bool,
	f *live.Fragment, said *live.State) (same, replaced bool, err error) {
	l := v.low
	again, err := s.approach(ctx, o, v, f)
	defer func() {
		if !replaced {
			again.leave()
		}
	}()
	state, ok := again.said()
	if err != nil || !ok {
		return false, false, err
	}
	next := v.follow(&again, &state)
	if next == nil { // too little has come, or an older fragment is sent again first
		return true, false, nil
	}
	same, all := l.open.Resumes(v.rules, next)
	if !same || !all || comes && !next.Ahead(l.open) {
		return same, false, nil
	}
	for i := range v.rules.Tracks {
		end := l.open.Bytes[i]
		if !bytes.Equal(said.Tracks[l.order[i]].Payload[:end],
			state.Tracks[again.order[i]].Payload[:end]) {
			return false, false, nil
		}
	}
	next.Resume(l.open)
	l.leave()
	l.reading, l.open, l.with = again, next, nil
	return true, true, nil
}

// storedAgain returns what goes on in place of the open fragment when f is stored: f, if it is the
// same sent again, with frames of the same sizes, otherwise the open one.
func (v *view) storedAgain(f *store.FragmentInfo, c timeline.Match,
	read func() (*media.Fragment, error)) (*timeline.Open, error) {
	open := v.low.open
	if f.Number == open.Info.Number {
		return open, nil
	}
	frames, err := read()
	if frames == nil || err != nil {
		return open, err
	}
	if next := v.state.Follow(v.rules, *f, c, frames, true); next != nil {
		if _, all := open.Resumes(v.rules, next); all {
			next.Resume(open)
			return next, nil
		}
	}
	return open, nil
}

// frames reads the frame table of a fragment. It returns nil if the fragment is gone or damaged,
// and so cannot be played either.
func (s *Service) frames(ctx context.Context, id store.StreamID,
	f store.FragmentInfo) (*media.Fragment, error) {
	m, err := s.store.Open(ctx, id, f)
	switch {
	case errors.Is(err, store.ErrGone), errors.Is(err, store.ErrNotFound),
		errors.Is(err, store.ErrCorrupt):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("open fragment: %w", err)
	}
	defer m.Close() // it was only read from: nothing can be lost
	return m.Fragment(), nil
}
