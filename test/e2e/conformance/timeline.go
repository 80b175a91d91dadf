package conformance

import (
	"math"
	"time"
)

// Source says what is known of the source that a playlist was made of.
type Source struct {
	// no gap, no overlap: segments meet even where a discontinuity stands between them
	Contiguous bool
	// of durations and joints beyond the milliseconds that EXTINF rounds to
	Tolerance time.Duration
}

// CheckTimeline holds the segments of a track to the playlist that lists them: durations to EXTINF,
// each start to the end before it where no discontinuity lies between, random access points to
// EXT-X-INDEPENDENT-SEGMENTS. timings[i] is of m.Segments[i]; nil where it was not fetched.
func CheckTimeline(m *Media, timings []*Timing, source Source) (f Findings) {
	var sequence uint32
	for i := range m.Segments {
		s := &m.Segments[i]
		if i >= len(timings) || timings[i] == nil {
			continue
		}
		t := timings[i]
		where := segmentAt(s.Sequence)
		// An I-frame's EXTINF is the time to the next one, which its own bytes do not tell.
		if off := t.Seconds() - s.Duration.Seconds(); !m.IFramesOnly &&
			math.Abs(off) > 0.00101+source.Tolerance.Seconds() {
			f.add(DurationMatch, where, "lasts %.6f s, EXTINF says %v", t.Seconds(), s.Duration)
		}
		if (m.Independent || m.IFramesOnly) && !t.Key {
			f.add(IndependentSegments, where, "does not begin with a random access point")
		}
		if i == 0 || timings[i-1] == nil {
			sequence = t.Sequence
			continue
		}
		p := timings[i-1]
		// segments cut from one stored fragment may share its number
		if t.Numbered && t.Sequence < sequence {
			f.add(FragmentSequence, where, "mfhd %d after %d", t.Sequence, sequence)
		}
		sequence = t.Sequence
		if m.IFramesOnly || s.Begins && !source.Contiguous {
			continue
		}
		if t.Scale != p.Scale {
			if !s.Begins {
				f.add(Timescale, where, "timescale %d after %d without a discontinuity", t.Scale,
					p.Scale)
			}
			continue
		}
		gap := time.Duration(float64(t.Start-p.Start-p.Duration) / float64(t.Scale) * 1e9)
		if gap.Abs() > source.Tolerance {
			f.add(Continuity, where,
				"starts %v after the end of the segment before it (%v, then %v)", gap, p, t)
		}
	}
	return f
}

// CheckSync holds two tracks of one moment to one another: what is shown first in their segments is
// within tolerance of each other on the media timeline (RFC 8216 section 6.2.4: matching content
// has matching timestamps).
func CheckSync(where string, a, b *Timing, tolerance time.Duration) (f Findings) {
	off := float64(a.Present)/float64(a.Scale) - float64(b.Present)/float64(b.Scale)
	if math.Abs(off) > tolerance.Seconds() {
		f.add(RenditionTime, where, "tracks start %.6f s apart: %v and %v", off, a, b)
	}
	return f
}
