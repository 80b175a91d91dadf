package timeline

import (
	"sort"

	"weir/internal/media"
	"weir/internal/store"
)

// Entry is a fragment that the timeline includes, or a slice of one. The arrays are indexed like
// Rules.Tracks.
type Entry struct {
	Number    store.Number
	Timestamp int64 // the selector's, milliseconds
	Server    int64 // server timestamp, milliseconds
	// LIVE_REPLAY: when it is first listed, milliseconds; never falls
	Due           int64
	Date          int64            // EXT-X-PROGRAM-DATE-TIME, milliseconds
	Later         [MaxTracks]int64 // by how much that of this track is later; 0 unless Rules.Smooth
	Slice         Slice            // of the fragment; its slices follow one another
	Silence       Silence          // of its sound
	Discontinuity int64            // discontinuity sequence number
	Generation    int              // of its codec private data: index into State.Generations
	KeyFrameEnd   int64            // ON_DEMAND: bytes up to the end of its first key frame; 0: none
	Duration      [MaxTracks]int64 // milliseconds; -1: no frames of this track
	Tags          [MaxTracks]int64 // EXT-X-DISCONTINUITY tags before it
	Independent   [MaxTracks]bool  // it and all before it begin with a random access point
	Change        [MaxTracks]bool  // of another generation than the entry with the track before it
	Skips         [MaxTracks]bool  // its segment leaves out its first leading pictures
	Gap           *Gap             // its fragment was listed in parts and broke off; nil: not so
	Period        int64            // DASH: ID of its period
	Begin         [MaxTracks]int64 // DASH: S@t, ticks: where the S before ended, or the tfdt
	Ticks         [MaxTracks]int64 // DASH: S@d
}

// Length is the longest of the entry's runs, milliseconds.
func (e *Entry) Length() int64 {
	var longest int64
	for _, d := range e.Duration {
		longest = max(longest, d)
	}
	return longest
}

// Generation is one codec private data of the session's tracks.
type Generation struct {
	Set    int64            // a track set that has it
	Scales [MaxTracks]int64 // ticks per second, indexed like Rules.Tracks
	Silent bool             // there are silent frames for its sound
}

// Match says how a fragment's tracks fit the session.
type Match struct {
	// Index into State.Generations; its length for a new generation; -1: not the session's tracks.
	Index      int
	Generation Generation
}

// State is a state of the fold described in DESIGN.md. Except for Gone it depends only on its
// fragments.
type State struct {
	Cursor        int64            // last commit sequence that was folded in
	greatest      store.Number     // greatest number included; 0: none yet
	ServerTime    int64            // greatest server timestamp up to the cursor, milliseconds
	Target        int64            // target duration of the session, seconds
	discontinuity int64            // discontinuity sequence number of the latest entry
	epoch         int64            // of the latest entry
	Due           int64            // LIVE_REPLAY: the schedule after the latest entry, milliseconds
	dated         int64            // date of the end of the latest entry, milliseconds
	ended         bool             // LIVE_REPLAY: a fragment past the end of the range was seen
	changes       int64            // changes of generation
	Generation    int              // of the latest entry
	end           [MaxTracks]int64 // of the track's latest entry, microseconds of media time
	known         [MaxTracks]bool  // end is known
	// discontinuity sequence number of the latest entry with the track
	Listed [MaxTracks]int64
	mapped [MaxTracks]int // generation of the latest entry with the track
	// an entry with the track did not begin with a random access point
	dependent   [MaxTracks]bool
	Dropped     [MaxTracks]int64 // entries with the track that have left entries
	Generations []Generation     // in the order in which they came; a session has at least one
	Periods     []Period         // DASH: those with entries, and the last one
	// DASH: presentation time of the end of all entries, milliseconds
	presented int64
	until     [MaxTracks]int64 // DASH: S@t+S@d of the latest entry with the track in the period
	Entries   []Entry
	later     int   // entries that are not their fragment's first slice; not in a checkpoint
	Gone      int64 // entries that left entries since the state was made or read; likewise
}

// Add folds in the fragment with the next commit sequence. c says how its tracks fit the session.
// read returns the frames of a fragment that is longer than the target duration allows, or nil if
// they are gone, and the fragment is left out. After an error of read the state is as before.
func (t *State) Add(
	r *Rules, f *store.FragmentInfo, c Match, read func() (*media.Fragment, error),
) error {
	var pieces []piece
	if t.Takes(r, f, c) {
		var err error
		if pieces, err = t.cut(r.Scaled(c.Generation.Scales), f, read); err != nil {
			return err
		}
	}
	t.Cursor = f.Sequence
	t.ServerTime = max(t.ServerTime, f.ServerTimestamp)
	t.ended = t.ended || r.Mode == LiveReplay && f.Number > t.greatest && r.Timestamp(f) > r.Until
	for i := range pieces {
		if !t.list(r, &pieces[i], c) {
			break
		}
	}
	if r.Mode == Live {
		t.Trim(r, len(t.Entries))
	}
	return nil
}

// Takes reports whether the timeline includes a fragment, by the rules in DESIGN.md's section on
// add, in that order.
func (t *State) Takes(r *Rules, f *store.FragmentInfo, c Match) bool {
	at := r.Timestamp(f)
	switch {
	case f.Number <= t.greatest,
		r.Mode == LiveReplay && (at < r.From || at > r.Until),
		f.Partial,
		c.Index < 0,
		r.Selector == store.ProducerTimestamp && t.shown(r, at):
		return false
	}
	return true
}

// Finished reports whether no entry will ever follow.
func (t *State) Finished(r *Rules) bool {
	return r.Mode == OnDemand || t.ended || r.Last > 0 && t.Cursor >= r.Last
}

// Greatest is the greatest number of the fragments that the timeline includes. It will include none
// with a lower one any more.
func (t *State) Greatest() store.Number { return t.greatest }

// shown reports whether one of the latest fragments has the timestamp. Nothing was shown of a gap.
func (t *State) shown(r *Rules, timestamp int64) bool {
	for i := t.back(len(t.Entries), r.keep()); i < len(t.Entries); i++ {
		if t.Entries[i].Timestamp == timestamp && t.Entries[i].Gap == nil {
			return true
		}
	}
	return false
}

// back returns the index of the entry with which the last n fragments before an index begin.
func (t *State) back(to, n int) int {
	if t.later == 0 {
		return max(0, to-n)
	}
	for to > 0 && n > 0 {
		if to--; t.Entries[to].Slice.From == 0 {
			n--
		}
	}
	return to
}

// Include appends an entry for a whole fragment, under the conditions of list.
func (t *State) Include(r *Rules, f *store.FragmentInfo, c Match) bool {
	return t.list(r, &piece{FragmentInfo: *f}, c)
}

// list appends an entry for a piece of a fragment, unless no packaged track has frames or there are
// too many changes of codec private data.
func (t *State) list(r *Rules, f *piece, c Match) bool {
	r = r.Scaled(c.Generation.Scales)
	start, ok := r.Start(&f.FragmentInfo)
	changed := len(t.Generations) > 0 && c.Index != t.Generation
	if !ok || changed && t.changes >= r.MaxChanges {
		return false
	}
	if c.Index == len(t.Generations) {
		t.Generations = append(t.Generations, c.Generation)
	}
	quiet := t.cover(r, f, start-f.slice.From, c.Generation.Silent)
	breaks, resets := t.jumps(r, &f.FragmentInfo), false
	jumps := r.Discontinuity != DiscontinuityNever && breaks
	if f.slice.From > 0 { // it continues its fragment
		if jumps {
			t.discontinuity++
		}
		t.later++
	} else {
		epoch := r.epoch(start)
		resets = changed || t.greatest != 0 && epoch != t.epoch
		if r.Discontinuity == DiscontinuityAlways || resets || jumps {
			t.discontinuity++
		}
		t.epoch = epoch
		breaks = breaks || resets
	}
	if changed {
		t.changes++
	}
	t.Generation = c.Index
	e := Entry{
		Number: f.Number, Timestamp: r.Timestamp(&f.FragmentInfo), Server: f.ServerTimestamp,
		Slice: f.slice, Silence: quiet, Discontinuity: t.discontinuity, Generation: c.Index,
	}
	if r.Mode == LiveReplay {
		e.Due = max(t.Due, f.ServerTimestamp)
	}
	if r.Periods {
		t.settle(r, f, &e, resets, breaks)
	}
	for i := range r.Tracks {
		span := f.Span(r.Tracks[i].Number)
		if span == nil {
			e.Duration[i] = -1
			continue
		}
		scale := r.Tracks[i].Timescale
		e.Duration[i] = Millis(span, scale)
		if first := f.Span(r.Tracks[0].Number); r.Smooth && first != nil {
			e.Later[i] = Rescale(span.BaseDecodeTime, scale, 1000) -
				Rescale(first.BaseDecodeTime, r.Tracks[0].Timescale, 1000)
		}
		// Some producers flag audio frames, some do not; each can be decoded alone.
		if !span.KeyStart && r.Tracks[i].Kind != media.Audio {
			t.dependent[i] = true
		}
		e.Tags[i] = t.discontinuity - t.Listed[i]
		e.Change[i] = t.mapped[i] != c.Index
		e.Skips[i] = r.skips(&e, span, t.greatest == 0, breaks)
		t.Listed[i], t.mapped[i] = t.discontinuity, c.Index
		t.end[i], t.known[i] = Rescale(span.BaseDecodeTime+span.Duration, scale, 1_000_000), true
	}
	t.greatest = max(t.greatest, f.Number)
	if r.Muxed && e.Duration[0] < 0 { // without pictures, sound gives the duration
		e.Duration[0] = e.Duration[1]
		e.Tags[0], e.Change[0] = t.discontinuity-t.Listed[0], t.mapped[0] != c.Index
		t.Listed[0], t.mapped[0] = t.discontinuity, c.Index
	}
	for i := range r.Tracks {
		e.Independent[i] = !t.dependent[i]
	}
	e.Date = t.date(r, &e)
	if r.Mode == LiveReplay {
		t.Due = e.Due + e.Length()
	}
	t.Entries = append(t.Entries, e)
	return true
}

// date returns the date of a new entry, and updates dated. A producer's date is its timestamp. The
// server's is when the fragment came. But a fragment that came faster than it lasts begins when the
// one before it ends, so that the dates of a playlist rise like its media.
func (t *State) date(r *Rules, e *Entry) int64 {
	date := e.Timestamp + e.Slice.From
	switch {
	case r.Smooth && max(date-t.dated, t.dated-date) <= dateSlack:
		date = t.dated
	case r.Selector == store.ServerTimestamp:
		if n := len(t.Entries); e.Slice.From > 0 && n > 0 && t.Entries[n-1].Number == e.Number {
			date = t.Entries[n-1].Date - t.Entries[n-1].Slice.From + e.Slice.From
		}
		date = max(date, t.dated)
	}
	length := e.Duration[0]
	if length < 0 {
		length = e.Duration[1]
	}
	t.dated = date + length
	return date
}

// Trim drops entries that nobody will list again when the first revealed ones are due, except for
// those that keep needs. Segments of DASH, and slices, have names that only the state knows: they
// may be asked for as long after they have left the window as they were in it (RFC 8216 section
// 6.2.2).
func (t *State) Trim(r *Rules, revealed int) {
	keep := r.keep()
	if r.Periods || r.PartTarget > 0 && t.later > 0 {
		keep = max(keep, 2*r.Max)
	}
	n := t.back(min(revealed, len(t.Entries)), keep)
	if n == 0 {
		return
	}
	t.drop(r, n)
}

// drop drops the first n entries.
func (t *State) drop(r *Rules, n int) {
	for j := range t.Entries[:n] {
		for i := range r.Tracks {
			if t.Entries[j].Duration[i] >= 0 {
				t.Dropped[i]++
			}
		}
		if t.Entries[j].Slice.From > 0 {
			t.later--
		}
	}
	t.Entries = t.Entries[n:]
	t.Gone += int64(n)
	t.dropPeriods()
}

// jumps reports whether a track of f begins more than 50 ms from where that track's latest entry
// ended.
func (t *State) jumps(r *Rules, f *store.FragmentInfo) bool {
	for i := range r.Tracks {
		if span := f.Span(r.Tracks[i].Number); span != nil && t.known[i] {
			gap := Rescale(span.BaseDecodeTime, r.Tracks[i].Timescale, 1_000_000) - t.end[i]
			if gap > r.Tolerance || gap < -r.Tolerance {
				return true
			}
		}
	}
	return false
}

// Lost counts commits that nobody has seen and nobody can see any more, each as a segment and a
// discontinuity of every track.
func (t *State) Lost(r *Rules, commits int64) {
	t.drop(r, len(t.Entries))
	t.Entries = nil
	t.discontinuity += commits
	for i := range r.Tracks {
		t.Dropped[i] += commits
		t.Listed[i] = t.discontinuity
		t.known[i] = false
	}
	t.Cursor += commits
}

// Revealed returns how many of the entries may be listed at a time (milliseconds).
func (t *State) Revealed(r *Rules, now int64) int {
	if r.Mode != LiveReplay {
		return len(t.Entries)
	}
	return sort.Search(len(t.Entries), func(i int) bool { return t.Entries[i].Due > now })
}

// Window returns the entries [from, to) that a playlist lists at a time. Fragments with a server
// timestamp before edge are past retention. Both are milliseconds. Recordings list everything.
func (t *State) Window(r *Rules, now, edge int64) (from, to int) {
	to = t.Revealed(r, now)
	if !r.Grows() {
		return 0, to
	}
	from = t.back(to, r.Max)
	for from < to && t.Entries[from].Server < edge {
		from++
	}
	return from, to
}
