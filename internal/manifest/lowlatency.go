package manifest

import "strconv"

// LowLatency is the part of a header that only media playlists with Partial Segments (parts) have
// (RFC 8216bis sections 4.4.3.7 and 4.4.3.8). The zero value is a playlist without parts.
type LowLatency struct {
	PartTarget   int64 // EXT-X-PART-INF, milliseconds
	PartHoldBack int64 // milliseconds; at least three times PartTarget
	// CAN-SKIP-UNTIL, milliseconds: at least six target durations; 0: there are no delta updates
	SkipUntil int64
	// EXT-X-SKIP: the number of segments that this delta update leaves out, from MediaSequence on
	Skipped int64
}

// LowLatencyVersion is the EXT-X-VERSION of a media playlist with parts: EXT-X-SKIP needs it (RFC
// 8216bis section 8), EXT-X-GAP needs 8, and a playlist's version should not change.
const LowLatencyVersion = 9

// append appends the lines to dst. An attribute that would be NO is left out: Shaka only looks
// whether it is there (shaka-player, lib/hls/hls_parser.js).
func (l *LowLatency) append(dst []byte) []byte {
	if l.PartTarget == 0 {
		return dst
	}
	dst = append(dst, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK="...)
	dst = appendDecimal(dst, l.PartHoldBack, 3)
	if l.SkipUntil > 0 {
		dst = append(dst, ",CAN-SKIP-UNTIL="...)
		dst = appendDecimal(dst, l.SkipUntil, 3)
	}
	dst = append(dst, "\n#EXT-X-PART-INF:PART-TARGET="...)
	dst = appendDecimal(dst, l.PartTarget, 3)
	dst = append(dst, '\n')
	if l.Skipped > 0 {
		dst = append(dst, "#EXT-X-SKIP:SKIPPED-SEGMENTS="...)
		dst = strconv.AppendInt(dst, l.Skipped, 10)
		dst = append(dst, '\n')
	}
	return dst
}

// Part is an EXT-X-PART of a segment (RFC 8216bis section 4.4.4.9).
type Part struct {
	Duration    int64 // nanoseconds
	URI         string
	Independent bool // a player may begin with it
	Gap         bool // it cannot be loaded
}

func (p *Part) append(dst []byte) []byte {
	dst = append(dst, "#EXT-X-PART:DURATION="...)
	dst = appendDecimal(dst, p.Duration, 9)
	dst = append(dst, ",URI=\""...)
	dst = append(dst, p.URI...)
	dst = append(dst, '"')
	if p.Independent {
		dst = append(dst, ",INDEPENDENT=YES"...)
	}
	if p.Gap {
		dst = append(dst, ",GAP=YES"...)
	}
	return append(dst, '\n')
}

// AppendPreloadHint appends the EXT-X-PRELOAD-HINT of the next part to dst. It follows all segments
// and parts.
func AppendPreloadHint(dst []byte, uri string) []byte {
	dst = append(dst, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""...)
	dst = append(dst, uri...)
	return append(dst, "\"\n"...)
}

// Report is the EXT-X-RENDITION-REPORT of another media playlist of the session (RFC 8216bis
// section 4.4.5.4). The URI is written as the master playlist has it: hls.js compares the text.
type Report struct {
	URI      string
	LastMSN  int64 // media sequence number of the last segment, which may have only parts yet
	LastPart int64 // index of its last part; negative: it has none
}

// Append appends the line to dst.
func (r *Report) Append(dst []byte) []byte {
	dst = append(dst, "#EXT-X-RENDITION-REPORT:URI=\""...)
	dst = append(dst, r.URI...)
	dst = append(dst, "\",LAST-MSN="...)
	dst = strconv.AppendInt(dst, r.LastMSN, 10)
	if r.LastPart >= 0 {
		dst = append(dst, ",LAST-PART="...)
		dst = strconv.AppendInt(dst, r.LastPart, 10)
	}
	return append(dst, '\n')
}
