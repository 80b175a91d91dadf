package timeline

import "weir/internal/store"

// maxLag is how far the sound of a fragment may end before its pictures when it is taken to go on
// in the next one, microseconds: muxers send sound late. It is also the most that a segment's
// silence begins before its pictures, so that EXTINF rounds as theirs does.
const maxLag = 350_000

// maxSilenceSeconds bounds what a segment's URI may ask for: no fragment is listed with as much.
const maxSilenceSeconds = 30

// Silence is what a segment has of sound beside the source's own: from a tick on silent frames
// until the first frame, or without one until the end; and from the end of the last frame until the
// end. Ticks of the sound's timescale after the fragment's start (Rules.Start). The zero value is
// none.
type Silence struct{ From, Until int64 }

// cover decides about silence for a piece of the fragment with this start (milliseconds), and makes
// its spans those with it. Where pictures go on and sound does not, a player would wait for it, or
// leave them out. The rules are in DESIGN.md. silent says that the sound can be silent. r has the
// fragment's timescales.
func (t *State) cover(r *Rules, f *piece, start int64, silent bool) Silence {
	if len(r.Tracks) < 2 || !silent {
		return Silence{}
	}
	pictures := f.Span(r.Tracks[0].Number)
	if pictures == nil {
		return Silence{}
	}
	begin := Rescale(pictures.BaseDecodeTime, r.Tracks[0].Timescale, 1_000_000)
	end := Rescale(pictures.BaseDecodeTime+pictures.Duration, r.Tracks[0].Timescale, 1_000_000)
	from := t.soundFrom(r, pictures)
	scale := r.Tracks[1].Timescale
	ticks := func(micros int64) int64 { return Rescale(micros, 1_000_000, scale) }
	covered := store.Span{
		Track: r.Tracks[1].Number, BaseDecodeTime: ticks(from), Frames: 1, KeyStart: true,
	}
	until := ticks(end)
	if sound := f.Span(covered.Track); sound == nil {
		if end-from <= r.Tolerance {
			return Silence{}
		}
	} else {
		ends := sound.BaseDecodeTime + sound.Duration // ticks
		first := Rescale(sound.BaseDecodeTime, scale, 1_000_000)
		last := Rescale(ends, scale, 1_000_000)
		if first-from <= r.Tolerance {
			covered.BaseDecodeTime = sound.BaseDecodeTime
		}
		// The rest comes with the next fragment.
		if end-last <= maxLag || last-first+maxLag >= end-begin {
			until = ends
		}
		if covered.BaseDecodeTime == sound.BaseDecodeTime && until == ends {
			return Silence{}
		}
	}
	covered.Duration = until - covered.BaseDecodeTime
	if !fits(Millis(&covered, scale), t.Target) {
		if f.Span(covered.Track) != nil {
			return Silence{} // the sound is of another time than the pictures
		}
		covered.BaseDecodeTime = ticks(begin)
		covered.Duration = until - covered.BaseDecodeTime
	}
	spans := make([]store.Span, 0, len(f.Spans)+1)
	for _, span := range f.Spans {
		if span.Track != covered.Track {
			spans = append(spans, span)
		}
	}
	f.Spans = append(spans, covered)
	base := Rescale(start, 1000, scale)
	return Silence{covered.BaseDecodeTime - base, until - base}
}

// soundFrom is when the sound of a piece with these pictures should begin, microseconds.
func (t *State) soundFrom(r *Rules, pictures *store.Span) int64 {
	begin := Rescale(pictures.BaseDecodeTime, r.Tracks[0].Timescale, 1_000_000)
	gap := begin - t.end[0]
	if t.known[0] && t.known[1] && gap <= r.Tolerance && gap >= -r.Tolerance { // pictures go on
		return max(t.end[1], begin-maxLag)
	}
	return begin
}

// Valid reports whether a segment may have it, of sound with so many ticks per second.
func (q Silence) Valid(timescale int64) bool {
	most := maxSilenceSeconds * timescale
	return q.From >= -most && q.Until <= most && q.From <= q.Until
}
