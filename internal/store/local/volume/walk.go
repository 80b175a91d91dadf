package volume

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"weir/internal/store"
	"weir/internal/store/record"
)

// Header is what a volume's file header says.
type Header struct {
	Version   int
	Stream    store.StreamID
	NumberTag uint64
	Created   time.Time // server timestamp of the first fragment
	// whether its records are in an object store; if so, where its footer begins, and the CRC32C of
	// the whole volume
	Hollow bool
	Footer int64
	Sum    uint32
	Object uint32 // which of the volume's objects, over time
}

// IsVolume reports whether a file with these first bytes is a volume.
func Is(begin []byte) bool {
	return len(begin) >= len(volumeMagic) && string(begin[:len(volumeMagic)]) == volumeMagic
}

// readHeader reads the file header at the start of a volume. ErrCorrupt when it is damaged or
// missing.
func readHeader(f io.ReaderAt) (Header, error) {
	b := make([]byte, HeaderSize)
	if _, err := f.ReadAt(b, 0); errors.Is(err, io.EOF) {
		return Header{}, fmt.Errorf("%w: file is shorter than its header", store.ErrCorrupt)
	} else if err != nil {
		return Header{}, err
	}
	le := binary.LittleEndian
	if !Is(b) || crc32.Checksum(b[:60], castagnoli) != le.Uint32(b[60:]) {
		return Header{}, fmt.Errorf("%w: file header", store.ErrCorrupt)
	}
	h := Header{
		Version: int(le.Uint16(b[8:])), Stream: store.StreamID(hex.EncodeToString(b[16:32])),
		NumberTag: le.Uint64(b[32:]),
		Created:   time.UnixMilli(int64(le.Uint64(b[40:]))).UTC(),
	}
	switch h.Version {
	case volumeVersion, encryptedVersion:
	case volumeVersion + hollowVersions, encryptedVersion + hollowVersions:
		h.Hollow, h.Sum, h.Footer = true, le.Uint32(b[12:]), int64(le.Uint64(b[48:]))
		h.Object = le.Uint32(b[56:])
	default: // A newer Weir wrote it, so it may be sound: not ErrCorrupt.
		return h, fmt.Errorf("volume version %d is not known", h.Version)
	}
	return h, nil
}

// FoundRecord is a record that Walk has found.
type FoundRecord struct {
	Offset int64
	Header record.Header
	Head   []byte // header and metadata, verified; valid during the call only
	Err    error  // ErrCorrupt when the payload's checksum does not hold
}

// Walk calls found for every record of a volume, from an offset on (HeaderSize: all), and changes
// nothing. end is where the last record ends. why, if it is ErrCorrupt, says why no record follows
// although there are more bytes. The error is of reading, or from found.
func Walk(
	f io.ReaderAt, size, from int64, found func(FoundRecord) error,
) (end int64, why, err error) {
	for end = from; end < size; {
		head, h, err := readRecord(f, end, size)
		damaged := errors.Is(err, errPayload)
		if errors.Is(err, store.ErrCorrupt) && !damaged {
			return end, err, nil
		}
		if err != nil && !damaged {
			return end, nil, err
		}
		if damaged { // the head is intact, or that would be the error
			head = make([]byte, h.MetaLength)
			if _, err := f.ReadAt(head, end); err != nil {
				return end, nil, err
			}
		}
		if err := found(FoundRecord{Offset: end, Header: h, Head: head, Err: err}); err != nil {
			return end, nil, err
		}
		end += h.Length
	}
	return end, nil, nil
}
