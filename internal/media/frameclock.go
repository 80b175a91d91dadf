package media

import (
	"errors"
	"slices"
)

// frameClock times frames by their timestamps.
//
// Matroska blocks carry presentation times in decode order. The decode times of video are the
// sorted presentation times: the n-th frame decoded is due when the n-th frame is shown. The
// composition offset is the difference, negative for B-frames.
//
//	decode order         I0   P4   B2   B1   B3  |  I5 …
//	presentation time     0  160   80   40  120  | 200
//	decode time           0   40   80  120  160  | 200
//	composition offset    0 +120    0  -80  -40
//
// Impossible times are corrected first (straighten).
//
// Three things make a fragment's base plus its duration equal to the base of the next:
//
//   - The last frame lasts until the next cluster starts if that is plausible (lastDuration),
//     otherwise as long as usual.
//   - The first frame of the next run makes up for what is then missing or too much, always less
//     than a frame: it is decoded a little earlier or later. (There is too much if the cluster
//     starts with audio that is later than its first picture.) Presentation times never change.
//   - A muxer that cuts clusters by size may cut among reordered frames. The next cluster then
//     starts before frames that this one holds, unless it starts with audio. On a track that had a
//     cluster without a key frame at its start, holes are therefore taken for such a cut wherever
//     the next cluster starts. Holes among the presentation times are filled: those decode times
//     are borrowed from frames to come, and as many of the greatest presentation times are left
//     over for the next run.
//
// Other kinds are not reordered: a time that goes back is raised to the one before it, and offsets
// are zero.
type frameClock struct {
	track     int
	scale     uint32
	video     bool
	declared  int64 // DefaultDuration in ticks, 0 when absent
	tolerance int64 // ticks by which rounding to milliseconds may change a duration
	// the parameter sets say that pictures are shown in the order in which they are decoded
	inOrder bool
	reorder int // SPS.ReorderFrames, -1 when it is not known
	frameState

	// Scratch.
	times, spans, gaps   []int64
	units                []Sample
	marks                []Marks
	right                []bool
	tails, before, order []int
}

// frameState is what a run passes on to the next one.
type frameState struct {
	usual     int64   // the usual frame duration, 0 when not known yet
	end       int64   // where the last run ended
	started   bool    // end is valid
	single    bool    // the last run had one frame, at …
	lone      int64   // … this decode time
	reordered bool    // the track has B-frames
	depth     int     // the most frames in any run that were shown after one decoded later
	compared  bool    // depth is valid: there was a run of several frames
	unkeyed   bool    // some cluster did not start with a key frame: they are cut anywhere
	borrowed  []int64 // decode times given out that belong to frames of the next cluster
	leftover  []int64 // as many presentation times that were not given out as decode times
}

// longestSingle is the longest plausible duration, in nanoseconds, of the only frame of a fragment
// when nothing is known of the track.
const longestSingle = 10 * second

// deepestReorder is the most frames that H.264 and H.265 reorder.
const deepestReorder = 16

func (c *frameClock) Run(samples []Sample, next int64) (Run, error) {
	if len(samples) == 0 {
		return Run{}, errors.New("no samples")
	}
	c.units, c.marks = group(samples, c.units, c.marks)
	if len(c.units) == 0 {
		return c.bare(samples)
	}
	run, err := c.time(c.units, next)
	if err != nil || len(c.units) == len(samples) {
		return run, err
	}
	units := run.Frames
	run.Frames = make([]Frame, len(samples))
	for i := range run.Frames {
		f := &run.Frames[i]
		if c.marks[i] == 0 {
			*f, units = units[0], units[1:]
		}
		f.Size, f.Marks = samples[i].Size, f.Marks|c.marks[i]
	}
	return run, nil
}

// bare makes the run of blocks without a picture. It does not change the clock.
func (c *frameClock) bare(samples []Sample) (Run, error) {
	i := slices.IndexFunc(samples, func(s Sample) bool { return s.Time != NoTime })
	if i < 0 && !c.started {
		return Run{}, errors.New("first frame has no time")
	}
	run := Run{Track: c.track, BaseDecodeTime: c.end, Frames: make([]Frame, len(samples))}
	if i >= 0 {
		run.BaseDecodeTime = ticksOf(samples[i].Time, c.scale)
	}
	for i := range run.Frames {
		run.Frames[i] = Frame{Size: samples[i].Size, Marks: c.marks[i]}
	}
	return run, nil
}

// time makes the run of access units that each hold a picture.
func (c *frameClock) time(samples []Sample, next int64) (Run, error) {
	s := c.frameState // committed at the end, so that an error changes nothing
	shown, err := c.presentation(samples)
	if err != nil {
		return Run{}, err
	}
	if c.video {
		upTo := int64(NoTime)
		if next != NoTime {
			upTo = ticksOf(next, c.scale)
		}
		c.straighten(&s, samples, shown, upTo)
	}
	entry := samples[0].Key || samples[0].open
	s.unkeyed = s.unkeyed || !entry
	decoded := c.decodeTimes(&s, shown, entry)
	n := len(samples)
	if s.compared = s.compared || n > 1; s.reordered {
		s.depth = max(s.depth, depth(shown))
	}
	if s.single {
		s.learnSingle(decoded[0]-s.lone, c.scale)
	}

	upTo, known := int64(0), next != NoTime && c.video
	c.learn(&s, decoded)
	if known {
		upTo = ticksOf(next, c.scale)
		if s.reordered && n > 1 && decoded[0] < upTo && (upTo < decoded[n-1] || s.unkeyed) {
			upTo = c.fill(&s, decoded, upTo)
		}
	}

	last := c.lastDuration(&s, decoded, upTo, known)
	early := c.joint(decoded, last)
	run := Run{Track: c.track, BaseDecodeTime: decoded[0] - early, Frames: make([]Frame, n)}
	for i := range run.Frames {
		f := &run.Frames[i]
		f.Size, f.Key = samples[i].Size, samples[i].Key || !c.video
		d, o := last, shown[i]-decoded[i]
		if i < n-1 {
			d = decoded[i+1] - decoded[i]
		}
		if i == 0 {
			d, o = d+early, o+early
		}
		if f.Duration, err = duration(c.track, d); err != nil {
			return Run{}, err
		}
		if c.video {
			if f.CompositionOffset, err = offset(c.track, o); err != nil {
				return Run{}, err
			}
		}
	}
	s.end, s.started = decoded[n-1]+last, true
	s.single, s.lone = n == 1, decoded[0]
	markLeading(run.Frames, samples, shown)
	c.frameState = s
	return run, nil
}

// markLeading marks the pictures of open groups.
func markLeading(frames []Frame, samples []Sample, shown []int64) {
	from := -1
	for i := range frames {
		from = markPicture(&frames[i], samples, shown, i, from)
	}
}

// markPicture marks picture i if it begins an open group, or follows that picture and is shown
// before it. H.265 says which of the latter cannot be decoded from there, and only they are marked.
// A CRA picture without any begins no open group: it is a random access point like others (stream
// access point of type 1, ISO/IEC 14496-12 annex I). from is the picture that begins the current
// open group, -1 for none. The result is from for the next picture.
func markPicture(f *Frame, samples []Sample, shown []int64, i, from int) int {
	switch c := samples[i].Content; {
	case samples[i].open:
		if c&cra != 0 && !leads(samples[i+1:]) {
			f.Key = true
			return -1
		}
		f.Marks |= Open
		return i
	case samples[i].Key:
		return -1
	case from >= 0 && shown[i] < shown[from] && (c&rasl != 0 || samples[from].Content&cra == 0):
		f.Marks |= Leading
	}
	return from
}

// leads reports whether there are RASL pictures before the next random access point.
func leads(samples []Sample) bool {
	for i := range samples {
		switch {
		case samples[i].Content&rasl != 0:
			return true
		case samples[i].Key || samples[i].open:
			return false
		}
	}
	return false
}

// joint returns how much earlier (negative: later) than due the first frame is decoded, so that the
// run begins where the one before it ended. That is less than a frame of usual length, and 0 if the
// two do not meet: at a gap, or when the clock went back.
func (c *frameClock) joint(decoded []int64, last int64) int64 {
	first := last
	if len(decoded) > 1 {
		first = decoded[1] - decoded[0]
	}
	gap, usual := decoded[0]-c.end, c.usualOr(c.frameState)
	if !c.started || gap >= usual || -gap >= usual || -gap >= first {
		return 0
	}
	return gap
}

// presentation returns the samples' presentation times in ticks, in decode order. Unknown times
// follow that of the frame before. The result has room for the decode times after it: both live in
// c.times.
func (c *frameClock) presentation(samples []Sample) ([]int64, error) {
	n := len(samples)
	c.times = slices.Grow(c.times[:0], 2*n+2)
	for i := range samples {
		t, ok := c.timeOf(&samples[i], c.times)
		if !ok {
			return nil, errors.New("first frame has no time")
		}
		c.times = append(c.times, t)
	}
	return c.times[:n:n], nil
}

// timeOf returns the presentation time of a sample in ticks. before has those of the samples before
// it. ok is false if neither the sample nor anything before it has a time.
func (c *frameClock) timeOf(s *Sample, before []int64) (t int64, ok bool) {
	switch n := len(before); {
	case s.Time != NoTime:
		return ticksOf(s.Time, c.scale), true
	case n > 0:
		return before[n-1] + c.usualOr(c.frameState), true
	}
	return c.end, c.started
}

// decodeTimes derives the decode times: sorted for video, never falling for the rest.
func (c *frameClock) decodeTimes(s *frameState, shown []int64, key bool) []int64 {
	n := len(shown)
	d := append(c.times[n:n], shown...)
	if !c.video {
		for i := 1; i < n; i++ {
			d[i] = max(d[i], d[i-1])
		}
		return d
	}
	if !s.reordered {
		s.reordered = !slices.IsSorted(d)
	}
	// A key frame starts afresh: nothing decoded before it is shown after it.
	for i, borrowed := range s.borrowed {
		if at := nearest(d, borrowed); !key && abs64(d[at]-borrowed) <= c.usualOr(*s)/2 {
			d[at] = s.leftover[i]
		}
	}
	s.borrowed, s.leftover = nil, nil
	slices.Sort(d)
	for i := 1; i < n; i++ {
		d[i] = max(d[i], d[i-1]+1) // a borrowed time may equal another
	}
	return d
}

// depth returns the most frames that are shown after one that is decoded later.
func depth(shown []int64) int {
	most := 0
	for i, t := range shown {
		later := 0
		for _, before := range shown[max(i-deepestReorder, 0):i] {
			if before > t {
				later++
			}
		}
		most = max(most, later)
	}
	return most
}

// fill replaces decode times at the end of a fragment that was cut among reordered frames, so that
// they are a usual frame duration apart. It returns the one that would follow. upTo is where the
// next cluster starts.
func (c *frameClock) fill(s *frameState, decoded []int64, upTo int64) (following int64) {
	n, usual := len(decoded), c.usualOr(*s)
	shown := append(c.spans[:0], decoded...)
	c.spans = shown
	from := decoded[n-1] - deepestReorder*usual
	next := 1 // of shown
	take := func(last int64) int64 {
		if shown[next]-last > usual*7/4 && last >= from {
			s.borrowed = append(s.borrowed, last+usual)
			return last + usual
		}
		next++
		return shown[next-1]
	}
	for i := 1; i < n; i++ {
		decoded[i] = take(decoded[i-1])
	}
	if next == n { // no holes
		if upTo > decoded[n-1] {
			return upTo
		}
		return decoded[n-1] + usual
	}
	s.leftover = slices.Clone(shown[next:])
	if shown[next]-decoded[n-1] > usual*7/4 { // the next one is a hole too
		return decoded[n-1] + usual
	}
	return shown[next]
}

// nearest returns the index of the value of d that is closest to v.
func nearest(d []int64, v int64) int {
	at := 0
	for i := range d {
		if abs64(d[i]-v) < abs64(d[at]-v) {
			at = i
		}
	}
	return at
}

func abs64(v int64) int64 { return max(v, -v) }

// lastDuration returns how long the last frame lasts. It lasts until the next cluster starts if
// that is at most 7/4 of the longest frame of the fragment, which allows for jitter but not for a
// lost frame or leading pictures of an open GOP. For a fragment of one frame the limit is twice the
// connection's usual duration. Otherwise it has the usual duration of the fragment's frames, or of
// the connection's, or DefaultDuration, or 1/25 s.
func (c *frameClock) lastDuration(s *frameState, decoded []int64, next int64, known bool) int64 {
	n := len(decoded)
	delta := next - decoded[n-1]
	known = known && delta > 0
	if n == 1 {
		limit := ticksOf(longestSingle, c.scale)
		if u := max(s.usual, 0); u > 0 {
			limit = 2 * u
		} else if c.declared > 0 {
			limit = 2 * c.declared
		}
		if known && delta <= limit {
			return delta
		}
		return c.usualOr(*s)
	}
	longest := int64(0)
	for i := 1; i < n; i++ {
		longest = max(longest, decoded[i]-decoded[i-1])
	}
	if known && delta <= longest*7/4 {
		return delta
	}
	return c.usualOr(*s)
}

// fewSpans is the number of distances between frames up to which they say little of a reordered
// track: in so small a cluster most may be holes.
const fewSpans = 3

// learn learns the usual frame duration from the fragment's frames, if it has more than one.
func (c *frameClock) learn(s *frameState, decoded []int64) {
	c.spans = c.spans[:0]
	for i := 1; i < len(decoded); i++ {
		if d := decoded[i] - decoded[i-1]; d > 0 {
			c.spans = append(c.spans, d)
		}
	}
	if len(c.spans) == 0 {
		return
	}
	usual := usualSpan(c.spans, c.tolerance)
	if s.reordered && s.usual > 0 && len(c.spans) <= fewSpans {
		usual = min(usual, s.usual)
	}
	s.usual = usual
}

// usualSpan returns the median, or the smallest duration that differs from it only by rounding. A
// run is better a millisecond short, which the next run makes up for, than a millisecond long. It
// reorders spans.
func usualSpan(spans []int64, tolerance int64) int64 {
	slices.Sort(spans)
	median := spans[(len(spans)-1)/2]
	i, _ := slices.BinarySearch(spans, median-tolerance)
	return spans[i]
}

// learnSingle learns the usual frame duration from the distance between two fragments, of which the
// first had one frame.
func (s *frameState) learnSingle(d int64, scale uint32) {
	if d > 0 && d <= ticksOf(longestSingle, scale) {
		s.usual = d
	}
}

func (c *frameClock) usualOr(s frameState) int64 {
	if s.usual > 0 {
		return s.usual
	}
	if c.declared > 0 {
		return c.declared
	}
	return max(int64(c.scale)/25, 1)
}
