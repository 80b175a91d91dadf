package mkv

import (
	"errors"
	"fmt"
	"math/bits"
)

// Document is the header of a producer's document in a form that any of its clusters can follow.
type Document struct {
	// The EBML header, a Segment of unknown size (in 8 bytes), Info, Tracks and other elements as
	// the producer sent them. SeekHead, Cues, CRC-32 and Void are left out: their positions and
	// checksums no longer hold. ContentEncodings are made Void, because frames are stored decoded.
	Start []byte
	// Tags elements about the whole document; most have none. Tags that are metadata of the first
	// fragment are left out.
	Tags []byte
	// nanoseconds per unit of timecodes
	TimestampScale int64
}

// unknownSegment is a Segment of unknown size, in 8 bytes, as GetMedia sends it
// (docs/reference/service.md, "GetMedia output").
var unknownSegment = []byte{0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}

const (
	idSeekHead = 0x114D9B74
	idCues     = 0x1C53BB6B
)

var errDocument = errors.New("not the header of a Matroska document")

// ParseDocument parses what Reader.Header returned. The Document shares nothing with header.
func ParseDocument(header []byte) (Document, error) {
	d := Document{TimestampScale: defaultTimestampScale}
	rest := header
	take := func() (id uint32, whole, body []byte) {
		id, n, size := elementAt(rest)
		if n > 0 && id == idSegment { // its children come one by one
			size = 0
		}
		if n == 0 || size < 0 || size > int64(len(rest)-n) {
			return 0, nil, nil
		}
		whole, body, rest = rest[:n+int(size)], rest[n:n+int(size)], rest[n+int(size):]
		return id, whole, body
	}
	id, whole, _ := take()
	if id != idEBML {
		return d, fmt.Errorf("%w: no EBML header", errDocument)
	}
	d.Start = append(make([]byte, 0, len(header)+len(unknownSegment)), whole...)
	for id, whole, _ = take(); id != idSegment; id, whole, _ = take() {
		if whole == nil {
			return d, fmt.Errorf("%w: no Segment", errDocument)
		}
	}
	d.Start = append(d.Start, unknownSegment...)
	tracks, file := false, false // Tracks has been seen; a muxer of files wrote the document
	var late []byte              // Tags after Tracks
	for len(rest) > 0 {
		id, whole, body := take()
		switch id {
		case 0, idSegment, idCluster, idEBML:
			return d, fmt.Errorf("%w: broken after %d bytes", errDocument, len(header)-len(rest))
		case idSeekHead:
			file = true
			continue
		case idCues, idCRC32, idVoid:
			continue
		case idTags:
			if tracks {
				late = append(late, whole...)
			} else {
				d.Tags = append(d.Tags, whole...)
			}
			continue
		case idInfo:
			if scale, ok := timestampScale(body); ok {
				d.TimestampScale = scale
			}
		case idTracks:
			tracks = true
		}
		d.Start = append(d.Start, whole...)
		if id == idTracks {
			voidEncodings(d.Start[len(d.Start)-len(body):])
		}
	}
	// otherwise they are of the first fragment (docs/reference/service.md, "Tags of fragments")
	if file {
		d.Tags = append(d.Tags, late...)
	}
	return d, nil
}

// elementAt reads the ID and the size of the element at the start of b. n is the length of both in
// bytes, 0 if they are malformed.
func elementAt(b []byte) (id uint32, n int, size int64) {
	if len(b) == 0 {
		return 0, 0, 0
	}
	idLen := bits.LeadingZeros8(b[0]) + 1
	if idLen > 4 || len(b) <= idLen {
		return 0, 0, 0
	}
	n = idLen + bits.LeadingZeros8(b[idLen]) + 1
	if n-idLen > 8 || len(b) < n {
		return 0, 0, 0
	}
	id, size, ok := parseHeader(b[:n], idLen)
	if !ok {
		return 0, 0, 0
	}
	return id, n, size
}

// each calls do for each element in b, up to the first that is not whole.
func each(b []byte, do func(id uint32, whole, body []byte)) {
	for len(b) > 0 {
		id, n, size := elementAt(b)
		if n == 0 || size < 0 || size > int64(len(b)-n) {
			return
		}
		end := n + int(size)
		do(id, b[:end], b[n:end])
		b = b[end:]
	}
}

func timestampScale(info []byte) (scale int64, ok bool) {
	each(info, func(id uint32, _, body []byte) {
		if id == idTimestampScale && len(body) > 0 && len(body) <= 8 {
			if v := uintOf(body); v > 0 && v <= maxTimestampScale {
				scale, ok = int64(v), true
			}
		}
	})
	return scale, ok
}

// voidEncodings turns each ContentEncodings in Tracks into a Void element of the same length, and
// so each checksum that covered one.
func voidEncodings(tracks []byte) {
	each(tracks, func(id uint32, _, body []byte) {
		if id != idTrackEntry {
			return
		}
		changed := false
		each(body, func(id uint32, whole, _ []byte) {
			if id == idContentEncodings {
				makeVoid(whole)
				changed = true
			}
		})
		if !changed {
			return
		}
		for _, b := range [][]byte{tracks, body} {
			each(b, func(id uint32, whole, _ []byte) {
				if id == idCRC32 {
					whole[0] = idVoid
				}
			})
		}
	})
}

// makeVoid turns an element with an ID of two bytes into a Void element of the same length. The ID
// of Void has one byte, so its size is written in one byte more.
func makeVoid(whole []byte) {
	_, n, size := elementAt(whole)
	width := n - 1
	// A size has at most 8 bytes. The byte left over becomes part of the body.
	if width > 8 {
		width, size = 8, size+1
	}
	copy(whole, append([]byte{idVoid}, appendSize(nil, size, width)...))
}
