package timeline

import (
	"bytes"

	"weir/internal/media"
	"weir/internal/store"
)

// maxLag is how many microseconds before its pictures the sound of a fragment may end and still be
// expected to continue in the next one: muxers send sound late. It is also the most that a
// segment's silence begins before its pictures, so that EXTINF rounds as theirs does.
const maxLag = 350_000

// maxSilenceSeconds bounds the silence that a segment's URI may ask for. No fragment is listed with
// more.
const maxSilenceSeconds = 30

// Silence is the silence that a segment adds to its own sound. Silent frames fill the time from
// From to the first frame, and from the end of the last frame to Until; without frames, all of it.
// Both are ticks of the sound's timescale after the fragment's start (Rules.Start). The zero value
// adds none.
type Silence struct{ From, Until int64 }

// cover decides about silence for a piece of the fragment with this start (milliseconds), and
// extends the piece's spans by it. If pictures continue without sound, a player waits for it or
// leaves them out. The rules are in DESIGN.md. silent says that there are silent frames for the
// sound. r has the fragment's timescales.
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
		// The next fragment has the rest.
		if end-last <= maxLag || last-first+maxLag >= end-begin || f.even {
			until = ends
		}
		if covered.BaseDecodeTime == sound.BaseDecodeTime && until == ends {
			return Silence{}
		}
	}
	covered.Duration = until - covered.BaseDecodeTime
	if !fits(Millis(&covered, scale), t.Target) {
		if f.Span(covered.Track) != nil {
			return Silence{} // the sound is from another time than the pictures
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

// soundFrom returns when the sound of a piece with these pictures should begin, in microseconds.
func (t *State) soundFrom(r *Rules, pictures *store.Span) int64 {
	begin := Rescale(pictures.BaseDecodeTime, r.Tracks[0].Timescale, 1_000_000)
	gap := begin - t.end[0]
	if t.known[0] && t.known[1] && gap <= r.Tolerance && gap >= -r.Tolerance { // pictures go on
		return max(t.end[1], begin-maxLag)
	}
	return begin
}

// Valid reports whether a segment may have this silence. timescale is that of the sound.
func (q Silence) Valid(timescale int64) bool {
	most := maxSilenceSeconds * timescale
	return q.From >= -most && q.Until <= most && q.From <= q.Until
}

// Fill returns a run with the silence added, and the bytes of silence before and after its own.
// base is the fragment's start in ticks of the sound; s has the silent frame of its codec, nil if
// there is none: then nothing is added.
func (q Silence) Fill(run media.Run, base int64,
	s *media.Silence) (with media.Run, before, after []byte) {
	if q == (Silence{}) || s == nil {
		return run, nil, nil
	}
	from, until := base+q.From, base+q.Until
	with = media.Run{Track: run.Track, BaseDecodeTime: from}
	if len(run.Frames) == 0 {
		with.Frames = silentFrames(s, until-from)
		return with, bytes.Repeat(s.Frame, len(with.Frames)), nil
	}
	head, tail := silentFrames(s, run.BaseDecodeTime-from),
		silentFrames(s, until-run.BaseDecodeTime-run.Duration())
	if len(head) == 0 {
		with.BaseDecodeTime = run.BaseDecodeTime
	}
	with.Frames = append(append(append(with.Frames, head...), run.Frames...), tail...)
	return with, bytes.Repeat(s.Frame, len(head)), bytes.Repeat(s.Frame, len(tail))
}

// silentFrames returns silent frames that last ticks together. The last one lasts a little more or
// less than its samples.
func silentFrames(s *media.Silence, ticks int64) []media.Frame {
	n := (ticks + s.Duration/2) / s.Duration
	if ticks <= 0 || n == 0 {
		return nil
	}
	frames := make([]media.Frame, n)
	for i := range frames {
		frames[i] = media.Frame{Duration: uint32(s.Duration), Size: uint32(len(s.Frame)), Key: true}
	}
	frames[n-1].Duration = uint32(ticks - (n-1)*s.Duration)
	return frames
}
