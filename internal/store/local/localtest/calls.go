package localtest

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"weir/internal/store/local/volume"
)

// Calls wraps a file system. It counts the calls, and makes one of them fail.
type Calls struct {
	fs  volume.FS
	mu  sync.Mutex
	log []string // the calls so far; guarded by mu, like the fields that follow
	at  int      // which call fails, from 1
	err error
	how Fault
	end bool
}

// Half makes a write fail after half of its bytes. For other calls it is NotApplied.
const Half Fault = Applied + 1

var _ volume.FS = (*Calls)(nil)

// NewCalls wraps a file system. Call number at (from 1; 0: none) fails with err.
func NewCalls(fsys volume.FS, at int, how Fault, err error) *Calls {
	return &Calls{fs: fsys, at: at, how: how, err: err}
}

// Log returns the calls that were made, one per line.
func (c *Calls) Log() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.log...)
}

// Stop ends the counting and the failures.
func (c *Calls) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = true
}

// do counts a call and returns how it fails; 0: it does not.
func (c *Calls) do(op string) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end {
		return 0
	}
	c.log = append(c.log, op)
	if len(c.log) == c.at {
		return c.how
	}
	return 0
}

func (c *Calls) run(op string, call func() error) error {
	switch c.do(op) {
	case NotApplied, Half:
		return fmt.Errorf("%s: %w", op, c.err)
	case Applied:
		if err := call(); err != nil {
			return err
		}
		return fmt.Errorf("%s: %w", op, c.err)
	}
	return call()
}

// file runs a call that opens a file.
func (c *Calls) file(op string, call func() (volume.File, error)) (f volume.File, err error) {
	err = c.run(op, func() (err error) { f, err = call(); return err })
	if err != nil {
		if f != nil {
			_ = f.Close()
		}
		return nil, err
	}
	return &callsFile{f, c}, nil
}

// Mkdir implements volume.FS.
func (c *Calls) Mkdir(path string) error {
	return c.run("mkdir "+path, func() error { return c.fs.Mkdir(path) })
}

// Create implements volume.FS.
func (c *Calls) Create(path string) (volume.File, error) {
	return c.file("create "+path, func() (volume.File, error) { return c.fs.Create(path) })
}

// Open implements volume.FS.
func (c *Calls) Open(path string) (volume.File, error) {
	return c.file("open "+path, func() (volume.File, error) { return c.fs.Open(path) })
}

// OpenWrite implements volume.FS.
func (c *Calls) OpenWrite(path string) (volume.File, error) {
	return c.file("open rw "+path, func() (volume.File, error) { return c.fs.OpenWrite(path) })
}

// ReadDir implements volume.FS.
func (c *Calls) ReadDir(path string) (list []fs.DirEntry, err error) {
	err = c.run("readdir "+path, func() (err error) { list, err = c.fs.ReadDir(path); return err })
	return list, err
}

// Rename implements volume.FS.
func (c *Calls) Rename(from, to string) error {
	return c.run("rename "+from, func() error { return c.fs.Rename(from, to) })
}

// Remove implements volume.FS.
func (c *Calls) Remove(path string) error {
	return c.run("remove "+path, func() error { return c.fs.Remove(path) })
}

// SyncDir implements volume.FS.
func (c *Calls) SyncDir(path string) error {
	return c.run("fsync "+path, func() error { return c.fs.SyncDir(path) })
}

// Linked implements volume.FS.
func (c *Calls) Linked(path string) (linked bool, err error) {
	err = c.run("lstat "+path, func() (err error) { linked, err = c.fs.Linked(path); return err })
	return linked, err
}

// SyncAll implements volume.FS.
func (c *Calls) SyncAll(path string) error {
	return c.run("syncfs "+path, func() error { return c.fs.SyncAll(path) })
}

// Space implements volume.FS.
func (c *Calls) Space(path string) (free, total int64, err error) {
	err = c.run("statfs "+path, func() (err error) {
		free, total, err = c.fs.Space(path)
		return err
	})
	return free, total, err
}

type callsFile struct {
	volume.File
	c *Calls
}

// ReadAt implements io.ReaderAt.
func (f *callsFile) ReadAt(p []byte, off int64) (n int, err error) {
	if f.c.do("pread") != 0 {
		return 0, fmt.Errorf("pread: %w", f.c.err)
	}
	return f.File.ReadAt(p, off)
}

// WriteAt implements volume.File.
func (f *callsFile) WriteAt(bufs [][]byte, off int64) (n int64, err error) {
	switch f.c.do("pwritev") {
	case NotApplied:
		return 0, fmt.Errorf("pwritev: %w", f.c.err)
	case Half:
		half := slices.Clone(bufs)
		last := len(half) - 1
		half[last] = half[last][:len(half[last])/2]
		n, err = f.File.WriteAt(half, off)
	case Applied:
		n, err = f.File.WriteAt(bufs, off)
	default:
		return f.File.WriteAt(bufs, off)
	}
	if err == nil {
		err = fmt.Errorf("pwritev: %w", f.c.err)
	}
	return n, err
}

// Datasync implements volume.File. If it fails without effect, what it should have synced is lost.
func (f *callsFile) Datasync() error {
	how := f.c.do("fdatasync")
	if d, ok := f.File.(*diskFile); ok && (how == NotApplied || how == Half) {
		d.lose()
	} else if err := f.File.Datasync(); err != nil {
		return err
	}
	if how != 0 {
		return fmt.Errorf("fdatasync: %w", f.c.err)
	}
	return nil
}

// Truncate implements volume.File.
func (f *callsFile) Truncate(size int64) error {
	return f.c.run("ftruncate", func() error { return f.File.Truncate(size) })
}

// Size implements volume.File.
func (f *callsFile) Size() (n int64, err error) {
	err = f.c.run("fstat", func() (err error) { n, err = f.File.Size(); return err })
	return n, err
}

// CopyTo implements volume.File; its reads are calls too.
func (f *callsFile) CopyTo(w io.Writer, off, n int64) (int64, error) {
	return io.Copy(w, io.NewSectionReader(f, off, n))
}
