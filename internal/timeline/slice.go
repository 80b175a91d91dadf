package timeline

import (
	"math"
	"slices"
	"sort"

	"weir/internal/media"
	"weir/internal/store"
)

// Slice is a stretch of a fragment that is listed as a segment of its own, because the whole
// fragment lasts longer than the session's target duration allows. The zero value is the whole
// fragment.
type Slice struct {
	// From is milliseconds of media time after the fragment's start (Rules.Start). A frame belongs
	// to the slice that it begins in.
	From  int64
	Until int64 // likewise, not included; 0: to the end
}

// overhang is how many milliseconds a slice's last frame may outlast it: slices end between
// pictures, often in the middle of an audio frame. A slice of whole seconds still rounds to that
// number with it.
const overhang = 499

// fits reports whether a segment that lasts millis milliseconds may be listed under a target
// duration (seconds): it must not be longer when rounded to the nearest second (RFC 8216 section
// 4.3.3.1).
func fits(millis, target int64) bool { return (millis+500)/1000 <= target }

// frameTimes has the times at which a run's frames begin, and at which the last one ends:
// milliseconds after the fragment's start.
type frameTimes struct {
	starts []int64
	end    int64
}

func timesOf(run *media.Run, timescale, start int64) frameTimes {
	t := frameTimes{starts: make([]int64, len(run.Frames))}
	at := run.BaseDecodeTime
	for i := range run.Frames {
		t.starts[i] = Rescale(at, timescale, 1000) - start
		at += int64(run.Frames[i].Duration)
	}
	t.end = Rescale(at, timescale, 1000) - start
	return t
}

// next returns when the first frame at or after a time begins. It returns false if there is none.
func (t *frameTimes) next(at int64) (int64, bool) {
	i := sort.Search(len(t.starts), func(i int) bool { return t.starts[i] >= at })
	if i < len(t.starts) {
		return t.starts[i], true
	}
	return 0, false
}

// cutter divides a fragment, or as much of it as has come, into slices.
type cutter struct {
	times     []frameTimes  // of the packaged tracks with frames
	lead      []media.Frame // of times[0]: the pictures, if there are any
	separates []bool
	parts     []int64 // where those of times[0] begin, and where the last one ends
	target    int64
	inParts   bool
}

// newCutter makes a cutter. r has the fragment's timescales; start is Rules.Start of the fragment.
func newCutter(r *Rules, f *media.Fragment, start, target int64) *cutter {
	c := &cutter{target: target, inParts: r.PartTarget > 0}
	for i := range r.Tracks {
		run := unitsOf(f, r.Tracks[i].Number)
		if len(run.Frames) == 0 {
			continue
		}
		if c.times == nil {
			if c.lead = run.Frames; c.inParts {
				c.parts = r.partStarts(&run, r.Tracks[i].Timescale, start)
			} else {
				c.separates = separating(&run)
			}
		}
		c.times = append(c.times, timesOf(&run, r.Tracks[i].Timescale, start))
	}
	return c
}

// cut divides a fragment into slices of at most target seconds and an overhang, in order. Each has
// a picture, if one begins in that time, and ends before another one. Of those that leave it short
// enough, that is the last key frame; without one, the last picture that separates what is
// presented before and after; otherwise the last picture. (Without pictures, frames of sound
// decide.) A frame that outlasts its slice by more than the overhang is cut short, and the next
// slice begins after a gap.
// In a session with parts, a slice ends where the last part begins that leaves it short enough.
func cut(r *Rules, f *media.Fragment, start, target int64) []Slice {
	c := newCutter(r, f, start, target)
	if c.times == nil {
		return nil
	}
	done, last := c.known(true)
	return append(done, last)
}

// end returns where a slice of a whole fragment ends that begins at from, 0 if with the fragment.
func (c *cutter) end(from int64) int64 {
	tooLong := func(t frameTimes) bool { return c.outlasts(t, from, overhang) }
	if !c.passes(from) && !slices.ContainsFunc(c.times, tooLong) {
		return 0
	}
	latest := from + c.target*1000
	if c.inParts {
		return lastPart(c.parts, from, latest)
	}
	return boundary(c.lead, c.separates, c.times[0].starts, from, latest)
}

// outlasts reports whether what a track has after from lasts more milliseconds longer than the
// target duration. With parts it counts from its own first frame, as EXTINF does: sound that drifts
// away from its pictures makes no segment longer.
func (c *cutter) outlasts(t frameTimes, from, more int64) bool {
	first, goesOn := t.next(from)
	if !c.inParts {
		first = from
	}
	return goesOn && t.end > first+c.target*1000+more
}

// passes reports whether the first track is too long for a slice with parts that begins at from.
// The slice then ends where end says, whatever frames follow.
func (c *cutter) passes(from int64) bool {
	return c.inParts && c.outlasts(c.times[0], from, partOverhang)
}

// next returns when the slice begins that follows one that ends at until: with the first frame that
// no earlier slice has. It returns false if fewer than least tracks go on.
func (c *cutter) next(until int64, least int) (from int64, more bool) {
	for i := range c.times {
		if at, goesOn := c.times[i].next(until); goesOn {
			if least--; !more || at < from {
				from, more = at, true
			}
		}
	}
	return from, more && least <= 0
}

// known returns the slices of a fragment: those that are complete, and the current one. whole says
// that all frames have come; then the current one is the last. Otherwise the session has parts, and
// Until of the current one is 0 while it is not known.
func (c *cutter) known(whole bool) (done []Slice, current Slice) {
	least := len(c.times)
	if whole {
		least = 1
	}
	for {
		if whole || c.passes(current.From) {
			current.Until = c.end(current.From)
		}
		if current.Until == 0 {
			return done, current
		}
		from, more := c.next(current.Until, least)
		if !more {
			return done, current
		}
		done, current = append(done, current), Slice{From: from}
	}
}

// boundary returns where a slice ends that begins at from and may last until latest.
func boundary(frames []media.Frame, separates []bool, starts []int64, from, latest int64) int64 {
	first := sort.Search(len(starts), func(i int) bool { return starts[i] >= from })
	last := sort.Search(len(starts), func(i int) bool { return starts[i] > latest }) - 1
	until, separated := latest, false // by default in the middle of a long frame
	for i := last; i > first && starts[i] > starts[first]; i-- {
		switch {
		case frames[i].Key:
			return starts[i]
		case separates[i] && !separated:
			until, separated = starts[i], true
		case i == last:
			until = starts[i]
		}
	}
	return until
}

// partStarts returns when the parts of a run begin, and frames that are too long for one, and when
// the last one ends, in milliseconds after the fragment's start. It returns none in a session
// without parts.
func (r *Rules) partStarts(run *media.Run, timescale, start int64) (starts []int64) {
	if r.PartTarget > 0 {
		for _, p := range cutParts(run, timescale, r.PartTarget) {
			starts = append(starts, Rescale(p.Begin, timescale, 1000)-start)
		}
		starts = append(starts, Rescale(run.BaseDecodeTime+run.Duration(), timescale, 1000)-start)
	}
	return starts
}

// lastPart returns where a slice with parts ends that begins at from: where the last part begins
// that leaves it short enough, or ends if no picture follows; otherwise at latest.
func lastPart(starts []int64, from, latest int64) int64 {
	until := latest // by default in the middle of a long frame
	for _, at := range starts {
		if at > from && at <= latest+partOverhang {
			until = at
		}
	}
	return until
}

// separating returns, for each frame, whether all frames before it in decode order are presented
// before it and all later ones.
func separating(run *media.Run) []bool {
	presented := make([]int64, len(run.Frames))
	at := run.BaseDecodeTime
	for i := range run.Frames {
		presented[i] = at + int64(run.Frames[i].CompositionOffset)
		at += int64(run.Frames[i].Duration)
	}
	separates := make([]bool, len(presented))
	least := make([]int64, len(presented)+1) // of the presentation times from a frame on
	least[len(presented)] = math.MaxInt64
	for i, at := range slices.Backward(presented) {
		least[i] = min(least[i+1], at)
	}
	greatest := int64(math.MinInt64) // of those before
	for i, at := range presented {
		separates[i] = greatest < least[i]
		greatest = max(greatest, at)
	}
	return separates
}

// unitsOf returns a track's access units in a fragment, none if the fragment has nothing of the
// track to present.
func unitsOf(f *media.Fragment, track int) media.Run {
	i := f.RunOf(track)
	if i >= 0 {
		return f.Runs[i].Units()
	}
	return media.Run{Track: track}
}

// Run returns the access units of a run that begin in the slice, and the offset of their first byte
// in the run's payload. The run is empty if there are none. start is Rules.Start of the fragment,
// in milliseconds.
func (s Slice) Run(run media.Run, timescale, start int64) (media.Run, int64) {
	if s == (Slice{}) {
		return run, 0
	}
	// the first ticks of the milliseconds in which the slice begins and ends
	from, until := -Rescale(-(start+s.From), 1000, timescale), int64(math.MaxInt64)
	if s.Until != 0 {
		until = -Rescale(-(start + s.Until), 1000, timescale)
	}
	at, offset, first := run.BaseDecodeTime, int64(0), 0
	for first < len(run.Frames) && at < from {
		at += int64(run.Frames[first].Duration)
		offset += int64(run.Frames[first].Size)
		first++
	}
	in := media.Run{Track: run.Track}
	last, end := first, at
	for last < len(run.Frames) && end < until {
		end += int64(run.Frames[last].Duration)
		last++
	}
	if first == last {
		return in, offset
	}
	in.BaseDecodeTime, in.Frames = at, run.Frames[first:last:last]
	if s.Until != 0 && Rescale(end, timescale, 1000)-start > s.Until+overhang {
		in.Frames = slices.Clone(in.Frames)
		in.Frames[len(in.Frames)-1].Duration -= uint32(end - until)
	}
	return in, offset
}

// piece is the part of a fragment that is listed as one segment. Its spans are those of the slice.
type piece struct {
	store.FragmentInfo
	slice Slice
	even  bool // it ends the fragment, whose sound is as long as its pictures
}

// newPiece makes a piece of a fragment; the caller fills in the spans of the slice. r has the
// fragment's timescales.
func newPiece(r *Rules, f *store.FragmentInfo, s Slice) piece {
	p := piece{FragmentInfo: *f, slice: s}
	if r.PartTarget > 0 && len(r.Tracks) > 1 && s.From > 0 && s.Until == 0 {
		pictures, sound := f.Span(r.Tracks[0].Number), f.Span(r.Tracks[1].Number)
		p.even = pictures != nil && sound != nil && Millis(sound, r.Tracks[1].Timescale)+
			maxLag/1000 >= Millis(pictures, r.Tracks[0].Timescale)
	}
	return p
}

// cut returns the pieces of a fragment: the whole fragment if it is short enough for the target
// duration, otherwise its slices. r has its timescales; read is as for Add.
func (t *State) cut(
	r *Rules, f *store.FragmentInfo, read func() (*media.Fragment, error),
) ([]piece, error) {
	start, ok := r.Start(f)
	if !ok {
		return nil, nil
	}
	if t.whole(r, f) {
		return []piece{{FragmentInfo: *f}}, nil
	}
	g, err := read()
	if g == nil || err != nil {
		return nil, err
	}
	var pieces []piece
	for _, p := range cut(r, g, start, t.Target) {
		c := newPiece(r, f, p)
		c.Spans = store.SpansOf(p.fragment(r, g, start))
		pieces = append(pieces, c)
	}
	return pieces, nil
}

// whole reports whether a fragment is listed as one segment.
func (t *State) whole(r *Rules, f *store.FragmentInfo) bool {
	if r.PartTarget == 0 {
		return fits(r.Length(f), t.Target)
	}
	most := t.Target*1000 + partOverhang // as in cut
	for i := range r.Tracks {
		span := f.Span(r.Tracks[i].Number)
		if span == nil {
			continue
		}
		if Millis(span, r.Tracks[i].Timescale) > most {
			return false
		}
		most = t.Target*1000 + overhang
	}
	return true
}

// fragment returns the part of a fragment's packaged runs that is in the slice.
func (s Slice) fragment(r *Rules, f *media.Fragment, start int64) *media.Fragment {
	in := &media.Fragment{Tracks: f.Tracks}
	for i := range r.Tracks {
		run := unitsOf(f, r.Tracks[i].Number)
		if run, _ = s.Run(run, r.Tracks[i].Timescale, start); len(run.Frames) > 0 {
			in.Runs = append(in.Runs, run)
		}
	}
	return in
}
