package playback

import (
	"fmt"

	"weir/internal/media"
	"weir/internal/store"
)

// Leading pictures follow the first picture of an open group in decode order, are presented before
// it, and may refer to pictures before the group. Where a player begins with that group it has none
// of these, and Chromium's decoder ends for good with the first of them that it cannot make
// anything of. So they are left out of a segment with which players begin to decode.

// withoutLeading returns a run without the leading pictures behind its first one, which lasts for
// them too; no other picture is presented at another time. skipped bytes of the payload from first
// on are theirs.
func withoutLeading(run media.Run) (rest media.Run, first, skipped int64) {
	n := 1
	for n < len(run.Frames) && run.Frames[n].Marks&media.Leading != 0 {
		n++
	}
	if n == 1 || run.Frames[0].Marks&media.Open == 0 {
		return run, 0, 0
	}
	rest = run
	rest.Frames = append([]media.Frame{run.Frames[0]}, run.Frames[n:]...)
	for _, f := range run.Frames[1:n] {
		rest.Frames[0].Duration += f.Duration
		skipped += int64(f.Size)
	}
	return rest, int64(run.Frames[0].Size), skipped
}

// cut returns what a segment has of a stored run: the frames of the slice, without the leading
// pictures when they are to be left out, and their bytes. There may be no frames.
func (ref *SegmentRef) cut(m store.Media, i int, timescale,
	start int64) (media.Run, store.Range, error) {
	run, offset := ref.slice().Run(m.Fragment().Runs[i].Units(), timescale, start)
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
		run, first, skipped = withoutLeading(run)
		behind := first + skipped
		frames = store.Concat(frames.Slice(0, first), frames.Slice(behind, frames.Size()-behind))
	}
	return run, frames, nil
}
