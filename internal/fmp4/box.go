package fmp4

import (
	"encoding/binary"
	"io"
)

// builder appends boxes to b; the size of a box is filled in when its body is complete.
type builder struct {
	b     []byte
	holes []hole
	held  int64 // bytes of all holes
}

// hole is a place in the boxes whose content is too large for memory. write writes it, size bytes,
// when all boxes are complete.
type hole struct {
	at    int // in b
	size  int64
	write func(io.Writer) error
}

// hold leaves a hole where the next byte would be.
func (w *builder) hold(size int64, write func(io.Writer) error) {
	w.holes = append(w.holes, hole{len(w.b), size, write})
	w.held += size
}

// size returns the length of everything, holes included.
func (w *builder) size() int64 { return int64(len(w.b)) + w.held }

// flush writes everything, holes included.
func (w *builder) flush(to io.Writer) error {
	at := 0
	for _, h := range w.holes {
		if _, err := to.Write(w.b[at:h.at]); err != nil {
			return err
		}
		if err := h.write(to); err != nil {
			return err
		}
		at = h.at
	}
	_, err := to.Write(w.b[at:])
	return err
}

func (w *builder) u16(v uint16)      { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *builder) u64(v uint64)      { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *builder) u32(v uint32)      { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *builder) zero(n int)        { w.b = append(w.b, make([]byte, n)...) }
func (w *builder) text(s string)     { w.b = append(w.b, s...) }
func (w *builder) bytes(data []byte) { w.b = append(w.b, data...) }

func (w *builder) box(typ string, body func()) {
	at, before := len(w.b), w.size()
	w.u32(0)
	w.text(typ)
	body()
	binary.BigEndian.PutUint32(w.b[at:], uint32(w.size()-before))
}

func (w *builder) full(typ string, version uint8, flags uint32, body func()) {
	w.box(typ, func() {
		w.u32(uint32(version)<<24 | flags)
		body()
	})
}
