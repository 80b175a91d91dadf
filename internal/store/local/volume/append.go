package volume

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
	"weir/internal/store"
	"weir/internal/store/record"

	"golang.org/x/sys/unix"
)

// maxRecords is how many records a volume may have, so that its packed table stays small.
const maxRecords = 8192

// writer appends to one stream. mu guards its fields.
type writer struct {
	mu   sync.Mutex
	file File   // nil: the next record begins a volume
	path string // of file
	name string
	hour string // yyyymmddhh, UTC
	size int64

	newest  int64 // the greatest server timestamp, milliseconds
	records int   // in the volume

	encrypted bool // whether the volume's records are encrypted

	named bool // the name of the stream's directory is durable
}

func (v *Volumes) writer(id store.StreamID) *writer {
	v.mu.Lock()
	defer v.mu.Unlock()
	w := v.writers[id]
	if w == nil {
		w = &writer{}
		v.writers[id] = w
	}
	return w
}

// Append implements local.Volumes.
func (v *Volumes) Append(ctx context.Context, s *store.Stream, e Entry) (store.Location, error) {
	if !s.ID.Valid() {
		return store.Location{}, fmt.Errorf("stream id %q is not valid", s.ID)
	}
	if err := ctx.Err(); err != nil {
		return store.Location{}, err
	}
	w := v.writer(s.ID)
	w.mu.Lock()
	defer w.mu.Unlock()

	hour := time.UnixMilli(e.ServerTimestamp).UTC().Format("2006010215")
	// A clock that stepped back a little does not roll: around the full hour two producers would
	// make a volume of each fragment. One that was ahead does, so that nothing else is kept beyond
	// its retention with what that clock stamped.
	late := e.ServerTimestamp < w.newest-time.Hour.Milliseconds()
	if w.file != nil && (w.size >= v.o.MaxSize || w.records >= maxRecords || hour > w.hour ||
		late || e.Encrypted != w.encrypted) {
		w.close()
	}
	var bufs [][]byte
	fresh := w.file == nil
	if fresh {
		begin, err := volumeStart(s, e.ServerTimestamp, e.Encrypted)
		if err != nil {
			return store.Location{}, err
		}
		if err := v.create(w, s.ID, hour, e.Number); err != nil {
			return store.Location{}, full(err)
		}
		w.encrypted = e.Encrypted
		bufs = append(bufs, begin)
	}
	length := int64(len(e.Head))
	bufs = append(bufs, e.Head)
	for _, p := range e.Payload {
		length += int64(len(p))
		bufs = append(bufs, p)
	}
	total := length
	offset := w.size
	if fresh {
		offset = int64(len(bufs[0]))
		total += offset
	}

	if err := v.write(w, bufs, fresh); err != nil {
		return store.Location{}, err
	}
	w.size += total
	w.records++
	w.newest = max(w.newest, e.ServerTimestamp)
	return store.Location{Volume: w.name, Offset: offset, Length: length,
		MetaLength: int64(len(e.Head))}, nil
}

// write writes the slices after a volume's last record and makes them durable. After an error it
// takes the record back as far as possible. The caller holds w.mu.
func (v *Volumes) write(w *writer, bufs [][]byte, fresh bool) error {
	if _, err := w.file.WriteAt(bufs, w.size); err != nil {
		// Back to the end of the last whole record. A volume without one is removed.
		undo := w.file.Truncate(w.size)
		if fresh {
			undo = v.remove(w.path, w.name)
		}
		if fresh || undo != nil {
			w.close()
		}
		if undo != nil {
			// What is there is not a whole record, so recovery cuts it; but ErrFull promises that
			// nothing is there.
			return fmt.Errorf("write record: %w", errors.Join(err, undo))
		}
		return full(fmt.Errorf("write record: %w", err))
	}
	err := v.datasync(w.file)
	if err == nil && fresh {
		err = v.fs.SyncDir(filepath.Dir(w.path))
	}
	if err != nil {
		// After a failed sync the kernel may count pages as clean that never reached the disk, so a
		// second sync proves nothing, and this volume is never written again. The record is taken
		// back as far as possible, because the next start would read it from the page cache as if
		// it were safe.
		if fresh {
			_ = v.remove(w.path, w.name)
		} else {
			_ = w.file.Truncate(w.size)
		}
		w.close()
		w.named = false // the directory may be another one now
		return fmt.Errorf("sync record: %w", err)
	}
	if err := w.there(); err != nil {
		w.close()
		w.named = false
		return fmt.Errorf("volume %s: %w", w.name, err)
	}
	return nil
}

// datasync makes what was written to a file durable, at once or in the next round.
func (v *Volumes) datasync(f File) error {
	sync := func() error {
		began := time.Now()
		err := f.Datasync()
		if v.o.SyncSeconds != nil {
			v.o.SyncSeconds.Observe(time.Since(began).Seconds())
		}
		return err
	}
	if v.o.SyncInterval <= 0 {
		return sync()
	}
	return v.syncs.do(sync)
}

// create makes an empty volume and its directory.
func (v *Volumes) create(w *writer, id store.StreamID, hour string, first store.Number) error {
	if err := v.o.Check(); err != nil {
		return err
	}
	dir := filepath.Join(v.dir, string(id))
	if err := v.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if !w.named {
		// Also if it existed: whoever made it may have died, or failed, before its name was
		// durable.
		if err := v.fs.SyncDir(v.dir); err != nil {
			return err
		}
		w.named = true
	}
	// The plain name is taken if the number was tried before and that volume was abandoned.
	for try := 0; ; try++ {
		base := fmt.Sprintf("%s-%016x", hour, uint64(first))
		if try > 0 {
			base += fmt.Sprintf("-%d", try)
		}
		path := filepath.Join(dir, base+volumeSuffix)
		f, err := v.fs.Create(path)
		if errors.Is(err, fs.ErrExist) && try < 1000 {
			continue
		}
		if err != nil {
			return err
		}
		w.file, w.path, w.name, w.hour, w.size, w.records = f, path,
			string(id)+"/"+base+volumeSuffix, hour, 0, 0
		w.newest = 0
		return nil
	}
}

// there returns store.ErrLost when the volume's name does not lead to its file: somebody has
// deleted, moved or replaced it, or a directory above it. What it holds may be lost, and nothing
// may be added.
func (w *writer) there() error {
	same, err := w.file.Named(w.path)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrLost, err)
	}
	if !same {
		return store.ErrLost
	}
	return nil
}

// close ends the volume; the next record begins another.
func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close() // every record in it was synced or refused
		w.file = nil
	}
}

// full turns the errors of a full file system into store.ErrFull.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// volumeStart returns the file header and the stream record.
func volumeStart(s *store.Stream, created int64, encrypted bool) ([]byte, error) {
	b := make([]byte, HeaderSize)
	copy(b, volumeMagic)
	version := uint16(volumeVersion)
	if encrypted {
		version = encryptedVersion
	}
	binary.LittleEndian.PutUint16(b[8:], version)
	if _, err := hex.Decode(b[16:32], []byte(s.ID)); err != nil {
		return nil, fmt.Errorf("stream id %q: %w", s.ID, err)
	}
	binary.LittleEndian.PutUint64(b[32:], s.NumberTag)
	binary.LittleEndian.PutUint64(b[40:], uint64(created))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	rec, err := record.EncodeStream(s)
	if err != nil {
		return nil, err
	}
	return append(b, rec...), nil
}

// Roll implements local.Volumes.
func (v *Volumes) Roll(_ context.Context, id store.StreamID) error {
	w := v.writer(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close()
	return nil
}
