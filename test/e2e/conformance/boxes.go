package conformance

import (
	"encoding/binary"
)

type mp4Box struct {
	kind   string
	body   []byte
	offset int // of the box in what was parsed
	size   int
}

// boxes splits data into boxes (ISO/IEC 14496-12 section 4.2); they must fill it exactly.
func boxes(f *Findings, where string, data []byte) (out []mp4Box) {
	for offset := 0; offset < len(data); {
		rest := data[offset:]
		head, size := 8, uint64(0)
		if len(rest) >= 8 {
			size = uint64(binary.BigEndian.Uint32(rest))
		}
		if size == 1 && len(rest) >= 16 {
			head, size = 16, binary.BigEndian.Uint64(rest[8:])
		}
		if size < uint64(head) || size > uint64(len(rest)) {
			f.add(BoxSize, where, "at byte %d: a box of %d bytes in %d", offset, size, len(rest))
			return out
		}
		out = append(out,
			mp4Box{kind: string(rest[4:8]), body: rest[head:size], offset: offset, size: int(size)})
		offset += int(size)
	}
	return out
}

func kinds(list []mp4Box) (names []string) {
	for _, b := range list {
		names = append(names, b.kind)
	}
	return names
}

// child returns the body of the only box of a kind; a missing or second one is a finding.
func child(f *Findings, where string, list []mp4Box, kind string) []byte {
	var body []byte
	n := 0
	for _, b := range list {
		if b.kind == kind {
			body, n = b.body, n+1
		}
	}
	if n != 1 {
		f.add(BoxMissing, where, "%d %s boxes among %q", n, kind, kinds(list))
	}
	return body
}

// descend follows a path of boxes, each the only one of its kind.
func descend(f *Findings, where string, data []byte, path ...string) []byte {
	for _, kind := range path {
		if data == nil {
			return nil
		}
		data = child(f, where, boxes(f, where, data), kind)
	}
	return data
}

// field reads n bytes at an offset as a number; 0 beyond the end, which the caller's own checks
// then catch.
func field(data []byte, offset, n int) (v uint64) {
	if offset < 0 || offset+n > len(data) {
		return 0
	}
	for _, b := range data[offset : offset+n] {
		v = v<<8 | uint64(b)
	}
	return v
}
