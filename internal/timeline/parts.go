package timeline

import (
	"slices"

	"weir/internal/media"
	"weir/internal/store"
)

// partOverhang is by how many milliseconds a slice may be longer than the target duration in a
// session with parts, where the end of a slice is decided before what follows is known. A slice
// that is up to half a second longer still rounds to the target duration; what is left of that half
// second is room for the sound, which may overlap by a frame, 128 ms of AAC at 8 kHz.
const partOverhang = 350

// leastFill is the least percentage of PART-TARGET that each part of a segment but the last one
// should last (Apple's HLS authoring specification, Low-Latency HLS).
const leastFill = 85

// Part is a part of a segment: some frames of its run.
type Part struct {
	First, Frames int   // access units of the segment's run before the part, and in it
	Begin         int64 // decode time of its first access unit, ticks
	Ticks         int64 // how long it lasts
	Offset, Size  int64 // bytes of the segment's run before the part, and in it
	Duration      int64 // as listed, nanoseconds: see listedAt
	Independent   bool  // it begins with a random access point
}

// Parts cuts the run of a segment, whose frames are access units, into parts of at most target
// milliseconds. whole says that the run is complete. Otherwise more frames may follow, and the
// parts are those that no later frame can change. ended says that a frame is longer than target;
// there are no parts from that frame on.
func Parts(
	run *media.Run, kind media.Kind, timescale, target int64, whole bool,
) (parts []Part, ended bool) {
	for i, p := range cutParts(run, timescale, target) {
		if p.long {
			return parts, true
		}
		if !p.full && !whole {
			break
		}
		p.Independent = kind != media.Video || run.Frames[p.First].Key
		begin := p.Begin - run.BaseDecodeTime
		p.Duration = listedAt(i+1, begin+p.Ticks, timescale) - listedAt(i, begin, timescale)
		parts = append(parts, p.Part)
	}
	return parts, false
}

// listedAt is when a part begins according to the listed durations of the parts before it, in
// nanoseconds from the start of its segment. It is never before the part's media, and the
// difference grows by a nanosecond from part to part. If it ever became smaller, Shaka Player
// 5.2.12 would abort its source buffer before that part, and in mid-group Chromium then drops all
// pictures up to the next key frame (DESIGN.md, "Parts").
func listedAt(part int, ticks, timescale int64) int64 {
	return -Rescale(-ticks, timescale, 1_000_000_000) + int64(part)
}

// listedMore is by how many nanoseconds a part may be listed as longer than it is.
const listedMore = 2

// Surplus is by how many nanoseconds the EXTINF of an entry is longer than its media, in a session
// with parts. It is more than the surplus of all its parts. A player places the hint that follows
// the last part by the durations of the parts. The hint becomes the first part of the next segment,
// whose other parts are placed by the EXTINFs, and must not begin earlier against their media than
// the first one (listedAt).
func (r *Rules) Surplus(e *Entry, track int) int64 {
	if r.PartTarget == 0 {
		return 0
	}
	// Parts last longer than half of PART-TARGET on average. One that is shorter, and not the last,
	// is followed by one with which it would have been longer than PART-TARGET (cutParts).
	return 2*e.Duration[track]/r.PartTarget + 3
}

// cutPart is a part, or a frame that is too long for a part.
type cutPart struct {
	Part
	long bool
	full bool // no frame that follows belongs to it
}

// cutParts divides a run into parts, each as long as possible, and frames that are too long for a
// part. A part is full when another frame as short as its shortest one would not fit. So with
// frames of equal length a part is full with its last frame, and need not wait for the next one.
func cutParts(run *media.Run, timescale, target int64) []cutPart {
	most := Rescale(target*1_000_000-listedMore, 1_000_000_000, timescale)
	var all []cutPart
	at, offset, shortest := run.BaseDecodeTime, int64(0), int64(0)
	for i := range run.Frames {
		d, size := int64(run.Frames[i].Duration), int64(run.Frames[i].Size)
		n := len(all)
		if n > 0 && !all[n-1].full && all[n-1].Ticks+d > most {
			all[n-1].full = true
		}
		if n == 0 || all[n-1].full {
			all = append(all, cutPart{Part: Part{First: i, Begin: at, Offset: offset}})
			n, shortest = n+1, d
		}
		p := &all[n-1]
		p.Frames, p.Ticks, p.Size = p.Frames+1, p.Ticks+d, p.Size+size
		shortest = min(shortest, d)
		p.long = d > most
		p.full = p.long || p.Ticks+max(shortest, 1) > most
		at, offset = at+d, offset+size
	}
	return all
}

// PartTarget computes the PART-TARGET of a session, in milliseconds, from the newest runs (access
// units) of its first track. It is how long as many frames last as fit into wanted milliseconds, or
// a single frame if that lasts longer. sound is how many milliseconds a frame of the session's
// sound lasts, 0 without sound: a whole number of them must fill a part well too.
func PartTarget(runs []media.Run, timescale int64, wanted, sound float64) int64 {
	var lengths []int64
	for i := range runs {
		for j := range runs[i].Frames {
			lengths = append(lengths, int64(runs[i].Frames[j].Duration))
		}
	}
	if len(lengths) == 0 {
		return 0
	}
	slices.Sort(lengths)
	usual := max(lengths[(len(lengths)-1)/2], 1)
	// Matroska rounds times: at 30 frames a second each frame lasts 33.3 ms
	most := max(1, int(wanted*float64(timescale)/1000/float64(usual)+0.05))
	for n := most; n > 0; n-- {
		if t := longestOf(runs, n, usual, timescale); fills(sound, t) {
			return t
		}
	}
	for n := most + 1; n < 4*most+4; n++ {
		if t := longestOf(runs, n, usual, timescale); fills(sound, t) {
			return t
		}
	}
	return longestOf(runs, most, usual, timescale)
}

// longestOf is how long n successive frames of the runs last at most, in milliseconds, rounded up.
// Those that last a quarter longer than usual do not count: there was a pause, or a frame was lost.
func longestOf(runs []media.Run, n int, usual, timescale int64) int64 {
	most := int64(n) * usual
	longest := most
	for i := range runs {
		frames, sum := runs[i].Frames, int64(0)
		for j := range frames {
			if sum += int64(frames[j].Duration); j >= n {
				sum -= int64(frames[j-n].Duration)
			}
			if j >= n-1 && sum <= most*5/4 {
				longest = max(longest, sum)
			}
		}
	}
	return -Rescale(-(listedAt(0, longest, timescale) + listedMore), 1_000_000_000, 1000)
}

// fills reports whether frames of sound that each last so many milliseconds fill parts of a target.
func fills(sound float64, target int64) bool {
	if sound == 0 {
		return true
	}
	n := int64(float64(target)/sound + 0.001)
	return float64(n)*sound*100 >= float64(leastFill*target)
}

// Gap is what was listed of a fragment that broke off.
type Gap struct {
	Parts [MaxTracks][]Part // indexed like Rules.Tracks; a checkpoint has only what is listed
}

// Open is a fragment that is still being received. What has come of it is listed in parts.
type Open struct {
	Info  store.FragmentInfo // its spans are those of what has come
	Match Match
	// Entry is how the fragment would be listed if it ended now. It is its first slice.
	Entry Entry
	Parts [MaxTracks][]Part // of the entry, indexed like Rules.Tracks
	// Ended says that no part follows: a frame was too long for a part, or the slice is full.
	Ended bool
	// Again is not nil when the fragment broke off before and is sent again from its start: it is
	// the entry that it had then.
	Again *Entry
}

// Resumes compares an open fragment that broke off with next, which may be the same one sent again.
// same says that the parts of next, as far as it has come, are those that were listed; all says
// that it has all of them. It may begin a little earlier or later, because the clock of sound
// begins anew with each connection.
func (o *Open) Resumes(r *Rules, next *Open) (same, all bool) {
	all = true
	for i, track := range r.Scaled(o.Match.Generation.Scales).Tracks {
		n := min(len(o.Parts[i]), len(next.Parts[i]))
		all = all && n == len(o.Parts[i])
		for j := range n {
			was, is := o.Parts[i][j], next.Parts[i][j]
			apart := Rescale(max(is.Begin-was.Begin, was.Begin-is.Begin), track.Timescale,
				1_000_000)
			is.Begin = was.Begin
			if is != was || apart > r.Tolerance {
				return false, false
			}
		}
	}
	return true, all
}

// Ahead reports whether o lists a part that was does not.
func (o *Open) Ahead(was *Open) bool {
	for i := range o.Parts {
		if len(o.Parts[i]) > len(was.Parts[i]) {
			return true
		}
	}
	return false
}

// Resume makes o continue what was listed of a fragment that broke off.
func (o *Open) Resume(was *Open) {
	if o.Again = was.Again; o.Again == nil {
		o.Again = &was.Entry
	}
	o.Entry.Date, o.Entry.Later = o.Again.Date, o.Again.Later
}

// Listed reports whether there is a part to list.
func (o *Open) Listed() bool { return len(o.Parts[0])+len(o.Parts[1]) > 0 }

// Follow decides which parts of a fragment that is still being received are listed. It returns nil
// while the fragment must wait for its commit (DESIGN.md, "Parts"). f is its row so far, without
// spans; g holds the runs that are final, as blocks; whole says that they are complete.
func (t *State) Follow(r *Rules, f store.FragmentInfo, c Match, g *media.Fragment,
	whole bool) *Open {
	f.Spans = store.SpansOf(g)
	if r.PartTarget == 0 || r.Mode != Live || len(t.Generations) == 0 || c.Index != t.Generation ||
		!t.takes(r, &f, c) {
		return nil
	}
	r = r.Scaled(c.Generation.Scales)
	start, ok := r.Start(&f)
	if !ok || t.greatest != 0 && r.epoch(start) != t.epoch || !t.goesOn(r, &f) {
		return nil
	}
	o := &Open{Info: f, Match: c}
	all := cut(r, g, start, t.Target)
	p := piece{FragmentInfo: f}
	if len(all) > 1 {
		p.slice = all[0]
		p.Spans = store.SpansOf(p.slice.fragment(r, g, start))
	}
	next := *t
	next.Entries = slices.Clone(t.Entries[max(0, len(t.Entries)-1):])
	if c.Generation.Silent = c.Generation.Silent && whole; !next.list(r, &p, c) {
		return nil
	}
	o.Entry = next.Entries[len(next.Entries)-1]
	if o.Entry.Skips != [MaxTracks]bool{} {
		return nil
	}
	o.cut(r, g, start, t.Target, whole)
	return o
}

// goesOn reports whether every track has frames and begins no earlier than its latest entry ended,
// and whether no silence is needed before them.
func (t *State) goesOn(r *Rules, f *store.FragmentInfo) bool {
	for i := range r.Tracks {
		span := f.Span(r.Tracks[i].Number)
		if span == nil {
			return false
		}
		begin := Rescale(span.BaseDecodeTime, r.Tracks[i].Timescale, 1_000_000)
		if t.known[i] && begin < t.end[i]-r.Tolerance {
			return false
		}
		if i > 0 && begin-t.soundFrom(r, f.Span(r.Tracks[0].Number)) > r.Tolerance {
			return false
		}
	}
	return true
}

// cut makes the parts of the entry. While the fragment is not whole, sound is listed only as far as
// it surely belongs to this slice. The slice surely lasts until the end of the last part of its
// pictures that is complete, and over the part that is not complete if it is short enough for that.
func (o *Open) cut(r *Rules, g *media.Fragment, start, target int64, whole bool) {
	slice := o.Entry.Slice
	var sure int64 // milliseconds
	for i := range r.Tracks {
		track := &r.Tracks[i]
		units := unitsOf(g, track.Number)
		run, _ := slice.Run(units, track.Timescale, start)
		all := whole && (i == 0 || o.Entry.Silence == Silence{}) ||
			len(run.Frames) < len(units.Frames)
		parts, ended := Parts(&run, track.Kind, track.Timescale, r.PartTarget, all)
		if n := len(parts); i == 0 {
			o.Ended = ended || slice.Until != 0
			last := run.BaseDecodeTime
			if n > 0 {
				last = parts[n-1].Begin + parts[n-1].Ticks
			}
			sure = Rescale(last, track.Timescale, 1000)
			if !ended && sure-start+r.PartTarget <= target*1000+partOverhang {
				sure = Rescale(run.BaseDecodeTime+run.Duration(), track.Timescale, 1000)
			}
		} else if !whole && slice.Until == 0 {
			parts = slices.DeleteFunc(parts, func(p Part) bool {
				last := p.Begin + p.Ticks - int64(run.Frames[p.First+p.Frames-1].Duration)
				return Rescale(last, track.Timescale, 1000) >= sure
			})
		}
		o.Parts[i] = parts
	}
}

// AddAfter is Add while o is open: f may be that fragment. differs says that the stored frames are
// not those that were listed. AddAfter reports whether the open fragment became a gap. After an
// error it is still open, unless it is a gap. A fragment that was sent again keeps its date.
func (t *State) AddAfter(r *Rules, f *store.FragmentInfo, c Match,
	read func() (*media.Fragment, error), o *Open, differs bool) (gap bool, err error) {
	if differs || !o.became(r, f, c) {
		t.Break(r, o)
		return true, t.Add(r, f, c, read)
	}
	before := t.Gone + int64(len(t.Entries))
	if err := t.Add(r, f, c, read); err != nil {
		return false, err
	}
	listed := int(t.Gone + int64(len(t.Entries)) - before)
	if listed == 0 {
		t.Break(r, o)
		return true, nil
	}
	if added := t.Entries[max(0, len(t.Entries)-listed):]; o.Again != nil {
		later := o.Again.Date - added[0].Date
		for i := range added {
			added[i].Date += later
		}
		added[0].Later = o.Again.Later
		t.dated += later
	}
	return false, nil
}

// became reports whether a stored fragment is the open one, with all that was listed of it.
func (o *Open) became(r *Rules, f *store.FragmentInfo, c Match) bool {
	if f.Number != o.Info.Number || c.Index != o.Match.Index || f.Partial {
		return false
	}
	for i := range r.Tracks {
		number := r.Tracks[i].Number
		was, is := o.Info.Span(number), f.Span(number)
		if is == nil || is.BaseDecodeTime != was.BaseDecodeTime || is.Duration < o.ticks(i) {
			return false
		}
	}
	return true
}

// ticks returns how much of a track is listed, in ticks.
func (o *Open) ticks(track int) int64 {
	var sum int64
	for i := range o.Parts[track] {
		sum += o.Parts[track][i].Ticks
	}
	return sum
}

// Bytes returns how many bytes of a track's run are listed.
func (o *Open) Bytes(track int) int64 {
	n := len(o.Parts[track])
	if n == 0 {
		return 0
	}
	last := &o.Parts[track][n-1]
	return last.Offset + last.Size
}

// Break makes a gap of a fragment that was listed in parts and will not become an entry. If none of
// its parts was listed, it does nothing. The playlists of all tracks have the gap, so that their
// numbers stay the same.
func (t *State) Break(r *Rules, o *Open) {
	if !o.Listed() {
		return
	}
	gap := piece{FragmentInfo: o.Info}
	gap.Spans = nil
	for i := range r.Tracks {
		if ticks := o.ticks(i); ticks > 0 {
			span := *o.Info.Span(r.Tracks[i].Number)
			span.Duration, span.KeyStart = ticks, true
			gap.Spans = append(gap.Spans, span)
		}
	}
	end, known, greatest, c := t.end, t.known, t.greatest, o.Match
	c.Generation.Silent = false
	if !t.list(r, &gap, c) {
		return
	}
	t.end, t.known, t.greatest = end, known, greatest
	e := &t.Entries[len(t.Entries)-1]
	e.Gap = &Gap{Parts: o.Parts}
	longest := e.Length()
	for i := range r.Tracks {
		if e.Duration[i] < 0 {
			e.Duration[i] = longest
			e.Tags[i], e.Change[i] = t.discontinuity-t.Listed[i], t.mapped[i] != c.Index
			t.Listed[i], t.mapped[i] = t.discontinuity, c.Index
		}
	}
	t.Trim(r, len(t.Entries))
}
