package timeline

import (
	"encoding/binary"
	"errors"
)

// ErrForm says that a session's row holds what this version of the program did not write.
var ErrForm = errors.New("session data of an unknown form")

// Reader takes varints from the front of data. After an error bad is set and everything reads as 0.
type Reader struct {
	Data []byte
	Bad  bool
}

func (r *Reader) Byte() byte {
	if len(r.Data) == 0 {
		r.Bad = true
		return 0
	}
	v := r.Data[0]
	r.Data = r.Data[1:]
	return v
}

func (r *Reader) Unsigned() int64 {
	v, n := binary.Uvarint(r.Data)
	if n <= 0 || int64(v) < 0 {
		r.Bad, r.Data = true, nil
		return 0
	}
	r.Data = r.Data[n:]
	return int64(v)
}

func (r *Reader) Signed() int64 {
	v, n := binary.Varint(r.Data)
	if n <= 0 {
		r.Bad, r.Data = true, nil
		return 0
	}
	r.Data = r.Data[n:]
	return v
}

func Bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}
