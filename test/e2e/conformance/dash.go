package conformance

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MPD is a media presentation description (ISO/IEC 23009-1) as a client understands it. Attributes
// and elements that the schema does not have are kept apart, those of other namespaces are not.
type MPD struct {
	XMLName       xml.Name
	Profiles      string     `xml:"profiles,attr"`
	Type          string     `xml:"type,attr"`
	Available     string     `xml:"availabilityStartTime,attr"`
	Publish       string     `xml:"publishTime,attr"`
	Duration      string     `xml:"mediaPresentationDuration,attr"`
	UpdatePeriod  string     `xml:"minimumUpdatePeriod,attr"`
	BufferDepth   string     `xml:"timeShiftBufferDepth,attr"`
	Delay         string     `xml:"suggestedPresentationDelay,attr"`
	MinBuffer     string     `xml:"minBufferTime,attr"`
	MaxSegment    string     `xml:"maxSegmentDuration,attr"`
	Periods       []Period   `xml:"Period"`
	UTCTiming     []Scheme   `xml:"UTCTiming"`
	Base          []string   `xml:"BaseURL"`
	OtherAttr     []xml.Attr `xml:",any,attr"`
	OtherElements []Element  `xml:",any"`

	text string
}

// Period is a period of a presentation.
type Period struct {
	ID            string          `xml:"id,attr"`
	Start         string          `xml:"start,attr"`
	Sets          []AdaptationSet `xml:"AdaptationSet"`
	OtherAttr     []xml.Attr      `xml:",any,attr"`
	OtherElements []Element       `xml:",any"`
}

// AdaptationSet is a track, in one or more representations.
type AdaptationSet struct {
	ID              string           `xml:"id,attr"`
	ContentType     string           `xml:"contentType,attr"`
	MIME            string           `xml:"mimeType,attr"`
	Aligned         bool             `xml:"segmentAlignment,attr"`
	SAP             int              `xml:"startWithSAP,attr"`
	Template        *Template        `xml:"SegmentTemplate"`
	Representations []Representation `xml:"Representation"`
	OtherAttr       []xml.Attr       `xml:",any,attr"`
	OtherElements   []Element        `xml:",any"`
}

// Representation is one encoding of a track.
type Representation struct {
	ID            string     `xml:"id,attr"`
	Codecs        string     `xml:"codecs,attr"`
	Bandwidth     int64      `xml:"bandwidth,attr"`
	Width         int        `xml:"width,attr"`
	Height        int        `xml:"height,attr"`
	SAR           string     `xml:"sar,attr"`
	FrameRate     string     `xml:"frameRate,attr"`
	SamplingRate  int        `xml:"audioSamplingRate,attr"`
	Channels      *Scheme    `xml:"AudioChannelConfiguration"`
	OtherAttr     []xml.Attr `xml:",any,attr"`
	OtherElements []Element  `xml:",any"`
}

// Template is a SegmentTemplate with a SegmentTimeline.
type Template struct {
	Timescale      int64      `xml:"timescale,attr"`
	Offset         int64      `xml:"presentationTimeOffset,attr"`
	StartNumber    int64      `xml:"startNumber,attr"`
	Initialization string     `xml:"initialization,attr"`
	Media          string     `xml:"media,attr"`
	Timeline       []Stretch  `xml:"SegmentTimeline>S"`
	OtherAttr      []xml.Attr `xml:",any,attr"`
	OtherElements  []Element  `xml:",any"`
}

// Stretch is an S element.
type Stretch struct {
	Time      int64      `xml:"t,attr"`
	Duration  int64      `xml:"d,attr"`
	Repeat    int64      `xml:"r,attr"`
	OtherAttr []xml.Attr `xml:",any,attr"`
}

// Scheme is what has a scheme and a value.
type Scheme struct {
	Scheme string `xml:"schemeIdUri,attr"`
	Value  string `xml:"value,attr"`
}

// Element is one that the types above do not know.
type Element struct{ XMLName xml.Name }

const mpdNamespace = "urn:mpeg:dash:schema:mpd:2011"

var (
	xmlDuration = regexp.MustCompile(`^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?$`)
	ratio       = regexp.MustCompile(`^[0-9]+(/[1-9][0-9]*)?$`)
	identifiers = regexp.MustCompile(`\$[^$]*\$`)
)

// ParseMPD reads a manifest and holds it to every rule that it alone can show: ISO/IEC 23009-1 and
// what the DASH-IF Interoperability Points demand besides.
func ParseMPD(text []byte) (*MPD, Findings) {
	var f Findings
	m := &MPD{text: string(text)}
	if err := xml.NewDecoder(bytes.NewReader(text)).Decode(m); err != nil {
		f.add(MPDForm, "MPD", "%v", err)
		return m, f
	}
	if m.XMLName.Space != mpdNamespace || m.XMLName.Local != "MPD" {
		f.add(MPDForm, "MPD", "the root is %s of %q", m.XMLName.Local, m.XMLName.Space)
	}
	unknown(&f, "MPD", m.OtherAttr, m.OtherElements)
	m.presentation(&f)
	ids, before := map[string]bool{}, time.Duration(-1)
	for i := range m.Periods {
		p := &m.Periods[i]
		where := "period " + p.ID
		unknown(&f, where, p.OtherAttr, p.OtherElements)
		start := m.span(&f, where+" start", p.Start)
		if ids[p.ID] || p.ID == "" && m.Type == "dynamic" {
			f.add(MPDPeriod, where, "no id, or one that is there twice")
		}
		if start < before {
			f.add(MPDPeriod, where, "begins at %v, the one before at %v", start, before)
		}
		ids[p.ID], before = true, start
		m.period(&f, where, p, start)
	}
	if len(m.Periods) == 0 {
		f.add(MPDPeriod, "MPD", "no period")
	}
	return m, f
}

// unknown finds what the schema does not have: attributes and elements of foreign namespaces may be
// anywhere.
func unknown(f *Findings, where string, attrs []xml.Attr, elements []Element) {
	for _, a := range attrs {
		if a.Name.Space == "" && a.Name.Local != "xmlns" {
			f.add(MPDUnknown, where, "attribute %s", a.Name.Local)
		}
	}
	for _, e := range elements {
		if e.XMLName.Space == mpdNamespace {
			f.add(MPDUnknown, where, "element %s", e.XMLName.Local)
		}
	}
}

// span reads an xs:duration; what is missing is 0.
func (m *MPD) span(f *Findings, where, text string) time.Duration {
	if text == "" {
		return 0
	}
	g := xmlDuration.FindStringSubmatch(text)
	if g == nil || text == "PT" {
		f.add(MPDForm, where, "%q is no duration of hours, minutes and seconds", text)
		return 0
	}
	hours, _ := strconv.ParseFloat("0"+g[1], 64)
	minutes, _ := strconv.ParseFloat("0"+g[2], 64)
	rest, _ := strconv.ParseFloat("0"+g[3], 64)
	return time.Duration((hours*3600 + minutes*60 + rest) * 1e9).Round(time.Microsecond)
}

// presentation holds the attributes of the whole presentation to its type.
func (m *MPD) presentation(f *Findings) {
	if !strings.Contains(m.Profiles, "urn:mpeg:dash:profile:") || m.MinBuffer == "" {
		f.add(MPDAttributes, "MPD", "profiles %q, minBufferTime %q", m.Profiles, m.MinBuffer)
	}
	for _, text := range []string{m.Available, m.Publish} {
		if _, err := time.Parse(time.RFC3339Nano, text); text != "" && err != nil {
			f.add(MPDForm, "MPD", "%q is no moment with a time zone", text)
		}
	}
	for _, text := range []string{m.Duration, m.UpdatePeriod, m.BufferDepth, m.Delay, m.MinBuffer,
		m.MaxSegment} {
		m.span(f, "MPD", text)
	}
	switch m.Type {
	case "static":
		if m.Duration == "" || m.UpdatePeriod != "" || m.BufferDepth != "" {
			f.add(MPDType, "MPD", "static, with duration %q and update period %q", m.Duration,
				m.UpdatePeriod)
		}
	case "dynamic":
		if m.Available == "" || m.Publish == "" || m.UpdatePeriod == "" || m.Duration != "" {
			f.add(MPDType, "MPD", "dynamic, available from %q, published %q, update period %q",
				m.Available, m.Publish, m.UpdatePeriod)
		}
		if !slices.ContainsFunc(m.UTCTiming, func(s Scheme) bool {
			return strings.HasPrefix(s.Scheme, "urn:mpeg:dash:utc:") && s.Value != ""
		}) {
			f.add(MPDClock, "MPD", "dynamic, without a UTCTiming")
		}
	default:
		f.add(MPDType, "MPD", "type %q", m.Type)
	}
}

func (m *MPD) period(f *Findings, where string, p *Period, start time.Duration) {
	sets, ids := map[string]bool{}, map[string]bool{}
	for i := range p.Sets {
		a := &p.Sets[i]
		where := fmt.Sprintf("%s, set %s", where, a.ID)
		unknown(f, where, a.OtherAttr, a.OtherElements)
		kind, _, _ := strings.Cut(a.MIME, "/")
		if sets[a.ID] || kind != a.ContentType || kind != "video" && kind != "audio" {
			f.add(MPDSet, where, "id twice, or contentType %q of %q", a.ContentType, a.MIME)
		}
		if sets[a.ID] = true; !a.Aligned {
			f.add(MPDSet, where, "no segmentAlignment")
		}
		if len(a.Representations) == 0 {
			f.add(MPDRepresentation, where, "no representation")
		}
		for j := range a.Representations {
			r := &a.Representations[j]
			unknown(f, where, r.OtherAttr, r.OtherElements)
			if ids[r.ID] || r.ID == "" || r.Codecs == "" || r.Bandwidth <= 0 {
				f.add(MPDRepresentation, where, "%+v", r)
			}
			ids[r.ID] = true
			if kind == "video" &&
				(r.Width <= 0 || r.Height <= 0 || !ratio.MatchString(r.FrameRate)) {
				f.add(MPDRepresentation, where, "pictures of %d×%d, rate %q", r.Width, r.Height,
					r.FrameRate)
			}
			if kind == "audio" && (r.SamplingRate <= 0 || r.Channels == nil) {
				f.add(MPDRepresentation, where, "sound of %d Hz, channels %v", r.SamplingRate,
					r.Channels)
			}
		}
		m.template(f, where, a, start)
	}
	if len(p.Sets) == 0 {
		f.add(MPDSet, where, "no adaptation set")
	}
}

// template holds the segments of a set to their own time line.
func (m *MPD) template(f *Findings, where string, a *AdaptationSet, start time.Duration) {
	t := a.Template
	if t == nil || t.Timescale <= 0 {
		f.add(MPDTemplate, where, "no SegmentTemplate, or one without a timescale")
		return
	}
	unknown(f, where, t.OtherAttr, t.OtherElements)
	names := identifiers.FindAllString(t.Media, -1)
	if !slices.Contains(names, "$Number$") && !slices.Contains(names, "$Time$") ||
		t.Initialization == "" || identifiers.MatchString(t.Initialization) {
		f.add(MPDTemplate, where, "media %q, initialization %q", t.Media, t.Initialization)
	}
	longest := m.span(f, where, m.MaxSegment)
	total := m.span(f, where, m.Duration)
	for i, s := range t.Timeline {
		unknown(f, where, s.OtherAttr, nil)
		at := fmt.Sprintf("%s, segment %d", where, t.StartNumber+int64(i))
		if s.Duration <= 0 || s.Repeat != 0 {
			f.add(MPDTimeline, at, "lasts %d, repeated %d times", s.Duration, s.Repeat)
		}
		if i > 0 && s.Time != t.Timeline[i-1].Time+t.Timeline[i-1].Duration {
			f.add(MPDTimeline, at, "begins at %d, the one before ends at %d", s.Time,
				t.Timeline[i-1].Time+t.Timeline[i-1].Duration)
		}
		if s.Time < t.Offset-t.Timescale/1000-1 {
			f.add(MPDTimeline, at, "begins at %d, before its period at %d", s.Time, t.Offset)
		}
		if d := t.ticks(s.Duration); m.MaxSegment != "" && d > longest+time.Millisecond {
			f.add(MPDLongest, at, "lasts %v, maxSegmentDuration is %v", d, longest)
		}
		if end := start + t.ticks(s.Time+s.Duration-t.Offset); m.Duration != "" &&
			end > total+time.Millisecond {
			f.add(MPDDuration, at, "ends at %v, the presentation at %v", end, total)
		}
	}
}

func (t *Template) ticks(n int64) time.Duration {
	return time.Duration(float64(n) / float64(t.Timescale) * 1e9)
}
