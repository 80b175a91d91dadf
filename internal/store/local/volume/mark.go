package volume

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"weir/internal/store"
)

// mark records, durably, that a volume may have an object, and names it. Each move has its own
// object, so that late requests of an earlier move, which the object store may still carry out, do
// not touch it.
func (v *Volumes) mark(ctx context.Context, path, name string) (object uint32, err error) {
	if err := v.deleteObject(ctx, path, name); err != nil { // of a process that died
		return 0, err
	}
	v.started(name)
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

// marked returns the object that a mark names; false when there is no mark, or only a part of one,
// and so no object.
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

func (v *Volumes) started(name string) {
	v.mu.Lock()
	v.moving[name] = true
	v.mu.Unlock()
}

func (v *Volumes) stopped(name string) {
	v.mu.Lock()
	delete(v.moving, name)
	v.mu.Unlock()
}

// isMoving reports whether this process is moving a volume. If so, its object and mark are left to
// the end of the move.
func (v *Volumes) isMoving(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.moving[name]
}

// unmark removes object and mark of a volume that is whole or gone. A hollow one keeps them.
func (v *Volumes) unmark(ctx context.Context, path, name string, object uint32) error {
	defer v.stopped(name)
	h, err := v.header(path)
	if h.Hollow || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// The object is needed again if a power cut takes back the rename.
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

// Tidy completes the moves that were interrupted by the end of a process, or by an object store
// that did not answer. Not for use beside MoveOut and MoveIn.
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

// deleteObjects deletes the objects of a stream that is being deleted, whose directory is in the
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

// deleteObject deletes the object of a volume that is being deleted, if it may have one. The object
// of a volume that is being moved goes at the end of the move.
func (v *Volumes) deleteObject(ctx context.Context, path, name string) error {
	if v.isMoving(name) {
		return nil
	}
	return v.deleteMarked(ctx, path, name)
}
