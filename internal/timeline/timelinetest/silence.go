package timelinetest

import (
	"math"

	"weir/internal/store"
)

// silence extends an entry's spans by the silence that its sound needs. start is its fragment's, in
// milliseconds; target is in seconds.
func (m *Model) silence(entries []entry, e *entry, start int64, target int) {
	if len(m.Tracks) < 2 {
		return
	}
	span := func(f *store.FragmentInfo, track int) (begin, end int64, ok bool) { // microseconds
		s := f.Span(m.Tracks[track].Number)
		if s == nil {
			return 0, 0, false
		}
		return scale(s.BaseDecodeTime, int64(m.Tracks[track].Timescale), 1e6),
			scale(s.BaseDecodeTime+s.Duration, int64(m.Tracks[track].Timescale), 1e6), true
	}
	begin, end, ok := span(&e.f, 0)
	if !ok {
		return
	}
	var ended [2]int64
	for track := range ended {
		ended[track] = math.MinInt64 / 2
		for i := len(entries) - 1; i >= 0 && ended[track] < 0; i-- {
			if _, end, ok := span(&entries[i].f, track); ok {
				ended[track] = end
			}
		}
	}
	wanted := begin
	if d := begin - ended[0]; d <= 50_000 && d >= -50_000 && ended[1] > 0 {
		wanted = max(ended[1], begin-350_000)
	}
	ticks := int64(m.Tracks[1].Timescale)
	from, until := scale(wanted, 1e6, ticks), scale(end, 1e6, ticks)
	tooLong := func() bool {
		return (scale(until, ticks, 1000)-scale(from, ticks, 1000)+500)/1000 > int64(target)
	}
	if first, last, ok := span(&e.f, 1); ok {
		own := e.f.Span(m.Tracks[1].Number)
		late, early := first-wanted > 50_000, end-last > 350_000 && end-begin-(last-first) > 350_000
		if !late {
			from = own.BaseDecodeTime
		}
		if !early {
			until = own.BaseDecodeTime + own.Duration
		}
		if !late && !early || tooLong() {
			return
		}
	} else if end-wanted <= 50_000 {
		return
	} else if tooLong() {
		from = scale(begin, 1e6, ticks)
	}
	e.quiet = [2]int64{from - scale(start, 1000, ticks), until - scale(start, 1000, ticks)}
	pictures := *e.f.Span(m.Tracks[0].Number)
	e.f.Spans = []store.Span{pictures,
		{Track: m.Tracks[1].Number, BaseDecodeTime: from, Duration: until - from, Frames: 1,
			KeyStart: true}}
}
