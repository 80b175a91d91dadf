package playback

import (
	"bytes"
	"io"

	"weir/internal/media"
	"weir/internal/store"
)

// maxLag is how far the sound of a fragment may end before its pictures when it is taken to go on in the next one, microseconds: muxers
// send sound late. It is also the most that a segment's silence begins before its pictures, so that EXTINF rounds as theirs does.
const maxLag = 350_000

// maxSilenceSeconds bounds what a segment's URI may ask for: no fragment is listed with as much.
const maxSilenceSeconds = 30

// silence is what a segment has of sound beside the source's own: from a tick on silent frames until the first frame, or without one until
// the end; and from the end of the last frame until the end. Ticks of the sound's timescale after the fragment's start
// (rules.start). The zero value is none.
type silence struct{ from, until int64 }

// cover decides about silence for a piece of the fragment with this start (milliseconds), and makes its spans those with it. Where pictures go on
// and sound does not, a player would wait for it, or leave them out. The rules are in DESIGN.md. silent says that the sound
// can be silent. r has the fragment's timescales.
func (t *timeline) cover(r *rules, f *piece, start int64, silent bool) silence {
	if len(r.tracks) < 2 || !silent {
		return silence{}
	}
	pictures := f.Span(r.tracks[0].number)
	if pictures == nil {
		return silence{}
	}
	begin := rescale(pictures.BaseDecodeTime, r.tracks[0].timescale, 1_000_000)
	end := rescale(pictures.BaseDecodeTime+pictures.Duration, r.tracks[0].timescale, 1_000_000)
	from := begin
	if t.known[0] && t.known[1] && begin-t.end[0] <= gapMicros && begin-t.end[0] >= -gapMicros { // pictures go on
		from = max(t.end[1], begin-maxLag)
	}
	scale := r.tracks[1].timescale
	ticks := func(micros int64) int64 { return rescale(micros, 1_000_000, scale) }
	covered := store.Span{Track: r.tracks[1].number, BaseDecodeTime: ticks(from), Frames: 1, KeyStart: true}
	until := ticks(end)
	if sound := f.Span(covered.Track); sound == nil {
		if end-from <= gapMicros {
			return silence{}
		}
	} else {
		first, last := rescale(sound.BaseDecodeTime, scale, 1_000_000), rescale(sound.BaseDecodeTime+sound.Duration, scale, 1_000_000)
		if first-from <= gapMicros {
			covered.BaseDecodeTime = sound.BaseDecodeTime
		}
		if end-last <= maxLag || last-first+maxLag >= end-begin { // the rest comes with the next fragment
			until = sound.BaseDecodeTime + sound.Duration
		}
		if covered.BaseDecodeTime == sound.BaseDecodeTime && until == sound.BaseDecodeTime+sound.Duration {
			return silence{}
		}
	}
	covered.Duration = until - covered.BaseDecodeTime
	spans := make([]store.Span, 0, len(f.Spans)+1)
	for _, span := range f.Spans {
		if span.Track != covered.Track {
			spans = append(spans, span)
		}
	}
	f.Spans = append(spans, covered)
	base := rescale(start, 1000, scale)
	return silence{covered.BaseDecodeTime - base, until - base}
}

// valid tells whether a segment may have it, of sound with so many ticks per second.
func (q silence) valid(timescale int64) bool {
	most := maxSilenceSeconds * timescale
	return q.from >= -most && q.until <= most && q.from <= q.until
}

// add gives a run with the silence, and the bytes before and after its own. base is the fragment's start in ticks.
func (q silence) add(run media.Run, base int64, s *media.Silence) (with media.Run, before, after []byte) {
	if q == (silence{}) || s == nil {
		return run, nil, nil
	}
	from, until := base+q.from, base+q.until
	with = media.Run{Track: run.Track, BaseDecodeTime: from}
	if len(run.Frames) == 0 {
		with.Frames = silentFrames(s, until-from)
		return with, bytes.Repeat(s.Frame, len(with.Frames)), nil
	}
	head, tail := silentFrames(s, run.BaseDecodeTime-from), silentFrames(s, until-run.BaseDecodeTime-run.Duration())
	if len(head) == 0 {
		with.BaseDecodeTime = run.BaseDecodeTime
	}
	with.Frames = append(append(append(with.Frames, head...), run.Frames...), tail...)
	return with, bytes.Repeat(s.Frame, len(head)), bytes.Repeat(s.Frame, len(tail))
}

// silentFrames fills so many ticks: the last frame lasts a little more or less than it sounds.
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

// silentSpan is a span of sound that is silent for so many milliseconds; nil when it cannot be.
func silentSpan(t *media.Track, millis int64) *store.Span {
	s := media.SilenceOf(t)
	if s == nil {
		return nil
	}
	n := rescale(millis, 1000, int64(t.Timescale))/s.Duration + 1
	return &store.Span{Track: t.Number, Frames: int(n), Size: n * int64(len(s.Frame)), Duration: n * s.Duration, KeyStart: true}
}

// scaleOf is the timescale that a packaged track has among tracks.
func scaleOf(tracks []media.Track, p packagedTrack) int64 {
	if t := trackNumbered(tracks, p.number); t != nil {
		return int64(t.Timescale)
	}
	return p.timescale
}

// spliced reads a section with bytes before and after it.
type spliced struct {
	before, after []byte
	middle        *io.SectionReader // nil: nothing
}

// section is all of it as a section.
func (s *spliced) section() *io.SectionReader {
	return io.NewSectionReader(s, 0, int64(len(s.before)+len(s.after))+s.middleSize())
}

func (s *spliced) middleSize() int64 {
	if s.middle == nil {
		return 0
	}
	return s.middle.Size()
}

// ReadAt implements io.ReaderAt.
func (s *spliced) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		at := off + int64(n)
		before, middle := int64(len(s.before)), s.middleSize()
		var k int
		switch {
		case at < before:
			k = copy(p[n:], s.before[at:])
		case at < before+middle:
			if k, err = s.middle.ReadAt(p[n:n+int(min(int64(len(p)-n), before+middle-at))], at-before); err == io.EOF && k > 0 {
				err = nil
			}
		case at < before+middle+int64(len(s.after)):
			k = copy(p[n:], s.after[at-before-middle:])
		default:
			err = io.EOF
		}
		n += k
	}
	return n, err
}
