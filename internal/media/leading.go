package media

// WithoutLeading returns the run without the leading pictures that follow its first one. The first
// picture lasts for them too, so that all others are presented as before. The leading pictures are
// skipped bytes of the payload, from the offset first on.
//
// Leading pictures follow the first picture of an open group in decode order, are presented before
// it, and may refer to pictures before the group. A player that begins with the group does not have
// those, and Chromium's decoder stops for good at the first picture that it cannot decode. So a
// segment at which players begin to decode leaves leading pictures out.
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
