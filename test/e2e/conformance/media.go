package conformance

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Playlist types.
const (
	VOD   = "VOD"
	Event = "EVENT"
)

// Media is a media playlist as a client understands it.
type Media struct {
	Version        int
	TargetDuration time.Duration
	MediaSequence  int64
	Discontinuity  int64  // EXT-X-DISCONTINUITY-SEQUENCE; 0 without the tag
	Type           string // VOD, Event, or empty
	IFramesOnly    bool
	Independent    bool
	Ended          bool // EXT-X-ENDLIST
	Segments       []Segment

	// What the second edition adds; parts.go.
	PartTarget time.Duration  // of EXT-X-PART-INF; 0 without the tag
	Control    *ServerControl // EXT-X-SERVER-CONTROL; nil without the tag
	Open       Segment        // what stands after the last segment: parts and their tags
	Hints      []Hint         // EXT-X-PRELOAD-HINT
	Reports    []Report       // EXT-X-RENDITION-REPORT
	Skipped    int64          // of EXT-X-SKIP; the first of Segments comes after so many

	text string
}

// Segment is a media segment of a playlist.
type Segment struct {
	Sequence      int64 // media sequence number
	Discontinuity int64 // discontinuity sequence number, its own tags counted
	Begins        bool  // an EXT-X-DISCONTINUITY stands before it
	URI           string
	Range         *Range // nil: the whole resource
	Map           *Map   // the EXT-X-MAP that holds
	Duration      time.Duration
	Date          time.Time // EXT-X-PROGRAM-DATE-TIME; zero when it has none of its own
	Gap           bool
	Parts         []Part
}

// Map names a media initialization section.
type Map struct {
	URI   string
	Range *Range
}

// Range is a byte range of a resource.
type Range struct{ Length, Offset int64 }

// Length is the sum of the segments' durations.
func (m *Media) Length() (sum time.Duration) {
	for i := range m.Segments {
		sum += m.Segments[i].Duration
	}
	return sum
}

// Same reports whether two ranges name the same bytes.
func (r *Range) Same(o *Range) bool {
	return r == nil && o == nil || r != nil && o != nil && *r == *o
}

// dateForm is ISO/IEC 8601:2004 with a time zone and at least seconds.
var dateForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$`)

// ParseMedia reads a media playlist and holds it to every rule that one reading of one playlist can
// show.
func ParseMedia(text []byte) (*Media, Findings) {
	entries, f := scan(text)
	m := &Media{Version: 1, text: string(text)}
	p := mediaParser{m: m, f: &f, need: versions{}}
	for i := range entries {
		p.entry(&entries[i])
	}
	p.end()
	return m, f
}

type mediaParser struct {
	m    *Media
	f    *Findings
	need versions

	next      Segment // what the tags so far say about the next segment
	pending   string  // a tag that waits for a segment
	duration  bool    // EXTINF was seen
	starts    int64   // discontinuity tags so far
	sawStart  bool
	target    bool
	lastRange map[string]int64 // end of the last sub-range of a resource
	hinted    int              // line of the first EXT-X-PRELOAD-HINT; 0: none
	reported  int              // line of the first EXT-X-RENDITION-REPORT; 0: none
}

func (p *mediaParser) entry(e *entry) {
	if e.name == "" {
		p.segment(e)
		return
	}
	switch {
	case e.tag.place == master:
		p.f.add(MixedPlaylist, line(e.line), "%s in a media playlist", e.name)
		return
	case e.tag.place == beforeSegments &&
		(len(p.m.Segments) > 0 || len(p.next.Parts) > 0 || p.m.Skipped > 0):
		p.f.add(TagOrder, line(e.line), "%s after the first segment", e.name)
	case e.tag.place == mediaSegment:
		p.pending = e.name
	}
	p.lowLatency(e)
	switch e.name {
	case "EXT-X-VERSION":
		p.m.Version = int(number(e.value))
	case "EXT-X-INDEPENDENT-SEGMENTS":
		p.m.Independent = true
	case "EXT-X-TARGETDURATION":
		p.target = true
		p.m.TargetDuration = time.Duration(number(e.value)) * time.Second
	case "EXT-X-MEDIA-SEQUENCE":
		p.m.MediaSequence = number(e.value)
	case "EXT-X-DISCONTINUITY-SEQUENCE":
		if p.sawStart {
			p.f.add(TagOrder, line(e.line), "%s after an EXT-X-DISCONTINUITY", e.name)
		}
		p.m.Discontinuity = number(e.value)
	case "EXT-X-ENDLIST":
		p.m.Ended = true
	case "EXT-X-PLAYLIST-TYPE":
		if p.m.Type = e.value; e.value != VOD && e.value != Event {
			p.f.add(TagValue, line(e.line), "%s: %q", e.name, e.value)
		}
	case "EXT-X-I-FRAMES-ONLY":
		p.m.IFramesOnly = true
		p.need.at(4, e.name)
	case "EXT-X-DISCONTINUITY":
		p.starts++
		p.next.Begins, p.sawStart = true, true
	case "EXT-X-GAP":
		p.next.Gap = true
		p.need.at(8, e.name)
	case "EXT-X-DEFINE":
		p.need.at(8, e.name)
	case "EXT-X-KEY":
		if e.attrs["IV"] != "" {
			p.need.at(2, "IV of EXT-X-KEY")
		}
		if e.attrs["KEYFORMAT"] != "" || e.attrs["KEYFORMATVERSIONS"] != "" {
			p.need.at(5, "KEYFORMAT")
		}
	case "EXT-X-MAP":
		p.next.Map = &Map{URI: e.attrs["URI"]}
		if text, ok := e.attrs["BYTERANGE"]; ok {
			p.next.Map.Range = p.byteRange(e, text)
		}
		p.need.mapped = true
	case "EXT-X-PROGRAM-DATE-TIME":
		p.date(e)
	case "EXT-X-BYTERANGE":
		p.need.at(4, e.name)
		p.next.Range = p.byteRange(e, e.value)
	case "EXTINF":
		p.extinf(e)
	}
}

func (p *mediaParser) date(e *entry) {
	t, err := time.Parse(time.RFC3339Nano, e.value)
	if !dateForm.MatchString(e.value) || err != nil {
		p.f.add(DateForm, line(e.line), "%q", e.value)
	}
	p.next.Date = t
}

func (p *mediaParser) extinf(e *entry) {
	text, _, comma := strings.Cut(e.value, ",")
	if !comma || !floatForm.MatchString(text) {
		p.f.add(TagValue, line(e.line), "EXTINF: %q", e.value)
	}
	if strings.Contains(text, ".") {
		p.need.at(3, "a duration with a fraction")
	}
	seconds, _ := strconv.ParseFloat(text, 64)
	p.next.Duration = time.Duration(seconds*1e9 + 0.5)
	if p.duration {
		p.f.add(RepeatedTag, line(e.line), "a second EXTINF for one segment")
	}
	p.duration = true
}

// byteRange reads <n>[@<o>]. Without an offset it continues the resource's last sub-range, which
// only the URI will tell: the offset is -1 until then.
func (p *mediaParser) byteRange(e *entry, text string) *Range {
	length, offset, has := strings.Cut(text, "@")
	if !isInteger(length) || has && !isInteger(offset) {
		p.f.add(ByteRange, line(e.line), "%q", text)
		return &Range{}
	}
	r := &Range{Length: number(length), Offset: -1}
	if has {
		r.Offset = number(offset)
	} else if e.name == "EXT-X-MAP" {
		r.Offset = 0
	}
	return r
}

func (p *mediaParser) segment(e *entry) {
	s := p.next
	s.URI = e.value
	s.Sequence = p.m.MediaSequence + p.m.Skipped + int64(len(p.m.Segments))
	s.Discontinuity = p.m.Discontinuity + p.starts
	if !p.duration {
		p.f.add(MissingDuration, line(e.line), "no EXTINF before %s", e.value)
	}
	// Section 4.3.3.1: rounded to the nearest integer, not above the target duration.
	if rounded := s.Duration.Round(time.Second); p.target && rounded > p.m.TargetDuration {
		p.f.add(TargetDuration, line(e.line), "EXTINF of %v, target duration %v", s.Duration,
			p.m.TargetDuration)
	}
	if s.Duration <= 0 && p.duration && !s.Gap {
		p.f.add(EmptySegment, line(e.line), "EXTINF of %v", s.Duration)
	}
	if p.lastRange == nil {
		p.lastRange = map[string]int64{}
	}
	if s.Range != nil {
		end, continues := p.lastRange[s.URI]
		if s.Range.Offset < 0 {
			if !continues {
				p.f.add(ByteRange, line(e.line),
					"no offset, and no sub-range of the same resource before it")
			}
			s.Range.Offset = end
		}
		p.lastRange = map[string]int64{s.URI: s.Range.Offset + s.Range.Length}
	} else {
		p.lastRange = nil
	}
	p.m.Segments = append(p.m.Segments, s)
	p.next = Segment{Map: s.Map}
	p.duration, p.pending = false, ""
}

func (p *mediaParser) end() {
	f := p.f
	if !p.target {
		f.add(MissingTargetDuration, "playlist", "no EXT-X-TARGETDURATION")
	}
	if p.pending != "" && p.pending != "EXT-X-PART" && p.pending != "EXT-X-KEY" &&
		p.pending != "EXT-X-BITRATE" {
		f.add(DanglingTag, "playlist", "no segment follows the last %s", p.pending)
	}
	if p.m.Type == VOD && !p.m.Ended {
		f.add(VODEnds, "playlist", "EXT-X-PLAYLIST-TYPE:VOD without EXT-X-ENDLIST")
	}
	if p.need.mapped {
		// Sections 4.3.2.5 and 7: 5 in a playlist of I-frames, 6 in any other.
		if p.m.IFramesOnly {
			p.need.at(5, "EXT-X-MAP")
		} else {
			p.need.at(6, "EXT-X-MAP without EXT-X-I-FRAMES-ONLY")
		}
	}
	p.need.check(f, p.m.Version)
	p.endLowLatency()
}

// versions collects what needs which EXT-X-VERSION (RFC 8216 section 7).
type versions struct {
	least  int
	why    string
	mapped bool
}

func (v *versions) at(least int, why string) {
	if least > v.least {
		v.least, v.why = least, why
	}
}

func (v *versions) check(f *Findings, version int) {
	if v.least > version {
		f.add(Version, "playlist", "%s needs EXT-X-VERSION %d, the playlist has %d", v.why, v.least,
			version)
	}
	if version < 1 || version > 13 {
		f.add(Version, "playlist", "EXT-X-VERSION %d is not a version", version)
	}
}

// number reads what isInteger has seen; malformed text, reported already, is 0.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// CheckDates holds EXT-X-PROGRAM-DATE-TIME to EXTINF where the media are contiguous: within a run
// of segments without a discontinuity, dates grow as durations do. tolerance is for what dates
// round and for a source whose audio frames do not end with the picture.
func CheckDates(m *Media, tolerance time.Duration) (f Findings) {
	for i := range m.Segments {
		s := &m.Segments[i]
		if s.Date.IsZero() {
			continue
		}
		if i == 0 || m.Segments[i-1].Date.IsZero() || s.Begins {
			continue
		}
		p := &m.Segments[i-1]
		if off := s.Date.Sub(p.Date.Add(p.Duration)); off.Abs() > tolerance {
			f.add(DateDrift, segmentAt(s.Sequence), "%v after the end of the segment before it",
				off)
		}
	}
	return f
}

// CheckIFrames holds an I-frame playlist to the media playlist whose frames it names (RFC 8216
// section 4.3.3.6): the same span of time, byte ranges with offsets, an initialization section when
// the media have one.
func CheckIFrames(iframes, media *Media, tolerance time.Duration) (f Findings) {
	if !iframes.IFramesOnly {
		f.add(IFramesOnly, "playlist", "no EXT-X-I-FRAMES-ONLY")
	}
	for i := range iframes.Segments {
		s := &iframes.Segments[i]
		if s.Range == nil {
			f.add(IFrameRange, segmentAt(s.Sequence), "no EXT-X-BYTERANGE")
		}
		if s.Map == nil && len(media.Segments) > 0 && media.Segments[0].Map != nil {
			f.add(IFrameMap, segmentAt(s.Sequence), "no EXT-X-MAP")
		}
	}
	// The duration of an I-frame is the time to the next one or to the end, so that the sums agree.
	if d := iframes.Length() - media.Length(); media.Ended && d.Abs() > tolerance {
		f.add(IFrameDuration, "playlist", "I-frames span %v, the media %v", iframes.Length(),
			media.Length())
	}
	return f
}

// CheckMaps demands an initialization section for every segment, as fragmented MP4 needs it, and a
// discontinuity where it changes.
func CheckMaps(m *Media) (f Findings) {
	for i := range m.Segments {
		s := &m.Segments[i]
		if s.Map == nil {
			f.add(MapMissing, segmentAt(s.Sequence), "no EXT-X-MAP")
		} else if i > 0 && m.Segments[i-1].Map != nil && m.Segments[i-1].Map.URI != s.Map.URI &&
			!s.Begins {
			f.add(MapDiscontinuity, segmentAt(s.Sequence),
				"%s after %s without EXT-X-DISCONTINUITY", s.Map.URI, m.Segments[i-1].Map.URI)
		}
	}
	return f
}
