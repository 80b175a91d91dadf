package timelinetest

import (
	"math"
	"slices"

	"weir/internal/media"
	"weir/internal/store"
)

// frame is one access unit of a fragment. at and end are milliseconds after the fragment's start.
type frame struct {
	track       int   // index into Model.Tracks
	ticks, last int64 // decode time and duration
	at, end     int64
	presented   int64 // ticks
	key         bool
}

// slices returns the slices of a fragment under a target duration, with the spans of each.
func (m *Model) slices(f *store.FragmentInfo, target int) (listed []entry) {
	if math.Floor(slices.Max(m.millis(f))/1000+0.5) <= float64(target) {
		return []entry{{f: *f}}
	}
	if known, ok := m.cut[f.Number]; ok {
		return known
	}
	defer func() { m.cut[f.Number] = listed }()
	all, lead := m.framesOf(f)
	from := int64(0)
	for {
		rest := slices.DeleteFunc(slices.Clone(all), func(f frame) bool { return f.at < from })
		if len(rest) == 0 {
			return listed
		}
		until := int64(0)
		limit := from + int64(target)*1000
		if slices.ContainsFunc(rest, func(f frame) bool { return f.end > limit+499 }) {
			until = boundary(all, rest, lead, limit)
		}
		e := entry{f: *f, slice: stretch{from, until}}
		next := m.spans(&e, rest)
		listed = append(listed, e)
		if next == math.MaxInt64 {
			return listed
		}
		from = next
	}
}

// framesOf returns the frames of a fragment's session tracks, and which track decides where slices
// end.
func (m *Model) framesOf(f *store.FragmentInfo) (all []frame, lead int) {
	whole, start := m.Frames(f.Number), m.begins(f)
	lead = -1
	for i, t := range m.Tracks {
		for _, run := range whole.Runs {
			if run.Track != t.Number {
				continue
			}
			if lead < 0 {
				lead = i
			}
			at := run.BaseDecodeTime
			for _, fr := range run.Frames {
				end := at + int64(fr.Duration)
				all = append(all, frame{track: i, ticks: at, last: int64(fr.Duration),
					at: floorMillis(at, t) - start, end: floorMillis(end, t) - start,
					presented: at + int64(fr.CompositionOffset), key: fr.Key})
				at = end
			}
		}
	}
	return all, lead
}

// boundary returns where a slice ends that begins with the first frame of rest and may last until
// limit.
func boundary(all, rest []frame, lead int, limit int64) int64 {
	var key, clean, last int64
	first := int64(math.MaxInt64) // the first picture is in the slice
	for _, f := range rest {
		if f.track != lead {
			continue
		}
		first = min(first, f.at)
		if f.at <= first || f.at > limit {
			continue
		}
		last = f.at
		if f.key {
			key = f.at
		}
		if !mixed(all, lead, f.ticks) {
			clean = f.at
		}
	}
	switch {
	case key > 0:
		return key
	case clean > 0:
		return clean
	case last > 0:
		return last
	}
	return limit
}

// mixed reports whether a picture that is decoded before a time is presented after one that is
// decoded later.
func mixed(all []frame, lead int, ticks int64) bool {
	// The last time of frames that are decoded before, and the first time of the rest.
	before, after := int64(math.MinInt64), int64(math.MaxInt64)
	for _, f := range all {
		switch {
		case f.track != lead:
		case f.ticks < ticks:
			before = max(before, f.presented)
		default:
			after = min(after, f.presented)
		}
	}
	return after <= before
}

// spans sets the spans of an entry's slice; rest has the frames from its start on. It returns when
// the next slice begins, math.MaxInt64 if there is none.
func (m *Model) spans(e *entry, rest []frame) (next int64) {
	start, until := m.begins(&e.f), e.slice.until
	e.f.Spans = nil
	next = int64(math.MaxInt64)
	for i, t := range m.Tracks {
		span := store.Span{Track: t.Number}
		for _, f := range rest {
			switch {
			case f.track != i:
			case until > 0 && f.at >= until:
				next = min(next, f.at)
			default:
				if span.Frames == 0 {
					span.BaseDecodeTime, span.KeyStart = f.ticks, f.key
				}
				span.Frames++
				span.Duration = f.ticks + f.last - span.BaseDecodeTime
				if until > 0 && f.end > until+499 { // to the first tick of that millisecond
					scale := int64(t.Timescale)
					span.Duration = ((start+until)*scale+999)/1000 - span.BaseDecodeTime
				}
			}
		}
		if span.Frames > 0 {
			e.f.Spans = append(e.f.Spans, span)
		}
	}
	return next
}

func floorMillis(ticks int64, t media.Track) int64 {
	return millisOf(0, ticks, int64(t.Timescale))
}
