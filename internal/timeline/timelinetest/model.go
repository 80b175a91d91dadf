// Package timelinetest has the rules of the timeline a second time, in Model, which goes through
// the whole history each time and ignores speed. Camera generates histories. The tests of timeline
// and of playback compare with it.
package timelinetest

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// Model says what a playlist that grows must list. It shares no code with the timeline. Times are
// milliseconds.
type Model struct {
	Max           int // fragments that a playlist lists
	Producer      bool
	Discontinuity timeline.DiscontinuityMode
	Tracks        []media.Track        // of the session, pictures first
	Initial       []store.FragmentInfo // newest first, at creation
	Later         []store.FragmentInfo // in commit order, after creation

	Same   func(set int64) bool   // the session takes fragments of this track set
	Codecs func(set int64) string // identifies the codec private data of a set
	Frames func(n store.Number) *media.Fragment

	Replay     bool  // LIVE_REPLAY, otherwise LIVE
	Created    int64 // when the session was opened
	Start, End int64 // LIVE_REPLAY: the range; math.MaxInt64: no end
	Closed     bool  // LIVE_REPLAY: the range was over a minute before

	cut     map[store.Number][]entry // what slices found
	entries []entry
	target  int
	over    bool
}

// entry is a listed fragment, or a slice of one.
type entry struct {
	f     store.FragmentInfo // with the spans of the slice
	slice stretch
	disc  int // discontinuities up to and with this entry
	gen   int
	due   int64
	date  int64

	quiet [2]int64 // silence of the sound: ticks after the fragment's start; both 0: none
}

// stretch is from where to where a fragment is listed, milliseconds after its start. An end of 0 is
// that of the fragment.
type stretch struct{ from, until int64 }

// Listing is what the playlist of one track says.
type Listing struct {
	Target        int  // seconds
	MediaSequence int  // of the first segment
	Discontinuity int  // discontinuity sequence number before the first segment's own tags
	Marked        bool // some discontinuity was marked up to the last segment
	Independent   bool // every segment up to the last one begins with a random access point
	Over          bool // no more will follow
	Segments      []Segment
}

// Segment is one segment of a Listing.
type Segment struct {
	Number      store.Number
	Millis      int64 // duration
	Tags        int   // discontinuities marked before it
	Generation  int   // of codec private data
	Date        int64
	From, Until int64    // milliseconds of the fragment; Until 0: its end
	Silence     [2]int64 // of a segment of sound: ticks after the fragment's start
}

// String writes a line for each segment.
func (l *Listing) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "target %d, sequence %d, discontinuity %d %t, independent %t, over %t\n",
		l.Target, l.MediaSequence, l.Discontinuity, l.Marked, l.Independent, l.Over)
	for i := range l.Segments {
		fmt.Fprintf(&s, "%+v\n", l.Segments[i])
	}
	return s.String()
}

// Run goes through the whole history again. Call it before Listing when Later has grown.
func (m *Model) Run() {
	if m.cut == nil {
		m.cut = make(map[store.Number][]entry)
	}
	m.entries, m.target, m.over = m.unfold()
}

// Target returns the session's target duration in seconds.
func (m *Model) Target() int { return m.target }

// Listing returns what the playlist of a track lists at a time, nil if there is nothing to list.
// Fragments with a server timestamp before edge are past retention.
func (m *Model) Listing(track media.Track, now, edge int64) *Listing {
	entries := m.entries
	for m.Replay && entries[len(entries)-1].due > now {
		entries = entries[:len(entries)-1]
	}
	from := m.window(entries, edge)
	if from == len(entries) {
		return nil
	}
	l := &Listing{Target: m.target, Independent: true, Over: m.over &&
		len(entries) == len(m.entries)}
	for _, e := range entries[:from] {
		if span := e.f.Span(track.Number); span != nil {
			l.MediaSequence++
			l.Discontinuity = e.disc
			l.Independent = l.Independent && (span.KeyStart || track.Kind == media.Audio)
		}
	}
	counted := l.Discontinuity
	for _, e := range entries[from:] {
		span := e.f.Span(track.Number)
		if span == nil {
			continue
		}
		s := Segment{Number: e.f.Number, Tags: e.disc - counted, Generation: e.gen, Date: e.date,
			Millis: millisOf(span.BaseDecodeTime, span.Duration, int64(track.Timescale)),
			From:   e.slice.from, Until: e.slice.until}
		if track.Kind == media.Audio {
			s.Silence = e.quiet
		}
		counted = e.disc
		l.Segments = append(l.Segments, s)
		l.Independent = l.Independent && (span.KeyStart || track.Kind == media.Audio)
	}
	l.Marked = counted > 0
	return l
}

// window returns the first of the entries that a playlist lists: Max fragments at most.
func (m *Model) window(entries []entry, edge int64) int {
	var fragments []store.Number
	from := len(entries)
	for ; from > 0; from-- {
		if n := entries[from-1].f.Number; !slices.Contains(fragments, n) {
			if len(fragments) == m.Max {
				break
			}
			fragments = append(fragments, n)
		}
	}
	for from < len(entries) && entries[from].f.ServerTimestamp < edge {
		from++
	}
	return from
}

func (m *Model) begins(f *store.FragmentInfo) int64 {
	least := int64(math.MaxInt64)
	for _, t := range m.Tracks {
		if s := f.Span(t.Number); s != nil {
			least = min(least, floorMillis(s.BaseDecodeTime, t))
		}
	}
	return least
}

// Timestamp returns the timestamp by which the session selects a fragment.
func (m *Model) Timestamp(f *store.FragmentInfo) int64 {
	if m.Producer {
		return f.ProducerTimestamp
	}
	return f.ServerTimestamp
}

// Chosen returns what a session begins with, in order.
func (m *Model) Chosen() (shown []store.FragmentInfo) {
	if m.Replay {
		for _, f := range slices.Backward(m.Initial) {
			if at := m.Timestamp(&f); at < m.Start || at > m.End || !m.Same(f.TrackSet) ||
				len(f.Spans) == 0 {
				continue
			}
			if i := m.double(shown, &f); i >= 0 {
				shown[i] = f
			} else {
				shown = append(shown, f)
			}
		}
		if m.Producer {
			slices.SortFunc(shown, func(a, b store.FragmentInfo) int {
				return int(a.ProducerTimestamp - b.ProducerTimestamp)
			})
		}
		return shown
	}
	for _, f := range m.Initial { // newest first
		if len(shown) < m.Max && !f.Partial && m.Same(f.TrackSet) && len(f.Spans) > 0 &&
			m.double(shown, &f) < 0 {
			shown = append(shown, f)
		}
	}
	slices.Reverse(shown)
	return shown
}

// unfold goes through the whole history.
func (m *Model) unfold() (entries []entry, target int, over bool) {
	shown := m.Chosen()
	known := len(shown)
	target = m.longest(shown)
	shown, over = m.follow(shown)
	origin := m.begins(&shown[0])
	epoch := func(f *store.FragmentInfo) float64 {
		return math.Floor(float64(m.begins(f)-origin) / (48 * 3600 * 1000))
	}
	disc, gens := 0, []string{}
	due := m.Created
	for i := range min(m.Max, 3) - 1 {
		due -= int64(slices.Max(m.millis(&shown[min(i, known-1)])))
	}
	for i := range shown {
		f := &shown[i]
		codecs := m.Codecs(f.TrackSet)
		gen := slices.Index(gens, codecs)
		if gen < 0 {
			gen = len(gens)
			gens = append(gens, codecs)
		}
		mark := m.Discontinuity == timeline.DiscontinuityAlways || i > 0 &&
			(epoch(f) != epoch(&shown[i-1]) || codecs != m.Codecs(shown[i-1].TrackSet))
		listed := []entry{{f: *f}}
		if i >= known {
			listed = m.slices(f, target)
		}
		for _, e := range listed {
			m.silence(entries, &e, m.begins(f), target)
			gap := m.gap(entries, &e.f)
			if e.slice.from == 0 &&
				(mark || m.Discontinuity == timeline.DiscontinuityOnGap && gap) ||
				e.slice.from > 0 && m.Discontinuity != timeline.DiscontinuityNever && gap {
				disc++
			}
			due = max(due, f.ServerTimestamp)
			e.disc, e.gen, e.due, e.date = disc, gen, due, m.date(entries, &e)
			entries = append(entries, e)
			due += int64(slices.Max(m.millis(&e.f)))
		}
	}
	return entries, target, over
}

// longest returns the target duration of a session that begins with these fragments, in seconds.
func (m *Model) longest(chosen []store.FragmentInfo) (target int) {
	looked := slices.Clone(chosen)
	for i, f := range m.Initial {
		if i < 64 && !f.Partial && m.Same(f.TrackSet) && !m.Replay {
			looked = append(looked, f)
		}
	}
	for i := range looked {
		for _, d := range m.millis(&looked[i]) {
			target = max(target, int(math.Ceil(d/1000-0.1)))
		}
	}
	return target
}

// follow appends the fragments that came later and belong to the session.
func (m *Model) follow(shown []store.FragmentInfo) (_ []store.FragmentInfo, over bool) {
	over = m.Closed
	for _, f := range m.Later {
		newest := slices.MaxFunc(shown, func(a, b store.FragmentInfo) int {
			return int(a.Number - b.Number)
		})
		if over || f.Number <= newest.Number {
			continue
		}
		if at := m.Timestamp(&f); m.Replay && at > m.End {
			over = true
			continue
		} else if m.Replay && at < m.Start {
			continue
		}
		if f.Partial || !m.Same(f.TrackSet) || len(f.Spans) == 0 {
			continue
		}
		if recent := shown[max(0, len(shown)-max(m.Max, 64)):]; m.double(recent, &f) < 0 {
			shown = append(shown, f)
		}
	}
	return shown, over
}

// double returns which of the fragments f would show a second time, or -1.
func (m *Model) double(shown []store.FragmentInfo, f *store.FragmentInfo) int {
	return slices.IndexFunc(shown, func(o store.FragmentInfo) bool {
		return m.Producer && o.ProducerTimestamp == f.ProducerTimestamp
	})
}

// date returns when an entry after these begins, on the selector's clock.
func (m *Model) date(entries []entry, e *entry) int64 {
	date := m.Timestamp(&e.f) + e.slice.from
	if last := len(entries) - 1; !m.Producer && last >= 0 {
		p := &entries[last]
		if e.slice.from > 0 {
			date = p.date - p.slice.from + e.slice.from
		}
		date = max(date, p.date+int64(m.millis(&p.f)[0]))
	}
	return date
}

// gap reports whether a track of f begins more than 50 ms from where its latest entry ends.
func (m *Model) gap(entries []entry, f *store.FragmentInfo) bool {
	for _, t := range m.Tracks {
		s := f.Span(t.Number)
		for j := len(entries) - 1; j >= 0 && s != nil; j-- {
			if p := entries[j].f.Span(t.Number); p != nil {
				if math.Abs(float64(
					s.BaseDecodeTime-p.BaseDecodeTime-p.Duration)/float64(t.Timescale)) > 0.05 {
					return true
				}
				break
			}
		}
	}
	return false
}

// millis returns the durations of a fragment's packaged tracks, rounded to milliseconds.
func (m *Model) millis(f *store.FragmentInfo) (d []float64) {
	for _, t := range m.Tracks {
		if s := f.Span(t.Number); s != nil {
			d = append(d, float64(millisOf(s.BaseDecodeTime, s.Duration, int64(t.Timescale))))
		}
	}
	return d
}

// millisOf returns a run's duration as a playlist has it: the millisecond of its end less that of
// its beginning, without overflow.
func millisOf(begin, duration, timescale int64) int64 {
	return scale(begin+duration, timescale, 1000) - scale(begin, timescale, 1000)
}

// scale converts v ticks of one timescale to another, rounded down, with 128 bits in between.
func scale(v, from, to int64) int64 {
	hi, lo := bits.Mul64(uint64(max(v, -v)), uint64(to))
	q, rest := bits.Div64(hi, lo, uint64(from))
	switch {
	case v >= 0:
		return int64(q)
	case rest > 0:
		return -int64(q) - 1
	}
	return -int64(q)
}

// Difference returns the first line in which two texts differ, and the first lines of want.
func Difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < min(len(a), len(b))-1 && a[i] == b[i] {
		i++
	}
	return fmt.Sprintf("line %d of %d is\n%s\nwant (of %d)\n%s\nafter\n%s", i+1, len(a), a[i],
		len(b), b[i], strings.Join(b[:min(i, 8)], "\n"))
}
