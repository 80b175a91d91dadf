package media

import "errors"

var errBits = errors.New("data ends early")
var errGolomb = errors.New("exp-Golomb code longer than 32 bits")

// bitReader reads bits, most significant first. After the first error every read returns zero, so
// that parsers look like the syntax tables of the specifications and check err once.
type bitReader struct {
	data []byte
	pos  int // in bits
	err  error
}

func (r *bitReader) left() int {
	if r.err != nil {
		return 0
	}
	return len(r.data)*8 - r.pos
}

// u reads an unsigned integer of n bits, 0 to 32.
func (r *bitReader) u(n int) uint32 {
	if r.err != nil {
		return 0
	}
	if r.left() < n {
		r.err = errBits
		return 0
	}
	var v uint64
	for got := 0; got < n; {
		b := uint64(r.data[r.pos>>3])
		inByte := 8 - r.pos&7
		take := min(inByte, n-got)
		v = v<<take | b>>(inByte-take)&(1<<take-1)
		r.pos += take
		got += take
	}
	return uint32(v)
}

func (r *bitReader) flag() bool { return r.u(1) == 1 }

func (r *bitReader) skip(n int) {
	if r.err == nil && r.left() < n {
		r.err = errBits
	}
	if r.err == nil {
		r.pos += n
	}
}

// align moves to the next byte boundary.
func (r *bitReader) align() { r.skip(-r.pos & 7) }

// ue reads an unsigned exp-Golomb code (H.264 clause 9.1).
func (r *bitReader) ue() uint32 {
	zeros := 0
	for r.err == nil && !r.flag() {
		if zeros++; zeros > 31 {
			r.fail(errGolomb)
		}
	}
	if r.err != nil {
		return 0
	}
	low := r.u(zeros)
	if r.err != nil { // a count that looks huge must not drive a loop
		return 0
	}
	return 1<<zeros - 1 + low
}

// se reads a signed exp-Golomb code (H.264 clause 9.1.1).
func (r *bitReader) se() int32 {
	k := r.ue()
	if k&1 == 1 {
		return int32(k>>1) + 1
	}
	return -int32(k >> 1)
}

// atMost reads ue and fails when the value is greater than limit; it keeps loops over untrusted
// counts short.
func (r *bitReader) atMost(limit uint32, what string) uint32 {
	v := r.ue()
	if r.err == nil && v > limit {
		r.fail(errors.New(what + " out of range"))
		return 0
	}
	return v
}

func (r *bitReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
