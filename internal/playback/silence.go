package playback

import (
	"bytes"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// withSilence returns a run with the silence added, and the bytes of silence before and after its
// own. base is the fragment's start in ticks.
func withSilence(q timeline.Silence, run media.Run, base int64,
	s *media.Silence) (with media.Run, before, after []byte) {
	if q == (timeline.Silence{}) || s == nil {
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

// silentSpan returns a span of silence that lasts millis milliseconds, nil if the codec has no
// silence.
func silentSpan(t *media.Track, millis int64) *store.Span {
	s := media.SilenceOf(t)
	if s == nil {
		return nil
	}
	n := timeline.Rescale(millis, 1000, int64(t.Timescale))/s.Duration + 1
	return &store.Span{Track: t.Number, Frames: int(n), Size: n * int64(len(s.Frame)),
		Duration: n * s.Duration, KeyStart: true}
}

// scaleOf returns the timescale of a packaged track in tracks.
func scaleOf(tracks []media.Track, p timeline.Track) int64 {
	if t := trackNumbered(tracks, p.Number); t != nil {
		return int64(t.Timescale)
	}
	return p.Timescale
}
