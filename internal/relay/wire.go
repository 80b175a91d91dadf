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
	"weir/internal/varint"
)

// version is the version of the messages and of their sealing. Nodes of different versions do not
// follow each other.
const version = 1

// A message is a byte for its kind, the length of its content, and the content. Numbers are
// varints. Unknown kinds are skipped.
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
	// how it ended: number, and its row if it is stored
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
	maxMessage   = 8 << 20 // of all except blocks: frame tables and headers
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

// ending is how a fragment ended.
type ending struct {
	number store.Number
	end    live.End
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
	d := decode(b)
	n := d.number()
	return n, d.End()
}

func appendBegin(b []byte, h *live.Head) []byte {
	b = binary.AppendUvarint(b, uint64(h.Number))
	b = binary.AppendVarint(b, h.ProducerTimestamp)
	b = binary.AppendVarint(b, h.ServerTimestamp)
	b = binary.AppendVarint(b, h.Timecode)
	b = varint.AppendString(b, record.AppendTracks(nil, h.Tracks))
	b = binary.AppendUvarint(b, uint64(len(h.Tags)))
	for _, t := range h.Tags {
		b = varint.AppendString(b, t.Name)
		b = varint.AppendString(b, t.Value)
	}
	return varint.AppendString(b, h.Header)
}

func readBegin(b []byte) (h live.Head, err error) {
	d := decode(b)
	h.Number = d.number()
	h.ProducerTimestamp, h.ServerTimestamp, h.Timecode = d.Varint(), d.Varint(), d.Varint()
	tracks := d.Bytes()
	for range d.Count(2) {
		h.Tags = append(h.Tags, media.Tag{Name: string(d.Bytes()), Value: string(d.Bytes())})
	}
	h.Header = append([]byte(nil), d.Bytes()...)
	if err := d.End(); err != nil {
		return h, err
	}
	if h.Tracks, err = record.DecodeTracks(tracks); err != nil || len(h.Tracks) == 0 ||
		len(h.Tracks) > math.MaxUint8 {
		return h, errMessage
	}
	return h, nil
}

// appendBlock appends what precedes the payload.
func appendBlock(b []byte, v *block) []byte {
	b = binary.AppendUvarint(b, uint64(v.number))
	b = binary.AppendUvarint(b, uint64(v.track))
	b = binary.AppendVarint(b, v.sample.Time)
	b = appendBool(b, v.sample.Key)
	return binary.AppendUvarint(b, uint64(v.sample.Content))
}

// readBlock reads that from the first bytes of a message with a length. The rest is payload.
func readBlock(b []byte, length int) (v block, head int, err error) {
	d := decode(b)
	v.number, v.track = d.number(), d.small()
	v.sample.Time, v.sample.Key = d.Varint(), d.bool()
	content := d.Uvarint()
	if head = len(b) - len(d.Rest); d.Err != nil || content > math.MaxUint16 ||
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
	d := decode(b)
	v.number, v.track, v.from = d.number(), d.small(), d.small()
	v.run.BaseDecodeTime = d.Varint()
	v.run.Frames = make([]media.Frame, d.Count(5))
	for i := range v.run.Frames {
		duration, offset, size := d.Uvarint(), d.Varint(), d.Uvarint()
		key, marks := d.bool(), media.Marks(d.Byte())
		if duration > math.MaxUint32 || size > math.MaxUint32 || !marks.Valid() ||
			offset < math.MinInt32 || offset > math.MaxInt32 {
			d.Fail("number out of range")
		}
		v.run.Frames[i] = media.Frame{Duration: uint32(duration), Key: key, Marks: marks,
			CompositionOffset: int32(offset), Size: uint32(size)}
	}
	return v, d.End()
}

func appendWhole(b []byte, n store.Number, differs bool, head []byte) []byte {
	b = binary.AppendUvarint(b, uint64(n))
	return append(appendBool(b, differs), head...)
}

// readWhole returns the fragment as it will be stored, and the CRC32C of its payload.
func readWhole(b []byte) (n store.Number, differs bool, f *media.Fragment, crc uint32, err error) {
	d := decode(b)
	n, differs = d.number(), d.bool()
	if d.Err != nil {
		return 0, false, nil, 0, d.Err
	}
	h, f, err := record.DecodeFragment(d.Rest)
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
	b = varint.AppendString(b, f.Location.Volume)
	b = binary.AppendVarint(b, f.Location.Offset)
	b = binary.AppendVarint(b, f.Location.Length)
	b = binary.AppendVarint(b, f.Location.MetaLength)
	return varint.AppendString(b, record.AppendSpans(nil, f.Spans))
}

func readEnd(b []byte) (v ending, err error) {
	d := decode(b)
	v.number = d.number()
	if v.end.Stored = d.bool(); !v.end.Stored {
		return v, d.End()
	}
	f := &v.end.Info
	f.Number, f.ProducerTimestamp, f.ServerTimestamp = v.number, d.Varint(), d.Varint()
	f.Sequence, f.TrackSet = d.Varint(), d.Varint()
	crc := d.Uvarint()
	f.PayloadCRC, f.Partial = uint32(crc), d.bool()
	f.Location = store.Location{Volume: string(d.Bytes()), Offset: d.Varint(),
		Length: d.Varint(), MetaLength: d.Varint()}
	spans := d.Bytes()
	if crc > math.MaxUint32 {
		d.Fail("number out of range")
	}
	if err := d.End(); err != nil {
		return v, err
	}
	if f.Spans, err = record.DecodeSpans(spans); err != nil {
		return v, errMessage
	}
	return v, nil
}

// appendHead appends the head of a message.
func appendHead(b []byte, k kind, length int) []byte {
	return binary.AppendUvarint(append(b, byte(k)), uint64(length))
}

// readHead reads the head of a message, and checks the length that its kind may have.
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

// decoder reads the body of a message. Its errors are errMessage.
type decoder struct{ varint.Decoder }

func decode(b []byte) *decoder { return &decoder{varint.NewDecoder(b, errMessage)} }

// number reads a fragment number.
func (d *decoder) number() store.Number {
	v := d.Uvarint()
	if v == 0 || v > math.MaxInt64 {
		d.Fail("number out of range")
	}
	return store.Number(v)
}

// small reads an index, or a count for which nothing is allocated.
func (d *decoder) small() int {
	v := d.Uvarint()
	if v > math.MaxInt32 {
		d.Fail("number out of range")
		return 0
	}
	return int(v)
}

func (d *decoder) bool() bool { return d.Byte() != 0 }
