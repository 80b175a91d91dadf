package fmp4

import "encoding/binary"

// builder appends boxes to b; the size of a box is filled in when its body is complete.
type builder struct{ b []byte }

func (w *builder) u16(v uint16)      { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *builder) u32(v uint32)      { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *builder) zero(n int)        { w.b = append(w.b, make([]byte, n)...) }
func (w *builder) text(s string)     { w.b = append(w.b, s...) }
func (w *builder) bytes(data []byte) { w.b = append(w.b, data...) }

func (w *builder) box(typ string, body func()) {
	at := len(w.b)
	w.u32(0)
	w.text(typ)
	body()
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at))
}

func (w *builder) full(typ string, version uint8, flags uint32, body func()) {
	w.box(typ, func() {
		w.u32(uint32(version)<<24 | flags)
		body()
	})
}
