package conformance

import (
	"fmt"
	"strings"
	"time"
)

// CheckMPDUpdate holds two readings of one manifest, one after the other, to ISO/IEC 23009-1 clause
// 5.4: what was said of a period, of a track in it and of a segment stays; segments leave at the
// front and come at the end; a static presentation never changes.
func CheckMPDUpdate(before, after *MPD) (f Findings) {
	if before.text == after.text {
		return f
	}
	if before.Type == "static" {
		f.add(MPDStatic, "MPD", "a static presentation changed")
	}
	if before.Available != after.Available {
		f.add(MPDAvailability, "MPD", "availabilityStartTime from %s to %s", before.Available,
			after.Available)
	}
	was, _ := time.Parse(time.RFC3339Nano, before.Publish)
	is, _ := time.Parse(time.RFC3339Nano, after.Publish)
	if is.Before(was) {
		f.add(MPDPublish, "MPD", "publishTime from %v to %v", was, is)
	}
	last := ""
	if n := len(before.Periods); n > 0 {
		last = before.Periods[n-1].ID
	}
	kept := false
	for i := range before.Periods {
		old := &before.Periods[i]
		now := after.named(old.ID)
		switch {
		case now == nil && (kept || old.ID == last):
			f.add(MPDPeriodChanged, "period "+old.ID, "is gone, and was not the oldest")
		case now == nil:
		case now.Start != old.Start || len(now.Sets) != len(old.Sets):
			f.add(MPDPeriodChanged, "period "+old.ID, "start %s, %d sets; then %s, %d", old.Start,
				len(old.Sets), now.Start, len(now.Sets))
		default:
			kept = true
			for j := range old.Sets {
				f = append(f, sameSet("period "+old.ID, &old.Sets[j], &now.Sets[j])...)
			}
		}
	}
	return f
}

func (m *MPD) named(id string) *Period {
	for i := range m.Periods {
		if m.Periods[i].ID == id {
			return &m.Periods[i]
		}
	}
	return nil
}

func sameSet(where string, old, now *AdaptationSet) (f Findings) {
	where += ", set " + old.ID
	a, b := old.Template, now.Template
	if a == nil || b == nil {
		return f
	}
	fixed := func(s *AdaptationSet) string {
		var r strings.Builder
		for i := range s.Representations {
			x := s.Representations[i]
			x.Channels = nil
			fmt.Fprintf(&r, "%+v ", x)
		}
		t := s.Template
		return fmt.Sprint(s.ID, s.MIME, s.SAP, t.Timescale, t.Offset, t.Initialization, t.Media,
			r.String())
	}
	if x, y := fixed(old), fixed(now); x != y {
		f.add(MPDSetChanged, where, "was %s, is %s", x, y)
	}
	if b.StartNumber < a.StartNumber ||
		b.StartNumber+int64(len(b.Timeline)) < a.StartNumber+int64(len(a.Timeline)) {
		f.add(MPDSegmentGone, where, "segments %d to %d; then %d to %d", a.StartNumber,
			a.StartNumber+int64(len(a.Timeline))-1, b.StartNumber,
			b.StartNumber+int64(len(b.Timeline))-1)
	}
	for i, s := range a.Timeline {
		j := a.StartNumber + int64(i) - b.StartNumber
		if j < 0 || j >= int64(len(b.Timeline)) {
			continue
		}
		if o := b.Timeline[j]; o.Time != s.Time || o.Duration != s.Duration {
			f.add(MPDSegmentChanged, fmt.Sprintf("%s, segment %d", where, a.StartNumber+int64(i)),
				"was %d+%d, is %d+%d", s.Time, s.Duration, o.Time, o.Duration)
		}
	}
	return f
}

// CheckMPDInit holds an initialization section to what the manifest says of the track.
func CheckMPDInit(where string, a *AdaptationSet, in *Init) (f Findings) {
	if a.Template != nil && a.Template.Timescale != int64(in.Timescale) {
		f.add(MPDMedia, where, "timescale %d, the media's is %d", a.Template.Timescale,
			in.Timescale)
	}
	for i := range a.Representations {
		r := &a.Representations[i]
		if r.Codecs != in.Codec || r.Width != in.Width || r.Height != in.Height {
			f.add(MPDMedia, where, "%s %d×%d; the media are %s %d×%d", r.Codecs, r.Width, r.Height,
				in.Codec, in.Width, in.Height)
		}
	}
	return f
}

// CheckMPDSegment holds a segment to its entry of the time line: it ends where the entry does, to
// the millisecond, and begins no earlier than overlap before it. It may begin later: an entry
// covers the gap before its media. With startWithSAP it begins with a random access point.
func CheckMPDSegment(where string, a *AdaptationSet, s Stretch, t *Timing,
	overlap time.Duration) (f Findings) {
	ticks := func(n int64) time.Duration { return a.Template.ticks(n) }
	if off := ticks(t.Start + t.Duration - s.Time - s.Duration); off.Abs() > time.Millisecond {
		f.add(MPDSegmentTime, where, "ends %v after the entry", off)
	}
	if early := ticks(s.Time - t.Start); early > overlap {
		f.add(MPDSegmentTime, where, "begins %v before the entry", early)
	}
	if a.SAP == 1 && !t.Key {
		f.add(MPDSegmentSAP, where, "does not begin with a random access point")
	}
	return f
}

// CheckMPDBandwidth holds bandwidth to what it is by ISO/IEC 23009-1 clause 5.3.5.2: whoever begins
// at any segment and receives at this rate has, after minBufferTime, every byte before it is due.
func CheckMPDBandwidth(where string, m *MPD, r *Representation, pieces []Piece) (f Findings) {
	buffer := m.span(&f, where, m.MinBuffer)
	for i := range pieces {
		var bytes int64
		var played time.Duration // until the segment is due
		for _, p := range pieces[i:] {
			bytes += p.Bytes
			need := float64(bytes) * 8 / (buffer + played).Seconds()
			if need > float64(r.Bandwidth) {
				f.add(MPDBandwidth, where, "bandwidth %d, and %.0f is needed from segment %d on",
					r.Bandwidth, need, i)
				return f
			}
			played += p.Duration
		}
	}
	return f
}
