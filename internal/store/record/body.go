package record

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"weir/internal/store"
)

// CheckLocation refuses a place where no record can lie: the row that names it is damaged.
// store.ErrCorrupt.
func CheckLocation(loc store.Location) error {
	if loc.MetaLength < HeaderSize || loc.MetaLength > MaxMetaLength || loc.Offset < 0 ||
		loc.Length < loc.MetaLength || loc.Length > MaxLength {
		return fmt.Errorf("%w: location %+v", store.ErrCorrupt, loc)
	}
	return nil
}

// CheckFooterLocation is CheckLocation for a footer. store.ErrCorrupt.
func CheckFooterLocation(loc store.Location) error {
	if loc.Length < HeaderSize+FooterTrailer || loc.Length > MaxMetaLength+FooterTrailer {
		return fmt.Errorf("%w: footer %+v", store.ErrCorrupt, loc)
	}
	return nil
}

// Read fills b with the bytes of a record from an offset on. store.ErrCorrupt when there are fewer.
func Read(body io.ReaderAt, b []byte, off int64) error {
	n, err := body.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the file ends inside of the record", store.ErrCorrupt)
	}
	return err
}

// verifyBuffers are buffers for verifying payloads.
var verifyBuffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// VerifyPayload verifies the checksum of a record's payload, which is between two offsets. What it
// reads of a file is then in the page cache when it is sent. store.ErrCorrupt.
func VerifyPayload(body io.ReaderAt, from, to int64, want uint32) error {
	buf := verifyBuffers.Get().(*[]byte)
	defer verifyBuffers.Put(buf)
	crc := uint32(0)
	for off := from; off < to; {
		b := (*buf)[:min(int64(len(*buf)), to-off)]
		if err := Read(body, b, off); err != nil {
			return err
		}
		crc = crc32.Update(crc, Castagnoli, b)
		off += int64(len(b))
	}
	if crc != want {
		return fmt.Errorf("%w: checksum of the payload", store.ErrCorrupt)
	}
	return nil
}
