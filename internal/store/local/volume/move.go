package volume

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"

	"weir/internal/store"
)

// MoveOut moves the records of a sealed volume into the object store. It writes the object, reads
// it back and compares, and then makes the volume hollow. A volume that is hollow already stays as
// it is, and so does a symbolic link, since somebody wants the volume where it is. ErrNotFound when
// the volume does not exist, or is deleted in the meantime.
//
// The calls are those of the mark, put and get of the object, openat <name>.new O_CREAT|O_EXCL,
// pwritev header and footer, fdatasync, renameat, fsync of the directory.
func (v *Volumes) MoveOut(ctx context.Context, name string) error {
	if err := v.move(ctx, name, v.moveOut); err != nil {
		return fmt.Errorf("move out volume %s: %w", name, err)
	}
	return nil
}

// move opens a volume to move it.
func (v *Volumes) move(ctx context.Context, name string,
	do func(ctx context.Context, f File, path, name string) error) error {
	path, err := v.path(name)
	if err != nil {
		return err
	}
	f, err := v.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return store.ErrNotFound
	}
	if err != nil {
		return err
	}
	return full(errors.Join(do(ctx, f, path, name), f.Close()))
}

func (v *Volumes) moveOut(ctx context.Context, f File, path, name string) error {
	h, err := readHeader(f)
	if err != nil || h.Hollow {
		return err
	}
	if linked, err := v.fs.Linked(path); err != nil || linked {
		return err
	}
	_, footer, err := findFooter(f)
	if err == nil && footer.Length == 0 {
		err = errors.New("it is not sealed")
	}
	if err != nil {
		return err
	}
	whole, err := readFile(f)
	if err != nil {
		return err
	}
	_, start, err := readStart(f, int64(len(whole)))
	if err != nil {
		return err
	}
	sum := crc32.Checksum(whole, castagnoli)

	object, err := v.mark(ctx, path, name)
	if err != nil {
		return err
	}
	err = v.copyOut(ctx, objectName(name, object), whole, sum)
	if err == nil {
		begin := append(hollow(whole[:HeaderSize], footer.Offset, sum, object),
			whole[HeaderSize:start]...)
		err = v.replace(f, path, name, func(to File) error {
			if _, err := to.WriteAt([][]byte{begin}, 0); err != nil {
				return err
			}
			_, err := to.WriteAt([][]byte{whole[footer.Offset:]}, footer.Offset)
			return err
		})
	}
	return errors.Join(err, v.unmark(ctx, path, name, object))
}

// copyOut makes an object, reads it back, and compares.
func (v *Volumes) copyOut(ctx context.Context, name string, whole []byte, sum uint32) error {
	if err := v.remote.Put(ctx, name, whole); err != nil {
		return err
	}
	there, err := v.remote.Get(ctx, name, int64(len(whole)))
	if err == nil && crc32.Checksum(there, castagnoli) != sum {
		err = fmt.Errorf("%w: the object store returns other bytes than it was given",
			store.ErrCorrupt)
	}
	return err
}

// MoveIn brings back the records of a hollow volume and deletes its object. A whole volume stays as
// it is. ErrNotFound when the volume does not exist, or is deleted in the meantime; ErrFull;
// ErrCorrupt when the object is not what was moved out, and the volume stays hollow.
func (v *Volumes) MoveIn(ctx context.Context, name string) error {
	if err := v.move(ctx, name, v.moveIn); err != nil {
		return fmt.Errorf("bring back volume %s: %w", name, err)
	}
	return nil
}

func (v *Volumes) moveIn(ctx context.Context, f File, path, name string) error {
	h, err := readHeader(f)
	if err != nil || !h.Hollow {
		return err
	}
	whole, err := fetch(ctx, f, &h, name, v.remote)
	if err != nil {
		return err
	}
	v.started(name) // it has its mark
	err = v.replace(f, path, name, func(to File) error {
		_, err := to.WriteAt([][]byte{whole}, 0)
		return err
	})
	return errors.Join(err, v.unmark(ctx, path, name, h.Object))
}

// fetch returns the bytes of the hollow volume in f. ErrGone, ErrCorrupt.
func fetch(ctx context.Context, f File, h *Header, name string, from Remote) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	whole, err := from.Get(ctx, h.object(name), size)
	if err == nil && crc32.Checksum(whole, castagnoli) != h.Sum {
		err = fmt.Errorf("%w: checksum of the object", store.ErrCorrupt)
	}
	return whole, err
}

// Whole returns the bytes of a sealed volume as it was sealed, wherever they are. from is where
// those of hollow volumes are; nil when that is not known. ErrGone when they do not exist,
// ErrCorrupt when they are not what was moved out, ErrNoRemote.
func (v *Reader) Whole(ctx context.Context, name string, from Remote) (b []byte, err error) {
	path, err := v.path(name)
	if err != nil {
		return nil, err
	}
	f, err := v.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = store.ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if from == nil {
		from = noRemote{}
	}
	h, err := readHeader(f)
	if err == nil && h.Hollow {
		b, err = fetch(ctx, f, &h, name, from)
	} else if err == nil || errors.Is(err, store.ErrCorrupt) { // the records may be whole
		b, err = readFile(f)
	}
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", name, err)
	}
	return b, nil
}

func readFile(f File) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) < size {
		return nil, err
	}
	return b, nil
}

// replace puts a new file in the place of the volume in f. ErrNotFound when the volume was deleted
// in the meantime.
func (v *Volumes) replace(f File, path, name string, write func(File) error) error {
	temporary := path + newSuffix
	// left by a process that died
	if err := v.fs.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	to, err := v.fs.Create(temporary)
	if errors.Is(err, fs.ErrNotExist) {
		return store.ErrNotFound // the stream is deleted
	}
	if err != nil {
		return err
	}
	err = write(to)
	if err == nil {
		err = to.Datasync()
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = v.swap(f, temporary, path, name)
	}
	if err != nil {
		_ = v.fs.Remove(temporary) // or the next try does
	}
	return err
}

// swap renames a file to the name of the volume in f, unless that is deleted.
func (v *Volumes) swap(f File, from, path, name string) error {
	id, _, _ := strings.Cut(name, "/")
	w := v.writer(store.StreamID(id))
	w.mu.Lock() // no deletion comes in between
	defer w.mu.Unlock()
	same, err := f.Named(path)
	if err != nil {
		return err
	}
	if !same {
		return store.ErrNotFound
	}
	if err := v.fs.Rename(from, path); err != nil {
		return err
	}
	// they were only read from, so nothing can be lost
	_ = v.idle.drop(func(idle string) bool { return idle == name })
	return v.fs.SyncDir(filepath.Dir(path))
}
