package timeline

import (
	"encoding/binary"
	"errors"
)

// ErrForm reports stored session data that this version of Weir cannot read.
var ErrForm = errors.New("session data of an unknown form")

// Reader reads the numbers of stored session data (encoding/binary) from the start of Data. After
// an error Bad is set, and all further reads return 0.
type Reader struct {
	Data []byte // what is left to read
	Bad  bool   // a number was cut short or out of range
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.Data) == 0 {
		r.Bad = true
		return 0
	}
	v := r.Data[0]
	r.Data = r.Data[1:]
	return v
}

// Unsigned reads an unsigned varint that fits an int64.
func (r *Reader) Unsigned() int64 {
	v, n := binary.Uvarint(r.Data)
	if n <= 0 || int64(v) < 0 {
		r.Bad, r.Data = true, nil
		return 0
	}
	r.Data = r.Data[n:]
	return int64(v)
}

// Signed reads a zigzag varint.
func (r *Reader) Signed() int64 {
	v, n := binary.Varint(r.Data)
	if n <= 0 {
		r.Bad, r.Data = true, nil
		return 0
	}
	r.Data = r.Data[n:]
	return v
}

// Bit returns 1 for true and 0 for false, as flags are stored.
func Bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}
