package mkv

import (
	"errors"
	"math/bits"
)

// unknownSize is the size of a Segment or Cluster that ends where something else begins (RFC 8794
// section 6.2).
const unknownSize = -1

// header is an element's ID and size as read.
type header struct {
	id   uint32
	off  int64 // of the ID
	size int64 // or unknownSize
	raw  [12]byte
	n    int // bytes of raw
}

// errBoundary says that the input ended between two elements; input.err says how.
var errBoundary = errors.New("end of input between elements")

// readHeader reads the ID and size of the next element into next.
func (r *Reader) readHeader() error {
	in, h := &r.in, &r.next
	if err := in.need(1); err != nil {
		return errBoundary
	}
	place := r.place()
	idLen := bits.LeadingZeros8(in.buf[in.start]) + 1
	if idLen > 4 {
		return fail(place, atTop, in.off, "no element ID begins with the byte 0x%02X",
			in.buf[in.start])
	}
	if err := in.need(idLen + 1); err != nil {
		return cut(err)
	}
	sizeLen := bits.LeadingZeros8(in.buf[in.start+idLen]) + 1
	if sizeLen > 8 {
		return fail(place, atTop, in.off, "element size of more than 8 bytes")
	}
	if err := in.need(idLen + sizeLen); err != nil {
		return cut(err)
	}
	h.off = in.off
	h.n = copy(h.raw[:], in.take(idLen+sizeLen))
	var ok bool
	if h.id, h.size, ok = parseHeader(h.raw[:h.n], idLen); !ok {
		return fail(place, atTop, h.off, "reserved element ID 0x%X", h.id)
	}
	return nil
}

// parseHeader parses an ID of idLen bytes and the size after it. ok is false for an ID that is
// reserved (RFC 8794 section 5: all data bits zero or one).
func parseHeader(raw []byte, idLen int) (id uint32, size int64, ok bool) {
	for _, b := range raw[:idLen] {
		id = id<<8 | uint32(b)
	}
	mask := uint32(1)<<(7*idLen) - 1
	ok = id&mask != 0 && id&mask != mask
	return id, vint(raw[idLen:]), ok
}

// vint decodes a variable-size integer of EBML. It returns unknownSize if all data bits are one.
func vint(b []byte) int64 {
	v := uint64(b[0]) & (0xFF >> len(b))
	for _, c := range b[1:] {
		v = v<<8 | uint64(c)
	}
	if v == uint64(1)<<(7*len(b))-1 {
		return unknownSize
	}
	return int64(v)
}
