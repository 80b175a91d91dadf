package media

import (
	"math"
	"slices"
)

// Draft computes the run of a fragment that is still coming in, as far as it is sure: the decode
// time of its first frame, and the durations, composition offsets, sizes, key flags and marks of a
// growing prefix of its frames. They equal those of the run that Clock.Run will return for the
// whole fragment, unless something comes later that makes the clock correct earlier times.
//
// A frame is sure when no later frame can be presented before it, the next access unit has begun,
// and everything that decides its marks has come. From the first time that the clock would correct,
// nothing more is sure.
type Draft interface {
	// Final returns the sure part of the run, which may be empty. samples are all that have come so
	// far; they begin with those of the previous call, unchanged. The result begins with the frames
	// of the previous result. The caller must not change it. Not for concurrent use.
	Final(samples []Sample) Run
}

// frameDraft is the draft of a frameClock.
//
// After n pictures, the decode times of all but the last depth ones in presentation order are
// known: later pictures are shown after those. So a picture and its duration are sure when depth+1
// pictures have begun after it. The depth is the greater of what the parameter sets say and what
// the track has shown before. With neither, nothing is sure.
//
// Times that the clock may correct are left to it. From a time that equals another, is too early,
// or is too far ahead, nothing more is sure. A smaller jump ahead is not sure until a time beyond
// it comes: until then it may be a single wrong one. In a track with reordering such a jump leaves
// a hole, which the clock may fill (frameClock.fill), so nothing after it is sure.
type frameDraft struct {
	clock   frameClock // as it was at the fragment's start
	depth   int
	stopped bool

	grouper
	taken  int     // samples that were grouped
	shown  []int64 // times of the units, as far as they are known
	sorted []int64 // the same, by time
	usual  int64   // the usual frame duration; 0 when not known yet
	// the latest time before a jump that is not confirmed; math.MaxInt64 when there is none
	before int64
	from   int // for markPicture
	done   int // units that are sure
	run    Run // the sure frames, one for each block
}

func (c *frameClock) Draft() Draft {
	d := &frameDraft{before: math.MaxInt64, from: -1, run: Run{Track: c.track}}
	d.clock = frameClock{track: c.track, scale: c.scale, video: c.video, declared: c.declared,
		tolerance: c.tolerance, frameState: c.frameState}
	if d.usual = c.usual; d.usual == 0 {
		d.usual = c.declared
	}
	d.depth = max(c.reorder, c.depth)
	d.stopped = c.video && (c.reorder < 0 && !c.compared || c.borrowed != nil)
	return d
}

func (d *frameDraft) Final(samples []Sample) Run {
	for ; d.taken < len(samples) && !d.stopped; d.taken++ {
		d.add(&samples[d.taken])
		n := len(d.units)
		if d.bare || d.units[n-1].Time == NoTime {
			n-- // not before it is complete
		}
		for u := len(d.shown); u < n && !d.stopped; u++ {
			d.stopped = !d.show(&d.units[u])
		}
		for !d.stopped && d.done+1 < len(d.sorted)-d.depth && d.sorted[d.done+1] <= d.before {
			d.stopped = !d.settle(samples)
		}
	}
	return d.run
}

// show adds the time of the next unit, and reports whether the clock will keep it.
func (d *frameDraft) show(s *Sample) bool {
	c, u := &d.clock, len(d.shown)
	t, ok := c.timeOf(s, d.shown)
	if !ok {
		return false
	}
	d.shown = append(d.shown, t)
	if !c.video {
		if u > 0 {
			t = max(t, d.sorted[u-1])
		}
		d.sorted = append(d.sorted, t)
		return true
	}
	if u == 0 {
		d.sorted = append(d.sorted, t)
		return !c.started || t >= c.end-c.usualOr(c.frameState)
	}
	at, equal := slices.BinarySearch(d.sorted, t)
	if equal || at < u-d.depth {
		return false
	}
	usual := d.usual
	if usual == 0 {
		usual = c.usualOr(c.frameState)
	}
	bound := usual*3/2 + c.tolerance
	if d.before != math.MaxInt64 {
		if t <= d.before+bound {
			return false
		}
		d.before = math.MaxInt64
	}
	switch latest := d.sorted[u-1]; {
	case t > latest+deepestReorder*usual: // markEnds
		return false
	case t > latest+bound && d.depth == 0:
		d.before = latest
	}
	d.sorted = slices.Insert(d.sorted, at, t)
	return true
}

// settle makes the next unit sure. It returns false if the clock may correct its duration.
func (d *frameDraft) settle(samples []Sample) bool {
	c, i := &d.clock, d.done
	d.units[i].settle()
	s := &d.units[i]
	if reordered := c.video && (c.reordered || d.depth > 0); reordered {
		if i == 0 && (c.unkeyed || !s.Key && !s.open) {
			return false
		}
		gap := d.sorted[i+1] - d.sorted[i]
		if d.usual == 0 {
			d.usual = gap
		}
		if gap > d.usual*3/2 {
			return false
		}
	}
	early := int64(0)
	if i == 0 {
		early = c.joint(d.sorted[:2], 0)
		d.run.BaseDecodeTime = d.sorted[0] - early
	}
	f := Frame{Size: s.Size, Key: s.Key || !c.video}
	var err error
	if f.Duration, err = duration(c.track, d.sorted[i+1]-d.sorted[i]+early); err != nil {
		return false
	}
	if c.video {
		f.CompositionOffset, err = offset(c.track, d.shown[i]-d.sorted[i]+early)
		if err != nil {
			return false
		}
	}
	// H.265 clause 7.4.2.2: leading pictures come before all others that follow
	d.from = markPicture(&f, d.units[:i+2], d.shown, i, d.from)
	if d.usual == 0 {
		d.usual = int64(f.Duration)
	}
	d.done++
	for b := len(d.run.Frames); ; b++ {
		f.Size, f.Marks = samples[b].Size, f.Marks|d.marks[b]
		d.run.Frames = append(d.run.Frames, f)
		f = Frame{}
		if b+1 == len(d.marks) || d.marks[b+1] != Joined {
			return true
		}
	}
}

// sampleDraft is the draft of a sampleClock. A frame has the usual length unless the next one is
// late, so it is sure when that has come. A late frame, and the start of the first one, are not
// sure before the next block with a time has come. If that time is earlier, the clock may take the
// late one for a slip, and nothing more is sure.
type sampleDraft struct {
	clock   sampleClock
	next    int   // the next sample to be placed
	start   int64 // where sample 0 begins
	stopped bool
	run     Run
}

func (c *sampleClock) Draft() Draft {
	d := &sampleDraft{clock: *c, run: Run{Track: c.track}}
	d.clock.ahead = nil
	return d
}

func (d *sampleDraft) Final(samples []Sample) Run {
	for d.next < len(samples) && !d.stopped && d.place(samples) {
	}
	return d.run
}

// place finds where the next sample begins, which makes the one before it sure. It returns false if
// that is not known yet, or never will be.
func (d *sampleDraft) place(samples []Sample) bool {
	c, i := &d.clock, d.next
	s := &samples[i]
	last := c.frame // how long the sample before lasts
	if s.Time != NoTime {
		block := ticksOf(s.Time, c.scale)
		late := block - c.position
		if !c.running || i == 0 && late < -c.frame || late > c.frame {
			k := slices.IndexFunc(samples[i+1:], func(s Sample) bool { return s.Time != NoTime })
			if k < 0 {
				return false
			}
			if block > ticksOf(samples[i+1+k].Time, c.scale) {
				d.stopped = true
				return false
			}
			last += late
			c.position, c.running = block, true
		}
	}
	if i == 0 {
		if !c.running {
			d.stopped = true
			return false
		}
		d.start = c.position
	} else {
		length, err := duration(c.track, last)
		if err != nil {
			d.stopped = true
			return false
		}
		d.run.BaseDecodeTime = d.start
		d.run.Frames = append(d.run.Frames,
			Frame{Duration: length, Size: samples[i-1].Size, Key: true})
	}
	c.position += c.frame
	d.next++
	return true
}
