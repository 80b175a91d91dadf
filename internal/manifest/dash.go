package manifest

import (
	"strconv"
	"time"
)

// MPD is a media presentation description of the profile isoff-live (ISO/IEC 23009-1 clause 8.4)
// with segment timelines. Times and durations are milliseconds.
type MPD struct {
	// Static: nothing will change. Otherwise players read it again.
	Static            bool
	AvailabilityStart int64 // since the Unix epoch: when presentation time 0 is
	Publish           int64 // since the Unix epoch: when this text became valid
	Duration          int64 // of the presentation; 0 while it is not known
	// how often to read it again; like the next three, only unless Static
	UpdatePeriod int64
	BufferDepth  int64 // timeShiftBufferDepth
	Delay        int64 // suggestedPresentationDelay
	TimeURI      string
	MinBuffer    int64
	MaxSegment   int64 // no segment is longer
	Extended     bool  // S elements have the service's own attributes
	Periods      []Period
}

// Period is a period of an MPD.
type Period struct {
	ID    int64
	Start int64 // presentation time, milliseconds
	Sets  []AdaptationSet
}

// AdaptationSet is an adaptation set of one representation.
type AdaptationSet struct {
	*Representation
	Independent bool   // each segment begins with a random access point
	Offset      int64  // presentationTimeOffset, ticks
	StartNumber int64  // of the first segment
	InitURI     string // escaped for XML, like MediaURI, which contains $Number$
	MediaURI    string
	Timeline    []byte // made by TimelineEntry.Append
}

// Representation describes what all segments of a track have in common.
type Representation struct {
	ID            int
	Video         bool   // otherwise sound
	Codecs        string // RFC 6381
	Bandwidth     int64  // bits per second
	Timescale     int64
	Width, Height int // of pictures, in samples; left out when 0
	// SARWidth and SARHeight are the shape of a sample; left out when 0.
	SARWidth, SARHeight int
	FrameRate           int64 // hundredths of a frame per second; left out when 0
	SamplingRate        int   // of sound, Hz
	ChannelConfig       int   // of sound, by ISO/IEC 23003-3; left out when 0
}

// Namespace of the attributes kvs:ts and kvs:fn. Which one the service declares is not known.
const extensionNamespace = "urn:kinesisvideo:dash"

// Append appends the text to dst.
func (m *MPD) Append(dst []byte) []byte {
	dst = append(dst, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
		`<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"`...)
	if m.Extended {
		dst = append(dst, ` xmlns:kvs="`+extensionNamespace+`"`...)
	}
	dst = append(dst, ` profiles="urn:mpeg:dash:profile:isoff-live:2011" type="`...)
	if m.Static {
		dst = append(dst, "static"...)
	} else {
		dst = append(dst, "dynamic"...)
	}
	dst = appendXMLTime(dst, `" availabilityStartTime="`, m.AvailabilityStart)
	dst = appendXMLTime(dst, `" publishTime="`, m.Publish)
	if m.Duration > 0 {
		dst = appendXMLDuration(dst, `" mediaPresentationDuration="`, m.Duration)
	}
	if !m.Static {
		dst = appendXMLDuration(dst, `" minimumUpdatePeriod="`, m.UpdatePeriod)
		dst = appendXMLDuration(dst, `" timeShiftBufferDepth="`, m.BufferDepth)
		dst = appendXMLDuration(dst, `" suggestedPresentationDelay="`, m.Delay)
	}
	dst = appendXMLDuration(dst, `" minBufferTime="`, m.MinBuffer)
	dst = appendXMLDuration(dst, `" maxSegmentDuration="`, m.MaxSegment)
	dst = append(dst, "\">\n"...)
	for i := range m.Periods {
		dst = m.Periods[i].append(dst)
	}
	if !m.Static {
		dst = append(dst, `<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2014" value="`...)
		dst = append(dst, m.TimeURI...)
		dst = append(dst, "\"/>\n"...)
	}
	return append(dst, "</MPD>\n"...)
}

func (p *Period) append(dst []byte) []byte {
	dst = appendXMLInt(dst, `<Period id="`, p.ID)
	dst = appendXMLDuration(dst, `" start="`, p.Start)
	dst = append(dst, "\">\n"...)
	for i := range p.Sets {
		dst = p.Sets[i].append(dst)
	}
	return append(dst, "</Period>\n"...)
}

func (a *AdaptationSet) append(dst []byte) []byte {
	dst = appendXMLInt(dst, `<AdaptationSet id="`, int64(a.ID))
	if a.Video {
		dst = append(dst, `" contentType="video" mimeType="video/mp4" segmentAlignment="true"`...)
	} else {
		dst = append(dst, `" contentType="audio" mimeType="audio/mp4" segmentAlignment="true"`...)
	}
	if a.Independent {
		dst = append(dst, ` startWithSAP="1"`...)
	}
	dst = appendXMLInt(dst, ">\n"+`<SegmentTemplate timescale="`, a.Timescale)
	dst = appendXMLInt(dst, `" presentationTimeOffset="`, a.Offset)
	dst = appendXMLInt(dst, `" startNumber="`, a.StartNumber)
	dst = append(dst, `" initialization="`...)
	dst = append(dst, a.InitURI...)
	dst = append(dst, `" media="`...)
	dst = append(dst, a.MediaURI...)
	dst = append(dst, "\">\n<SegmentTimeline>\n"...)
	dst = append(dst, a.Timeline...)
	dst = append(dst, "</SegmentTimeline>\n</SegmentTemplate>\n"...)
	return append(a.Representation.append(dst), "</AdaptationSet>\n"...)
}

func (r *Representation) append(dst []byte) []byte {
	dst = appendXMLInt(dst, `<Representation id="`, int64(r.ID))
	dst = append(dst, `" codecs="`...)
	dst = append(dst, r.Codecs...)
	dst = appendXMLInt(dst, `" bandwidth="`, r.Bandwidth)
	if !r.Video {
		dst = appendXMLInt(dst, `" audioSamplingRate="`, int64(r.SamplingRate))
		if r.ChannelConfig == 0 {
			return append(dst, "\"/>\n"...)
		}
		dst = append(dst, "\">\n"+`<AudioChannelConfiguration schemeIdUri="`+
			`urn:mpeg:dash:23003:3:audio_channel_configuration:2011`...)
		dst = appendXMLInt(dst, `" value="`, int64(r.ChannelConfig))
		return append(dst, "\"/>\n</Representation>\n"...)
	}
	if r.Width > 0 && r.Height > 0 {
		dst = appendXMLInt(dst, `" width="`, int64(r.Width))
		dst = appendXMLInt(dst, `" height="`, int64(r.Height))
	}
	if r.SARWidth > 0 && r.SARHeight > 0 {
		dst = appendXMLInt(dst, `" sar="`, int64(r.SARWidth))
		dst = appendXMLInt(dst, `:`, int64(r.SARHeight))
	}
	if r.FrameRate > 0 {
		dst = append(dst, `" frameRate="`...)
		dst = appendFrameRate(dst, r.FrameRate)
	}
	return append(dst, "\"/>\n"...)
}

// appendFrameRate appends hundredths of a frame per second as a fraction. Whole rates and those of
// NTSC are as they were before rounding.
func appendFrameRate(dst []byte, hundredths int64) []byte {
	whole := (hundredths + 50) / 100
	if hundredths == whole*100 && whole > 0 {
		return strconv.AppendInt(dst, whole, 10)
	}
	if hundredths == (whole*100_000+500)/1001 {
		return append(strconv.AppendInt(dst, whole*1000, 10), "/1001"...)
	}
	return append(strconv.AppendInt(dst, hundredths, 10), "/100"...)
}

// TimelineEntry is an S element: one segment.
type TimelineEntry struct {
	Time, Duration int64 // ticks
	Timestamp      int64 // kvs:ts, milliseconds since the Unix epoch; left out unless HasTimestamp
	HasTimestamp   bool
	Number         string // kvs:fn; left out when empty
}

// Append appends the element to dst. Each has its time, so that its text does not depend on the one
// before.
func (s *TimelineEntry) Append(dst []byte) []byte {
	dst = appendXMLInt(dst, `<S t="`, s.Time)
	dst = appendXMLInt(dst, `" d="`, s.Duration)
	if s.HasTimestamp {
		dst = append(dst, `" kvs:ts="`...)
		dst = appendInstant(dst, s.Timestamp)
	}
	if s.Number != "" {
		dst = append(dst, `" kvs:fn="`...)
		dst = append(dst, s.Number...)
	}
	return append(dst, "\"/>\n"...)
}

func appendXMLInt(dst []byte, before string, v int64) []byte {
	return strconv.AppendInt(append(dst, before...), v, 10)
}

// appendXMLTime appends an xs:dateTime (XML Schema part 2, section 3.2.7).
func appendXMLTime(dst []byte, before string, millis int64) []byte {
	return time.UnixMilli(millis).UTC().AppendFormat(append(dst, before...), time.RFC3339Nano)
}

// appendXMLDuration appends an xs:duration in seconds (XML Schema part 2, section 3.2.6).
func appendXMLDuration(dst []byte, before string, millis int64) []byte {
	dst = append(append(dst, before...), "PT"...)
	dst = strconv.AppendInt(dst, millis/1000, 10)
	if rest := millis % 1000; rest != 0 {
		digits := strconv.AppendInt(nil, 1000+rest, 10)[1:]
		for digits[len(digits)-1] == '0' {
			digits = digits[:len(digits)-1]
		}
		dst = append(append(dst, '.'), digits...)
	}
	return append(dst, 'S')
}
