package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"weir/internal/store"
)

// ErrEncrypted says that a record is in its encrypted form, and must be decrypted before it is
// decoded.
var ErrEncrypted = errors.New("record is encrypted")

// Version is the version of the record, which says what its metadata has.
func (h *Header) Version() byte {
	switch {
	case h.Encrypted:
		return encryptedVersion
	case h.marked:
		return markedVersion
	}
	return version
}

// Encrypt returns the header of a record's encrypted form, in which header and metadata take
// metaLength bytes.
func (h Header) Encrypt(metaLength int64) Header {
	h.Length += metaLength - h.MetaLength
	h.Encrypted, h.MetaLength = true, metaLength
	return h
}

// Decrypt returns the header of the plain form, with the given version, of an encrypted record. Its
// PayloadCRC is still that of the encrypted payload. ErrCorrupt.
func (h Header) Decrypt(plain byte, metaLength int64) (Header, error) {
	marked := plain == markedVersion && h.Type == TypeFragment
	if plain != version && !marked {
		return h, fmt.Errorf("%w: record version %d", store.ErrCorrupt, plain)
	}
	h.Length += metaLength - h.MetaLength
	h.Encrypted, h.marked, h.MetaLength = false, marked, metaLength
	return h, nil
}

// Trailer returns the end of a footer of so many bytes.
func Trailer(length int64) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, FooterTrailer), uint64(length))
	return append(b, footerMagic...)
}

// Footer adds the trailer to header and table of a footer and completes the header.
func (h Header) Footer(head []byte) ([]byte, error) {
	h.Length = int64(len(head)) + FooterTrailer
	trailer := Trailer(h.Length)
	h.MetaLength, h.PayloadCRC = int64(len(head)), crc32.Checksum(trailer, Castagnoli)
	if err := h.Write(head); err != nil {
		return nil, err
	}
	return append(head, trailer...), nil
}
