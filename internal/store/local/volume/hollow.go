package volume

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"weir/internal/store"
)

// A hollow volume has its records in an object store. What is left is a sparse file of the same
// size with what is needed to find them: the file header, the stream record, and the footer in its
// place. So a hollow volume is listed, described and searched like any other without asking the
// object store, and is known again without the index.
//
// A volume becomes hollow, and whole again, by renaming a file: a reader that has it open reads on
// in the old one. Before the object is made, the volume gets a mark, a file that names the object
// and is removed after it. So a mark beside a whole volume says that there may be an object that
// nobody needs.
const (
	// added to the version of the file header, so that a program that only knows whole volumes
	// refuses this one
	hollowVersions = 2
	markSuffix     = ".object"
	newSuffix      = ".new"
)

// hollow makes the file header of a hollow volume from that of the whole one.
func hollow(header []byte, footer int64, sum, object uint32) []byte {
	b := append([]byte(nil), header...)
	le := binary.LittleEndian
	le.PutUint16(b[8:], le.Uint16(b[8:])+hollowVersions)
	le.PutUint32(b[12:], sum)
	le.PutUint64(b[48:], uint64(footer))
	le.PutUint32(b[56:], object)
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// objectName names an object of a volume.
func objectName(volume string, object uint32) string {
	return fmt.Sprintf("%s-%08x", volume, object)
}

// object names the object of a hollow volume.
func (h *Header) object(volume string) string { return objectName(volume, h.Object) }

// Away reports whether a volume is hollow. ErrNotFound when it is not there.
func (v *Reader) Away(_ context.Context, name string) (bool, error) {
	path, err := v.path(name)
	if err != nil {
		return false, err
	}
	h, err := v.header(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("volume %s: %w", name, store.ErrNotFound)
	}
	return h.Hollow, err
}

// header reads the file header of the volume at a path. A damaged one counts as one of a whole
// volume.
func (v *Reader) header(path string) (h Header, err error) {
	f, err := v.fs.Open(path)
	if err != nil {
		return Header{}, err
	}
	if h, err = readHeader(f); errors.Is(err, store.ErrCorrupt) {
		h, err = Header{}, nil
	}
	return h, errors.Join(err, f.Close())
}
