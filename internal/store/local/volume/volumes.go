// Package volume keeps a store's bytes. Volumes are append-only files in a directory, each of one
// stream's records; the format is docs/store-format.md.
package volume

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
)

// HeaderSize is the size of a volume's file header in bytes.
const HeaderSize = 64

const (
	volumeMagic   = "WEIRVOLM"
	volumeVersion = 1

	encryptedVersion = 2 // fragments and footer are encrypted

	volumeSuffix = ".vol"
	trashPrefix  = "trash-"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Options of Volumes.
type Options struct {
	FS FS // default OS
	// a volume that has reached it gets no more records; default volumeSize
	MaxSize     int64
	SyncSeconds prometheus.Observer // called after each sync; may be nil

	// SyncInterval, if it is not 0, makes each record wait so long for others, and then syncs them
	// together. It is for spinning disks, which seek for each sync. Append promises the same, but a
	// stream stores only one record per interval.
	SyncInterval time.Duration

	IdleFiles int // how many files are kept open between reads; default idleFor, negative: none

	Remote Remote // where volumes are moved to; nil: nowhere

	// called before a volume is made, which fails with its error: Lock.Check; default: nothing
	Check func() error
}

// Volumes is a local.Volumes in a directory. The calls for one record, in their order:
//
//	first record of a volume                      every other
//	mkdir  <dir>/<stream>            (if new)
//	fsync  <dir>                     (the first time)
//	openat <stream>/<hour>-<number>.vol O_CREAT|O_EXCL
//	pwritev header, stream record, record        pwritev record
//	fdatasync the volume                          fdatasync the volume
//	fsync  <dir>/<stream>
//	stat   the volume                             stat the volume
//
// The last one tells whether the name still leads to what was written: nothing is acknowledged into
// a deleted file. One pwritev takes the record's head and the payload from where the caller has
// them. Volumes of different streams are written and synced side by side; the filesystem's journal
// groups their syncs.
type Volumes struct {
	Reader

	o     Options
	syncs rounds
	trash sync.WaitGroup // deletions that run in the background

	closing context.Context // ends with Close
	close   context.CancelFunc

	mu      sync.Mutex
	writers map[store.StreamID]*writer // guarded by mu
	trashed int                        // names used in the trash; guarded by mu
	moving  map[string]bool            // volumes that MoveOut or MoveIn is moving; guarded by mu
}

// OpenVolumes opens the volumes in a directory, and makes the directory if need be. It continues
// the deletions of an earlier process. The caller holds the lock of the data directory.
func Open(dir string, o Options) (*Volumes, error) {
	if o.FS == nil {
		o.FS = OS{}
	}
	if o.Check == nil {
		o.Check = func() error { return nil }
	}
	if o.Remote == nil {
		o.Remote = noRemote{}
	}
	if o.IdleFiles == 0 {
		o.IdleFiles = idleFor(openFiles())
	}
	closing, end := context.WithCancel(context.Background())
	v := &Volumes{
		Reader: Reader{dir: dir, fs: o.FS, remote: o.Remote}, o: o,
		writers: make(map[store.StreamID]*writer), moving: make(map[string]bool),
		closing: closing, close: end,
		syncs: rounds{interval: o.SyncInterval, all: func() error { return o.FS.SyncAll(dir) }},
	}
	v.idle.most = max(o.IdleFiles, 0)
	err := v.fs.Mkdir(dir)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = v.fs.SyncDir(filepath.Dir(dir)) // a process that made it may have died before this
	}
	if err == nil && o.MaxSize <= 0 {
		var total int64
		_, total, err = v.fs.Space(dir)
		v.o.MaxSize = volumeSize(total)
	}
	if err != nil {
		return nil, fmt.Errorf("volumes: %w", err)
	}
	entries, err := v.fs.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("volumes: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), trashPrefix) {
			v.empty(filepath.Join(dir, e.Name()))
		}
	}
	return v, nil
}

// volumeSize is the size of volumes on a disk: 64 MB, or less on a small one, so that there are
// always some to delete when it is full.
func volumeSize(disk int64) int64 { return min(max(disk/64, 1_000_000), 64_000_000) }

// empty deletes what is in the trash, and its objects, in the background. Failures are tried again
// after a while, and at the next start.
func (v *Volumes) empty(path string) {
	v.trash.Go(func() {
		for wait := time.Second; v.emptyNow(path) != nil; wait = min(2*wait, time.Minute) {
			select {
			case <-v.closing.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}

func (v *Volumes) emptyNow(path string) error {
	if err := v.deleteObjects(path); err != nil {
		return err
	}
	return removeAll(v.fs, path)
}

// remove deletes a volume's file and closes its idle files.
func (v *Volumes) remove(path, name string) error {
	err := v.fs.Remove(path)
	// they were only read from, so nothing can be lost
	_ = v.idle.drop(func(idle string) bool { return idle == name })
	return err
}

// Delete implements local.Volumes. A failure does not hold up other volumes. Volumes with objects
// come last: their first failure ends them, since the object store may be away.
func (v *Volumes) Delete(ctx context.Context, names []string) error {
	dirs := make(map[string]bool)
	var errs []error
	var withObjects []string
	try := func(name string, objects bool) error {
		path, err := v.path(name)
		if err != nil {
			return err
		}
		if _, marked, err := v.marked(path); err != nil {
			return err
		} else if marked && !objects {
			withObjects = append(withObjects, name)
			return nil
		}
		dirs[filepath.Dir(path)] = true
		return v.delete(ctx, path, name)
	}
	for _, name := range names {
		if err := try(name, false); err != nil {
			errs = append(errs, err)
		}
	}
	for _, name := range withObjects {
		if err := try(name, true); err != nil {
			errs = append(errs, err)
			break
		}
	}
	for dir := range dirs {
		if err := v.fs.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// delete deletes one volume: first its object, which nothing would name afterwards.
func (v *Volumes) delete(ctx context.Context, path, name string) error {
	if err := v.deleteObject(ctx, path, name); err != nil {
		return err
	}
	id, _, _ := strings.Cut(name, "/")
	w := v.writer(store.StreamID(id))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.name == name {
		w.close()
	}
	if err := v.remove(path, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// DeleteStream implements local.Volumes. The directory moves into the trash, which is emptied in
// the background.
func (v *Volumes) DeleteStream(_ context.Context, id store.StreamID) error {
	if !id.Valid() {
		return fmt.Errorf("stream id %q is not valid", id)
	}
	w := v.writer(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close()
	// A stream that is only partly deleted must not be readable.
	if err := v.RemoveKeyFile(id); err != nil {
		return err
	}
	v.mu.Lock()
	delete(v.writers, id)
	v.trashed++
	trash := filepath.Join(v.dir, fmt.Sprintf("%s%s-%d-%d", trashPrefix, id, time.Now().UnixNano(),
		v.trashed))
	v.mu.Unlock()
	err := v.fs.Rename(filepath.Join(v.dir, string(id)), trash)
	// as in remove
	_ = v.idle.drop(func(name string) bool { return strings.HasPrefix(name, string(id)+"/") })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Also if it was moved before: that call may have failed here. Once its rows are gone, nobody
	// would know that a stream which comes back was deleted.
	if err := v.fs.SyncDir(v.dir); err != nil {
		return err
	}
	v.empty(trash)
	return nil
}

// Close implements local.Volumes. It waits for deletions that make progress.
func (v *Volumes) Close() error {
	_ = v.Reader.Close() // as in remove
	v.close()
	v.mu.Lock()
	writers := v.writers
	v.writers = make(map[store.StreamID]*writer)
	v.mu.Unlock()
	for _, w := range writers {
		w.mu.Lock()
		w.close()
		w.mu.Unlock()
	}
	v.trash.Wait()
	return nil
}
