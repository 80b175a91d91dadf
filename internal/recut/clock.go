package recut

import (
	"fmt"
	"math"

	"weir/internal/media"
	"weir/internal/mkv"
)

// time converts a frame's timecode to milliseconds.
func (c *Recutter) time(t *media.Track, ev mkv.Event) (int64, error) {
	if ev.Laced && ev.Timecode < 0 {
		s := c.stats[t.Number]
		if t.Kind == media.Video || s == nil {
			return 0, fmt.Errorf("track %d: laced frames without a default duration have no times",
				t.Number)
		}
		return s.raw + frameLength(t, s.size), nil
	}
	scale := c.r.TimestampScale()
	if scale <= 0 || ev.Timecode > (math.MaxInt64-500_000)/scale ||
		ev.Timecode < (math.MinInt64+500_000)/scale {
		return 0, fmt.Errorf("track %d: timecode %d is out of range", t.Number, ev.Timecode)
	}
	return floorDiv(ev.Timecode*scale+500_000, 1_000_000), nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// frameLength returns how long a frame of audio of size bytes lasts, in milliseconds. It returns 0
// for video, and if the codec does not say.
func frameLength(t *media.Track, size int) int64 {
	if aac, err := media.AACOf(t); err == nil {
		return int64(aac.FrameLength) * 1000 / int64(aac.SampleRate)
	}
	if g711, err := media.G711Of(t); err == nil {
		return int64(size) * 1000 / int64(g711.Channels*g711.SampleRate)
	}
	return 0
}

// If a frame is earlier than the frame before it on its track by more than this, in milliseconds,
// the clock was set. A smaller difference is only reordering.
const (
	audioBack = 2_000
	videoBack = maxRelated
)

// steady returns the time of a frame on a clock that does not step back. The source's clock may: a
// camera's clock is set or wraps, or another file follows. Frames after a step continue where the
// track was. cut says that the frame, of the cutting track, would begin a fragment.
//
// Tracks reach a step one after the other, so for a while both clocks are in use: a frame is on the
// one that puts it nearer to the frame before it.
func (c *Recutter) steady(t *media.Track, at int64, cut bool) int64 {
	now := at + c.shift
	s := c.stats[t.Number]
	if s == nil {
		return now
	}
	if old := at + c.before; distance(old, s.previous) < distance(now, s.previous) {
		now = old
	}
	back := int64(videoBack)
	if t.Kind == media.Audio {
		back = audioBack
	}
	if now >= s.previous-back && !(cut && c.open && now < c.lastStart()) {
		return now
	}
	next := s.previous + max(frameLength(t, s.size), 1)
	if t.Number == c.cutTrack && t.Kind == media.Video {
		// with B-frames the last frame shown is not the last one decoded; and a time may be wrong
		next = min(s.last, s.previous+maxBehind) + usual(s)
	}
	c.notice(fmt.Sprintf("track %d: the time steps back from %d ms to %d ms; what follows goes on "+
		"without a gap", t.Number, s.previous, now))
	c.before, c.shift = c.shift, next-at
	return next
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// lastStart returns the time of the newest key frame that opened a fragment or will open one.
func (c *Recutter) lastStart() int64 {
	if len(c.pending) > 0 {
		return c.pending[0].Time
	}
	return c.start
}

// usual returns about how long a picture lasts, in milliseconds: a second at most, because there
// may be gaps.
func usual(s *trackStats) int64 {
	if s.frames < 2 {
		return 40
	}
	return min(max((s.last-s.first)/int64(s.frames-1), 1), 1000)
}
