package conformance

import (
	"net/http"
	"net/url"
	"time"
)

// checkParts holds the parts of two readings of one playlist to one another (second edition,
// sections 6.2.1 and 6.2.2): what was listed stays as it is, until the parts of a segment leave all
// at once, the oldest segment's first. A part may only become a gap.
func checkParts(before, after *Media) (f Findings) {
	if before.PartTarget != after.PartTarget {
		f.add(PartInfChanged, "playlist", "PART-TARGET from %v to %v", before.PartTarget,
			after.PartTarget)
	}
	if a, b := before.Control, after.Control; (a == nil) != (b == nil) || a != nil && *a != *b {
		f.add(ServerControlChanged, "playlist", "from %+v to %+v", a, b)
	}
	earlier := false // segments before this one keep their parts
	for i := 0; i <= len(before.Segments); i++ {
		was := &before.Open
		if i < len(before.Segments) {
			was = &before.Segments[i]
		}
		is := after.at(was.Sequence)
		if len(was.Parts) == 0 || is == nil && was.Sequence < after.MediaSequence {
			continue
		}
		where := segmentAt(was.Sequence)
		switch {
		case is == nil || len(is.Parts) < len(was.Parts) && len(is.Parts) > 0:
			f.add(PartRemoved, where, "%d parts were listed, and some are gone", len(was.Parts))
			continue
		case len(is.Parts) == 0 && earlier:
			f.add(PartRemoved, where, "its parts are gone, those of an earlier segment are not")
			continue
		case len(is.Parts) == 0:
			continue
		}
		earlier = true
		for j := range was.Parts {
			a, b := &was.Parts[j], &is.Parts[j]
			if a.URI != b.URI || !a.Range.Same(b.Range) || a.Duration != b.Duration ||
				a.Independent != b.Independent || a.Gap && !b.Gap {
				f.add(PartChanged, where, "part %d was %s %v, is %s %v", j, a.URI, a.Duration,
					b.URI, b.Duration)
			}
		}
	}
	if open := &before.Open; len(open.Parts) > 0 {
		if is := after.at(open.Sequence); is != nil {
			now := *is
			now.URI, now.Range, now.Duration = open.URI, open.Range, open.Duration
			now.Gap = open.Gap // what breaks off becomes one
			f = append(f, sameSegment(open, &now)...)
		}
	}
	return append(f, checkHint(before, after)...)
}

// checkHint wants the hinted URI to become that of the next part (second edition, section 4.4.5.3).
// A segment that follows without parts takes the hint back (section 6.2.6).
func checkHint(before, after *Media) (f Findings) {
	hint := before.hint()
	msn, part := before.Edge()
	if hint == "" || part < 0 {
		return f
	}
	s, next := after.at(msn), part+1
	if s != nil && len(s.Parts) == 0 {
		return f // much came at once, and its parts are listed no more
	}
	if s != nil && next >= len(s.Parts) {
		if last, _ := after.Edge(); msn == last {
			if now := after.hint(); now != "" && now != hint {
				f.add(PreloadHintURI, "playlist", "hint changed from %s to %s, and no part came",
					hint, now)
			}
			return f
		}
		s, next = after.at(msn+1), 0
	}
	if s != nil && next < len(s.Parts) && s.Parts[next].URI != hint {
		f.add(PreloadHintURI, segmentAt(s.Sequence), "%s was hinted, %s came", hint,
			s.Parts[next].URI)
	}
	return f
}

// hint returns the hinted URI of the next part, or nothing.
func (m *Media) hint() string {
	for _, h := range m.Hints {
		if h.Type == "PART" {
			return h.URI
		}
	}
	return ""
}

// CheckControls wants the same EXT-X-SERVER-CONTROL in two media playlists of one master playlist
// (second edition, section 6.2.4).
func CheckControls(a, b *Media) (f Findings) {
	if (a.Control == nil) != (b.Control == nil) || a.Control != nil && *a.Control != *b.Control {
		f.add(RenditionControl, "playlists", "%+v and %+v", a.Control, b.Control)
	}
	return f
}

// Expand puts a delta update onto the playlist that the client knows (second edition, section
// 6.3.7): what it skips, the client must have.
func Expand(known, delta *Media) (*Media, Findings) {
	var f Findings
	if delta.Skipped == 0 {
		return delta, f
	}
	m := *delta
	m.Skipped, m.Segments = 0, nil
	first := delta.MediaSequence - known.MediaSequence
	last := first + delta.Skipped
	if first < 0 || last < first || last > int64(len(known.Segments)) {
		f.add(SkipUnknown, "playlist", "segments %d to %d are skipped, %d to %d are known",
			delta.MediaSequence, delta.MediaSequence+delta.Skipped-1, known.MediaSequence,
			known.Open.Sequence-1)
		return &m, f
	}
	m.Segments = append(m.Segments, known.Segments[first:last]...)
	for i := range m.Segments {
		// Their parts are away from the edge since.
		m.Segments[i].Parts = nil
	}
	edge := m.Segments[len(m.Segments)-1]
	fill := func(s Segment) Segment {
		if s.Map == nil {
			s.Map = edge.Map
		}
		s.Discontinuity += edge.Discontinuity - delta.Discontinuity
		return s
	}
	for i := range delta.Segments {
		m.Segments = append(m.Segments, fill(delta.Segments[i]))
	}
	m.Open = fill(delta.Open)
	return &m, f
}

// CheckDelta holds a delta update, put onto what was known, to the whole playlist of the same edge:
// they are the same, and what is skipped is what lies further from the end of the last segment than
// the skip boundary (second edition, section 6.2.5.1).
func CheckDelta(known, delta, whole *Media) Findings {
	m, f := Expand(known, delta)
	if len(f) > 0 {
		return f
	}
	differ := func(where, format string, args ...any) {
		f.add(DeltaDiffers, where, format, args...)
	}
	if m.MediaSequence != whole.MediaSequence || m.Discontinuity != whole.Discontinuity ||
		len(m.Segments) != len(whole.Segments) || m.Ended != whole.Ended {
		differ("playlist", "%d segments from %d, discontinuity %d; the whole has %d from %d, %d",
			len(m.Segments), m.MediaSequence, m.Discontinuity, len(whole.Segments),
			whole.MediaSequence, whole.Discontinuity)
		return f
	}
	var behind time.Duration // from the end of the last segment to the start of this one
	for i := len(m.Segments) - 1; i >= 0; i-- {
		a, b := &m.Segments[i], &whole.Segments[i]
		if len(sameSegment(a, b)) > 0 || a.Gap != b.Gap || !sameParts(a.Parts, b.Parts) {
			differ(segmentAt(a.Sequence), "%+v; the whole has %+v", a, b)
		}
		end := behind
		behind += b.Duration
		if delta.Skipped == 0 || whole.Control == nil {
			continue
		}
		switch skipped := int64(i) < delta.Skipped; {
		case skipped && behind <= whole.Control.SkipUntil:
			f.add(SkipCount, segmentAt(a.Sequence), "skipped %v from the end, boundary %v", behind,
				whole.Control.SkipUntil)
		case !skipped && end > whole.Control.SkipUntil && !b.Gap: // which may be new as a gap
			f.add(SkipCount, segmentAt(a.Sequence), "not skipped %v from the end, boundary %v", end,
				whole.Control.SkipUntil)
		}
	}
	if len(sameSegment(&m.Open, &whole.Open)) > 0 || !sameParts(m.Open.Parts, whole.Open.Parts) ||
		m.hint() != whole.hint() {
		differ("open segment", "%+v, hint %q; the whole has %+v, %q", m.Open, m.hint(), whole.Open,
			whole.hint())
	}
	return f
}

func sameParts(a, b []Part) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x.URI != y.URI || !x.Range.Same(y.Range) || x.Duration != y.Duration ||
			x.Independent != y.Independent || x.Gap != y.Gap {
			return false
		}
	}
	return true
}

// Other is another rendition, read before and after the playlist that reports on it.
type Other struct {
	URL           *url.URL
	Before, After *Media
}

// CheckReports wants a report on every other rendition, and each to be true: not behind what the
// rendition had before, nor ahead of what it had afterwards (second edition, section 4.4.5.4).
func CheckReports(m *Media, at *url.URL, others []Other) (f Findings) {
	for _, o := range others {
		found := false
		for _, r := range m.Reports {
			u, err := at.Parse(r.URI)
			if err != nil || u.String() != o.URL.String() {
				continue
			}
			found = true
			msn, part := r.LastMSN, r.LastPart
			if msn < 0 {
				msn, _ = m.Edge()
			}
			low, lowPart := o.Before.Edge()
			high, highPart := o.After.Edge()
			if msn < low || msn > high || part >= 0 && (msn == low && part < int64(lowPart) ||
				msn == high && part > int64(highPart)) {
				f.add(ReportFalse, "report on "+r.URI, "%d.%d; it was at %d.%d, and then at %d.%d",
					msn, part, low, lowPart, high, highPart)
			}
			if part < 0 && o.Before.at(msn) != nil && len(o.Before.at(msn).Parts) > 0 {
				f.add(ReportFalse, "report on "+r.URI,
					"no LAST-PART, and segment %d has parts", msn)
			}
		}
		if !found {
			f.add(ReportMissing, "playlist", "none of %s", o.URL.Path)
		}
	}
	return f
}

// Blocked is one blocking playlist request and how it was answered.
type Blocked struct {
	MSN    int64 // _HLS_msn; -1: not asked for
	Part   int   // _HLS_part; -1: not asked for
	Took   time.Duration
	Status int
	Before *Media // the playlist before the request
	After  *Media // the answer with status 200; else the playlist afterwards
}

// CheckBlocked holds an answer to section 6.2.5.2 of the second edition: the playlist with what was
// asked for, or 400 at once for what is too far ahead. A server may answer the playlist as it is
// when nothing comes, as long as it waited for half a target duration or seven seconds; it must,
// before a player's patience ends: hls.js waits for 0.8 target durations and at least three part
// targets, but no longer than ten seconds.
func CheckBlocked(b Blocked) (f Findings) {
	const where = "blocked request"
	refused := b.Status == http.StatusBadRequest
	// The edge may have moved on while the request was on its way.
	far, farStill := b.Before.beyond(b.MSN, b.Part), b.After.beyond(b.MSN, b.Part)
	switch {
	case refused && b.MSN >= 0 && !far && !farStill:
		f.add(BlockRefusal, where, "%d.%d was refused, and is near", b.MSN, b.Part)
	case !refused && (b.MSN < 0 && b.Part >= 0 || b.MSN >= 0 && far && farStill):
		f.add(BlockRefusal, where, "%d.%d was answered %d after %v, not refused", b.MSN, b.Part,
			b.Status, b.Took)
	case refused:
	case b.Status != http.StatusOK:
		f.add(BlockAnswer, where, "%d.%d: status %d after %v", b.MSN, b.Part, b.Status, b.Took)
	case !b.After.Ended && !b.After.Has(b.MSN, b.Part) &&
		b.Took < min(b.After.TargetDuration/2, 7*time.Second):
		msn, part := b.After.Edge()
		f.add(BlockAnswer, where, "%d.%d: the answer ends with %d.%d after %v", b.MSN, b.Part, msn,
			part, b.Took)
	}
	patience := min(max(3*b.After.PartTarget, b.After.TargetDuration*8/10), 10*time.Second)
	if b.Took > patience {
		f.add(BlockTime, where, "%d.%d took %v of %v", b.MSN, b.Part, b.Took, patience)
	}
	return f
}

// beyond reports whether a request is so far ahead that it is refused: by more segments than two
// and the slices of a fragment of 20 seconds, which a server that was killed has forgotten, or by
// too many parts. Those are more than the Advance Part Limit (three seconds or three parts), and
// more than a segment may have: to play without parts, hls.js asks for the last part of the segment
// that comes next.
func (m *Media) beyond(msn int64, part int) bool {
	if n := 2 + int64(20*time.Second/max(m.TargetDuration, 1)); msn >= m.Open.Sequence+n {
		return true
	}
	if m.PartTarget == 0 || msn != m.Open.Sequence {
		return false
	}
	limit := max(3, int((3*time.Second+m.PartTarget-1)/m.PartTarget))
	return part > len(m.Open.Parts)-1+limit && part >= int(2*m.TargetDuration/m.PartTarget)
}
