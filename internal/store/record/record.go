// Package record converts stored data to bytes and back: the record of one fragment or stream, and
// the packed table of many fragments at the end of a sealed volume. docs/store-format.md has the
// format.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"weir/internal/media"
	"weir/internal/store"
)

// Sizes and limits of a record (docs/store-format.md).
const (
	HeaderSize    = 64        // bytes of the fixed header
	MaxMetaLength = 32 << 20  // bytes of header and metadata; more are refused, or damage
	MaxLength     = 512 << 20 // bytes of a whole record, likewise
)

// Type is the type of a record.
type Type uint8

// The types of records in a volume.
const (
	TypeFragment Type = 1 // one fragment
	TypeStream   Type = 2 // the stream's row: the first record of a volume
	TypeFooter   Type = 3 // the packed table: the last record of a sealed volume
)

const (
	magic         = 0x46524557 // "WERF", little-endian
	version       = 1
	markedVersion = 2 // a fragment with media.Marks; older programs read all others
	flagPartial   = 1 << 0
	knownFlags    = flagPartial

	encryptedVersion = 3 // the encrypted form of a fragment or footer: package encryption
)

// Castagnoli is the polynomial of every checksum in a volume: CRC32C.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the fixed part of a record.
type Header struct {
	Type            Type
	marked          bool // version 2
	Encrypted       bool // version 3
	Partial         bool
	Length          int64 // of the whole record
	MetaLength      int64 // of header and metadata
	PayloadCRC      uint32
	Number          store.Number
	ServerTimestamp int64 // milliseconds
	Producer        int64 // producer timestamp, milliseconds
	Replaces        store.Number
}

// Begins reports whether a record begins with these bytes.
func Begins(b []byte) bool { return len(b) >= 4 && binary.LittleEndian.Uint32(b) == magic }

// EncodeFragment returns the header and metadata of a fragment's record, and the CRC32C of its
// payload. replaces is the number of the fragment that it replaces, or 0. An inconsistent record is
// an error.
func EncodeFragment(
	rec *store.Record, replaces store.Number,
) (head []byte, payloadCRC uint32, err error) {
	if rec.Number <= 0 {
		return nil, 0, errors.New("record without a fragment number")
	}
	if len(rec.Payload) != len(rec.Runs) {
		return nil, 0, fmt.Errorf("record has %d payloads for %d runs", len(rec.Payload),
			len(rec.Runs))
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
			return nil, 0, fmt.Errorf("payload of track %d has %d bytes for frames of %d",
				run.Track, len(rec.Payload[i]), run.Size())
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
		Number: rec.Number, ServerTimestamp: rec.ServerTimestamp, Producer: rec.ProducerTimestamp,
		Replaces: replaces,
	}
	if err := h.Write(head); err != nil {
		return nil, 0, err
	}
	return head, payloadCRC, nil
}

// NewInfo describes a record before it is stored. crc is the checksum of its payload, set the ID of
// its track set.
func NewInfo(rec *store.Record, crc uint32, set int64) store.FragmentInfo {
	return store.FragmentInfo{
		Number:            rec.Number,
		ProducerTimestamp: rec.ProducerTimestamp, ServerTimestamp: rec.ServerTimestamp,
		TrackSet: set, PayloadCRC: crc, Partial: rec.Partial, Spans: store.SpansOf(&rec.Fragment),
	}
}

// EncodeStream returns the record that describes a stream, with which a volume begins.
func EncodeStream(s *store.Stream) ([]byte, error) {
	meta, err := marshalStream(s)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, HeaderSize), meta...)
	h := Header{Type: TypeStream, Length: int64(len(b)), MetaLength: int64(len(b))}
	if err := h.Write(b); err != nil {
		return nil, err
	}
	return b, nil
}

// Write writes the header with its checksum into the first bytes of head, which already holds the
// metadata.
func (h *Header) Write(head []byte) error {
	if len(head) > MaxMetaLength {
		return fmt.Errorf("metadata of %d bytes is above the limit of %d", len(head), MaxMetaLength)
	}
	if h.Length > MaxLength {
		return fmt.Errorf("record of %d bytes is above the limit of %d", h.Length, MaxLength)
	}
	le := binary.LittleEndian
	le.PutUint32(head[0:], magic)
	head[4] = h.Version()
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

// headCRC is the CRC32C of header and metadata, without its own field.
func headCRC(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:60], Castagnoli), Castagnoli, head[HeaderSize:])
}

// DecodeHeader reads the fixed header. It does not check the checksum, which also covers the
// metadata.
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
	h.Encrypted = b[4] == encryptedVersion && (h.Type == TypeFragment || h.Type == TypeFooter)
	if b[4] != h.Version() {
		return h, fmt.Errorf("%w: record version %d", store.ErrCorrupt, b[4])
	}
	flags := le.Uint16(b[6:])
	if flags&^knownFlags != 0 || le.Uint32(b[56:]) != 0 {
		return h, fmt.Errorf("%w: record with unknown flags", store.ErrCorrupt)
	}
	h.Partial = flags&flagPartial != 0
	length := le.Uint64(b[8:])
	h.MetaLength = int64(le.Uint32(b[16:]))
	if length > MaxLength || h.MetaLength < HeaderSize || h.MetaLength > MaxMetaLength ||
		uint64(h.MetaLength) > length {
		return h, fmt.Errorf("%w: record of %d bytes with metadata of %d",
			store.ErrCorrupt, length, h.MetaLength)
	}
	h.Length = int64(length)
	h.PayloadCRC = le.Uint32(b[20:])
	h.Number = store.Number(le.Uint64(b[24:]))
	h.ServerTimestamp = int64(le.Uint64(b[32:]))
	h.Producer = int64(le.Uint64(b[40:]))
	h.Replaces = store.Number(le.Uint64(b[48:]))
	return h, nil
}

// CheckHead verifies the checksum of head, a whole header and metadata.
func CheckHead(head []byte) (Header, error) {
	h, err := DecodeHeader(head)
	if err != nil {
		return h, err
	}
	if int64(len(head)) != h.MetaLength {
		return h, fmt.Errorf("%w: %d bytes of metadata, header says %d",
			store.ErrCorrupt, len(head), h.MetaLength)
	}
	if got := headCRC(head); got != binary.LittleEndian.Uint32(head[60:]) {
		return h, fmt.Errorf("%w: checksum of the metadata", store.ErrCorrupt)
	}
	return h, nil
}

// DecodeFragment decodes head, a whole header and metadata of a fragment's record. It allocates at
// most a small multiple of len(head). Any error is ErrCorrupt, except ErrEncrypted.
func DecodeFragment(head []byte) (Header, *media.Fragment, error) {
	h, err := CheckHead(head)
	if err != nil {
		return h, nil, err
	}
	if h.Type != TypeFragment || h.Number <= 0 {
		return h, nil, fmt.Errorf("%w: record is not a fragment", store.ErrCorrupt)
	}
	if h.Encrypted {
		return h, nil, ErrEncrypted
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
		return h, nil, fmt.Errorf("%w: frames of %d bytes in a payload of %d",
			store.ErrCorrupt, payload, h.Length-h.MetaLength)
	}
	return h, f, nil
}

// DecodeStream reads a whole record that describes a stream.
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
