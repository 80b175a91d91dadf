package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"weir/internal/api"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// Version is that of the messages and of how they are sealed. Nodes of different versions do not
// follow each other.
const Version = 1

// A message is a byte of its kind, its length, and so many bytes. Numbers are varints. Kinds that
// are not known are skipped.
type kind byte

const (
	// a fragment begins: its number, times, tracks, tags and header
	kindBegin kind = 1
	// a block of it: number, track, time, flags, content, payload
	kindBlock kind = 2
	// frames of a track are final: number, track, how many were before, base decode time, frames
	kindFinal kind = 3
	// all blocks have come: number, whether it differs from what was final, the head of its record
	kindWhole kind = 4
	// what became of it: number, and when it is stored its row
	kindEnd kind = 5
	// the rest of it will not come: number
	kindCutOff kind = 6
	// all that was there when the connection began has come
	kindReady kind = 7
	// the node is there
	kindIdle kind = 8
)

// Bounds of a message's length. What precedes the payload of a block is short.
const (
	maxBlockHead = 64
	maxMessage   = 8 << 20 // of all but blocks: frame tables and headers
)

func (k kind) limit() uint64 {
	if k == kindBlock {
		return api.MaxFragmentBytes + maxBlockHead
	}
	return maxMessage
}

var errMessage = errors.New("message between nodes is not well formed")

// block is a block of a fragment without its payload.
type block struct {
	number store.Number
	track  int
	sample media.Sample
}

// final is a piece of a track's final run.
type final struct {
	number store.Number
	track  int
	from   int // frames that are final already
	run    media.Run
}

// ending is what became of a fragment.
type ending struct {
	number store.Number
	end    live.End
}

func appendString[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendNumber(b []byte, n store.Number) []byte {
	return binary.AppendUvarint(b, uint64(n))
}

func readNumber(b []byte) (store.Number, error) {
	d := decoder{b: b}
	n := d.number()
	return n, d.end()
}

func appendBegin(b []byte, h *live.Head) []byte {
	b = binary.AppendUvarint(b, uint64(h.Number))
	b = binary.AppendVarint(b, h.ProducerTimestamp)
	b = binary.AppendVarint(b, h.ServerTimestamp)
	b = binary.AppendVarint(b, h.Timecode)
	b = appendString(b, record.AppendTracks(nil, h.Tracks))
	b = binary.AppendUvarint(b, uint64(len(h.Tags)))
	for _, t := range h.Tags {
		b = appendString(b, t.Name)
		b = appendString(b, t.Value)
	}
	return appendString(b, h.Header)
}

func readBegin(b []byte) (h live.Head, err error) {
	d := decoder{b: b}
	h.Number = d.number()
	h.ProducerTimestamp, h.ServerTimestamp, h.Timecode = d.varint(), d.varint(), d.varint()
	tracks := d.bytes()
	for range d.count(2) {
		h.Tags = append(h.Tags, media.Tag{Name: string(d.bytes()), Value: string(d.bytes())})
	}
	h.Header = append([]byte(nil), d.bytes()...)
	if err := d.end(); err != nil {
		return h, err
	}
	if h.Tracks, err = record.DecodeTracks(tracks); err != nil || len(h.Tracks) == 0 ||
		len(h.Tracks) > math.MaxUint8 {
		return h, errMessage
	}
	return h, nil
}

// appendBlock appends what stands before the payload.
func appendBlock(b []byte, v *block) []byte {
	b = binary.AppendUvarint(b, uint64(v.number))
	b = binary.AppendUvarint(b, uint64(v.track))
	b = binary.AppendVarint(b, v.sample.Time)
	b = appendBool(b, v.sample.Key)
	return binary.AppendUvarint(b, uint64(v.sample.Content))
}

// readBlock reads that from the first bytes of a message of a length; the rest is payload.
func readBlock(b []byte, length int) (v block, head int, err error) {
	d := decoder{b: b}
	v.number, v.track = d.number(), d.small()
	v.sample.Time, v.sample.Key = d.varint(), d.bool()
	content := d.uvarint()
	if head = len(b) - len(d.b); d.err != nil || content > math.MaxUint16 ||
		length-head > api.MaxFragmentBytes {
		return v, 0, errMessage
	}
	v.sample.Content, v.sample.Size = media.Content(content), uint32(length-head)
	return v, head, nil
}

func appendFinal(b []byte, v *final) []byte {
	b = binary.AppendUvarint(b, uint64(v.number))
	b = binary.AppendUvarint(b, uint64(v.track))
	b = binary.AppendUvarint(b, uint64(v.from))
	b = binary.AppendVarint(b, v.run.BaseDecodeTime)
	b = binary.AppendUvarint(b, uint64(len(v.run.Frames)))
	for _, f := range v.run.Frames {
		b = binary.AppendUvarint(b, uint64(f.Duration))
		b = binary.AppendVarint(b, int64(f.CompositionOffset))
		b = binary.AppendUvarint(b, uint64(f.Size))
		b = appendBool(b, f.Key)
		b = append(b, byte(f.Marks))
	}
	return b
}

func readFinal(b []byte) (v final, err error) {
	d := decoder{b: b}
	v.number, v.track, v.from = d.number(), d.small(), d.small()
	v.run.BaseDecodeTime = d.varint()
	v.run.Frames = make([]media.Frame, d.count(5))
	for i := range v.run.Frames {
		duration, offset, size := d.uvarint(), d.varint(), d.uvarint()
		key, marks := d.bool(), media.Marks(d.byte())
		if duration > math.MaxUint32 || size > math.MaxUint32 || !marks.Valid() ||
			offset < math.MinInt32 || offset > math.MaxInt32 {
			d.fail()
		}
		v.run.Frames[i] = media.Frame{Duration: uint32(duration), Key: key, Marks: marks,
			CompositionOffset: int32(offset), Size: uint32(size)}
	}
	return v, d.end()
}

func appendWhole(b []byte, n store.Number, differs bool, head []byte) []byte {
	b = binary.AppendUvarint(b, uint64(n))
	return append(appendBool(b, differs), head...)
}

// readWhole returns the fragment as it will be stored, and the CRC32C of its payload.
func readWhole(b []byte) (n store.Number, differs bool, f *media.Fragment, crc uint32, err error) {
	d := decoder{b: b}
	n, differs = d.number(), d.bool()
	if d.err != nil {
		return 0, false, nil, 0, d.err
	}
	h, f, err := record.DecodeFragment(d.b)
	if err != nil || h.Number != n {
		return 0, false, nil, 0, errMessage
	}
	return n, differs, f, h.PayloadCRC, nil
}

func appendEnd(b []byte, v *ending) []byte {
	b = binary.AppendUvarint(b, uint64(v.number))
	if b = appendBool(b, v.end.Stored); !v.end.Stored {
		return b
	}
	f := &v.end.Info
	b = binary.AppendVarint(b, f.ProducerTimestamp)
	b = binary.AppendVarint(b, f.ServerTimestamp)
	b = binary.AppendVarint(b, f.Sequence)
	b = binary.AppendVarint(b, f.TrackSet)
	b = binary.AppendUvarint(b, uint64(f.PayloadCRC))
	b = appendBool(b, f.Partial)
	b = appendString(b, f.Location.Volume)
	b = binary.AppendVarint(b, f.Location.Offset)
	b = binary.AppendVarint(b, f.Location.Length)
	b = binary.AppendVarint(b, f.Location.MetaLength)
	return appendString(b, record.AppendSpans(nil, f.Spans))
}

func readEnd(b []byte) (v ending, err error) {
	d := decoder{b: b}
	v.number = d.number()
	if v.end.Stored = d.bool(); !v.end.Stored {
		return v, d.end()
	}
	f := &v.end.Info
	f.Number, f.ProducerTimestamp, f.ServerTimestamp = v.number, d.varint(), d.varint()
	f.Sequence, f.TrackSet = d.varint(), d.varint()
	crc := d.uvarint()
	f.PayloadCRC, f.Partial = uint32(crc), d.bool()
	f.Location = store.Location{Volume: string(d.bytes()), Offset: d.varint(),
		Length: d.varint(), MetaLength: d.varint()}
	spans := d.bytes()
	if crc > math.MaxUint32 {
		d.fail()
	}
	if err := d.end(); err != nil {
		return v, err
	}
	if f.Spans, err = record.DecodeSpans(spans); err != nil {
		return v, errMessage
	}
	return v, nil
}

// appendHead appends what a message begins with.
func appendHead(b []byte, k kind, length int) []byte {
	return binary.AppendUvarint(append(b, byte(k)), uint64(length))
}

// readHead reads what a message begins with. Its length is within what its kind may have.
func readHead(r *bufio.Reader) (k kind, length int, err error) {
	b, err := r.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, 0, io.ErrUnexpectedEOF
	}
	if k = kind(b); n > k.limit() {
		return 0, 0, fmt.Errorf("%w: %d bytes of kind %d", errMessage, n, k)
	}
	return k, int(n), nil
}

// decoder reads varints and strings with a sticky error; after the first error everything is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() { d.b, d.err = nil, errMessage }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// number reads a fragment number.
func (d *decoder) number() store.Number {
	v := d.uvarint()
	if v == 0 || v > math.MaxInt64 {
		d.fail()
	}
	return store.Number(v)
}

// small reads an index or a count that nothing is allocated for.
func (d *decoder) small() int {
	v := d.uvarint()
	if v > math.MaxInt32 {
		d.fail()
		return 0
	}
	return int(v)
}

// count reads how many things follow, each of at least size bytes.
func (d *decoder) count(size int) int {
	v := d.uvarint()
	if v > uint64(len(d.b)/size) {
		d.fail()
		return 0
	}
	return int(v)
}

func (d *decoder) bytes() []byte {
	n := d.count(1)
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) bool() bool { return d.byte() != 0 }

func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail()
	}
	return d.err
}
