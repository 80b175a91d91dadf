package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"weir/internal/store"
)

// Reader reads the volumes in a directory. It has no method that writes.
type Reader struct {
	dir    string
	fs     FS
	idle   idleFiles
	remote Remote
}

// OpenReadOnly opens the volumes in a directory for reading, even while a server writes them. It
// makes nothing, and continues no deletion.
func OpenReadOnly(dir string) (*Reader, error) {
	if _, err := (OS{}).ReadDir(dir); err != nil {
		return nil, fmt.Errorf("volumes: %w", err)
	}
	return &Reader{dir: dir, fs: OS{}, remote: noRemote{}}, nil
}

// Close closes the files that are kept open between reads.
func (v *Reader) Close() error { return v.idle.close() }

// path returns the file of a volume, or an error when a volume cannot have that name.
func (v *Reader) path(name string) (string, error) {
	id, base, ok := strings.Cut(name, "/")
	if !ok || !store.StreamID(id).Valid() || !strings.HasSuffix(base, volumeSuffix) ||
		strings.ContainsAny(base, "/\\\x00") {
		return "", fmt.Errorf("volume name %q is not valid", name)
	}
	return filepath.Join(v.dir, id, base), nil
}

// Open implements local.Volumes.
func (v *Reader) Open(ctx context.Context, loc store.Location) (Body, error) {
	b, err := v.open(ctx, loc)
	if errors.Is(err, store.ErrGone) { // or its records were brought back just now
		b, err = v.open(ctx, loc)
	}
	return b, err
}

func (v *Reader) open(ctx context.Context, loc store.Location) (Body, error) {
	f, drops := v.idle.take(loc.Volume)
	if f != nil {
		return &body{v: v, name: loc.Volume, f: f, off: loc.Offset, drops: drops}, nil
	}
	path, err := v.path(loc.Volume)
	if err != nil {
		return nil, err
	}
	f, err = v.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: volume %s is not there", store.ErrGone, loc.Volume)
	}
	if err != nil {
		return nil, err
	}
	h, err := readHeader(f)
	if err != nil && !errors.Is(err, store.ErrCorrupt) { // the records may be whole
		return nil, errors.Join(err, f.Close())
	}
	if h.Hollow && loc.Offset < h.Footer {
		if err := f.Close(); err != nil {
			return nil, err
		}
		b, err := v.remote.Open(ctx, h.object(loc.Volume), loc.Offset, loc.Length)
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", loc.Volume, err)
		}
		return b, nil
	}
	return &body{v: v, name: loc.Volume, f: f, off: loc.Offset, drops: drops, once: h.Hollow}, nil
}

// body is an open record. Until it is closed it has a file to itself, because net/http sends from
// the file's own offset. Ranges read only through the body: once it is closed, another reader may
// have its file.
type body struct {
	v     *Reader
	name  string // of the volume
	f     File   // nil when closed: by then another reader may have the file
	off   int64
	drops int  // idleFiles.take
	once  bool // of a hollow volume: the file is not kept
}

func (b *body) ReadAt(p []byte, off int64) (int, error) {
	if b.f == nil {
		return 0, fs.ErrClosed
	}
	return b.f.ReadAt(p, b.off+off)
}

func (b *body) Range(off, n int64) (store.Range, error) {
	if b.f == nil {
		return nil, fs.ErrClosed
	}
	return store.Section(b, off, n), nil
}

func (b *body) CopyTo(w io.Writer, off, n int64) (int64, error) {
	if b.f == nil {
		return 0, fs.ErrClosed
	}
	return b.f.CopyTo(w, b.off+off, n)
}

func (b *body) Forget(n int64) {
	if b.f != nil {
		b.f.Forget(b.off, n)
	}
}

func (b *body) Close() error {
	f := b.f
	if f == nil {
		return fs.ErrClosed
	}
	b.f = nil
	if b.once {
		return f.Close()
	}
	return b.v.idle.give(b.name, f, b.drops)
}

// Space implements local.Volumes.
func (v *Reader) Space(context.Context) (free, total int64, err error) { return v.fs.Space(v.dir) }

// List implements local.Volumes.
func (v *Reader) List(ctx context.Context, found func(name string) error) error {
	streams, err := v.fs.ReadDir(v.dir)
	if err != nil {
		return err
	}
	for _, dir := range streams {
		if !dir.IsDir() || !store.StreamID(dir.Name()).Valid() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		files, err := v.fs.ReadDir(filepath.Join(v.dir, dir.Name()))
		if err != nil {
			return err
		}
		n := 0
		for _, f := range files {
			if !f.Type().IsRegular() || !strings.HasSuffix(f.Name(), volumeSuffix) {
				continue
			}
			n++
			if err := found(dir.Name() + "/" + f.Name()); err != nil {
				return err
			}
		}
		if n == 0 {
			if err := found(dir.Name() + "/"); err != nil {
				return err
			}
		}
	}
	return nil
}
