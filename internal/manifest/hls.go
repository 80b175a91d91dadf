// Package manifest writes HLS playlists (RFC 8216) from plain structs. It knows nothing of
// sessions, tokens or stores. The caller decides which segments, numbers and tags there are.
//
// The text is appended to a byte slice without fmt, because a playlist of thousands of segments is
// written for every reload. The order of tags and attributes and the format of numbers are those of
// Kinesis Video Streams, as captured from real sessions, because some clients and proxies compare
// strings.
package manifest

import (
	"strconv"
	"time"
)

// Master is a master playlist with one variant and at most one audio rendition.
type Master struct {
	URI       string  // media playlist of the variant
	Codecs    string  // RFC 6381, comma-separated, video first
	Width     int     // pixels; RESOLUTION is left out when Width or Height is 0
	Height    int     // pixels
	FrameRate float64 // frames per second; FRAME-RATE is left out when 0
	Bandwidth int64   // peak bits per second over all renditions
	Average   int64   // AVERAGE-BANDWIDTH, bits per second; left out when 0
	// media playlist of the audio rendition; empty when the variant holds everything
	AudioURI string

	IFramesURI       string // I-frame playlist; empty for none
	IFramesCodecs    string // RFC 6381, of the video alone
	IFramesBandwidth int64  // peak bits per second of its byte ranges
}

// audioGroup is the group and the name of the audio rendition, as in the service.
const audioGroup = "audio"

// Append appends the playlist's text to dst. AVERAGE-BANDWIDTH and EXT-X-I-FRAME-STREAM-INF, which
// the service does not have, follow what it has.
//
// EXT-X-VERSION is 1, as in the service: nothing in it needs more. EXT-X-MEDIA and AUDIO are
// compatible with version 1 (RFC 8216 section 7), and the version of a master playlist says nothing
// of its media playlists. The service's FORCED=NO is left out: the attribute must not stand with
// TYPE=AUDIO (section 4.3.4.1).
func (m *Master) Append(dst []byte) []byte {
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:1\n"...)
	if m.AudioURI != "" {
		dst = append(dst, "#EXT-X-MEDIA:AUTOSELECT=YES,TYPE=AUDIO,URI=\""...)
		dst = append(dst, m.AudioURI...)
		dst = append(dst, "\",GROUP-ID=\""+audioGroup+"\",DEFAULT=NO,NAME=\""+audioGroup+"\"\n"...)
	}
	dst = append(dst, "#EXT-X-STREAM-INF:CODECS=\""...)
	dst = append(dst, m.Codecs...)
	dst = append(dst, '"')
	dst = m.appendResolution(dst)
	if m.FrameRate > 0 {
		dst = append(dst, ",FRAME-RATE="...)
		dst = appendDecimal(dst, int64(m.FrameRate*100+0.5), 2)
	}
	dst = append(dst, ",BANDWIDTH="...)
	dst = strconv.AppendInt(dst, m.Bandwidth, 10)
	if m.AudioURI != "" {
		dst = append(dst, ",AUDIO=\""+audioGroup+"\""...)
	}
	if m.Average > 0 {
		dst = append(dst, ",AVERAGE-BANDWIDTH="...)
		dst = strconv.AppendInt(dst, m.Average, 10)
	}
	dst = append(dst, '\n')
	dst = append(dst, m.URI...)
	dst = append(dst, '\n')
	if m.IFramesURI != "" {
		dst = append(dst, "#EXT-X-I-FRAME-STREAM-INF:CODECS=\""...)
		dst = append(dst, m.IFramesCodecs...)
		dst = append(dst, '"')
		dst = m.appendResolution(dst)
		dst = append(dst, ",BANDWIDTH="...)
		dst = strconv.AppendInt(dst, m.IFramesBandwidth, 10)
		dst = append(dst, ",URI=\""...)
		dst = append(dst, m.IFramesURI...)
		dst = append(dst, "\"\n"...)
	}
	return dst
}

func (m *Master) appendResolution(dst []byte) []byte {
	if m.Width <= 0 || m.Height <= 0 {
		return dst
	}
	dst = append(dst, ",RESOLUTION="...)
	dst = strconv.AppendInt(dst, int64(m.Width), 10)
	dst = append(dst, 'x')
	return strconv.AppendInt(dst, int64(m.Height), 10)
}

// Media is a media playlist.
type Media struct {
	Header
	Segments []Segment
	End      bool // EXT-X-ENDLIST: no segment will follow
}

// Append appends the playlist's text to dst.
func (m *Media) Append(dst []byte) []byte {
	dst = m.Header.Append(dst)
	for i := range m.Segments {
		dst = m.Segments[i].Append(dst)
	}
	if m.End {
		dst = AppendEnd(dst)
	}
	return dst
}

// Header is what precedes the first segment of a media playlist.
type Header struct {
	Version        int   // EXT-X-VERSION; see FragmentedMP4Version
	VOD            bool  // EXT-X-PLAYLIST-TYPE:VOD: the playlist never changes
	TargetDuration int64 // seconds
	MediaSequence  int64 // number of the first segment
	// EXT-X-DISCONTINUITY-SEQUENCE; left out when negative, which clients take for 0
	DiscontinuitySequence int64
	// EXT-X-INDEPENDENT-SEGMENTS: each segment begins with a random access point
	Independent bool
	IFramesOnly bool // EXT-X-I-FRAMES-ONLY: each segment is one key frame
	LowLatency       // of a playlist with parts
}

// FragmentedMP4Version is the EXT-X-VERSION of a media playlist of MP4 fragments. RFC 8216 section
// 7 asks for 6 (EXT-X-MAP without EXT-X-I-FRAMES-ONLY); the service has always said 7.
const FragmentedMP4Version = 7

// EXT-X-VERSION of a media playlist of transport streams, whose durations have decimals, and of
// their I-frame playlist, which has byte ranges (RFC 8216 section 7).
const (
	TransportStreamVersion = 3
	IFramesVersion         = 4
)

// Append appends the header's lines, from EXTM3U on, to dst.
func (h *Header) Append(dst []byte) []byte {
	dst = append(dst, "#EXTM3U\n#EXT-X-VERSION:"...)
	dst = strconv.AppendInt(dst, int64(h.Version), 10)
	if h.VOD {
		dst = append(dst, "\n#EXT-X-PLAYLIST-TYPE:VOD"...)
	}
	dst = append(dst, "\n#EXT-X-TARGETDURATION:"...)
	dst = strconv.AppendInt(dst, h.TargetDuration, 10)
	dst = append(dst, "\n#EXT-X-MEDIA-SEQUENCE:"...)
	dst = strconv.AppendInt(dst, h.MediaSequence, 10)
	if h.DiscontinuitySequence >= 0 {
		dst = append(dst, "\n#EXT-X-DISCONTINUITY-SEQUENCE:"...)
		dst = strconv.AppendInt(dst, h.DiscontinuitySequence, 10)
	}
	if h.Independent {
		dst = append(dst, "\n#EXT-X-INDEPENDENT-SEGMENTS"...)
	}
	if h.IFramesOnly {
		dst = append(dst, "\n#EXT-X-I-FRAMES-ONLY"...)
	}
	dst = append(dst, '\n')
	return h.LowLatency.append(dst)
}

// Segment is one entry of a media playlist.
type Segment struct {
	// number of EXT-X-DISCONTINUITY tags before it; more than 1 when segments between were not
	// listed
	Discontinuities int
	Map             string // URI of an EXT-X-MAP that applies from here on; empty for none
	// EXT-X-PROGRAM-DATE-TIME, milliseconds since the Unix epoch; left out unless HasDateTime
	DateTime    int64
	HasDateTime bool
	Duration    int64 // nanoseconds
	// EXT-X-BYTERANGE: the number of bytes, from the start of the resource; 0 for all of it
	Range int64
	URI   string
	Parts []Part
	Gap   bool // EXT-X-GAP: the segment cannot be loaded
}

// Append appends the segment's lines to dst.
func (s *Segment) Append(dst []byte) []byte {
	dst = s.AppendOpen(dst)
	if s.Gap {
		dst = append(dst, "#EXT-X-GAP\n"...)
	}
	dst = append(dst, "#EXTINF:"...)
	dst = appendDecimal(dst, s.Duration, 9)
	dst = append(dst, ",\n"...)
	if s.Range > 0 {
		dst = append(dst, "#EXT-X-BYTERANGE:"...)
		dst = strconv.AppendInt(dst, s.Range, 10)
		dst = append(dst, "@0\n"...)
	}
	dst = append(dst, s.URI...)
	return append(dst, '\n')
}

// AppendOpen appends what precedes EXTINF to dst. An incomplete segment has nothing else.
func (s *Segment) AppendOpen(dst []byte) []byte {
	for range s.Discontinuities {
		dst = append(dst, "#EXT-X-DISCONTINUITY\n"...)
	}
	if s.Map != "" {
		dst = append(dst, "#EXT-X-MAP:URI=\""...)
		dst = append(dst, s.Map...)
		dst = append(dst, "\"\n"...)
	}
	if s.HasDateTime {
		dst = append(dst, "#EXT-X-PROGRAM-DATE-TIME:"...)
		dst = appendInstant(dst, s.DateTime)
		dst = append(dst, '\n')
	}
	for i := range s.Parts {
		dst = s.Parts[i].append(dst)
	}
	return dst
}

// AppendEnd appends EXT-X-ENDLIST to dst.
func AppendEnd(dst []byte) []byte { return append(dst, "#EXT-X-ENDLIST\n"...) }

// appendDecimal appends value·10^-places the way Java prints a double: without trailing zeros, but
// with at least one digit after the point. value is not negative.
func appendDecimal(dst []byte, value int64, places int) []byte {
	scale := int64(1)
	for range places {
		scale *= 10
	}
	dst = strconv.AppendInt(dst, value/scale, 10)
	dst = append(dst, '.')
	value %= scale
	for {
		scale /= 10
		dst = append(dst, byte('0'+value/scale))
		value %= scale
		if value == 0 || scale == 1 {
			return dst
		}
	}
}

// appendInstant appends a time the way Java prints an Instant: ISO 8601 in UTC with three decimals,
// or none if the milliseconds are zero.
func appendInstant(dst []byte, millis int64) []byte {
	t := time.UnixMilli(millis).UTC()
	if t.Nanosecond() == 0 {
		return t.AppendFormat(dst, "2006-01-02T15:04:05Z")
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}
