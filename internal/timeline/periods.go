package timeline

import "slices"

// Period is a stretch of a DASH session's presentation with one codec private data and continuous
// media times (DESIGN.md, "Periods").
type Period struct {
	ID    int64 // counts the session's periods from 0
	Start int64 // presentation time at which it begins, milliseconds
	Media int64 // media time that is presented then, milliseconds after Rules.Origin
}

// Offset returns the period's presentationTimeOffset: the tfdt that is presented at its start, in
// ticks.
func (p *Period) Offset(timescale int64) int64 {
	return Rescale(p.Media-floorDiv(p.Media, epochMillis)*epochMillis, 1000, timescale)
}

// PeriodOf returns the period of an entry.
func (t *State) PeriodOf(e *Entry) *Period { return &t.Periods[e.Period-t.Periods[0].ID] }

// settle assigns an entry its period and its place in it. f is everything in its segment. resets
// says that it cannot be in the period of the entry before, breaks that its media does not continue
// that of the entry before. It is called before the state moves on.
func (t *State) settle(r *Rules, f *piece, e *Entry, resets, breaks bool) {
	begin, _ := r.Start(&f.FragmentInfo)
	media := begin - r.Origin
	switch {
	case len(t.Periods) == 0:
		t.Periods = []Period{{Media: media}}
		t.until = [MaxTracks]int64{}
	default:
		last := t.Periods[len(t.Periods)-1]
		start := last.Start + media - last.Media
		untrue := t.untrue(r, f, e, start, breaks)
		if !resets && !untrue {
			break
		}
		if untrue {
			start = t.resume(r, f, e)
		}
		t.Periods = append(t.Periods, Period{ID: last.ID + 1, Start: start, Media: media})
		t.until = [MaxTracks]int64{}
	}
	period := &t.Periods[len(t.Periods)-1]
	e.Period = period.ID
	base := floorDiv(period.Media, epochMillis)*epochMillis + r.Origin
	for i := range r.Tracks {
		scale := r.Tracks[i].Timescale
		span := f.Span(r.Tracks[i].Number)
		if span == nil {
			continue
		}
		tfdt := span.BaseDecodeTime - Rescale(base, 1000, scale)
		e.Begin[i] = tfdt
		if t.until[i] != 0 { // players do not look beyond a hole (DESIGN.md, "Periods")
			e.Begin[i] = t.until[i]
		}
		e.Ticks[i] = max(1, tfdt+span.Duration-e.Begin[i])
		t.until[i] = e.Begin[i] + e.Ticks[i]
		end := -Rescale(-span.BaseDecodeTime-span.Duration, scale, 1000) - r.Origin // rounded up
		t.presented = max(t.presented, period.Start+end-period.Media)
	}
}

// untrue reports whether a piece, at its media time in the current period, would be presented at a
// wrong time: before the end of the piece before it, or so long before it came that no player would
// ask for it.
func (t *State) untrue(r *Rules, f *piece, e *Entry, start int64, breaks bool) bool {
	if !slices.Contains(t.known[:], true) { // commits were lost
		return start < t.presented
	}
	for i := range r.Tracks {
		span := f.Span(r.Tracks[i].Number)
		if span == nil || !t.known[i] {
			continue
		}
		if Rescale(span.BaseDecodeTime, r.Tracks[i].Timescale, 1_000_000) < t.end[i]-r.Tolerance {
			return true
		}
	}
	return breaks && r.Grows() && start > r.clock(f, e)+t.Target*1000
}

// resume returns when a piece is presented whose own media time is impossible: at once, or when the
// clock says so.
func (t *State) resume(r *Rules, f *piece, e *Entry) int64 {
	if at := r.clock(f, e); r.Grows() && at > t.presented+t.Target*1000 {
		return at
	}
	return t.presented
}

// clock returns when a piece came, or is revealed, less its length, in milliseconds of presentation
// time.
func (r *Rules) clock(f *piece, e *Entry) int64 {
	if r.Mode == LiveReplay {
		return e.Due - r.Length(&f.FragmentInfo) - r.Zero
	}
	return f.ServerTimestamp + f.slice.From - r.Zero
}

// Align returns Rules.Zero for a session that is about to begin with the state, milliseconds since
// the Unix epoch. The state was made with a Zero of the first entry's clock. LIVE: the entry of the
// last period that came with the least delay is presented when it came.
func (t *State) Align(r *Rules) int64 {
	if r.Mode != Live {
		return r.Zero
	}
	zero, found := r.Zero, false
	for i := range t.Entries {
		e := &t.Entries[i]
		if e.Period != t.Periods[len(t.Periods)-1].ID {
			continue
		}
		if at := e.Server + e.Slice.From - t.Presented(r, e); !found || at < zero {
			zero, found = at, true
		}
	}
	return zero
}

// Presented returns when an entry is presented, in milliseconds of presentation time. After a gap
// that is not when its S begins. r has its timescales.
func (t *State) Presented(r *Rules, e *Entry) int64 {
	p := t.PeriodOf(e)
	first, found := int64(0), false
	for i := range r.Tracks {
		if e.Duration[i] < 0 {
			continue
		}
		scale := r.Tracks[i].Timescale
		at := Rescale(e.Begin[i]+e.Ticks[i]-p.Offset(scale), scale, 1000) - e.Duration[i]
		if !found || at < first {
			first, found = at, true
		}
	}
	return p.Start + first
}

// Longest returns the longest S@d of the entries [from, to) in milliseconds, rounded up.
func (t *State) Longest(r *Rules, from, to int) (longest int64) {
	for i := range t.Entries[from:to] {
		e := &t.Entries[from+i]
		for j := range r.Tracks {
			scale := t.Generations[e.Generation].Scales[j]
			if e.Duration[j] >= 0 && scale > 0 {
				longest = max(longest, -Rescale(-e.Ticks[j], scale, 1000))
			}
		}
	}
	return longest
}

// dropPeriods removes the periods without entries, except the last.
func (t *State) dropPeriods() {
	if len(t.Periods) == 0 {
		return
	}
	first := t.Periods[len(t.Periods)-1].ID
	if len(t.Entries) > 0 {
		first = t.Entries[0].Period
	}
	t.Periods = t.Periods[first-t.Periods[0].ID:]
}

// End returns the presentation time at which all entries have ended, in milliseconds.
func (t *State) End() int64 { return t.presented }
