package playback

import (
	"math"
	"slices"
	"sort"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
)

// maxTracks is the number of tracks that a session packages at most: one video and one audio.
const maxTracks = 2

// epochMillis is the span of media time after which decode times begin again at zero: 48 hours, twice the longest range and
// four times the longest session, so that only a clock that was set begins a new epoch.
const epochMillis = 48 * 60 * 60 * 1000

// gapMicros is how far a fragment may be from the end of the one before it under ON_DISCONTINUITY.
const gapMicros = 50_000

// history is the least number of entries that a live timeline keeps, listed or not, to recognise a producer timestamp that it
// has shown.
const history = 64

// packagedTrack is a track that the session serves: what the fold must know of it.
type packagedTrack struct {
	number    int
	kind      media.Kind
	timescale int64 // ticks per second, in generation 0
}

// rules is the part of a session's parameters that the fold and the rendering depend on.
type rules struct {
	mode          mode
	selector      store.TimestampKind
	discontinuity discontinuityMode
	max           int   // entries that a playlist lists at most
	muxed         bool  // MPEG_TS: one playlist, track 0's, lists all fragments
	from, until   int64 // LIVE_REPLAY: the range of timestamps, milliseconds, both included
	opened        int64 // when the session was, milliseconds
	last          int64 // LIVE_REPLAY: the last commit that belongs to the session; 0: no bound
	origin        int64 // T0, milliseconds
	tracks        []packagedTrack
}

// grows tells whether the timeline goes on after state 0.
func (r *rules) grows() bool { return r.mode != onDemand }

// keep is how many entries the state holds at least, counted from the latest, as far as there are.
func (r *rules) keep() int {
	if r.grows() {
		return max(r.max, history)
	}
	return r.max
}

// scaled gives the rules with the timescales of a generation.
func (r *rules) scaled(scales [maxTracks]int64) *rules {
	for i := range r.tracks {
		if r.tracks[i].timescale == scales[i] {
			continue
		}
		s := *r
		s.tracks = slices.Clone(r.tracks)
		for i := range s.tracks {
			s.tracks[i].timescale = scales[i]
		}
		return &s
	}
	return r
}

// timestamp is the fragment's timestamp that the session's selector looks at, milliseconds.
func (r *rules) timestamp(f *store.FragmentInfo) int64 {
	if r.selector == store.ProducerTimestamp {
		return f.ProducerTimestamp
	}
	return f.ServerTimestamp
}

// start is the smallest decode time of the fragment over the packaged tracks, milliseconds, floored. False when none has frames.
func (r *rules) start(f *store.FragmentInfo) (int64, bool) {
	least, found := int64(math.MaxInt64), false
	for i := range r.tracks {
		if span := f.Span(r.tracks[i].number); span != nil {
			least, found = min(least, rescale(span.BaseDecodeTime, r.tracks[i].timescale, 1000)), true
		}
	}
	return least, found
}

// epoch is the number of the 48-hour span of media time that a fragment with this start lies in.
func (r *rules) epoch(start int64) int64 { return floorDiv(start-r.origin, epochMillis) }

// decodeTime is the tfdt of a run with the given base decode time (ticks) in a fragment with this start (milliseconds): not
// negative, and less than 48 hours plus the fragment's length.
func (r *rules) decodeTime(base, timescale, start int64) int64 {
	return base - rescale(r.origin+r.epoch(start)*epochMillis, 1000, timescale)
}

// entry is a fragment that the timeline includes, or a part of one. The arrays are indexed like rules.tracks.
type entry struct {
	number        store.Number
	timestamp     int64            // the selector's, milliseconds
	server        int64            // server timestamp, milliseconds
	due           int64            // LIVE_REPLAY: when it is first listed, milliseconds; never less than the entry's before it
	date          int64            // EXT-X-PROGRAM-DATE-TIME, milliseconds
	part          part             // of the fragment; its parts follow one another
	silence       silence          // of its sound
	discontinuity int64            // discontinuity sequence number
	generation    int              // of its codec private data: index into timeline.generations
	iframe        int64            // ON_DEMAND: bytes of the segment up to the end of the key frame that it begins with; 0: none
	duration      [maxTracks]int64 // milliseconds; -1: no frames of this track
	tags          [maxTracks]int64 // EXT-X-DISCONTINUITY tags before it
	independent   [maxTracks]bool  // it and all entries before it that have the track begin with a random access point
	change        [maxTracks]bool  // of another generation than the entry with the track before it
	skips         [maxTracks]bool  // its segment leaves out the leading pictures with which it would begin
}

// extinf is how long a span lasts, in milliseconds: from the millisecond in which it begins to that in which it ends. So it is
// less than one off, and where one span begins when the other ends the sum is too: durations rounded each by itself would
// drift apart from the media by half a second in an hour of two-second segments.
func extinf(span *store.Span, timescale int64) int64 {
	return rescale(span.BaseDecodeTime+span.Duration, timescale, 1000) - rescale(span.BaseDecodeTime, timescale, 1000)
}

// length is the longest of the fragment's packaged runs, milliseconds.
func (r *rules) length(f *store.FragmentInfo) int64 {
	var longest int64
	for i := range r.tracks {
		if span := f.Span(r.tracks[i].number); span != nil {
			longest = max(longest, extinf(span, r.tracks[i].timescale))
		}
	}
	return longest
}

// length is the longest of the entry's runs, milliseconds.
func (e *entry) length() int64 {
	var longest int64
	for _, d := range e.duration {
		longest = max(longest, d)
	}
	return longest
}

// generation is one codec private data of the session's tracks.
type generation struct {
	set    int64            // a track set that has it
	scales [maxTracks]int64 // ticks per second, indexed like rules.tracks
	silent bool             // a frame of silence can be made of its sound
}

// candidate says what a fragment's tracks are to the session.
type candidate struct {
	index      int // into timeline.generations; its length for one that is not there; -1: not the session's tracks
	generation generation
}

// timeline is a state of the fold described in DESIGN.md. It is a value of its fragments only, but for gone.
type timeline struct {
	cursor      int64            // commit sequence looked at last
	greatest    store.Number     // greatest number included; 0: none yet
	serverTime  int64            // greatest server timestamp up to the cursor, milliseconds
	target      int64            // target duration of the session, seconds
	count       int64            // discontinuity sequence number of the latest entry
	epoch       int64            // of the latest entry
	due         int64            // LIVE_REPLAY: where the schedule stands after the latest entry, milliseconds
	dated       int64            // date of the end of the latest entry, milliseconds
	ended       bool             // LIVE_REPLAY: a fragment past the end of the range was seen
	changes     int64            // changes of generation
	generation  int              // of the latest entry
	end         [maxTracks]int64 // where the latest entry of the track ends, microseconds of media time
	known       [maxTracks]bool  // end is known
	listed      [maxTracks]int64 // discontinuity sequence number of the latest entry with the track
	mapped      [maxTracks]int   // generation of the latest entry with the track
	dependent   [maxTracks]bool  // an entry with the track did not begin with a random access point
	dropped     [maxTracks]int64 // entries with the track that are not in entries any more
	generations []generation     // in the order in which they came; a session has at least one
	entries     []entry
	later       int   // how many of entries are not the first part of their fragment; not part of a checkpoint
	gone        int64 // entries that left entries since the state was made or read; likewise
}

// add folds in the fragment with the next commit sequence. c says what its tracks are to the session. read gives the frames of one
// that is longer than the target duration allows, or nil when they cannot be had, and it is left out. After an error of read the
// state is as before.
func (t *timeline) add(r *rules, f *store.FragmentInfo, c candidate, read func() (*media.Fragment, error)) error {
	var pieces []piece
	if t.takes(r, f, c) {
		var err error
		if pieces, err = t.pieces(r.scaled(c.generation.scales), f, read); err != nil {
			return err
		}
	}
	t.cursor = f.Sequence
	t.serverTime = max(t.serverTime, f.ServerTimestamp)
	t.ended = t.ended || r.mode == liveReplay && f.Number > t.greatest && r.timestamp(f) > r.until
	for i := range pieces {
		if !t.include(r, &pieces[i], c) {
			break
		}
	}
	if r.mode == live {
		t.trim(r, len(t.entries))
	}
	return nil
}

// takes tells whether the timeline includes a fragment: the rules of DESIGN.md's section on add, in its order.
func (t *timeline) takes(r *rules, f *store.FragmentInfo, c candidate) bool {
	at := r.timestamp(f)
	switch {
	case f.Number <= t.greatest,
		r.mode == liveReplay && (at < r.from || at > r.until),
		f.Partial,
		c.index < 0,
		r.selector == store.ProducerTimestamp && t.shown(r, at):
		return false
	}
	return true
}

// finished tells whether no entry will ever follow.
func (t *timeline) finished(r *rules) bool {
	return r.mode == onDemand || t.ended || r.last > 0 && t.cursor >= r.last
}

// shown reports whether one of the latest fragments has the timestamp.
func (t *timeline) shown(r *rules, timestamp int64) bool {
	for i := t.back(len(t.entries), r.keep()); i < len(t.entries); i++ {
		if t.entries[i].timestamp == timestamp {
			return true
		}
	}
	return false
}

// back gives the index of the entry with which the last n fragments before an index begin.
func (t *timeline) back(to, n int) int {
	if t.later == 0 {
		return max(0, to-n)
	}
	for to > 0 && n > 0 {
		if to--; t.entries[to].part.from == 0 {
			n--
		}
	}
	return to
}

// include appends an entry for what is to be listed of a fragment, unless no packaged track has frames or it were one change of codec
// private data too many.
func (t *timeline) include(r *rules, f *piece, c candidate) bool {
	r = r.scaled(c.generation.scales)
	start, ok := r.start(&f.FragmentInfo)
	changed := len(t.generations) > 0 && c.index != t.generation
	if !ok || changed && t.changes >= api.MaxCodecPrivateDataChanges {
		return false
	}
	if c.index == len(t.generations) {
		t.generations = append(t.generations, c.generation)
	}
	quiet := t.cover(r, f, start-f.part.from, c.generation.silent)
	breaks := t.jumps(r, &f.FragmentInfo)
	jumps := r.discontinuity != discontinuityNever && breaks
	if f.part.from > 0 { // its fragment goes on
		if jumps {
			t.count++
		}
		t.later++
	} else {
		epoch := r.epoch(start)
		resets := changed || t.greatest != 0 && epoch != t.epoch
		if r.discontinuity == discontinuityAlways || resets || jumps {
			t.count++
		}
		t.epoch = epoch
		breaks = breaks || resets
	}
	if changed {
		t.changes++
	}
	t.generation = c.index
	e := entry{number: f.Number, timestamp: r.timestamp(&f.FragmentInfo), server: f.ServerTimestamp, part: f.part, silence: quiet,
		discontinuity: t.count, generation: c.index}
	if r.mode == liveReplay {
		e.due = max(t.due, f.ServerTimestamp)
	}
	for i := range r.tracks {
		span := f.Span(r.tracks[i].number)
		if span == nil {
			e.duration[i] = -1
			continue
		}
		scale := r.tracks[i].timescale
		e.duration[i] = extinf(span, scale)
		if !span.KeyStart && r.tracks[i].kind != media.Audio { // producers flag audio frames or not; each can be decoded alone
			t.dependent[i] = true
		}
		e.tags[i] = t.count - t.listed[i]
		e.change[i] = t.mapped[i] != c.index
		e.skips[i] = r.skips(&e, span, t.greatest == 0, breaks)
		t.listed[i], t.mapped[i] = t.count, c.index
		t.end[i], t.known[i] = rescale(span.BaseDecodeTime+span.Duration, scale, 1_000_000), true
	}
	t.greatest = max(t.greatest, f.Number)
	if r.muxed && e.duration[0] < 0 { // without a picture it is listed as what it has
		e.duration[0] = e.duration[1]
		e.tags[0], e.change[0] = t.count-t.listed[0], t.mapped[0] != c.index
		t.listed[0], t.mapped[0] = t.count, c.index
	}
	for i := range r.tracks {
		e.independent[i] = !t.dependent[i]
	}
	e.date = t.date(r, &e)
	if r.mode == liveReplay {
		t.due = e.due + e.length()
	}
	t.entries = append(t.entries, e)
	return true
}

// date is the date of an entry that is appended, and moves on. A producer's is what it says. The server's is when the fragment came;
// but one that came faster than it lasts begins when the one before it ends, so that the dates of a playlist rise as its media do.
func (t *timeline) date(r *rules, e *entry) int64 {
	date := e.timestamp + e.part.from
	if r.selector == store.ServerTimestamp {
		if last := len(t.entries) - 1; e.part.from > 0 && last >= 0 && t.entries[last].number == e.number {
			date = t.entries[last].date - t.entries[last].part.from + e.part.from
		}
		date = max(date, t.dated)
	}
	length := e.duration[0]
	if length < 0 {
		length = e.duration[1]
	}
	t.dated = date + length
	return date
}

// trim lets go of entries that nobody will list again when the first revealed ones are due, but for those that keep names.
func (t *timeline) trim(r *rules, revealed int) {
	n := t.back(min(revealed, len(t.entries)), r.keep())
	if n == 0 {
		return
	}
	t.drop(r, n)
}

// drop lets go of the first n entries.
func (t *timeline) drop(r *rules, n int) {
	for j := range t.entries[:n] {
		for i := range r.tracks {
			if t.entries[j].duration[i] >= 0 {
				t.dropped[i]++
			}
		}
		if t.entries[j].part.from > 0 {
			t.later--
		}
	}
	t.entries = t.entries[n:]
	t.gone += int64(n)
}

// jumps reports whether a track of f begins more than 50 ms from where that track's latest entry ended.
func (t *timeline) jumps(r *rules, f *store.FragmentInfo) bool {
	for i := range r.tracks {
		if span := f.Span(r.tracks[i].number); span != nil && t.known[i] {
			gap := rescale(span.BaseDecodeTime, r.tracks[i].timescale, 1_000_000) - t.end[i]
			if gap > gapMicros || gap < -gapMicros {
				return true
			}
		}
	}
	return false
}

// targetOf is the target duration, in seconds, of segments that last so many milliseconds at most: rounded up, but for a tenth of a
// second, since sound overlaps its pictures by up to a frame. Players stay three times as far behind.
func targetOf(longest int64) int64 { return max(1, (longest+899)/1000) }

// lost counts commits that nobody has seen and nobody can see any more: each as a segment and a discontinuity of every track.
func (t *timeline) lost(r *rules, commits int64) {
	t.drop(r, len(t.entries))
	t.entries = nil
	t.count += commits
	for i := range r.tracks {
		t.dropped[i] += commits
		t.listed[i] = t.count
		t.known[i] = false
	}
	t.cursor += commits
}

// revealed is how many of the entries may be listed at a time (milliseconds).
func (t *timeline) revealed(r *rules, now int64) int {
	if r.mode != liveReplay {
		return len(t.entries)
	}
	return sort.Search(len(t.entries), func(i int) bool { return t.entries[i].due > now })
}

// window gives the entries [from, to) that a playlist lists at a time, when fragments with a server timestamp before edge are past
// retention (both milliseconds). Recordings list everything.
func (t *timeline) window(r *rules, now, edge int64) (from, to int) {
	to = t.revealed(r, now)
	if !r.grows() {
		return 0, to
	}
	from = t.back(to, r.max)
	for from < to && t.entries[from].server < edge {
		from++
	}
	return from, to
}

// rescale gives v·to/from, floored, in two steps: the product of a time since 1970 in ticks and another scale does not fit.
func rescale(v, from, to int64) int64 {
	whole := floorDiv(v, from)
	return whole*to + (v-whole*from)*to/from
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
