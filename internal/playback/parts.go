package playback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/fmp4"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline"
)

// partsKey names a segment of a session.
type partsKey struct {
	number store.Number
	from   int64
}

// segmentParts are the parts of a segment of each track.
type segmentParts struct {
	tracks [timeline.MaxTracks][]timeline.Part
	ended  [timeline.MaxTracks]bool // they do not reach its end
}

// partsOf returns the parts of an entry, none if its record can no longer be read.
func (s *Service) partsOf(ctx context.Context, o *request, v *view,
	e *timeline.Entry) (*segmentParts, error) {
	if e.Gap != nil {
		return &segmentParts{tracks: e.Gap.Parts}, nil
	}
	if d := v.low.open.Complete(e); d != nil {
		return &segmentParts{d.Parts, d.Ended}, nil
	}
	key := partsKey{e.Number, e.Slice.From}
	if known := v.low.parts[key]; known != nil {
		return known, nil
	}
	p := &segmentParts{}
	info, err := s.store.Fragment(ctx, o.stream.ID, e.Number)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrGone):
		return p, nil
	case err != nil:
		return nil, fmt.Errorf("find fragment: %w", err)
	}
	f, err := s.frames(ctx, o.stream.ID, info)
	if f == nil || err != nil {
		return p, err
	}
	r := v.rules.Scaled(scalesOf(o.p.tracks, f.Tracks))
	start, ok := r.Start(&info)
	if !ok {
		return p, nil
	}
	for i := range r.Tracks {
		if e.Duration[i] < 0 {
			continue
		}
		ref := o.segmentRef(r.Tracks[i].Number, e)
		if run, ok := runOf(ref, r, f, i, start); ok {
			p.tracks[i], p.ended[i] = timeline.Parts(&run, r.Tracks[i].Kind,
				r.Tracks[i].Timescale, r.PartTarget, true)
		}
	}
	if v.low.parts == nil {
		v.low.parts = make(map[partsKey]*segmentParts)
	}
	v.low.parts[key] = p
	return p, nil
}

// prune forgets the parts of segments that are not among the given ones.
func (l *lowLatency) prune(kept []timeline.Entry) {
	if len(l.parts) <= len(kept) {
		return
	}
	old := l.parts
	l.parts = make(map[partsKey]*segmentParts, len(kept))
	for i := range kept {
		key := partsKey{kept[i].Number, kept[i].Slice.From}
		if p := old[key]; p != nil {
			l.parts[key] = p
		}
	}
}

// runOf returns the frames of a packaged track in a segment, including those of silence, and false
// if there are none. r has the fragment's timescales, start is its start.
func runOf(ref *sessionurl.Segment, r *timeline.Rules, f *media.Fragment, track int,
	start int64) (media.Run, bool) {
	t := f.Track(r.Tracks[track].Number)
	if t == nil {
		return media.Run{}, false
	}
	run := media.Run{Track: t.Number}
	if i := f.RunOf(t.Number); i >= 0 {
		run, _ = sliceOf(ref).Run(f.Runs[i].Units(), r.Tracks[track].Timescale, start)
		if ref.SkipLeading && len(run.Frames) > 0 {
			run, _, _ = run.WithoutLeading()
		}
	}
	if q := silenceOf(ref); t.Kind == media.Audio && q != (timeline.Silence{}) {
		base := timeline.Rescale(start, 1000, r.Tracks[track].Timescale)
		run, _, _ = q.Fill(run, base, media.SilenceOf(t))
	}
	return run, len(run.Frames) > 0
}

// place is a part, or a whole segment, that was found.
type place struct {
	entry timeline.Entry
	open  bool           // it is of the open fragment
	part  *timeline.Part // nil: the whole segment
}

// placed returns a place in a segment that is listed whole.
func (v *view) placed(e *timeline.Entry, part *timeline.Part) place {
	return place{*e, v.low.open.Complete(e) != nil, part}
}

// findWhole finds a whole segment by its name. wait and the error are as for findPart.
func (v *view) findWhole(track int, msn int64) (found place, wait bool, err error) {
	next := v.low.next[track]
	if msn >= next && msn < next+v.segmentsAhead() {
		return found, true, nil
	}
	e := v.listed().At(track, msn)
	if e == nil || e.Gap != nil {
		return found, false, noFragment()
	}
	return v.placed(e, nil), false, nil
}

// findPart finds a part by its name. wait says that it is the next part, or one that may follow
// soon: a server that was killed has forgotten parts that players have seen, and the producer
// resends them. The error is ResourceNotFound for a part that is no longer listed, is far ahead, or
// is in a gap.
func (s *Service) findPart(ctx context.Context, o *request, v *view, track int,
	ref sessionurl.Part) (found place, wait bool, err error) {
	if ref.Part == sessionurl.WholeSegment {
		return v.findWhole(track, ref.Sequence)
	}
	l := v.low
	next := l.next[track]
	msn, index := ref.Sequence, ref.Part
	if msn < next { // perhaps the first part of the next segment
		e := v.listed().At(track, msn)
		if e == nil {
			return found, false, noFragment()
		}
		p, err := s.partsOf(ctx, o, v, e)
		if err != nil {
			return found, false, err
		}
		switch n := len(p.tracks[track]); {
		case index < n && e.Gap != nil, index > n:
			return found, false, noFragment()
		case index < n:
			return v.placed(e, &p.tracks[track][index]), false, nil
		}
		if msn, index = msn+1, 0; msn < next {
			e = v.listed().At(track, msn)
			if p, err = s.partsOf(ctx, o, v, e); err != nil {
				return found, false, err
			}
			switch {
			case e.Gap != nil:
				return found, false, noFragment()
			case len(p.tracks[track]) == 0: // its frames are too long for parts
				return v.placed(e, nil), false, nil
			}
			return v.placed(e, &p.tracks[track][0]), false, nil
		}
	}
	var parts []timeline.Part
	if l.open != nil {
		parts = l.open.Parts[track]
	}
	switch {
	case msn == next && index < len(parts):
		return place{l.open.Entry, true, &parts[index]}, false, nil
	case msn == next && index <= len(parts), index < v.mostParts() &&
		msn >= next && msn < next+v.segmentsAhead():
		return found, true, nil
	}
	return found, false, noFragment()
}

// moofSequence returns the sequence number in the moof of a part. It grows along a playlist, and
// shows media sequence number and index of the part.
func moofSequence(ref sessionurl.Part) uint32 { return uint32(ref.Sequence)<<12 + uint32(ref.Part) }

// openPart makes what was found in the open fragment. The caller closes it. It returns nil if that
// cannot be read before it is stored: memory for fragments that come in has run out.
func openPart(o *request, v *view, track int, found *place, sequence uint32) (*Segment, error) {
	l := v.low
	if l.coming == nil || l.open == nil || l.coming.Number != l.open.Info.Number {
		return nil, nil
	}
	hold := l.coming.Hold()
	if hold == nil {
		return nil, nil
	}
	segment, err := partOf(o, v, hold, track, found, sequence)
	if segment == nil {
		hold.Release()
	}
	return segment, err
}

func partOf(o *request, v *view, hold *live.Hold, track int, found *place,
	sequence uint32) (*Segment, error) {
	l := v.low
	state, ok := hold.State()
	if !ok || l.order[track] < 0 {
		return nil, nil
	}
	at := &state.Tracks[l.order[track]]
	r := v.rules.Scaled(l.match.Generation.Scales)
	start, _ := r.Start(&l.open.Info)
	units := at.Final.Units()
	run, offset := found.entry.Slice.Run(units, r.Tracks[track].Timescale, start)
	p := timeline.Part{Begin: run.BaseDecodeTime, Frames: len(run.Frames), Size: run.Size()}
	if found.part != nil {
		p = *found.part
	} else {
		sequence = o.moofSequence(&l.open.Info)
	}
	if len(run.Frames) < p.First+p.Frames ||
		int64(len(at.Payload)) < offset+p.Offset+p.Size {
		return nil, nil
	}
	before := 0 // units of earlier slices
	for begin := units.BaseDecodeTime; begin < run.BaseDecodeTime; before++ {
		begin += int64(units.Frames[before].Duration)
	}
	own, blocks := l.order[track], at.Final.Blocks(before+p.First+p.Frames)
	segment, err := packPart(&l.coming.Tracks[own], run, store.Bytes(at.Payload[offset:]), p,
		r.DecodeTime(p.Begin, r.Tracks[track].Timescale, start), sequence)
	if err != nil {
		return nil, err
	}
	segment.done = func() {
		if segment.failed {
			hold.Abandon()
			return
		}
		hold.Delivered(own, blocks, time.Now())
		hold.Release()
	}
	return segment, nil
}

// storedPart makes what was found in a stored fragment. The caller closes it.
func (s *Service) storedPart(ctx context.Context, o *request, found *place, track int,
	sequence uint32) (*Segment, error) {
	ref := o.segmentRef(o.p.tracks[track].Number, &found.entry)
	if found.part == nil {
		return s.mediaSegment(ctx, o, *ref)
	}
	info, m, err := s.openFragment(ctx, o, *ref)
	if err != nil {
		return nil, err
	}
	f := m.Fragment()
	r := o.p.rules().Scaled(scalesOf(o.p.tracks, f.Tracks))
	start, ok := r.Start(info)
	if !ok {
		m.Close()
		return nil, noFragment()
	}
	t, run, frames, err := take(r, m, track, start, *ref)
	if err == nil && len(run.Frames) < found.part.First+found.part.Frames {
		err = noFragment()
	}
	var segment *Segment
	if err == nil {
		segment, err = packPart(t, run, frames, *found.part,
			r.DecodeTime(found.part.Begin, r.Tracks[track].Timescale, start), sequence)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	segment.done = func() { m.Close() } // it was only read from: nothing can be lost
	return segment, nil
}

// packPart puts a header before the frames of a part. run is that of its segment, or the beginning
// of it. decode is the tfdt of the part, in ticks. The caller sets done.
func packPart(t *media.Track, run media.Run, frames store.Range, p timeline.Part, decode int64,
	sequence uint32) (*Segment, error) {
	piece := media.Run{Track: run.Track, BaseDecodeTime: p.Begin,
		Frames: run.Frames[p.First : p.First+p.Frames]}
	header, err := fmp4.AppendMediaHeader(nil, t, &piece, sequence, decode)
	if err != nil {
		return nil, fmt.Errorf("write part header: %w", err)
	}
	return &Segment{Header: header, Length: int64(len(header)) + p.Size,
		frames: frames.Slice(p.Offset, p.Size)}, nil
}
