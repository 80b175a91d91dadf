package store

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// Concatenated and sliced ranges have the bytes of the same operations on one slice.
func TestRanges(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 1))
	for range 2000 {
		var parts []Range
		var all []byte
		for range r.IntN(5) {
			b := make([]byte, r.IntN(6))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			parts, all = append(parts, Bytes(b)), append(all, b...)
		}
		whole := Concat(parts...)
		for range r.IntN(4) {
			from := r.IntN(len(all) + 1)
			n := r.IntN(len(all) - from + 1)
			whole, all = whole.Slice(int64(from), int64(n)), all[from:from+n]
		}
		if whole.Size() != int64(len(all)) {
			t.Fatalf("%d bytes, want %d", whole.Size(), len(all))
		}
		var b bytes.Buffer
		if n, err := whole.WriteTo(&b); err != nil || n != whole.Size() ||
			!bytes.Equal(b.Bytes(), all) {
			t.Fatalf("wrote %x, %v, want %x", b.Bytes(), err, all)
		}
		if err := iotest.TestReader(io.NewSectionReader(whole, 0, whole.Size()), all); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, r.IntN(8))
		off := r.IntN(len(all) + 3)
		want := copy(bytes.Clone(p), all[min(off, len(all)):])
		n, err := whole.ReadAt(p, int64(off))
		if n != want || !bytes.Equal(p[:n], all[min(off, len(all)):][:n]) ||
			n > 0 && (err == io.EOF) != (n < len(p)) {
			t.Fatalf("read %d of %d at %d of %d, %v", n, len(p), off, len(all), err)
		}
	}
}

// A slice beyond the end never has the bytes of another range.
func TestRangeOutOfBounds(t *testing.T) {
	t.Parallel()
	one := Bytes(make([]byte, 8)[:4])
	for _, whole := range []Range{one, Concat(one, one)} {
		size := whole.Size()
		for _, c := range [][2]int64{{-1, 1}, {0, -1}, {0, size + 1}, {size, 1},
			{1 << 62, 1 << 62}} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%d bytes from %d on of %d are there", c[1], c[0], size)
					}
				}()
				whole.Slice(c[0], c[1])
			}()
		}
	}
}
