package volume

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"weir/internal/store"
	"weir/internal/store/record"
)

// Recover implements local.Volumes.
func (v *Volumes) Recover(
	ctx context.Context, name string, from int64, found func(store.Location, []byte) error,
) (*store.Stream, int64, int64, error) {
	path, err := v.path(name)
	if err != nil {
		return nil, 0, 0, err
	}
	f, err := v.fs.OpenWrite(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, 0, fmt.Errorf("volume %s: %w", name, store.ErrNotFound)
	}
	if err != nil {
		return nil, 0, 0, err
	}
	s, end, cut, err := recoverFile(ctx, f, name, from, found)
	if err == nil && (end > from || cut > 0) {
		// What was found may only be in the page cache, if the process died between write and sync
		// and the machine did not.
		if err = f.Datasync(); err == nil {
			err = v.fs.SyncDir(filepath.Dir(path))
		}
	}
	return s, end, cut, errors.Join(err, f.Close())
}

func recoverFile(
	ctx context.Context, f File, name string, from int64, found func(store.Location, []byte) error,
) (s *store.Stream, end, cut int64, err error) {
	size, err := f.Size()
	if err != nil {
		return nil, 0, 0, err
	}
	if h, err := readHeader(f); err == nil && h.Hollow {
		// Its footer is damaged, or Recover would not be called. There is nothing here to cut.
		return nil, 0, 0, fmt.Errorf("volume %s: %w: no footer, and the records lie in an object "+
			"store", name, store.ErrCorrupt)
	}
	whole := from == 0
	if whole {
		s, from, err = readStart(f, size)
		if errors.Is(err, store.ErrCorrupt) && size > HeaderSize {
			if next, searchErr := resync(ctx, f, name, HeaderSize, size); searchErr != nil {
				err = searchErr
			} else if next >= 0 {
				from, err = next, nil
			}
		}
		if err != nil {
			return nil, 0, 0, fmt.Errorf("volume %s: %w", name, err)
		}
	}
	end = from
	for end < size {
		if err := ctx.Err(); err != nil {
			return nil, 0, 0, err
		}
		head, h, err := readRecord(f, end, size)
		if errors.Is(err, errPayload) {
			// A record is written after the one before it was synced, so damage before a whole
			// record is not a torn tail: that one record is lost, later ones are not.
			if _, _, next := readRecord(f, end+h.Length,
				size); next == nil || errors.Is(next, errPayload) {
				end += h.Length
				continue
			}
		}
		if errors.Is(err, store.ErrCorrupt) && whole {
			next, err := resync(ctx, f, name, end+1, size)
			if err != nil {
				return nil, 0, 0, err
			}
			if next >= 0 {
				end = next
				continue
			}
		}
		if errors.Is(err, store.ErrCorrupt) {
			break
		}
		if err != nil {
			return nil, 0, 0, err
		}
		if h.Type == record.TypeFragment {
			loc := store.Location{Volume: name, Offset: end, Length: h.Length,
				MetaLength: h.MetaLength}
			if err := found(loc, head); err != nil {
				return nil, 0, 0, err
			}
		}
		end += h.Length
	}
	if cut = size - end; cut <= 0 {
		return s, end, 0, nil
	}
	if err := f.Truncate(end); err != nil {
		return nil, 0, 0, err
	}
	return s, end, cut, nil
}

// readStart verifies a volume's file header and its stream record, and returns the offset after
// them.
func readStart(f io.ReaderAt, size int64) (*store.Stream, int64, error) {
	begin, err := readHeader(f)
	if err != nil {
		return nil, 0, err
	}
	head, h, err := readRecord(f, HeaderSize, size)
	if err != nil {
		return nil, 0, err
	}
	s, err := record.DecodeStream(head)
	if err != nil {
		return nil, 0, err
	}
	if begin.Stream != s.ID {
		return nil, 0, fmt.Errorf("%w: stream record of another stream", store.ErrCorrupt)
	}
	return s, HeaderSize + h.Length, nil
}

// errPayload says that a record's head is intact and its payload is not.
var errPayload = fmt.Errorf("%w: checksum of the payload", store.ErrCorrupt)

// readRecord verifies the record at an offset, including its payload, and returns its head.
// ErrCorrupt when there is no intact record.
func readRecord(f io.ReaderAt, off, size int64) ([]byte, record.Header, error) {
	fixed := make([]byte, record.HeaderSize)
	if off+record.HeaderSize > size {
		return nil, record.Header{}, fmt.Errorf("%w: record cut short", store.ErrCorrupt)
	}
	if _, err := f.ReadAt(fixed, off); err != nil {
		return nil, record.Header{}, err
	}
	h, err := record.DecodeHeader(fixed)
	if err != nil {
		return nil, h, err
	}
	if off+h.Length > size {
		return nil, h, fmt.Errorf("%w: record cut short", store.ErrCorrupt)
	}
	head := make([]byte, h.MetaLength) // bounded by the file's size and by store.MaxMetaLength
	if _, err := f.ReadAt(head, off); err != nil {
		return nil, h, err
	}
	if _, err := record.CheckHead(head); err != nil {
		return nil, h, err
	}
	crc := crc32.New(castagnoli)
	payload := io.NewSectionReader(f, off+h.MetaLength, h.Length-h.MetaLength)
	if _, err := bufio.NewReaderSize(payload, 256<<10).WriteTo(crc); err != nil {
		return nil, h, err
	}
	if h.Type == record.TypeFragment && crc.Sum32() != h.PayloadCRC {
		return nil, h, errPayload
	}
	return head, h, nil
}
