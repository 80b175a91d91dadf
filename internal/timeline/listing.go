package timeline

// Parts are listed within tailTargets target durations of the end. Delta updates leave out what is
// further than skipTargets target durations from it, the least that is allowed (RFC 8216bis section
// 6.2.5.1); sessions whose playlists may last longer than longWindow milliseconds have them.
const (
	tailTargets = 3
	skipTargets = 6
	longWindow  = 120_000
)

// WindowWith returns the entries [from, to) of With(o) that a playlist lists at a time. The slices
// of o push none out: a process that is killed forgets them. now and edge are as for Window.
func (t *State) WindowWith(r *Rules, o *Open, now, edge int64) (from, to int) {
	from, to = t.Window(r, now, edge)
	if o != nil && from < to {
		to += len(o.Done)
	}
	return from, to
}

// Lasts returns the EXTINF of a track's segment of an entry in nanoseconds, 0 without a segment.
func (r *Rules) Lasts(e *Entry, track int) int64 {
	if e.Duration[track] < 0 {
		return 0
	}
	return e.Duration[track]*1_000_000 + r.Surplus(e, track)
}

// Tail returns the first of the entries [from, to) whose parts are listed in a track's playlist. o
// is the open fragment, or nil.
func (t *State) Tail(r *Rules, o *Open, track, from, to int) int {
	var after int64 // nanoseconds from the end of the playlist to the end of an entry
	if o != nil {
		for _, p := range o.Parts[track] {
			after += p.Duration
		}
	}
	at := to
	for at > from && after <= tailTargets*t.Target*1_000_000_000 {
		at--
		after += r.Lasts(&t.Entries[at], track)
	}
	return at
}

// SkipUntil returns CAN-SKIP-UNTIL in milliseconds, 0 if there are no delta updates. It never
// changes.
func (t *State) SkipUntil(r *Rules) int64 {
	if int64(r.Max)*t.Target*1000 <= longWindow {
		return 0
	}
	return skipTargets * t.Target * 1000
}

// Skip returns the first entry of a delta update, and how many segments it leaves out: those that
// begin further from the end of the last one than the boundary. Slices that were listed and became
// gaps together are left out together: players hear of all of them. first is the first entry of the
// window with the track, and to is where the window ends.
func (t *State) Skip(r *Rules, track, first, to int) (at int, skipped int64) {
	until := t.SkipUntil(r) * 1_000_000
	var whole int64 // nanoseconds
	for i := first; i >= 0 && i < to; i++ {
		whole += r.Lasts(&t.Entries[i], track)
	}
	for at = first; at >= 0 && at < to; at++ {
		e := &t.Entries[at]
		if e.Duration[track] < 0 {
			continue
		}
		if whole <= until {
			break
		}
		whole -= r.Lasts(e, track)
		skipped++
	}
	for at > first && at < to && t.Entries[at].Gap != nil && t.Entries[at].Slice.From > 0 {
		at--
		skipped--
	}
	return at, skipped
}
