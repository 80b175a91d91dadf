package media

// WithoutLeading returns a run without the leading pictures that follow its first one, which lasts
// for them too; no other picture is presented at another time. skipped bytes of the payload from
// first on are theirs.
//
// Leading pictures follow the first picture of an open group in decode order, are presented before
// it, and may refer to pictures before the group. A player that begins with the group has none of
// these, and Chromium's decoder ends for good with the first picture that it cannot decode. So a
// segment with which players begin to decode leaves them out.
func (run Run) WithoutLeading() (rest Run, first, skipped int64) {
	n := 1
	for n < len(run.Frames) && run.Frames[n].Marks&Leading != 0 {
		n++
	}
	if n == 1 || run.Frames[0].Marks&Open == 0 {
		return run, 0, 0
	}
	rest = run
	rest.Frames = append([]Frame{run.Frames[0]}, run.Frames[n:]...)
	for _, f := range run.Frames[1:n] {
		rest.Frames[0].Duration += f.Duration
		skipped += int64(f.Size)
	}
	return rest, int64(run.Frames[0].Size), skipped
}
