package volume

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"weir/internal/store"
)

// A hollow volume has its records in an object store. What is left here is a sparse file of the
// same size with what finds them: the file header, the stream record, and the footer where it was.
// So a hollow volume is listed, described and searched as any other, without asking the object
// store, and without the index it is known again.
//
// A volume becomes hollow, and whole again, by the rename of a file: whoever has it open reads what
// was there. Before the object is made the volume gets a mark, a file that names it, which goes
// after the object: so a mark beside a whole volume says that there may be an object that nobody
// needs.
const (
	// added to the version of the file header: what reads whole volumes only must not read this one
	hollowVersions = 2
	markSuffix     = ".object"
	newSuffix      = ".new"
)

// hollow makes the file header of a hollow volume out of a whole one's.
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

// header reads the file header of the volume at a path; one that is damaged is none of a hollow
// volume.
func (v *Reader) header(path string) (h Header, err error) {
	f, err := v.fs.Open(path)
	if err != nil {
		return Header{}, err
	}
	if h, err = ReadHeader(f); errors.Is(err, store.ErrCorrupt) {
		h, err = Header{}, nil
	}
	return h, errors.Join(err, f.Close())
}

// MoveOut moves the records of a sealed volume into the object store: the object is written, read
// again and compared, and then the volume becomes hollow. One that is hollow already stays as it
// is, and so does one that is a symbolic link: it lies where somebody wants it. ErrNotFound when
// the volume is not there, or is deleted meanwhile.
//
// The calls are those of the mark, put and get of the object, openat <name>.new O_CREAT|O_EXCL,
// pwritev header and footer, fdatasync, renameat, fsync of the directory.
func (v *Volumes) MoveOut(ctx context.Context, name string) error {
	path, err := v.path(name)
	if err != nil {
		return err
	}
	f, err := v.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move out volume %s: %w", name, store.ErrNotFound)
	}
	if err != nil {
		return err
	}
	err = v.moveOut(ctx, f, path, name)
	if err := errors.Join(err, f.Close()); err != nil {
		return full(fmt.Errorf("move out volume %s: %w", name, err))
	}
	return nil
}

func (v *Volumes) moveOut(ctx context.Context, f File, path, name string) error {
	h, err := ReadHeader(f)
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
	size, err := f.Size()
	if err != nil {
		return err
	}
	whole := make([]byte, size)
	if _, err := f.ReadAt(whole, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, start, err := readStart(f, size)
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

// copyOut makes an object and compares what is there with what shall be.
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

// MoveIn brings the records of a hollow volume back and deletes its object. One that is whole stays
// as it is. ErrNotFound when the volume is not there, or is deleted meanwhile; ErrFull; ErrCorrupt
// when the object is not what was moved out, and the volume stays hollow.
func (v *Volumes) MoveIn(ctx context.Context, name string) error {
	path, err := v.path(name)
	if err != nil {
		return err
	}
	f, err := v.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("bring back volume %s: %w", name, store.ErrNotFound)
	}
	if err != nil {
		return err
	}
	err = v.moveIn(ctx, f, path, name)
	if err := errors.Join(err, f.Close()); err != nil {
		return full(fmt.Errorf("bring back volume %s: %w", name, err))
	}
	return nil
}

func (v *Volumes) moveIn(ctx context.Context, f File, path, name string) error {
	h, err := ReadHeader(f)
	if err != nil || !h.Hollow {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	whole, err := v.remote.Get(ctx, h.object(name), size)
	if err != nil {
		return err
	}
	if crc32.Checksum(whole, castagnoli) != h.Sum {
		return fmt.Errorf("%w: checksum of the object", store.ErrCorrupt)
	}
	v.mu.Lock()
	v.moving[name] = true // it has its mark
	v.mu.Unlock()
	err = v.replace(f, path, name, func(to File) error {
		_, err := to.WriteAt([][]byte{whole}, 0)
		return err
	})
	return errors.Join(err, v.unmark(ctx, path, name, h.Object))
}

// replace puts another file in the place of a volume, which f is. ErrNotFound when the volume was
// deleted meanwhile.
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

// swap renames a file to that of a volume, which f is, unless that is deleted.
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
	// they were only read from: nothing can be lost
	_ = v.idle.drop(func(idle string) bool { return idle == name })
	return v.fs.SyncDir(filepath.Dir(path))
}

// mark says, durably, that a volume may have an object, and names it: each move has an object of
// its own, so that no request of an earlier one, which the object store may carry out late, meets
// it.
func (v *Volumes) mark(ctx context.Context, path, name string) (object uint32, err error) {
	if err := v.deleteObject(ctx, path, name); err != nil { // of a process that died
		return 0, err
	}
	v.mu.Lock()
	v.moving[name] = true
	v.mu.Unlock()
	object = rand.Uint32()
	f, err := v.fs.Create(path + markSuffix)
	if err == nil {
		_, err = f.WriteAt([][]byte{binary.LittleEndian.AppendUint32(nil, object)}, 0)
		if err == nil {
			err = f.Datasync()
		}
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		err = v.fs.SyncDir(filepath.Dir(path))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = store.ErrNotFound // the stream is deleted
	}
	if err != nil {
		v.stopped(name)
	}
	return object, err
}

// marked returns the object that a mark names; false when there is no mark, or one that was never
// whole, and so no object.
func (v *Reader) marked(path string) (object uint32, ok bool, err error) {
	f, err := v.fs.Open(path + markSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	b := make([]byte, 4)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return binary.LittleEndian.Uint32(b), n == len(b), errors.Join(err, f.Close())
}

// objectName is the name of an object of a volume.
func objectName(volume string, object uint32) string {
	return fmt.Sprintf("%s-%08x", volume, object)
}

// object is the name of the object of a hollow volume.
func (h *Header) object(volume string) string { return objectName(volume, h.Object) }

func (v *Volumes) stopped(name string) {
	v.mu.Lock()
	delete(v.moving, name)
	v.mu.Unlock()
}

// isMoving tells whether this process moves a volume now: its object and its mark are left to the
// end of the move.
func (v *Volumes) isMoving(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.moving[name]
}

// unmark takes an object and the mark of a volume away unless it is hollow: it is whole, or gone,
// with its mark.
func (v *Volumes) unmark(ctx context.Context, path, name string, object uint32) error {
	defer v.stopped(name)
	h, err := v.header(path)
	if h.Hollow || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A rename that a power cut would take back still needs the object.
	if err := v.fs.SyncDir(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return v.deleteNamed(ctx, path, objectName(name, object)) // or Tidy does it again
}

// deleteMarked deletes the object of a volume that has a mark, and the mark.
func (v *Volumes) deleteMarked(ctx context.Context, path, name string) error {
	object, ok, err := v.marked(path)
	if ok {
		return v.deleteNamed(ctx, path, objectName(name, object))
	}
	if err == nil {
		err = v.removeMark(path)
	}
	return err
}

// deleteNamed deletes an object of the volume at a path, and the mark.
func (v *Volumes) deleteNamed(ctx context.Context, path, object string) error {
	if err := v.remote.Delete(ctx, []string{object}); err != nil {
		return fmt.Errorf("delete object %s: %w", object, err)
	}
	return v.removeMark(path)
}

func (v *Volumes) removeMark(path string) error {
	if err := v.fs.Remove(path + markSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Tidy ends the moves that were cut short by the end of a process, or by an object store that did
// not answer. Not for use beside MoveOut and MoveIn.
func (v *Volumes) Tidy(ctx context.Context) error {
	streams, err := v.fs.ReadDir(v.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range streams {
		if !dir.IsDir() || !store.StreamID(dir.Name()).Valid() {
			continue
		}
		files, err := v.fs.ReadDir(filepath.Join(v.dir, dir.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, f := range files {
			if err := ctx.Err(); err != nil {
				return errors.Join(append(errs, err)...)
			}
			path := filepath.Join(v.dir, dir.Name(), f.Name())
			base, marked := strings.CutSuffix(f.Name(), markSuffix)
			switch {
			case strings.HasSuffix(f.Name(), volumeSuffix+newSuffix):
				err = v.fs.Remove(path)
			case marked:
				err = v.tidy(ctx, strings.TrimSuffix(path, markSuffix), dir.Name()+"/"+base)
			default:
				continue
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("tidy volume %s/%s: %w", dir.Name(), f.Name(), err))
			}
		}
	}
	return errors.Join(errs...)
}

// tidy takes the mark of one volume away, unless that is hollow.
func (v *Volumes) tidy(ctx context.Context, path, name string) error {
	object, ok, err := v.marked(path)
	if err != nil {
		return err
	}
	if !ok {
		return v.removeMark(path)
	}
	return v.unmark(ctx, path, name, object)
}

// deleteObjects deletes the objects of a stream that is being deleted, whose directory lies in the
// trash.
func (v *Volumes) deleteObjects(trash string) error {
	id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(trash), trashPrefix), "-")
	files, err := v.fs.ReadDir(trash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, f := range files {
		base, marked := strings.CutSuffix(f.Name(), markSuffix)
		if !marked {
			continue
		}
		if name := id + "/" + base; v.isMoving(name) {
			err = fmt.Errorf("volume %s is being moved", name)
		} else {
			err = v.deleteMarked(v.closing, filepath.Join(trash, base), name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// deleteObject deletes the object of a volume that is being deleted, if it may have one. That of
// one that is being moved goes at the end of the move.
func (v *Volumes) deleteObject(ctx context.Context, path, name string) error {
	if v.isMoving(name) {
		return nil
	}
	return v.deleteMarked(ctx, path, name)
}
