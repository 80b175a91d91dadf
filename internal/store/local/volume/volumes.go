// Package volume keeps a store's bytes. Volumes are append-only files in a directory, each of one stream's records; the format
// is docs/store-format.md.
package volume

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"weir/internal/store"
	"weir/internal/store/record"
)

// VolumeHeaderSize is the size of a volume's file header in bytes.
const HeaderSize = 64

const (
	volumeMagic   = "WEIRVOLM"
	volumeVersion = 1
	volumeSuffix  = ".vol"
	trashPrefix   = "trash-"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Options of Volumes.
type Options struct {
	FS          FS                  // default OS
	MaxSize     int64               // a volume that has reached it is not appended to; default volumeSize
	SyncSeconds prometheus.Observer // observes each sync; may be nil

	// SyncInterval, when it is not 0, makes records wait so long for others, and then syncs them together: for spinning disks,
	// which seek for each sync. What Append promises is the same. A stream stores one record per
	// interval then.
	SyncInterval time.Duration

	IdleFiles int // how many files are kept open between reads; default 128, negative: none

	Check func() error // called before a volume is made, whose error it returns: Lock.Check; default: nothing
}

// maxRecords is how many records a volume gets at most, so that its packed table stays small.
const maxRecords = 8192

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
// The last one tells whether the name still leads to what was written: nothing is acknowledged into a deleted file.
// One pwritev takes the record's head and the payload from where the caller has them. Volumes of different streams are
// written and synced side by side; the filesystem's journal groups their syncs.
type Volumes struct {
	dir   string
	o     Options
	fs    FS
	syncs rounds
	trash sync.WaitGroup // deletions that run in the background
	idle  idleFiles

	closing chan struct{} // closed by Close
	once    sync.Once

	mu      sync.Mutex
	writers map[store.StreamID]*writer // guarded by mu
	trashed int                        // names given in the trash; guarded by mu
}

// writer appends to one stream. Its fields are guarded by mu.
type writer struct {
	mu   sync.Mutex
	file File   // nil: the next record begins a volume
	path string // of file
	name string
	hour string // yyyymmddhh, UTC
	size int64

	newest  int64 // the greatest server timestamp, milliseconds
	records int   // in the volume

	named bool // the name of the stream's directory is durable
}

// OpenVolumes opens the volumes in a directory, which is made when it is not there. What an earlier process was deleting goes
// on being deleted. The caller holds the lock of the data directory.
func Open(dir string, o Options) (*Volumes, error) {
	if o.FS == nil {
		o.FS = OS{}
	}
	if o.Check == nil {
		o.Check = func() error { return nil }
	}
	if o.IdleFiles == 0 {
		o.IdleFiles = 128
	}
	v := &Volumes{
		dir: dir, o: o, fs: o.FS, writers: make(map[store.StreamID]*writer), closing: make(chan struct{}),
		syncs: rounds{interval: o.SyncInterval, all: func() error { return o.FS.SyncAll(dir) }},
	}
	v.idle.most = max(o.IdleFiles, 0)
	err := v.fs.Mkdir(dir)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = v.fs.SyncDir(filepath.Dir(dir)) // the one who made it may have died before this
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

// empty removes what is in the trash, in the background. What cannot be removed is tried again after a while, and at the
// next start.
func (v *Volumes) empty(path string) {
	v.trash.Go(func() {
		for wait := time.Second; removeAll(v.fs, path) != nil; wait = min(2*wait, time.Minute) {
			select {
			case <-v.closing:
				return
			case <-time.After(wait):
			}
		}
	})
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
	// A clock that stepped back a little does not roll: two producers around the full hour would make a volume of each fragment. One
	// that was ahead does, so that what it stamped keeps nothing else beyond its retention.
	late := e.ServerTimestamp < w.newest-time.Hour.Milliseconds()
	if w.file != nil && (w.size >= v.o.MaxSize || w.records >= maxRecords || hour > w.hour || late) {
		w.close()
	}
	var bufs [][]byte
	fresh := w.file == nil
	if fresh {
		begin, err := volumeStart(s, e.ServerTimestamp)
		if err != nil {
			return store.Location{}, err
		}
		if err := v.create(w, s.ID, hour, e.Number); err != nil {
			return store.Location{}, full(err)
		}
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

	if _, err := w.file.WriteAt(bufs, w.size); err != nil {
		// Back to the last whole record. A volume without one is removed.
		undo := w.file.Truncate(w.size)
		if fresh {
			undo = v.remove(w.path, w.name)
		}
		if fresh || undo != nil {
			w.close()
		}
		if undo != nil {
			// What is there is no whole record, so recovery cuts it; but it is not the promise of ErrFull.
			return store.Location{}, fmt.Errorf("write record: %w", errors.Join(err, undo))
		}
		return store.Location{}, full(fmt.Errorf("write record: %w", err))
	}
	err := v.datasync(w.file)
	if err == nil && fresh {
		err = v.fs.SyncDir(filepath.Dir(w.path))
	}
	if err != nil {
		// After a failed sync the kernel may call pages clean that never reached the disk, so a second sync proves nothing:
		// this volume is never written again. The record is taken back as far as that goes, because the next start reads
		// it from the page cache as if it were safe.
		if fresh {
			_ = v.remove(w.path, w.name)
		} else {
			_ = w.file.Truncate(w.size)
		}
		w.close()
		w.named = false // the directory may be another one's
		return store.Location{}, fmt.Errorf("sync record: %w", err)
	}
	if err := w.there(); err != nil {
		w.close()
		w.named = false
		return store.Location{}, fmt.Errorf("volume %s: %w", w.name, err)
	}
	w.size += total
	w.records++
	w.newest = max(w.newest, e.ServerTimestamp)
	return store.Location{Volume: w.name, Offset: offset, Length: length, MetaLength: int64(len(e.Head))}, nil
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
		// Also when it was there: whoever made it may have died, or failed, before its name was durable.
		if err := v.fs.SyncDir(v.dir); err != nil {
			return err
		}
		w.named = true
	}
	// The plain name is taken when the number was tried before and that volume was abandoned.
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
		w.file, w.path, w.name, w.hour, w.size, w.records = f, path, string(id)+"/"+base+volumeSuffix, hour, 0, 0
		w.newest = 0
		return nil
	}
}

// there is store.ErrLost when the volume's name does not lead to its file: somebody has deleted, moved or replaced it, or a
// directory above it. What it holds may be lost, and nothing may be added.
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
		_ = w.file.Close() // every record in it was synced, or was refused
		w.file = nil
	}
}

// full turns the errors of a filesystem without room into store.ErrFull.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// volumeStart gives the file header and the stream's record.
func volumeStart(s *store.Stream, created int64) ([]byte, error) {
	b := make([]byte, HeaderSize)
	copy(b, volumeMagic)
	binary.LittleEndian.PutUint16(b[8:], volumeVersion)
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

// path gives the file of a volume, or an error when the name is not one of ours.
func (v *Volumes) path(name string) (string, error) {
	id, base, ok := strings.Cut(name, "/")
	if !ok || !store.StreamID(id).Valid() || !strings.HasSuffix(base, volumeSuffix) || strings.ContainsAny(base, "/\\\x00") {
		return "", fmt.Errorf("volume name %q is not valid", name)
	}
	return filepath.Join(v.dir, id, base), nil
}

// remove unlinks a volume and lets go of its files.
func (v *Volumes) remove(path, name string) error {
	err := v.fs.Remove(path)
	_ = v.idle.drop(func(idle string) bool { return idle == name }) // they were only read from: nothing can be lost
	return err
}

// body is an open record. Until it is closed it has a file for itself: net/http sends from where the file's own offset is.
type body struct {
	v     *Volumes
	name  string // of the volume
	f     File   // nil when closed: the file is another one's by then
	off   int64
	drops int // idleFiles.take
}

// Open implements local.Volumes.
func (v *Volumes) Open(_ context.Context, loc store.Location) (Body, error) {
	f, drops := v.idle.take(loc.Volume)
	if f == nil {
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
	}
	return &body{v: v, name: loc.Volume, f: f, off: loc.Offset, drops: drops}, nil
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
	return &section{b, off, n}, nil
}

func (b *body) copyTo(w io.Writer, off, n int64) (int64, error) {
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
	return b.v.idle.give(b.name, f, b.drops)
}

// Space implements local.Volumes.
func (v *Volumes) Space(context.Context) (free, total int64, err error) { return v.fs.Space(v.dir) }

// List implements local.Volumes.
func (v *Volumes) List(ctx context.Context, found func(name string) error) error {
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

// Delete implements local.Volumes.
func (v *Volumes) Delete(_ context.Context, names []string) error {
	dirs := make(map[string]bool)
	for _, name := range names {
		path, err := v.path(name)
		if err != nil {
			return err
		}
		id, _, _ := strings.Cut(name, "/")
		w := v.writer(store.StreamID(id))
		w.mu.Lock()
		if w.name == name {
			w.close()
		}
		w.mu.Unlock()
		if err := v.remove(path, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		dirs[filepath.Dir(path)] = true
	}
	for dir := range dirs {
		if err := v.fs.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// DeleteStream implements local.Volumes: the directory moves into the trash and is emptied in the background.
func (v *Volumes) DeleteStream(_ context.Context, id store.StreamID) error {
	if !id.Valid() {
		return fmt.Errorf("stream id %q is not valid", id)
	}
	w := v.writer(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close()
	v.mu.Lock()
	delete(v.writers, id)
	v.trashed++
	trash := filepath.Join(v.dir, fmt.Sprintf("%s%s-%d-%d", trashPrefix, id, time.Now().UnixNano(), v.trashed))
	v.mu.Unlock()
	err := v.fs.Rename(filepath.Join(v.dir, string(id)), trash)
	_ = v.idle.drop(func(name string) bool { return strings.HasPrefix(name, string(id)+"/") }) // as in remove
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Also when it was moved before: that call may have failed here, and a stream that comes back from the dead is no longer
	// known as deleted when its rows are gone.
	if err := v.fs.SyncDir(v.dir); err != nil {
		return err
	}
	v.empty(trash)
	return nil
}

// Close implements local.Volumes. It waits for deletions that go on well.
func (v *Volumes) Close() error {
	_ = v.idle.close() // as in remove
	v.once.Do(func() { close(v.closing) })
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

// Recover implements local.Volumes.
func (v *Volumes) Recover(ctx context.Context, name string, from int64, found func(store.Location, []byte) error) (*store.Stream, int64, int64, error) {
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
		// What was found may be in the page cache only: the process died between write and sync, and the machine did not.
		if err = f.Datasync(); err == nil {
			err = v.fs.SyncDir(filepath.Dir(path))
		}
	}
	return s, end, cut, errors.Join(err, f.Close())
}

func recoverFile(ctx context.Context, f File, name string, from int64, found func(store.Location, []byte) error) (s *store.Stream, end, cut int64, err error) {
	size, err := f.Size()
	if err != nil {
		return nil, 0, 0, err
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
			// A record is written after the sync of the one before it, so damage in front of a whole record is no torn tail:
			// that one record is lost, those behind it are not.
			if _, _, next := readRecord(f, end+h.Length, size); next == nil || errors.Is(next, errPayload) {
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
			loc := store.Location{Volume: name, Offset: end, Length: h.Length, MetaLength: h.MetaLength}
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

// readStart verifies a volume's file header and its stream record, and gives the offset behind them.
func readStart(f io.ReaderAt, size int64) (*store.Stream, int64, error) {
	b := make([]byte, HeaderSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: file of %d bytes", store.ErrCorrupt, size)
		}
		return nil, 0, err
	}
	le := binary.LittleEndian
	if string(b[:8]) != volumeMagic || crc32.Checksum(b[:60], castagnoli) != le.Uint32(b[60:]) {
		return nil, 0, fmt.Errorf("%w: file header", store.ErrCorrupt)
	}
	if v := le.Uint16(b[8:]); v != volumeVersion {
		// A newer Weir wrote it: not ours to judge, so not ErrCorrupt.
		return nil, 0, fmt.Errorf("volume version %d is not known", v)
	}
	head, h, err := readRecord(f, HeaderSize, size)
	if err != nil {
		return nil, 0, err
	}
	s, err := record.DecodeStream(head)
	if err != nil {
		return nil, 0, err
	}
	if fmt.Sprintf("%x", b[16:32]) != string(s.ID) {
		return nil, 0, fmt.Errorf("%w: stream record of another stream", store.ErrCorrupt)
	}
	return s, HeaderSize + h.Length, nil
}

// errPayload is of a record whose head is whole and whose payload is not.
var errPayload = fmt.Errorf("%w: checksum of the payload", store.ErrCorrupt)

// readRecord verifies the record at an offset, payload and all, and returns its head. ErrCorrupt when no whole record is there.
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
