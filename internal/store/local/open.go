package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
)

// IndexFile and VolumesDirectory are what the data directory of a store has besides its lock.
const (
	IndexFile        = "index.db"
	VolumesDirectory = "volumes"
)

// Open opens the store in a data directory, which it makes if need be. It locks the directory,
// waiting up to Options.LockWait for another process to release it, calls Options.Locked, recovers
// from a crash, and starts. Close releases the directory. store.ErrLocked when another process has
// it, store.ErrFull when the disk has no room for what must be written.
//
// Open sets Options.Index, Volumes and Check itself.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	lock, err := volume.LockDirWithin(ctx, dir, o.LockWait)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s, err := openLocked(ctx, dir, lock, o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

// CheckSchema refuses a directory whose index a newer version has written, as Open would. It
// changes nothing, and a server may be running.
func CheckSchema(ctx context.Context, dir string) error {
	return index.CheckSchema(ctx, filepath.Join(dir, IndexFile))
}

// Alone calls do while no server has a data directory and none can start. store.ErrLocked when a
// server has it, fs.ErrNotExist when there is no data directory.
func Alone(dir string, do func() error) (err error) {
	if err := CheckDirectory(dir); err != nil {
		return err
	}
	lock, err := volume.LockDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return do()
}

// LockDirectory reserves a directory for this process until Close, and waits for another process up
// to a given time. It is for processes that keep something other than a store there.
// store.ErrLocked.
func LockDirectory(ctx context.Context, dir string, wait time.Duration) (io.Closer, error) {
	return volume.LockDirWithin(ctx, dir, wait)
}

// Documents returns the documents of a kind from a directory. It changes nothing, and a server may
// be running. fs.ErrNotExist when there is no index.
func Documents(ctx context.Context, dir, kind string) ([]store.Document, error) {
	return readDocuments(ctx, filepath.Join(dir, IndexFile), kind, true)
}

// openLocked opens a store whose directory is locked. Closing the store releases the lock.
func openLocked(ctx context.Context, dir string, lock *volume.Lock, o Options) (*Store, error) {
	if o.Locked != nil {
		if err := o.Locked(); err != nil {
			return nil, err
		}
	}
	if o.Objects != nil {
		remote, err := o.Objects()
		if err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
		o.Remote = remote
	}
	path := filepath.Join(dir, IndexFile)
	rows, err := index.OpenSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	o.Check = lock.Check
	watch := func() error { return lock.Watch(path, filepath.Join(dir, VolumesDirectory)) }
	s, err := openOver(ctx, dir, rows, watch, o)
	if err != nil {
		return nil, err
	}
	s.lock = lock
	return s, nil
}

// openOver opens a store over the volumes of a directory and an index, which need not be the
// directory's own. It calls there when both are open. The store owns the index and closes it, also
// when openOver fails.
func openOver(
	ctx context.Context, dir string, rows *index.SQLite, there func() error, o Options,
) (*Store, error) {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	volumes, err := volume.Open(filepath.Join(dir, VolumesDirectory), volume.Options{
		MaxSize: o.VolumeBytes, SyncSeconds: o.Metrics.SyncSeconds, SyncInterval: o.SyncInterval,
		Check: o.Check, Remote: o.Remote,
	})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", errors.Join(err, rows.Close()))
	}
	if err := there(); err != nil {
		return nil, fmt.Errorf("open store: %w", errors.Join(err, rows.Close(), volumes.Close()))
	}
	o.Index, o.Volumes = rows, volumes
	o.Keys, err = encryption.Open(encryption.Options{KeyFile: KeyFile(dir, o.EncryptionKeyFile),
		Files: volumes, Encrypt: o.Encrypt})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", errors.Join(err, rows.Close(), volumes.Close()))
	}
	return New(ctx, o)
}
