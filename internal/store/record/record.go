// Package record turns what is stored into bytes and back: the record of one fragment or stream, and
// the packed table of many fragments that a sealed volume ends in. docs/store-format.md has the format.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"weir/internal/media"
	"weir/internal/store"
)

// Sizes and limits of a record (docs/store-format.md).
const (
	HeaderSize    = 64        // bytes of the fixed header
	MaxMetaLength = 32 << 20  // bytes of header and metadata; a longer record is refused and, when found, damaged
	MaxLength     = 512 << 20 // bytes of a whole record, likewise
)

// RecordType tells records apart.
type Type uint8

// The types of records in a volume.
const (
	TypeFragment Type = 1 // one fragment
	TypeStream   Type = 2 // the stream's row, the first record of a volume
	TypeFooter   Type = 3 // the packed table of a sealed volume, its last record
)

const (
	magic         = 0x46524557 // "WERF", little-endian
	version       = 1
	markedVersion = 2 // a fragment with a frame that has media.Marks; all else is written as version 1, which earlier programs read
	flagPartial   = 1 << 0
	knownFlags    = flagPartial
)

// Castagnoli is the polynomial of every checksum in a volume: CRC32C.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// RecordHeader is the fixed part of a record.
type Header struct {
	Type            Type
	marked          bool // version 2
	Partial         bool
	Length          int64 // of the whole record
	MetaLength      int64 // of header and metadata
	PayloadCRC      uint32
	Number          store.Number
	ServerTimestamp int64 // milliseconds
	Producer        int64 // producer timestamp, milliseconds
	Replaces        store.Number
}

// EncodeRecord gives the header and metadata of a fragment's record, and the CRC32C of its payload. replaces is the number of
// the fragment whose place it takes, or 0. A record that does not agree with itself is an error.
func EncodeFragment(rec *store.Record, replaces store.Number) (head []byte, payloadCRC uint32, err error) {
	if rec.Number <= 0 {
		return nil, 0, errors.New("record without a fragment number")
	}
	if len(rec.Payload) != len(rec.Runs) {
		return nil, 0, fmt.Errorf("record has %d payloads for %d runs", len(rec.Payload), len(rec.Runs))
	}
	var payload int64
	for i := range rec.Runs {
		run := &rec.Runs[i]
		if len(run.Frames) == 0 {
			return nil, 0, fmt.Errorf("run of track %d has no frames", run.Track)
		}
		if rec.Track(run.Track) == nil {
			return nil, 0, fmt.Errorf("run of track %d, which is not declared", run.Track)
		}
		if int64(len(rec.Payload[i])) != run.Size() {
			return nil, 0, fmt.Errorf("payload of track %d has %d bytes for frames of %d", run.Track, len(rec.Payload[i]), run.Size())
		}
		payload += int64(len(rec.Payload[i]))
		payloadCRC = crc32.Update(payloadCRC, Castagnoli, rec.Payload[i])
	}
	head = make([]byte, HeaderSize, HeaderSize+256)
	marked := hasMarks(&rec.Fragment)
	head = appendFragmentMeta(head, &rec.Fragment, marked)
	h := Header{
		marked: marked, Type: TypeFragment, Partial: rec.Partial,
		Length: int64(len(head)) + payload, MetaLength: int64(len(head)), PayloadCRC: payloadCRC,
		Number: rec.Number, ServerTimestamp: rec.ServerTimestamp, Producer: rec.ProducerTimestamp, Replaces: replaces,
	}
	if err := h.seal(head); err != nil {
		return nil, 0, err
	}
	return head, payloadCRC, nil
}

// NewInfo describes a record before it is stored; crc is the checksum of its payload, set the id of
// its track set.
func NewInfo(rec *store.Record, crc uint32, set int64) store.FragmentInfo {
	return store.FragmentInfo{
		Number: rec.Number, ProducerTimestamp: rec.ProducerTimestamp, ServerTimestamp: rec.ServerTimestamp,
		TrackSet: set, PayloadCRC: crc, Partial: rec.Partial, Spans: store.SpansOf(&rec.Fragment),
	}
}

// EncodeStreamRecord gives the record that describes a stream, which a volume begins with.
func EncodeStream(s *store.Stream) ([]byte, error) {
	meta, err := marshalStream(s)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, HeaderSize), meta...)
	h := Header{Type: TypeStream, Length: int64(len(b)), MetaLength: int64(len(b))}
	if err := h.seal(b); err != nil {
		return nil, err
	}
	return b, nil
}

// seal writes the header into the first bytes of head, which holds the metadata already.
func (h *Header) seal(head []byte) error {
	if len(head) > MaxMetaLength {
		return fmt.Errorf("metadata of %d bytes is above the limit of %d", len(head), MaxMetaLength)
	}
	if h.Length > MaxLength {
		return fmt.Errorf("record of %d bytes is above the limit of %d", h.Length, MaxLength)
	}
	le := binary.LittleEndian
	le.PutUint32(head[0:], magic)
	head[4] = version
	if h.marked {
		head[4] = markedVersion
	}
	head[5] = byte(h.Type)
	var flags uint16
	if h.Partial {
		flags |= flagPartial
	}
	le.PutUint16(head[6:], flags)
	le.PutUint64(head[8:], uint64(h.Length))
	le.PutUint32(head[16:], uint32(h.MetaLength))
	le.PutUint32(head[20:], h.PayloadCRC)
	le.PutUint64(head[24:], uint64(h.Number))
	le.PutUint64(head[32:], uint64(h.ServerTimestamp))
	le.PutUint64(head[40:], uint64(h.Producer))
	le.PutUint64(head[48:], uint64(h.Replaces))
	le.PutUint32(head[56:], 0)
	le.PutUint32(head[60:], headCRC(head))
	return nil
}

// headCRC is the CRC32C of header and metadata without the field that holds it.
func headCRC(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:60], Castagnoli), Castagnoli, head[HeaderSize:])
}

// DecodeRecordHeader reads the fixed header. Its checksum covers the metadata too and is not looked at here.
func DecodeHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < HeaderSize {
		return h, fmt.Errorf("%w: record header of %d bytes", store.ErrCorrupt, len(b))
	}
	le := binary.LittleEndian
	if le.Uint32(b) != magic {
		return h, fmt.Errorf("%w: no record begins here", store.ErrCorrupt)
	}
	h.Type = Type(b[5])
	h.marked = b[4] == markedVersion && h.Type == TypeFragment
	if b[4] != version && !h.marked {
		return h, fmt.Errorf("%w: record version %d", store.ErrCorrupt, b[4])
	}
	flags := le.Uint16(b[6:])
	if flags&^knownFlags != 0 || le.Uint32(b[56:]) != 0 {
		return h, fmt.Errorf("%w: record with unknown flags", store.ErrCorrupt)
	}
	h.Partial = flags&flagPartial != 0
	length := le.Uint64(b[8:])
	h.MetaLength = int64(le.Uint32(b[16:]))
	if length > MaxLength || h.MetaLength < HeaderSize || h.MetaLength > MaxMetaLength || uint64(h.MetaLength) > length {
		return h, fmt.Errorf("%w: record of %d bytes with metadata of %d", store.ErrCorrupt, length, h.MetaLength)
	}
	h.Length = int64(length)
	h.PayloadCRC = le.Uint32(b[20:])
	h.Number = store.Number(le.Uint64(b[24:]))
	h.ServerTimestamp = int64(le.Uint64(b[32:]))
	h.Producer = int64(le.Uint64(b[40:]))
	h.Replaces = store.Number(le.Uint64(b[48:]))
	return h, nil
}

// CheckRecordHead verifies header and metadata, which head holds whole, against their checksum.
func CheckHead(head []byte) (Header, error) {
	h, err := DecodeHeader(head)
	if err != nil {
		return h, err
	}
	if int64(len(head)) != h.MetaLength {
		return h, fmt.Errorf("%w: %d bytes of metadata, header says %d", store.ErrCorrupt, len(head), h.MetaLength)
	}
	if got := headCRC(head); got != binary.LittleEndian.Uint32(head[60:]) {
		return h, fmt.Errorf("%w: checksum of the metadata", store.ErrCorrupt)
	}
	return h, nil
}

// DecodeRecord reads header and metadata of a fragment's record, which head holds whole. What it allocates is bounded by a
// small multiple of len(head). Any error is ErrCorrupt.
func DecodeFragment(head []byte) (Header, *media.Fragment, error) {
	h, err := CheckHead(head)
	if err != nil {
		return h, nil, err
	}
	if h.Type != TypeFragment || h.Number <= 0 {
		return h, nil, fmt.Errorf("%w: record is not a fragment", store.ErrCorrupt)
	}
	f, err := decodeFragmentMeta(head[HeaderSize:], h.marked)
	if err != nil {
		return h, nil, err
	}
	f.ProducerTimestamp, f.ServerTimestamp, f.Partial = h.Producer, h.ServerTimestamp, h.Partial
	var payload int64
	for i := range f.Runs {
		payload += f.Runs[i].Size()
		if payload > MaxLength {
			break
		}
	}
	if payload != h.Length-h.MetaLength {
		return h, nil, fmt.Errorf("%w: frames of %d bytes in a payload of %d", store.ErrCorrupt, payload, h.Length-h.MetaLength)
	}
	return h, f, nil
}

// DecodeStreamRecord reads the record that describes a stream, which b holds whole.
func DecodeStream(b []byte) (*store.Stream, error) {
	h, err := CheckHead(b)
	if err != nil {
		return nil, err
	}
	if h.Type != TypeStream || h.Length != h.MetaLength {
		return nil, fmt.Errorf("%w: record is not a stream", store.ErrCorrupt)
	}
	return unmarshalStream(b[HeaderSize:])
}

// hasMarks says whether some frame has marks: the record is of version 2 then.
func hasMarks(f *media.Fragment) bool {
	return slices.ContainsFunc(f.Runs, func(r media.Run) bool {
		return slices.ContainsFunc(r.Frames, func(fr media.Frame) bool { return fr.Marks != 0 })
	})
}

func appendFragmentMeta(b []byte, f *media.Fragment, marked bool) []byte {
	b = binary.AppendVarint(b, f.Timecode)
	b = AppendTracks(b, f.Tracks)
	b = binary.AppendUvarint(b, uint64(len(f.Runs)))
	for i := range f.Runs {
		run := &f.Runs[i]
		b = binary.AppendVarint(b, int64(run.Track))
		b = binary.AppendVarint(b, run.BaseDecodeTime)
		b = binary.AppendUvarint(b, uint64(len(run.Frames)))
		var usual int64 // most frames last as long as the one before: one byte then
		for _, fr := range run.Frames {
			b = appendSize(b, fr, marked)
			b = binary.AppendVarint(b, int64(fr.Duration)-usual)
			b = binary.AppendVarint(b, int64(fr.CompositionOffset))
			usual = int64(fr.Duration)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(f.Tags)))
	for _, t := range f.Tags {
		b = appendString(b, t.Name)
		b = appendString(b, t.Value)
	}
	return appendString(b, string(f.Header))
}

// appendSize appends what a row of the frame table begins with: size and key flag, and in version 2 whether marks follow.
func appendSize(b []byte, fr media.Frame, marked bool) []byte {
	size := uint64(fr.Size)
	if marked {
		size = size<<1 | bit(fr.Marks != 0)
	}
	b = binary.AppendUvarint(b, size<<1|bit(fr.Key))
	if marked && fr.Marks != 0 {
		b = append(b, byte(fr.Marks))
	}
	return b
}

func bit(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

func decodeFragmentMeta(b []byte, marked bool) (*media.Fragment, error) {
	d := decoder{b: b}
	f := &media.Fragment{Timecode: d.varint()}
	f.Tracks = d.tracks()
	// Each count is checked against the fewest bytes that so many things take.
	if n := d.count(3); n > 0 {
		f.Runs = make([]media.Run, n)
	}
	for i := range f.Runs {
		run := &f.Runs[i]
		run.Track = int(d.varint())
		run.BaseDecodeTime = d.varint()
		n := d.count(3)
		if n == 0 || d.err != nil {
			d.fail("run without frames")
			break
		}
		run.Frames = make([]media.Frame, n)
		var usual int64
		for j := range run.Frames {
			size := d.uvarint()
			key := size&1 != 0
			size >>= 1
			var marks media.Marks
			if marked {
				if size&1 != 0 {
					marks = media.Marks(d.byte())
				}
				size >>= 1
			}
			usual += d.varint()
			cto := d.varint()
			if size > math.MaxUint32 || !marks.Valid() || usual < 0 || usual > math.MaxUint32 || cto < math.MinInt32 || cto > math.MaxInt32 {
				d.fail("frame out of range")
			}
			if d.err != nil {
				break
			}
			run.Frames[j] = media.Frame{Duration: uint32(usual), CompositionOffset: int32(cto), Size: uint32(size), Key: key, Marks: marks}
		}
		if d.err == nil && f.Track(run.Track) == nil {
			d.fail("run of an undeclared track")
		}
	}
	if n := d.count(2); n > 0 {
		f.Tags = make([]media.Tag, n)
	}
	for i := range f.Tags {
		f.Tags[i] = media.Tag{Name: string(d.bytes()), Value: string(d.bytes())}
	}
	f.Header = clone(d.bytes())
	return f, d.end()
}

// AppendTracks appends the encoding of a set of tracks, which is the same for equal sets.
func AppendTracks(b []byte, tracks []media.Track) []byte {
	b = binary.AppendUvarint(b, uint64(len(tracks)))
	for i := range tracks {
		t := &tracks[i]
		b = binary.AppendVarint(b, int64(t.Number))
		b = append(b, byte(t.Kind))
		b = appendString(b, t.CodecID)
		b = appendString(b, string(t.CodecPrivate))
		b = appendString(b, t.Name)
		b = binary.AppendUvarint(b, uint64(t.Timescale))
		b = binary.AppendVarint(b, int64(t.Width))
		b = binary.AppendVarint(b, int64(t.Height))
		b = binary.AppendVarint(b, int64(t.SampleRate))
		b = binary.AppendVarint(b, int64(t.Channels))
		b = binary.AppendVarint(b, t.DefaultDuration)
	}
	return b
}

// DecodeTracks reverses AppendTracks. Any error is ErrCorrupt.
func DecodeTracks(b []byte) ([]media.Track, error) {
	d := decoder{b: b}
	tracks := d.tracks()
	return tracks, d.end()
}

// AppendSpans appends the compact encoding of a fragment's spans, for a row of an Index.
func AppendSpans(b []byte, spans []store.Span) []byte {
	b = binary.AppendUvarint(b, uint64(len(spans)))
	for i := range spans {
		s := &spans[i]
		b = binary.AppendVarint(b, int64(s.Track))
		b = binary.AppendVarint(b, s.BaseDecodeTime)
		b = binary.AppendVarint(b, s.Duration)
		b = binary.AppendVarint(b, s.Size)
		b = binary.AppendUvarint(b, uint64(s.Frames)<<1|bit(s.KeyStart))
		b = binary.AppendVarint(b, s.FirstSize)
		b = binary.AppendVarint(b, s.Reorder)
		b = append(b, byte(s.Traits))
	}
	return b
}

// DecodeSpans reverses AppendSpans. Any error is ErrCorrupt.
func DecodeSpans(b []byte) ([]store.Span, error) { return decodeSpans(nil, b) }

// decodeSpans is DecodeSpans into the room behind dst.
func decodeSpans(dst []store.Span, b []byte) ([]store.Span, error) {
	d := decoder{b: b}
	n := d.count(8)
	from := len(dst)
	dst = slices.Grow(dst, n)[:from+n]
	for i := range dst[from:] {
		s := &dst[from+i]
		s.Track = int(d.varint())
		s.BaseDecodeTime = d.varint()
		s.Duration = d.varint()
		s.Size = d.varint()
		frames := d.uvarint()
		s.Frames, s.KeyStart = int(frames>>1), frames&1 != 0
		s.FirstSize = d.varint()
		s.Reorder = d.varint()
		s.Traits = media.Traits(d.byte())
	}
	return dst, d.end()
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// decoder reads varints and strings with a sticky error; after the first error everything is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(why string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", store.ErrCorrupt, why)
	}
	d.b = nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("number cut short")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("number cut short")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many things follow, each of at least size bytes.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail("count beyond the data")
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.count(1)
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail("byte missing")
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) fixed32() uint32 {
	if len(d.b) < 4 {
		d.fail("bytes missing")
		return 0
	}
	v := binary.LittleEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

func (d *decoder) tracks() []media.Track {
	n := d.count(11)
	if n == 0 {
		return nil
	}
	tracks := make([]media.Track, n)
	for i := range tracks {
		t := &tracks[i]
		t.Number = int(d.varint())
		t.Kind = media.Kind(d.byte())
		t.CodecID = string(d.bytes())
		t.CodecPrivate = clone(d.bytes())
		t.Name = string(d.bytes())
		scale := d.uvarint()
		if scale > math.MaxUint32 {
			d.fail("timescale out of range")
		}
		t.Timescale = uint32(scale)
		t.Width = int(d.varint())
		t.Height = int(d.varint())
		t.SampleRate = int(d.varint())
		t.Channels = int(d.varint())
		t.DefaultDuration = d.varint()
	}
	return tracks
}

func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes left over")
	}
	return d.err
}
