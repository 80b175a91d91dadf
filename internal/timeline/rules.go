// Package timeline decides which fragments a session lists, and with which numbers. A timeline is a
// fold over the fragments of a stream in commit order. The package reads no store, no clock and no
// media, so every process that folds the same fragments has the same state. DESIGN.md states the
// rules.
//
//	rules.go       the parameters of a session, and computations with times
//	state.go       State: the fold (Add), and what a playlist lists (Window)
//	numbers.go     the numbers of a playlist
//	slice.go       slices of fragments that are too long for the session
//	parts.go       parts
//	open.go        the fragment that is listed in parts before it is committed
//	listing.go     what a playlist with parts lists
//	silence.go     silence where sound is missing
//	leading.go     pictures that cannot be decoded after a jump
//	checkpoint.go  the form in which a state is stored
package timeline

import (
	"math"
	"slices"

	"weir/internal/media"
	"weir/internal/store"
)

// Mode is the playback mode of a session. A session's row has it as a number.
type Mode uint8

// LIVE, ON_DEMAND and LIVE_REPLAY.
const (
	Live       Mode = 1
	OnDemand   Mode = 2
	LiveReplay Mode = 3
)

// DiscontinuityMode says where discontinuities are marked. A session's row has it as a number.
type DiscontinuityMode uint8

// ALWAYS, NEVER and ON_DISCONTINUITY.
const (
	DiscontinuityAlways DiscontinuityMode = 1
	DiscontinuityNever  DiscontinuityMode = 2
	DiscontinuityOnGap  DiscontinuityMode = 3
)

// MaxTracks is the most tracks that a session packages: one video and one audio.
const MaxTracks = 2

// epochMillis is the length of media time after which decode times begin again at zero: 48 hours.
// That is twice the longest range and four times the longest session, so that only a clock that was
// set begins a new epoch.
const epochMillis = 48 * 60 * 60 * 1000

// History is the least number of entries that a live timeline keeps, listed or not, to recognise a
// producer timestamp that it has shown.
const History = 64

// Track is what the fold must know of a track of the session.
type Track struct {
	Number    int
	Kind      media.Kind
	Timescale int64 // ticks per second, in generation 0
}

// Rules are the parameters of a session that the fold and the rendering depend on.
type Rules struct {
	Mode          Mode
	Selector      store.TimestampKind
	Discontinuity DiscontinuityMode
	// the largest gap or overlap that is no discontinuity under ON_DISCONTINUITY, microseconds
	Tolerance   int64
	Max         int   // most entries that a playlist lists
	Muxed       bool  // MPEG_TS: one playlist, track 0's, lists all fragments
	Periods     bool  // DASH: entries have periods
	Zero        int64 // DASH: the clock's milliseconds at presentation time 0
	From, Until int64 // LIVE_REPLAY: the range of timestamps, milliseconds, both included
	Opened      int64 // when the session was opened, milliseconds
	Last        int64 // LIVE_REPLAY: the last commit that belongs to the session; 0: no bound
	Origin      int64 // T0, milliseconds
	MaxChanges  int64 // most changes of codec private data
	PartTarget  int64 // of parts, milliseconds; 0: there are none
	Smooth      bool  // dates were not asked for, and follow the media
	Tracks      []Track
}

// dateSlack is how many milliseconds a date that follows the media may differ from the timestamp:
// the delay of a fragment's first byte varies, and a camera's clock is not the server's.
const dateSlack = 1000

// Grows reports whether the timeline continues after state 0.
func (r *Rules) Grows() bool { return r.Mode != OnDemand }

// keep returns the least number of entries that the state keeps, counted from the latest.
func (r *Rules) keep() int {
	if r.Grows() {
		return max(r.Max, History)
	}
	return r.Max
}

// Scaled returns the rules with the timescales of a generation.
func (r *Rules) Scaled(scales [MaxTracks]int64) *Rules {
	for i := range r.Tracks {
		if r.Tracks[i].Timescale == scales[i] {
			continue
		}
		s := *r
		s.Tracks = slices.Clone(r.Tracks)
		for i := range s.Tracks {
			s.Tracks[i].Timescale = scales[i]
		}
		return &s
	}
	return r
}

// Timestamp returns the fragment's timestamp on the clock of the session's selector, in
// milliseconds.
func (r *Rules) Timestamp(f *store.FragmentInfo) int64 {
	if r.Selector == store.ProducerTimestamp {
		return f.ProducerTimestamp
	}
	return f.ServerTimestamp
}

// Start returns the least decode time of the fragment's packaged tracks, in milliseconds, rounded
// down. It returns false if none has frames.
func (r *Rules) Start(f *store.FragmentInfo) (int64, bool) {
	least, found := int64(math.MaxInt64), false
	for i := range r.Tracks {
		if span := f.Span(r.Tracks[i].Number); span != nil {
			at := Rescale(span.BaseDecodeTime, r.Tracks[i].Timescale, 1000)
			least, found = min(least, at), true
		}
	}
	return least, found
}

// epoch returns the number of the 48 hours of media time that a fragment with this start is in.
func (r *Rules) epoch(start int64) int64 { return floorDiv(start-r.Origin, epochMillis) }

// DecodeTime returns the tfdt of a run with this base decode time (ticks) in a fragment with this
// start (milliseconds): not negative, and less than 48 hours plus the fragment's length.
func (r *Rules) DecodeTime(base, timescale, start int64) int64 {
	return base - Rescale(r.Origin+r.epoch(start)*epochMillis, 1000, timescale)
}

// Length returns the length of the longest packaged run of the fragment, in milliseconds.
func (r *Rules) Length(f *store.FragmentInfo) int64 {
	var longest int64
	for i := range r.Tracks {
		if span := f.Span(r.Tracks[i].Number); span != nil {
			longest = max(longest, Millis(span, r.Tracks[i].Timescale))
		}
	}
	return longest
}

// replayAhead is how many fragments LIVE_REPLAY lists at first. Players begin three segments, or
// three target durations, before the end of a playlist. That is then its beginning, and they have
// something to play while they wait for the next segment.
const replayAhead = 3

// FirstDue returns State.Due of a LIVE_REPLAY session that is created at a time (milliseconds) and
// begins with these fragments, at least one.
func (r *Rules) FirstDue(created int64, fragments []store.FragmentInfo) int64 {
	due := created
	for i := range min(r.Max, replayAhead) - 1 {
		due -= r.Length(&fragments[min(i, len(fragments)-1)])
	}
	return due
}

// Millis returns how long a span lasts in milliseconds: from the millisecond in which it begins to
// that in which it ends. So it is less than one off, and the sum over adjacent spans is, too.
// Durations that are rounded one by one would drift away from the media by half a second in an hour
// of two-second segments.
func Millis(span *store.Span, timescale int64) int64 {
	begin, end := span.BaseDecodeTime, span.BaseDecodeTime+span.Duration
	return Rescale(end, timescale, 1000) - Rescale(begin, timescale, 1000)
}

// TargetDuration returns the target duration, in seconds, for segments the longest of which lasts
// longest milliseconds. It is rounded up, except for a tenth of a second, because sound overlaps
// its pictures by up to a frame. Players stay three target durations behind.
func TargetDuration(longest int64) int64 { return max(1, (longest+899)/1000) }

// Rescale returns v·to/from, rounded down. It takes two steps, because the product of a time since
// 1970 in ticks and another scale does not fit.
func Rescale(v, from, to int64) int64 {
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
