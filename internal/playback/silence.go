package playback

import (
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

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
