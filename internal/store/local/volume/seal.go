package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"weir/internal/store"
	"weir/internal/store/record"
)

// Seal implements local.Volumes. The calls are open(2), pread(2) of what follows the last record
// that the index knows (a footer of an earlier try, or nothing), ftruncate(2) if there is something
// to cut, pwritev(2), fdatasync(2).
func (v *Volumes) Seal(
	ctx context.Context, name string, indexed int64, footer []byte,
) (store.Location, error) {
	path, err := v.path(name)
	if err != nil {
		return store.Location{}, err
	}
	f, err := v.fs.OpenWrite(path)
	if err != nil {
		return store.Location{}, err
	}
	loc, err := seal(ctx, f, name, indexed, footer)
	if err := errors.Join(err, f.Close()); err != nil {
		return store.Location{}, full(fmt.Errorf("seal volume %s: %w", name, err))
	}
	return loc, nil
}

func seal(
	ctx context.Context, f File, name string, indexed int64, footer []byte,
) (store.Location, error) {
	size, err := f.Size()
	if err != nil {
		return store.Location{}, err
	}
	if indexed < HeaderSize || size < indexed {
		return store.Location{}, fmt.Errorf("%w: volume of %d bytes, the index knows %d",
			store.ErrCorrupt, size, indexed)
	}
	end := indexed
	for end < size {
		if err := ctx.Err(); err != nil {
			return store.Location{}, err
		}
		_, h, err := readRecord(f, end, size)
		if errors.Is(err, store.ErrCorrupt) || h.Type == record.TypeFooter {
			break
		}
		if err != nil {
			return store.Location{}, err
		}
		end += h.Length // a record that was never acknowledged
	}
	if end < size {
		if err := f.Truncate(end); err != nil {
			return store.Location{}, err
		}
	}
	if _, err := f.WriteAt([][]byte{footer}, end); err != nil {
		return store.Location{}, errors.Join(err, f.Truncate(end))
	}
	if err := f.Datasync(); err != nil {
		// The next try cuts the footer and writes it again, to pages that are then dirty.
		return store.Location{}, err
	}
	n := int64(len(footer))
	return store.Location{Volume: name, Offset: end, Length: n,
		MetaLength: n - record.FooterTrailer}, nil
}

// Describe implements local.Volumes.
func (v *Reader) Describe(_ context.Context, name string) (*store.Stream, store.Location, error) {
	path, err := v.path(name)
	if err != nil {
		return nil, store.Location{}, err
	}
	f, err := v.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.Location{}, fmt.Errorf("volume %s: %w", name, store.ErrNotFound)
	}
	if err != nil {
		return nil, store.Location{}, err
	}
	s, loc, err := findFooter(f)
	loc.Volume = name
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, store.Location{}, fmt.Errorf("volume %s: %w", name, err)
	}
	return s, loc, nil
}

func findFooter(f File) (*store.Stream, store.Location, error) {
	size, err := f.Size()
	if err != nil {
		return nil, store.Location{}, err
	}
	s, start, err := readStart(f, size)
	if err != nil {
		return nil, store.Location{}, err
	}
	if size < start+record.HeaderSize+record.FooterTrailer {
		return s, store.Location{}, nil
	}
	trailer := make([]byte, record.FooterTrailer)
	if _, err := f.ReadAt(trailer, size-record.FooterTrailer); err != nil {
		return nil, store.Location{}, err
	}
	n := record.FooterLength(trailer)
	if n == 0 || size-n < start {
		return s, store.Location{}, nil
	}
	return s, store.Location{Offset: size - n, Length: n, MetaLength: n - record.FooterTrailer}, nil
}
