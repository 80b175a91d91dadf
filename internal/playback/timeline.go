package playback

import (
	"math"

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
	timescale int64 // ticks per second
}

// rules is the part of a session's parameters that the fold depends on.
type rules struct {
	live          bool
	selector      store.TimestampKind
	discontinuity discontinuityMode
	max           int   // entries that a playlist lists at most
	origin        int64 // T0, milliseconds
	tracks        []packagedTrack
}

// keep is how many entries the state holds.
func (r *rules) keep() int {
	if r.live {
		return max(r.max, history)
	}
	return r.max
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

// entry is a fragment that the timeline includes. The arrays are indexed like rules.tracks.
type entry struct {
	number        store.Number
	timestamp     int64            // the selector's, milliseconds
	server        int64            // server timestamp, milliseconds
	discontinuity int64            // discontinuity sequence number
	duration      [maxTracks]int64 // milliseconds; -1: no frames of this track
	tags          [maxTracks]int64 // EXT-X-DISCONTINUITY tags before it
	key           [maxTracks]bool  // begins with a random access point
}

// timeline is a state of the fold described in DESIGN.md. It is a value of its fragments only.
type timeline struct {
	cursor     int64            // commit sequence looked at last
	greatest   store.Number     // greatest number included; 0: none yet
	serverTime int64            // greatest server timestamp up to the cursor, milliseconds
	target     int64            // target duration, seconds
	count      int64            // discontinuity sequence number of the latest entry
	epoch      int64            // of the latest entry
	end        [maxTracks]int64 // where the latest entry of the track ends, microseconds of media time
	ended      [maxTracks]bool  // end is known
	listed     [maxTracks]int64 // discontinuity sequence number of the latest entry with the track
	dropped    [maxTracks]int64 // entries with the track that are not in entries any more
	entries    []entry
}

// add folds in the fragment with the next commit sequence. same says that its packaged tracks equal the reference fragment's.
func (t *timeline) add(r *rules, f *store.FragmentInfo, same bool) {
	t.cursor = f.Sequence
	t.serverTime = max(t.serverTime, f.ServerTimestamp)
	if f.Partial || !same || f.Number <= t.greatest {
		return
	}
	start, ok := r.start(f)
	if !ok || r.selector == store.ProducerTimestamp && t.shown(f.ProducerTimestamp) {
		return
	}
	t.include(r, f, start)
}

// shown reports whether one of the kept entries has the timestamp.
func (t *timeline) shown(timestamp int64) bool {
	for i := range t.entries {
		if t.entries[i].timestamp == timestamp {
			return true
		}
	}
	return false
}

// include appends an entry for f, whose start is as rules.start gives it.
func (t *timeline) include(r *rules, f *store.FragmentInfo, start int64) {
	epoch := r.epoch(start)
	switch {
	case r.discontinuity == discontinuityAlways,
		t.greatest != 0 && epoch != t.epoch,
		r.discontinuity == discontinuityOnGap && t.jumps(r, f):
		t.count++
	}
	t.epoch = epoch
	t.greatest = max(t.greatest, f.Number)

	e := entry{number: f.Number, timestamp: r.timestamp(f), server: f.ServerTimestamp, discontinuity: t.count}
	for i := range r.tracks {
		span := f.Span(r.tracks[i].number)
		if span == nil {
			e.duration[i] = -1
			continue
		}
		scale := r.tracks[i].timescale
		e.duration[i] = (span.Duration*1000 + scale/2) / scale
		e.key[i] = span.KeyStart || r.tracks[i].kind == media.Audio // producers flag audio frames or not; each can be decoded alone
		e.tags[i] = t.count - t.listed[i]
		t.listed[i] = t.count
		t.end[i], t.ended[i] = rescale(span.BaseDecodeTime+span.Duration, scale, 1_000_000), true
	}
	t.target = max(t.target, r.target(&e, t.target))
	t.entries = append(t.entries, e)
	if len(t.entries) > r.keep() {
		for i := range r.tracks {
			if t.entries[0].duration[i] >= 0 {
				t.dropped[i]++
			}
		}
		t.entries = t.entries[1:]
	}
}

// jumps reports whether a track of f begins more than 50 ms from where that track's latest entry ended.
func (t *timeline) jumps(r *rules, f *store.FragmentInfo) bool {
	for i := range r.tracks {
		if span := f.Span(r.tracks[i].number); span != nil && t.ended[i] {
			gap := rescale(span.BaseDecodeTime, r.tracks[i].timescale, 1_000_000) - t.end[i]
			if gap > gapMicros || gap < -gapMicros {
				return true
			}
		}
	}
	return false
}

// target is the target duration that an entry asks for in a session whose target duration is current (0: none yet): the
// ceiling of its duration, unless its duration rounds to no more than current.
func (r *rules) target(e *entry, current int64) int64 {
	var longest int64
	for i := range r.tracks {
		longest = max(longest, e.duration[i])
	}
	if current > 0 && (longest+500)/1000 <= current {
		return current
	}
	return max(1, (longest+999)/1000)
}

// lost counts commits that nobody has seen and nobody can see any more: each as a segment and a discontinuity of every track.
func (t *timeline) lost(r *rules, commits int64) {
	t.count += commits
	for i := range r.tracks {
		for j := range t.entries {
			if t.entries[j].duration[i] >= 0 {
				t.dropped[i]++
			}
		}
		t.dropped[i] += commits
		t.listed[i] = t.count
		t.ended[i] = false
	}
	t.entries = nil
	t.cursor += commits
}

// settle fixes the target duration after state 0 is made: the ceiling of its longest entry, without the headroom that later
// entries have.
func (t *timeline) settle(r *rules) {
	t.target = 0
	for i := range t.entries {
		t.target = max(t.target, r.target(&t.entries[i], 0))
	}
}

// window is the index of the first entry that a playlist lists when fragments with a server timestamp before edge
// (milliseconds) are past retention. Recordings list everything.
func (t *timeline) window(r *rules, edge int64) int {
	if !r.live {
		return 0
	}
	i := max(0, len(t.entries)-r.max)
	for i < len(t.entries) && t.entries[i].server < edge {
		i++
	}
	return i
}

// clone gives a copy that shares nothing with t.
func (t *timeline) clone() *timeline {
	c := *t
	c.entries = append([]entry(nil), t.entries...)
	return &c
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
