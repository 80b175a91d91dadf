package varint

import (
	"encoding/binary"
	"errors"
	"testing"
)

var errTest = errors.New("malformed")

func TestDecoder(t *testing.T) {
	b := binary.AppendUvarint(nil, 300)
	b = binary.AppendVarint(b, -300)
	b = AppendString(b, "name")
	b = AppendString(b, []byte{})
	b = binary.LittleEndian.AppendUint32(append(b, 7), 1<<31)
	read := func(b []byte) (ok bool, err error) {
		d := NewDecoder(b, errTest)
		ok = d.Uvarint() == 300 && d.Varint() == -300 && string(d.Bytes()) == "name" &&
			len(d.Bytes()) == 0 && d.Byte() == 7 && d.Uint32() == 1<<31
		return ok, d.End()
	}
	if ok, err := read(b); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	for n := range b {
		if ok, err := read(b[:n]); ok || !errors.Is(err, errTest) {
			t.Errorf("%d bytes of %d: %t, %v", n, len(b), ok, err)
		}
	}
	if _, err := read(append(b, 0)); !errors.Is(err, errTest) {
		t.Errorf("a byte left over: %v", err)
	}
}

// A count that the data cannot hold is an error before anybody allocates memory for it.
func TestCountBeyondTheData(t *testing.T) {
	b := append(binary.AppendUvarint(nil, 4), make([]byte, 7)...)
	d := NewDecoder(b, errTest)
	if n := d.Count(2); n != 0 || !errors.Is(d.Err, errTest) || len(d.Rest) != 0 {
		t.Errorf("%d, %v", n, d.Err)
	}
	d = NewDecoder(append(b, 0), errTest)
	if n := d.Count(2); n != 4 || d.Err != nil {
		t.Errorf("%d, %v", n, d.Err)
	}
}
