package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local/directory"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
)

// Check reads all that is stored in a data directory and verifies that rows and bytes agree
// (CheckSeams). keyFile is Options.EncryptionKeyFile. It changes nothing, and a server may be
// running. An unreadable index is reported as a problem, not as an error.
func Check(
	ctx context.Context, dir, keyFile string, progress Progress,
) (r Report, err error) {
	if err := CheckDirectory(dir); err != nil {
		return Report{}, err
	}
	lock, err := volume.LockDir(dir)
	live := errors.Is(err, store.ErrLocked)
	if err != nil && !live {
		return Report{}, err
	}
	if !live {
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	return checkDir(ctx, dir, keyFile, live, progress)
}

// CheckDirectory returns fs.ErrNotExist if there is no such directory, so that a reader with a
// mistyped name does not make one.
func CheckDirectory(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, VolumesDirectory)); err != nil {
		return fmt.Errorf("%s is no data directory: %w", dir, err)
	}
	return nil
}

func checkDir(
	ctx context.Context, dir, key string, live bool, progress Progress,
) (Report, error) {
	lost := func(err error) Report {
		return Report{Problems: []Problem{{
			Kind: "index", Text: err.Error(), Remedy: RemedyRebuild,
		}}}
	}
	rows, err := index.OpenReadOnly(ctx, filepath.Join(dir, IndexFile), live)
	if err != nil {
		if ctx.Err() != nil {
			return Report{}, err
		}
		return lost(err), nil
	}
	wrong, err := rows.Verify(ctx)
	if err != nil && ctx.Err() == nil {
		wrong, err = append(wrong, err.Error()), nil
	}
	if err != nil || len(wrong) > 0 {
		if err = errors.Join(err, rows.Close()); err != nil {
			return Report{}, err
		}
		return lost(fmt.Errorf("the index is damaged: %s", wrong[0])), nil
	}
	volumes, err := volume.OpenReadOnly(filepath.Join(dir, VolumesDirectory))
	if err != nil {
		return Report{}, errors.Join(err, rows.Close())
	}
	keys, err := encryption.OpenReadOnly(KeyFile(dir, key), volumes)
	if err != nil {
		return Report{}, errors.Join(err, rows.Close(), volumes.Close())
	}
	r, err := CheckSeams(ctx, rows, volumes, CheckOptions{Live: live, Progress: progress,
		Keys: keys})
	return r, errors.Join(err, rows.Close(), volumes.Close())
}

// Repair checks a data directory, repairs what can be repaired, returns what it did ("" for
// nothing), and checks again. An index that is lost or does not agree with the volumes is rebuilt
// from them, and the old one is kept beside it; nothing else is deleted. store.ErrLocked when a
// server is running. logger gets what a start would log.
func Repair(
	ctx context.Context, dir, keyFile string, logger *slog.Logger, progress Progress,
) (r Report, did string, err error) {
	if err := CheckDirectory(dir); err != nil {
		return Report{}, "", err
	}
	lock, err := volume.LockDir(dir)
	if err != nil {
		return Report{}, "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if r, err = checkDir(ctx, dir, keyFile, false, progress); err != nil {
		return r, "", err
	}
	repair := repair{dir: dir, keyFile: keyFile, log: logger}
	if did, err = repair.do(ctx, &r); err != nil || did == "" {
		return r, did, err
	}
	r, err = checkDir(ctx, dir, keyFile, false, progress)
	return r, did, err
}

// repair is a repair of a data directory whose lock is held.
type repair struct {
	dir     string
	keyFile string // as Options has it
	log     *slog.Logger
}

// do does what the report calls for and returns what it did.
func (r *repair) do(ctx context.Context, report *Report) (string, error) {
	need := RemedyNone
	if report.Unknown > 0 {
		need = RemedyStart
	}
	for _, p := range report.Problems {
		if p.Remedy == RemedyRebuild || need == RemedyNone {
			need = p.Remedy
		}
	}
	switch need {
	case RemedyStart:
		return "did what a start does", r.start(ctx, filepath.Join(r.dir, IndexFile))
	case RemedyRebuild:
		old, err := r.rebuild(ctx)
		return "made the index again from the volumes; the old one is " + old, err
	}
	return "", nil
}

// start opens and closes a store over the index in a file.
func (r *repair) start(ctx context.Context, path string) error {
	rows, err := index.OpenSQLite(ctx, path)
	if err != nil {
		return err
	}
	s, err := openOver(ctx, r.dir, rows, func() error { return nil }, Options{Logger: r.log,
		EncryptionKeyFile: r.keyFile})
	if err != nil {
		return err
	}
	return s.Close()
}

// rebuild makes a new index from the volumes, beside the old one, and then moves the old one aside.
// It keeps what the old index still says about streams: a volume knows its stream only as it was
// when the volume began, and a stream without fragments has no volume.
func (r *repair) rebuild(ctx context.Context) (old string, err error) {
	path := filepath.Join(r.dir, IndexFile)
	fresh := path + ".new"
	for _, suffix := range []string{"", "-wal", "-shm"} { // left by a repair that did not finish
		if err := os.Remove(fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if err := r.takeStreams(ctx, path, fresh); err != nil {
		return "", err
	}
	if err := r.takeDocuments(ctx, path, fresh); err != nil {
		return "", err
	}
	if err := r.start(ctx, fresh); err != nil {
		return "", err
	}
	// SQLite removes its log on close, so the new index is a single file now. The old one is moved
	// with its log.
	old = path + ".damaged-" + time.Now().UTC().Format("20060102T150405")
	for _, suffix := range []string{"-shm", "-wal", ""} {
		err := os.Rename(path+suffix, old+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return "", err
	}
	return old, directory.Sync(r.dir)
}

// takeStreams makes a new index with the streams of the old one, as far as they can be read, and
// completes the deletions that the old one knows of.
func (r *repair) takeStreams(ctx context.Context, path, fresh string) (err error) {
	streams, deleted, err := readStreams(ctx, path)
	if err != nil {
		r.log.Warn("streams are known from their volumes only", "error", err)
	}
	rows, err := index.OpenSQLite(ctx, fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for _, s := range streams {
		if err := rows.CreateStream(ctx, s); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	if len(deleted) == 0 {
		return nil
	}
	volumes, err := volume.Open(filepath.Join(r.dir, VolumesDirectory), volume.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, volumes.Close()) }()
	for _, id := range deleted {
		if err := volumes.DeleteStream(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// readStreams returns the streams of an index that may be damaged, and those that are being
// deleted.
func readStreams(
	ctx context.Context, path string,
) (streams []store.Stream, deleted []store.StreamID, err error) {
	rows, err := index.OpenReadOnly(ctx, path, false)
	if err != nil {
		return nil, nil, err
	}
	streams, err = rows.ListStreams(ctx, "", "", 0)
	if err == nil {
		deleted, err = rows.DeletedStreams(ctx)
	}
	if err = errors.Join(err, rows.Close()); err != nil {
		return nil, nil, err
	}
	return streams, deleted, nil
}

// takeDocuments copies the documents of the old index into the new one, as far as they can be read,
// unless the new one has found their log.
func (r *repair) takeDocuments(ctx context.Context, path, fresh string) (err error) {
	rows, err := index.OpenSQLite(ctx, fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if revision, err := rows.DocumentRevision(ctx); err != nil || revision > 0 {
		return err // it has those of their log
	}
	documents, err := readDocuments(ctx, path, "", false)
	if err != nil {
		r.log.Warn("keys, policies and roles cannot be read from the old index", "error", err)
	}
	for _, d := range documents {
		if _, err := rows.PutDocument(ctx, d, store.NewDocument); err != nil {
			return fmt.Errorf("document %s/%s: %w", d.Kind, d.Name, err)
		}
	}
	return nil
}

// readDocuments returns the documents of a kind ("" for all) from an index that may be damaged, or
// (live) that a server has open.
func readDocuments(
	ctx context.Context, path, kind string, live bool,
) (documents []store.Document, err error) {
	rows, err := index.OpenReadOnly(ctx, path, live)
	if err != nil {
		return nil, err
	}
	documents, err = rows.ListDocuments(ctx, kind)
	if err = errors.Join(err, rows.Close()); err != nil {
		return nil, err
	}
	return documents, nil
}
