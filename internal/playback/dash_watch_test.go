package playback

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/sessionurl"
)

// mpd is a manifest as a player reads it.
type mpd struct {
	Type                      string    `xml:"type,attr"`
	AvailabilityStartTime     time.Time `xml:"availabilityStartTime,attr"`
	PublishTime               time.Time `xml:"publishTime,attr"`
	MinimumUpdatePeriod       string    `xml:"minimumUpdatePeriod,attr"`
	MediaPresentationDuration string    `xml:"mediaPresentationDuration,attr"`
	TimeShiftBufferDepth      string    `xml:"timeShiftBufferDepth,attr"`
	MaxSegmentDuration        string    `xml:"maxSegmentDuration,attr"`
	Period                    []mpdPeriod
}

type mpdPeriod struct {
	ID            string `xml:"id,attr"`
	Start         string `xml:"start,attr"`
	AdaptationSet []mpdSet
}

type mpdSet struct {
	MimeType        string `xml:"mimeType,attr"`
	SegmentTemplate struct {
		Timescale      int64  `xml:"timescale,attr"`
		Offset         int64  `xml:"presentationTimeOffset,attr"`
		StartNumber    int    `xml:"startNumber,attr"`
		Initialization string `xml:"initialization,attr"`
		Media          string `xml:"media,attr"`
		S              []mpdS `xml:"SegmentTimeline>S"`
	}
	Representation struct {
		ID        int    `xml:"id,attr"`
		Codecs    string `xml:"codecs,attr"`
		Bandwidth int64  `xml:"bandwidth,attr"`
	}
}

type mpdS struct {
	T  int64  `xml:"t,attr"`
	D  int64  `xml:"d,attr"`
	TS string `xml:"ts,attr"`
	FN string `xml:"fn,attr"`
}

func seconds(t *testing.T, duration string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(duration, "PT"), "S"), 64)
	if err != nil {
		t.Fatalf("%q is no duration in seconds", duration)
	}
	return v
}

// mpdWatch reads manifests like a player that follows a session, and checks each against those
// before.
type mpdWatch struct {
	*testing.T
	start    time.Time
	publish  time.Time
	text     string
	periods  map[string]string // by ID: what never changes
	segments map[string]string // by track and number: where and what
	ended    string            // the duration of the presentation, once it is over
}

func watchDASH(t *testing.T) *mpdWatch {
	return &mpdWatch{T: t, periods: map[string]string{}, segments: map[string]string{}}
}

func (w *mpdWatch) constant(known map[string]string, key, value string) {
	w.Helper()
	if old, ok := known[key]; ok && old != value {
		w.Errorf("%s was %s, and is %s now\n%s", key, old, value, w.text)
	}
	known[key] = value
}

// read checks a manifest by itself and against those before it.
func (w *mpdWatch) read(text string) *mpd {
	w.Helper()
	m := &mpd{}
	if err := xml.Unmarshal([]byte(text), m); err != nil {
		w.Fatalf("%v\n%s", err, text)
	}
	if w.start.IsZero() {
		w.start = m.AvailabilityStartTime
	}
	if !m.AvailabilityStartTime.Equal(w.start) {
		w.Errorf("availabilityStartTime was %v, and is %v now", w.start, m.AvailabilityStartTime)
	}
	if m.PublishTime.Before(w.publish) {
		w.Errorf("published at %v, and before at %v", m.PublishTime, w.publish)
	}
	if w.ended != "" && m.MediaPresentationDuration != w.ended {
		w.Errorf("the session had ended after %s, and is %s now", w.ended, text)
	}
	w.publish, w.text, w.ended = m.PublishTime, text, m.MediaPresentationDuration
	over := m.Type == "static"
	if over && w.ended == "" || over == (m.MinimumUpdatePeriod != "") {
		w.Errorf("%s with duration %q and update period %q", m.Type, m.MediaPresentationDuration,
			m.MinimumUpdatePeriod)
	}
	before := math.Inf(-1)
	ends := map[int]float64{} // by track
	next := map[int]int{}
	for _, p := range m.Period {
		start := seconds(w.T, p.Start)
		if start < before-0.1 {
			w.Errorf("period %s begins at %v, the one before at %v", p.ID, start, before)
		}
		before = start
		w.constant(w.periods, "period "+p.ID, p.Start)
		for _, a := range p.AdaptationSet {
			track, t := a.Representation.ID, a.SegmentTemplate
			w.constant(w.periods, fmt.Sprint("period ", p.ID, " track ", track),
				fmt.Sprint(t.Timescale, t.Offset, t.Initialization, t.Media, a.Representation))
			if n, ok := next[track]; ok && n != t.StartNumber {
				w.Errorf("track %d: period %s begins with number %d, want %d", track, p.ID,
					t.StartNumber, n)
			}
			end := int64(0)
			for i, e := range t.S {
				at := start + float64(e.T-t.Offset)/float64(t.Timescale)
				back := ends[track] != 0 && at < ends[track]-0.051
				if i > 0 && e.T != end || e.D < 1 || at < start-0.001 || back {
					w.Errorf("track %d: segment %d is at %v for %d ticks, after %v and %d\n%s",
						track, t.StartNumber+i, at, e.D, ends[track], end, text)
				}
				end = e.T + e.D
				ends[track] = at + float64(e.D)/float64(t.Timescale)
				w.constant(w.segments, fmt.Sprint("track ", track, " number ", t.StartNumber+i),
					fmt.Sprint(p.ID, e))
			}
			next[track] = t.StartNumber + len(t.S)
		}
	}
	if w.ended != "" {
		for track, end := range ends {
			if d := seconds(w.T, m.MediaPresentationDuration); end > d+0.0001 {
				w.Errorf("track %d ends at %v, the presentation at %v", track, end, d)
			}
		}
	}
	return m
}

// fetch checks that all segments of a manifest can be fetched and are as it says. They may begin
// after their time and, where media overlap, before it, by at most the tolerance.
func (w *mpdWatch) fetch(s *Service, token string, m *mpd) {
	w.Helper()
	for _, p := range m.Period {
		for _, a := range p.AdaptationSet {
			track, t := a.Representation.ID, a.SegmentTemplate
			init, err := s.DASHInitSegment(w.Context(), token,
				sessionurl.InitSegment{Track: track, Sequence: sequenceOf(w.T, t.Initialization)})
			if err != nil || len(init) == 0 {
				w.Errorf("init segment %s: %v", t.Initialization, err)
			}
			for i, e := range t.S {
				segment, err := s.DASHSegment(w.Context(), token,
					sessionurl.DASHSegment{Track: track, Number: t.StartNumber + i})
				if err != nil {
					w.Errorf("track %d number %d: %v", track, t.StartNumber+i, err)
					continue
				}
				at, length := timesOfSegment(w.T, segment.Header)
				off := e.T - at
				if off > t.Timescale/20 || off > 0 && i == 0 || at+length != e.T+e.D {
					w.Errorf("track %d number %d is at %d for %d ticks, %+v in the manifest", track,
						t.StartNumber+i, at, length, e)
				}
				segment.Close()
			}
		}
	}
}

func sequenceOf(t *testing.T, uri string) int {
	t.Helper()
	_, value, _ := strings.Cut(uri, "&SequenceNumber=")
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s has no sequence number", uri)
	}
	return n
}

// timesOfSegment reads tfdt and the length of the run from a segment's header.
func timesOfSegment(t *testing.T, header []byte) (at, length int64) {
	t.Helper()
	box := func(name string) []byte {
		i := bytes.Index(header, []byte(name))
		if i < 0 {
			t.Fatalf("no %s", name)
		}
		return header[i+4:]
	}
	u32 := func(b []byte, field int) uint32 { return binary.BigEndian.Uint32(b[4*field:]) }
	at = int64(binary.BigEndian.Uint64(box("tfdt")[4:]))
	trun := box("trun")
	flags, count := u32(trun, 0)&0xffffff, int(u32(trun, 1))
	if flags&0x100 == 0 { // sample-duration-present
		return at, int64(count) * int64(u32(box("tfhd"), 2))
	}
	first, fields := 3, 0 // after the data offset
	if flags&0x4 != 0 {
		first++
	}
	for _, present := range []uint32{0x100, 0x200, 0x400, 0x800} {
		if flags&present != 0 {
			fields++
		}
	}
	for i := range count {
		length += int64(u32(trun, first+i*fields))
	}
	return at, length
}
