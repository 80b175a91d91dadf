package conformance

import (
	"net/url"
	"strconv"
	"time"
)

// Part is a partial segment.
type Part struct {
	URI         string
	Range       *Range // nil: the whole resource
	Duration    time.Duration
	Independent bool
	Gap         bool

	line int
}

// ServerControl is what EXT-X-SERVER-CONTROL says; zero is an attribute that is not there.
type ServerControl struct {
	BlockReload  bool
	SkipUntil    time.Duration
	SkipDates    bool
	HoldBack     time.Duration
	PartHoldBack time.Duration
}

// Hint is an EXT-X-PRELOAD-HINT.
type Hint struct {
	Type, URI string
	Start     int64
}

// Report is an EXT-X-RENDITION-REPORT; numbers are -1 when they are not there.
type Report struct {
	URI               string
	LastMSN, LastPart int64
}

// Edge returns the media sequence number of the last part and its index; of the last segment, and
// -1, when that has no parts.
func (m *Media) Edge() (msn int64, part int) {
	if n := len(m.Open.Parts); n > 0 {
		return m.Open.Sequence, n - 1
	}
	if n := len(m.Segments); n > 0 {
		return m.Segments[n-1].Sequence, len(m.Segments[n-1].Parts) - 1
	}
	return m.MediaSequence + m.Skipped - 1, -1
}

// Next returns the media sequence number and the index of the part that comes after the last one:
// what a player waits for.
func (m *Media) Next() (msn int64, part int) {
	return m.Open.Sequence, len(m.Open.Parts)
}

// at returns the segment with a media sequence number, the open one too; nil when it is not there.
func (m *Media) at(msn int64) *Segment {
	if i := msn - m.MediaSequence - m.Skipped; i >= 0 && i < int64(len(m.Segments)) {
		return &m.Segments[i]
	}
	if msn == m.Open.Sequence && len(m.Open.Parts) > 0 {
		return &m.Open
	}
	return nil
}

// Has reports whether a playlist has what a blocked request waits for (second edition, section
// 6.2.5.2): the segment when part is negative, else the part or a later one. A part after the last
// one of its segment is the first one of the next.
func (m *Media) Has(msn int64, part int) bool {
	last, index := m.Edge()
	if part < 0 {
		return msn < m.Open.Sequence
	}
	if s := m.at(msn); s != nil && msn < m.Open.Sequence && len(s.Parts) > 0 &&
		part >= len(s.Parts) {
		msn, part = msn+1, 0
	}
	return msn < last || msn == last && (msn < m.Open.Sequence || part <= index)
}

// lowLatency reads the tags of the second edition.
func (p *mediaParser) lowLatency(e *entry) {
	if len(p.next.Parts) > 0 {
		switch e.name {
		case "EXT-X-DISCONTINUITY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME", "EXT-X-KEY":
			p.f.add(PartTags, line(e.line), "%s after the first EXT-X-PART of its segment", e.name)
		}
	}
	if p.hinted > 0 && (e.tag.place == mediaSegment || e.name == "EXT-X-SKIP") {
		p.f.add(PreloadHintPlace, line(p.hinted), "%s follows the hint", e.name)
	}
	if p.reported > 0 && (e.tag.place == mediaSegment || e.name == "EXT-X-PRELOAD-HINT") {
		p.f.add(ReportPlace, line(p.reported), "%s follows the report", e.name)
	}
	switch e.name {
	case "EXT-X-PART-INF":
		if p.m.PartTarget = seconds(e.attrs["PART-TARGET"]); p.m.PartTarget == 0 {
			p.f.add(PartInfMissing, line(e.line), "a PART-TARGET of nothing")
		}
	case "EXT-X-SERVER-CONTROL":
		p.m.Control = &ServerControl{
			BlockReload:  e.attrs["CAN-BLOCK-RELOAD"] == "YES",
			SkipUntil:    seconds(e.attrs["CAN-SKIP-UNTIL"]),
			SkipDates:    e.attrs["CAN-SKIP-DATERANGES"] == "YES",
			HoldBack:     seconds(e.attrs["HOLD-BACK"]),
			PartHoldBack: seconds(e.attrs["PART-HOLD-BACK"])}
	case "EXT-X-SKIP":
		if len(p.m.Segments) > 0 || p.pending != "" {
			p.f.add(SkipPlace, line(e.line), "segments, or tags of one, stand before it")
		}
		p.m.Skipped = number(e.attrs["SKIPPED-SEGMENTS"])
		p.need.at(9, e.name)
		if _, dates := e.attrs["RECENTLY-REMOVED-DATERANGES"]; dates {
			p.need.at(10, "RECENTLY-REMOVED-DATERANGES")
		}
	case "EXT-X-PART":
		p.part(e)
	case "EXT-X-PRELOAD-HINT":
		if p.hinted == 0 {
			p.hinted = e.line
		}
		p.m.Hints = append(p.m.Hints, Hint{Type: e.attrs["TYPE"], URI: e.attrs["URI"],
			Start: number(e.attrs["BYTERANGE-START"])})
	case "EXT-X-RENDITION-REPORT":
		if p.reported == 0 {
			p.reported = e.line
		}
		p.report(e)
	}
}

func (p *mediaParser) part(e *entry) {
	part := Part{URI: e.attrs["URI"], Duration: seconds(e.attrs["DURATION"]), line: e.line,
		Independent: e.attrs["INDEPENDENT"] == "YES", Gap: e.attrs["GAP"] == "YES"}
	if text, ok := e.attrs["BYTERANGE"]; ok {
		if part.Range = p.byteRange(e, text); part.Range.Offset < 0 {
			n := len(p.next.Parts)
			if n == 0 || p.next.Parts[n-1].URI != part.URI || p.next.Parts[n-1].Range == nil {
				p.f.add(ByteRange, line(e.line), "no offset, and no part of the resource before it")
				part.Range.Offset = 0
			} else {
				last := p.next.Parts[n-1].Range
				part.Range.Offset = last.Offset + last.Length
			}
		}
	}
	p.next.Parts = append(p.next.Parts, part)
}

func (p *mediaParser) report(e *entry) {
	r := Report{URI: e.attrs["URI"], LastMSN: -1, LastPart: -1}
	if text, ok := e.attrs["LAST-MSN"]; ok {
		r.LastMSN = number(text)
	}
	if text, ok := e.attrs["LAST-PART"]; ok {
		r.LastPart = number(text)
	}
	if u, err := url.Parse(r.URI); err != nil || u.IsAbs() {
		p.f.add(ReportURI, line(e.line), "%q is not relative", r.URI)
	}
	p.m.Reports = append(p.m.Reports, r)
}

// endLowLatency holds the whole playlist to what one reading shows of the second edition's rules.
func (p *mediaParser) endLowLatency() {
	m, f := p.m, p.f
	m.Open = p.next
	m.Open.Sequence = m.MediaSequence + m.Skipped + int64(len(m.Segments))
	m.Open.Discontinuity = m.Discontinuity + p.starts
	m.control(f)
	listed := len(m.Open.Parts) > 0
	for i := range m.Segments {
		s := &m.Segments[i]
		listed = listed || len(s.Parts) > 0
		m.parts(f, s, true)
	}
	m.parts(f, &m.Open, false)
	if listed {
		m.listsParts(f)
	}
	m.oldParts(f)
	hints := 0
	for _, h := range m.Hints {
		if h.Type == "PART" {
			hints++
		}
	}
	switch {
	case hints > 1:
		f.add(PreloadHint, line(p.hinted), "%d hints of parts", hints)
	case m.Ended && len(m.Hints) > 0:
		f.add(PreloadHint, line(p.hinted), "a hint in a playlist that has ended")
	case listed && hints == 0 && !m.Ended:
		f.add(PreloadHint, "playlist", "parts, and no hint of the next one")
	}
}

// control holds EXT-X-SERVER-CONTROL to itself and to the durations (section 4.4.3.8).
func (m *Media) control(f *Findings) {
	c := m.Control
	if c == nil {
		if m.Skipped > 0 {
			f.add(Skip, "playlist", "EXT-X-SKIP without CAN-SKIP-UNTIL")
		}
		return
	}
	if m.PartTarget > 0 && c.PartHoldBack < 3*m.PartTarget {
		f.add(PartHoldBack, "playlist", "PART-HOLD-BACK %v of a PART-TARGET of %v", c.PartHoldBack,
			m.PartTarget)
	}
	if c.HoldBack > 0 && c.HoldBack < 3*m.TargetDuration {
		f.add(HoldBack, "playlist", "HOLD-BACK %v of a target duration of %v", c.HoldBack,
			m.TargetDuration)
	}
	if c.SkipUntil > 0 && c.SkipUntil < 6*m.TargetDuration {
		f.add(SkipBoundary, "playlist", "CAN-SKIP-UNTIL %v of a target duration of %v",
			c.SkipUntil, m.TargetDuration)
	}
	if c.SkipDates && c.SkipUntil == 0 {
		f.add(ServerControlForm, "playlist", "CAN-SKIP-DATERANGES without CAN-SKIP-UNTIL")
	}
	if m.Skipped > 0 && (c.SkipUntil == 0 || m.Ended) {
		f.add(Skip, "playlist", "EXT-X-SKIP without CAN-SKIP-UNTIL, or in a playlist that ended")
	}
}

// listsParts holds a playlist with parts to what must go with them (section 4.4.3.7 and appendix
// B).
func (m *Media) listsParts(f *Findings) {
	if m.PartTarget == 0 {
		f.add(PartInfMissing, "playlist", "EXT-X-PART without EXT-X-PART-INF")
	}
	if c := m.Control; c == nil || !c.BlockReload || c.PartHoldBack == 0 {
		f.add(ServerControlForm, "playlist", "parts without CAN-BLOCK-RELOAD and PART-HOLD-BACK")
	}
	if m.IFramesOnly {
		f.add(PartIFrames, "playlist", "parts in a playlist of I-frames")
	}
	dated := !m.Open.Date.IsZero()
	for i := range m.Segments {
		dated = dated || !m.Segments[i].Date.IsZero()
	}
	if !dated {
		f.add(PartDate, "playlist", "parts, and no EXT-X-PROGRAM-DATE-TIME")
	}
}

// parts holds the parts of a segment to the part target and to its duration. The last part of a
// segment that is not complete may be followed by another.
func (m *Media) parts(f *Findings, s *Segment, complete bool) {
	if len(s.Parts) == 0 {
		return
	}
	var sum time.Duration
	for i := range s.Parts {
		part := &s.Parts[i]
		sum += part.Duration
		if part.Duration > m.PartTarget && m.PartTarget > 0 {
			f.add(PartDuration, line(part.line), "%v, PART-TARGET is %v", part.Duration,
				m.PartTarget)
		}
		short := part.Duration*100 < m.PartTarget*85
		if short && i+1 < len(s.Parts) && !part.Independent && !part.Gap && !s.Parts[i+1].Gap {
			f.add(ShortPart, line(part.line), "%v, PART-TARGET is %v", part.Duration, m.PartTarget)
		}
	}
	if s.Begins && s.Date.IsZero() {
		f.add(PartDate, line(s.Parts[0].line), "a discontinuity without EXT-X-PROGRAM-DATE-TIME")
	}
	// What no part has begins with a frame that is longer than any part may be.
	if rest := s.Duration - sum; complete && rest.Abs() > 1100*time.Microsecond &&
		rest <= m.PartTarget {
		f.add(PartSum, segmentAt(s.Sequence), "parts last %v, EXTINF is %v", sum, s.Duration)
	}
}

// oldParts wants no parts further from the end of the playlist than three target durations (section
// 6.2.2).
func (m *Media) oldParts(f *Findings) {
	var after time.Duration
	for i := range m.Open.Parts {
		after += m.Open.Parts[i].Duration
	}
	for i := len(m.Segments) - 1; i >= 0; i-- {
		s := &m.Segments[i]
		if after > 3*m.TargetDuration && len(s.Parts) > 0 {
			f.add(OldParts, segmentAt(s.Sequence), "parts %v from the end, target duration %v",
				after, m.TargetDuration)
		}
		after += s.Duration
	}
}

func seconds(text string) time.Duration {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v > 1e9 {
		return 0
	}
	return time.Duration(v*1e9 + 0.5)
}
