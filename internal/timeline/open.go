package timeline

import (
	"slices"

	"weir/internal/media"
	"weir/internal/store"
)

// Gap is what was listed of a fragment, or of a slice of one, that broke off.
type Gap struct {
	Parts [MaxTracks][]Part // indexed like Rules.Tracks; a checkpoint has only what is listed
}

// Done is a slice of an open fragment that is complete. It is listed whole.
type Done struct {
	Entry Entry
	Parts [MaxTracks][]Part // indexed like Rules.Tracks
	Ended [MaxTracks]bool   // Parts do not reach its end
	spans []store.Span
}

// Open is a fragment that is still being received. What has come of it is listed in parts.
type Open struct {
	Info  store.FragmentInfo // its spans are those of what has come
	Match Match
	Done  []Done // its slices that are complete
	// Entry is how the rest of the fragment would be listed if the fragment ended now.
	Entry Entry
	Parts [MaxTracks][]Part // of the entry, indexed like Rules.Tracks
	// Waits says that the rest must wait for its commit.
	Waits bool
	// Ended says that no part of the entry follows: a frame was too long for one.
	Ended bool
	// Finish is when the entry may be a complete slice: milliseconds of media time.
	Finish int64
	// Until is up to where each track is listed, in ticks of media time: where it begins if nothing
	// is. Bytes is how much of the track's payload that is.
	Until, Bytes [MaxTracks]int64
	// Again says that the fragment broke off before and is sent again from its start.
	Again bool
	spans []store.Span // of Entry
}

// Listed reports whether there is something to list.
func (o *Open) Listed() bool { return len(o.Done) > 0 || o.HasParts() }

// HasParts reports whether there is a part of the entry.
func (o *Open) HasParts() bool { return len(o.Parts[0])+len(o.Parts[1]) > 0 }

// slice returns the parts of the fragment's slice with an index, and whether it is complete.
func (o *Open) slice(i int) (parts [MaxTracks][]Part, done bool) {
	switch {
	case i < len(o.Done):
		return o.Done[i].Parts, true
	case i == len(o.Done):
		return o.Parts, false
	}
	return parts, false
}

// Complete returns the complete slice of the open fragment that an entry is, or nil.
func (o *Open) Complete(e *Entry) *Done {
	if o == nil || e.Gap != nil || e.Number != o.Info.Number {
		return nil
	}
	for i := range o.Done {
		if o.Done[i].Entry.Slice == e.Slice {
			return &o.Done[i]
		}
	}
	return nil
}

// ListedUntil returns up to where the first track is listed: nanoseconds of media time.
func (o *Open) ListedUntil(r *Rules) int64 {
	scale := r.Scaled(o.Match.Generation.Scales).Tracks[0].Timescale
	return Rescale(o.Until[0], scale, 1_000_000_000)
}

// Due returns up to where a track must have come until there can be more to list: nanoseconds of
// media time. It returns false if nothing more is listed before the commit.
func (o *Open) Due(r *Rules, track int) (at int64, more bool) {
	if at = o.Finish * 1_000_000; o.Waits || o.Ended {
		return at, !o.Waits
	}
	scale, frames := r.Scaled(o.Match.Generation.Scales).Tracks[track].Timescale, int64(1)
	if n := len(o.Parts[track]); n > 0 {
		frames = int64(o.Parts[track][n-1].Frames)
	}
	// A part of n frames is complete when one more would not fit.
	return min(at, Rescale(o.Until[track], scale, 1_000_000_000)+
		r.PartTarget*1_000_000*frames/(frames+1)), true
}

// Resumes compares an open fragment that broke off with next, which may be the same one sent again.
// same says that the parts of next, as far as it has come, are those that were listed; all says
// that it has all of them. It may begin a little earlier or later, because the clock of sound
// begins anew with each connection.
func (o *Open) Resumes(r *Rules, next *Open) (same, all bool) {
	all = true
	r = r.Scaled(o.Match.Generation.Scales)
	for i := range len(o.Done) + 1 {
		was, done := o.slice(i)
		is, again := next.slice(i)
		if done && again {
			a, b := &o.Done[i], &next.Done[i]
			if a.Entry.Tags != b.Entry.Tags || len(a.Parts[0]) != len(b.Parts[0]) ||
				len(a.Parts[1]) != len(b.Parts[1]) {
				return false, false
			}
		}
		all = all && (again || !done)
		for j, track := range r.Tracks {
			n := min(len(was[j]), len(is[j]))
			all = all && n == len(was[j])
			for k := range n {
				a, b := was[j][k], is[j][k]
				apart := Rescale(max(b.Begin-a.Begin, a.Begin-b.Begin), track.Timescale, 1_000_000)
				b.Begin = a.Begin
				if a != b || apart > r.Tolerance {
					return false, false
				}
			}
		}
	}
	return true, all
}

// Ahead reports whether o lists more than was, which is the same fragment as far as both go.
func (o *Open) Ahead(was *Open) bool {
	for i := range o.Bytes {
		if o.Bytes[i] > was.Bytes[i] {
			return true
		}
	}
	return false
}

// Resume makes o continue what was listed of a fragment that broke off, with the dates and EXTINFs
// that it had. (An EXTINF may differ by a millisecond, because the sound begins anew.)
func (o *Open) Resume(was *Open) {
	o.Again = true
	was.pass(o.entries())
}

// pass gives the dates and EXTINFs that were listed to the entries of the same fragment, and
// returns by how much later the dates of what follows become.
func (o *Open) pass(to []*Entry) (later int64) {
	was := o.entries()
	if !o.HasParts() {
		was = was[:len(o.Done)]
	}
	later = was[0].Date - to[0].Date
	for i, e := range to {
		if e.Date += later; i < len(was) {
			e.Date, e.Later = was[i].Date, was[i].Later
		}
		if i < len(o.Done) {
			e.Duration = was[i].Duration
		}
	}
	return later
}

// entries returns the entries, with that of what is not complete.
func (o *Open) entries() (all []*Entry) {
	for i := range o.Done {
		all = append(all, &o.Done[i].Entry)
	}
	return append(all, &o.Entry)
}

// With returns the state with the slices of an open fragment that are complete. That is what
// playlists list; the fold goes on without them. o may be nil.
func (t *State) With(o *Open) *State {
	if o == nil || len(o.Done) == 0 {
		return t
	}
	s := *t
	s.Entries = slices.Grow(slices.Clone(t.Entries), len(o.Done))
	for i := range o.Done {
		s.Entries = append(s.Entries, o.Done[i].Entry)
		s.later += int(min(o.Done[i].Entry.Slice.From, 1))
	}
	return &s
}

// beginning is how long after a session is opened players are expected to begin, in milliseconds.
const beginning = 5_000

// Follow decides what of a fragment that is still being received is listed. It returns nil while
// the fragment must wait for its commit (DESIGN.md, "Parts"). f is its row so far, without spans; g
// holds the runs that are final, as blocks; whole says that they are complete.
func (t *State) Follow(r *Rules, f store.FragmentInfo, c Match, g *media.Fragment,
	whole bool) *Open {
	f.Spans = store.SpansOf(g)
	if r.PartTarget == 0 || r.Mode != Live || len(t.Generations) == 0 || c.Index != t.Generation ||
		!t.Takes(r, &f, c) {
		return nil
	}
	r = r.Scaled(c.Generation.Scales)
	start, ok := r.Start(&f)
	if !ok || t.greatest != 0 && r.epoch(start) != t.epoch {
		return nil
	}
	o := &Open{Info: f, Match: c}
	for i := range r.Tracks {
		if span := f.Span(r.Tracks[i].Number); span != nil {
			o.Until[i] = span.BaseDecodeTime
		}
	}
	cutter := newCutter(r, g, start, t.Target)
	if cutter.times == nil {
		return nil
	}
	done, current := cutter.known(whole)
	complete := whole
	if len(done) > 0 && f.ServerTimestamp < r.Opened+beginning { // players may begin in it
		done, current, complete, o.Waits = nil, done[0], true, true
	}
	next := *t
	next.Entries = slices.Clone(t.Entries[max(0, len(t.Entries)-1):])
	for _, s := range done {
		e, spans := next.follow(r, &f, c, g, s, start, true)
		if e == nil || e.Silence != (Silence{}) {
			return o.wait()
		}
		d := Done{Entry: *e, spans: spans}
		for i := range r.Tracks {
			track := &r.Tracks[i]
			run, offset := s.Run(unitsOf(g, track.Number), track.Timescale, start)
			d.Parts[i], d.Ended[i] = Parts(&run, track.Kind, track.Timescale, r.PartTarget, true)
			o.Until[i] = run.BaseDecodeTime + run.Duration()
			o.Bytes[i] = offset + run.Size()
		}
		o.Done = append(o.Done, d)
	}
	e, spans := next.follow(r, &f, c, g, current, start, complete)
	if e == nil {
		return o.wait()
	}
	o.Entry, o.spans = *e, spans
	o.cut(r, g, start, t.Target, complete)
	return o
}

// wait is what Follow returns when the rest must wait.
func (o *Open) wait() *Open {
	if len(o.Done) == 0 {
		return nil
	}
	o.Waits = true
	return o
}

// follow appends the entry of a slice to a state, which it may spoil otherwise. It returns nil if
// the slice must wait for its commit. complete says that all of the slice has come.
func (t *State) follow(r *Rules, f *store.FragmentInfo, c Match, g *media.Fragment, s Slice,
	start int64, complete bool) (*Entry, []store.Span) {
	p := newPiece(r, f, s)
	if s != (Slice{}) {
		p.Spans = store.SpansOf(s.fragment(r, g, start))
	}
	c.Generation.Silent = c.Generation.Silent && complete
	if !t.goesOn(r, &p.FragmentInfo) {
		return nil, nil
	}
	spans := p.Spans
	if !t.list(r, &p, c) {
		return nil, nil
	}
	e := &t.Entries[len(t.Entries)-1]
	if e.Skips != [MaxTracks]bool{} {
		return nil, nil
	}
	return e, spans
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

// cut makes the parts of the entry. While that is not complete, sound is listed only as far as
// it surely belongs to this slice. The slice surely lasts until the end of the last part of its
// pictures that is complete, and over the part that is not complete if it is short enough for that.
// Pictures that go on for longer than a slice may last are listed when it is known that they end or
// where they are cut: if sound came before them, they may last as long as a slice themselves.
func (o *Open) cut(r *Rules, g *media.Fragment, start, target int64, complete bool) {
	slice := o.Entry.Slice
	most := start + slice.From + target*1000 + partOverhang
	if o.Finish = most; slice.Until != 0 {
		o.Finish = start + slice.Until
	}
	var sure int64 // milliseconds
	for i := range r.Tracks {
		track := &r.Tracks[i]
		run, offset := slice.Run(unitsOf(g, track.Number), track.Timescale, start)
		all := complete && (i == 0 || o.Entry.Silence == Silence{})
		parts, ended := Parts(&run, track.Kind, track.Timescale, r.PartTarget, all)
		if i == 0 && !complete && slice.Until == 0 {
			parts = slices.DeleteFunc(parts, func(p Part) bool {
				return Rescale(p.Begin+p.Ticks, track.Timescale, 1000) > most
			})
		}
		if n := len(parts); i == 0 {
			o.Ended = ended
			last := run.BaseDecodeTime
			if n > 0 {
				last = parts[n-1].Begin + parts[n-1].Ticks
			}
			sure = Rescale(last, track.Timescale, 1000)
			if slice.Until != 0 {
				sure = start + slice.Until
			} else if !ended && sure+r.PartTarget <= most {
				sure = Rescale(run.BaseDecodeTime+run.Duration(), track.Timescale, 1000)
			}
		} else if !complete {
			parts = slices.DeleteFunc(parts, func(p Part) bool {
				last := p.Begin + p.Ticks - int64(run.Frames[p.First+p.Frames-1].Duration)
				return Rescale(last, track.Timescale, 1000) >= sure
			})
		}
		if o.Parts[i] = parts; len(parts) > 0 {
			last := &parts[len(parts)-1]
			o.Until[i], o.Bytes[i] = last.Begin+last.Ticks, offset+last.Offset+last.Size
		}
	}
}

// AddAfter is Add while o is open: f may be that fragment. differs says that the stored frames are
// not those that were listed. AddAfter reports whether the open fragment became a gap. After an
// error it is still open, unless it is a gap. A fragment that was sent again keeps its dates.
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
	if o.Again {
		var added []*Entry
		for i := max(0, len(t.Entries)-listed); i < len(t.Entries); i++ {
			added = append(added, &t.Entries[i])
		}
		t.dated += o.pass(added)
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
		if is == nil || is.BaseDecodeTime != was.BaseDecodeTime ||
			is.BaseDecodeTime+is.Duration < o.Until[i] {
			return false
		}
	}
	return true
}

// Break makes gaps of a fragment that was listed before it was stored, and will not become an
// entry: one of each slice of which something was listed. If nothing was, it does nothing. The
// playlists of all tracks have the gaps, so that their numbers stay the same.
func (t *State) Break(r *Rules, o *Open) {
	end, known, greatest := t.end, t.known, t.greatest
	for i := range o.Done {
		d := &o.Done[i]
		gap := piece{FragmentInfo: o.Info, slice: d.Entry.Slice}
		gap.Spans = d.spans
		t.leave(r, o, &gap, &d.Entry, d.Parts)
	}
	if o.HasParts() {
		gap := piece{FragmentInfo: o.Info, slice: Slice{From: o.Entry.Slice.From}}
		gap.Spans = nil
		of := store.FragmentInfo{Spans: o.spans}
		for i := range r.Tracks {
			if n := len(o.Parts[i]); n > 0 {
				span, last := *of.Span(r.Tracks[i].Number), &o.Parts[i][n-1]
				span.Duration = last.Begin + last.Ticks - span.BaseDecodeTime
				gap.Spans = append(gap.Spans, span)
			}
		}
		t.leave(r, o, &gap, &o.Entry, o.Parts)
	}
	if o.Listed() {
		t.end, t.known, t.greatest = end, known, greatest
		t.Trim(r, len(t.Entries))
	}
}

// leave appends a gap with the parts, number and date of an entry.
func (t *State) leave(r *Rules, o *Open, gap *piece, was *Entry, parts [MaxTracks][]Part) {
	c := o.Match
	c.Generation.Silent = false
	if !t.list(r, gap, c) {
		return
	}
	e := &t.Entries[len(t.Entries)-1]
	e.Gap = &Gap{Parts: parts}
	longest := e.Length()
	for i := range r.Tracks {
		if e.Duration[i] < 0 {
			e.Duration[i] = longest
			e.Tags[i], e.Change[i] = t.discontinuity-t.Listed[i], t.mapped[i] != c.Index
			t.Listed[i], t.mapped[i] = t.discontinuity, c.Index
		}
	}
	t.dated += was.Date - e.Date
	e.Date, e.Later = was.Date, was.Later
}
