package playback

import (
	"fmt"

	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

// cut returns the part of a stored run that a segment has: the frames of the slice, without leading
// pictures if SkipLeading is set, and their bytes. There may be no frames.
func cut(ref *sessionurl.Segment, m store.Media, i int, timescale,
	start int64) (media.Run, store.Range, error) {
	run, offset := sliceOf(ref).Run(m.Fragment().Runs[i].Units(), timescale, start)
	if len(run.Frames) == 0 {
		return run, store.Bytes(nil), nil
	}
	payload, err := m.Payload(i)
	if err != nil {
		return run, nil, fmt.Errorf("open payload: %w", err)
	}
	frames := payload.Slice(offset, run.Size())
	if ref.SkipLeading {
		var first, skipped int64
		run, first, skipped = run.WithoutLeading()
		rest := first + skipped
		frames = store.Concat(frames.Slice(0, first), frames.Slice(rest, frames.Size()-rest))
	}
	return run, frames, nil
}
