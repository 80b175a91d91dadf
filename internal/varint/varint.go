// Package varint reads and writes sequences of varints (encoding/binary), bytes, and strings with
// their length, a varint, before them.
package varint

import (
	"encoding/binary"
	"fmt"
)

// AppendString appends the length of a string, and the string.
func AppendString[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Decoder reads such a sequence from the start of Rest. After the first error all values are zero.
type Decoder struct {
	Rest []byte // what is left to read
	Err  error  // the first error

	malformed error
}

// NewDecoder makes a Decoder of b. Its errors wrap malformed.
func NewDecoder(b []byte, malformed error) Decoder { return Decoder{Rest: b, malformed: malformed} }

// Fail ends reading with an error, unless there was one.
func (d *Decoder) Fail(why string) {
	if d.Err == nil {
		d.Err = fmt.Errorf("%w: %s", d.malformed, why)
	}
	d.Rest = nil
}

// Uvarint reads an unsigned varint.
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.Rest)
	if n <= 0 {
		d.Fail("number cut short")
		return 0
	}
	d.Rest = d.Rest[n:]
	return v
}

// Varint reads a signed varint.
func (d *Decoder) Varint() int64 {
	v, n := binary.Varint(d.Rest)
	if n <= 0 {
		d.Fail("number cut short")
		return 0
	}
	d.Rest = d.Rest[n:]
	return v
}

// Count reads how many things follow, each of at least size bytes.
func (d *Decoder) Count(size int) int {
	n := d.Uvarint()
	if n > uint64(len(d.Rest)/size) {
		d.Fail("count beyond the data")
		return 0
	}
	return int(n)
}

// Bytes reads what AppendString has written. The result aliases the input.
func (d *Decoder) Bytes() []byte {
	n := d.Count(1)
	b := d.Rest[:n]
	d.Rest = d.Rest[n:]
	return b
}

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if len(d.Rest) == 0 {
		d.Fail("byte missing")
		return 0
	}
	v := d.Rest[0]
	d.Rest = d.Rest[1:]
	return v
}

// Uint32 reads four bytes, the least significant first.
func (d *Decoder) Uint32() uint32 {
	if len(d.Rest) < 4 {
		d.Fail("bytes missing")
		return 0
	}
	v := binary.LittleEndian.Uint32(d.Rest)
	d.Rest = d.Rest[4:]
	return v
}

// End returns the first error. It is an error if anything is left to read.
func (d *Decoder) End() error {
	if d.Err == nil && len(d.Rest) > 0 {
		d.Fail("bytes left over")
	}
	return d.Err
}
