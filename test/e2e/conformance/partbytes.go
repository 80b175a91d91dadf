package conformance

import (
	"fmt"
	"math"
	"time"
)

// CheckParts holds the parts of a segment, read one by one, to what the playlist says of them. It
// also holds them to the whole segment, unless that is nil: joined, they have the very samples that
// it has, in bytes, times and flags, up to a frame that is longer than the part target. parts[i] is
// of s.Parts[i]; nil where it was not read.
func CheckParts(in *Init, s *Segment, target time.Duration, parts [][]byte,
	whole []byte) (f Findings) {
	var joined []sample
	for i, data := range parts {
		if i >= len(s.Parts) {
			break
		}
		listed, where := &s.Parts[i], fmt.Sprintf("%s, part %d", segmentAt(s.Sequence), i)
		if data == nil || listed.Gap {
			whole = nil
			continue
		}
		t, found := ParseFragment(in, where, data)
		f = append(f, found...)
		joined = append(joined, t.samples...)
		if off := t.Seconds() - listed.Duration.Seconds(); math.Abs(off) > 0.00101 {
			f.add(PartMatch, where, "lasts %.6f s, DURATION says %v", t.Seconds(), listed.Duration)
		}
		if t.Key != listed.Independent {
			f.add(PartIndependent, where, "begins with a random access point: %v, INDEPENDENT: %v",
				t.Key, listed.Independent)
		}
	}
	if whole == nil || len(parts) < len(s.Parts) {
		return f
	}
	t, found := ParseFragment(in, segmentAt(s.Sequence), whole)
	f = append(f, found...)
	i := 0
	for i < len(joined) && i < len(t.samples) && joined[i] == t.samples[i] {
		i++
	}
	long := i < len(t.samples) &&
		float64(t.samples[i].duration)/float64(t.Scale) > target.Seconds()
	if i < len(joined) || i < len(t.samples) && !long {
		f.add(PartSamples, segmentAt(s.Sequence),
			"%d samples in parts, %d in the segment; sample %d is the first that differs",
			len(joined), len(t.samples), i)
	}
	return f
}
