// Package localtest makes things go wrong in tests of the local engine: a disk that dies or loses
// power, and system calls and seams that fail.
package localtest

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"weir/internal/store/local/volume"
)

// Disk is a file system in memory that distinguishes what a process sees from what would survive a
// power cut: bytes of a file after its Datasync, names in a directory after its SyncDir. Even the
// order of unsynced changes may be lost.
type Disk struct {
	mu   sync.Mutex
	root *node
	room int64 // bytes that files may still take; guarded by mu
	dead bool  // the process that used it was killed; guarded by mu
	left int   // calls until it dies; 0: never; guarded by mu
}

var _ volume.FS = (*Disk)(nil)

// ErrDead is what a killed process would see, if it could look.
var ErrDead = errors.New("the process is dead")

const sector = 512 // bytes that a disk writes entirely or not at all

// node is a file or a directory.
type node struct {
	names   map[string]*node // of a directory, as processes see it; nil for a file
	safe    map[string]*node // of a directory, as it is on disk
	renames []nameChange     // between safe and names
	data    []byte           // of a file, as processes see it
	disk    []byte           // of a file, as it is on disk
	writes  []write          // between disk and data
}

// nameChange gives a node a name, or takes the name away (nil). A rename has both.
type nameChange struct {
	name string
	to   *node
	from string // of a rename
}

// write puts bytes at an offset, or with nil data truncates the file there.
type write struct {
	off  int64
	data []byte
}

// NewDisk makes an empty disk with room for so many bytes.
func NewDisk(room int64) *Disk { return &Disk{root: newDir(), room: room} }

func newDir() *node { return &node{names: map[string]*node{}, safe: map[string]*node{}} }

// SetRoom sets how many more bytes files may take.
func (d *Disk) SetRoom(room int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

// DieAfter kills the process in its n-th call from now on (from 1), which has no effect.
func (d *Disk) DieAfter(calls int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = calls
}

// Dead reports whether the process was killed.
func (d *Disk) Dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// die counts a call. The caller holds mu.
func (d *Disk) die() bool {
	if d.left > 0 {
		d.left--
		d.dead = d.dead || d.left == 0
	}
	return d.dead
}

// Kill kills the process that uses the disk, but not the machine: the next process sees all that
// was written, synced or not.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	return &Disk{root: d.root, room: d.room}
}

// PowerCut kills the process and the machine. Each unsynced change of a name, and each unsynced
// sector, reaches the disk or does not, as r decides.
func (d *Disk) PowerCut(r *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	likely := []float64{0, 0.1, 0.5, 0.9, 1}[r.IntN(5)]
	return &Disk{root: d.root.survive(func() bool { return r.Float64() < likely },
		map[*node]*node{}), room: d.room}
}

// survive copies what is left of a node. kept decides for each unsynced change.
func (n *node) survive(kept func() bool, done map[*node]*node) *node {
	if c := done[n]; c != nil {
		return c
	}
	if n.names == nil {
		c := &node{data: slices.Clone(n.disk)}
		done[n] = c
		for _, w := range n.writes {
			c.survived(w, kept)
		}
		c.disk = slices.Clone(c.data)
		return c
	}
	c := newDir()
	done[n] = c
	left := make(map[string]*node)
	for name, child := range n.safe {
		left[name] = child
	}
	for _, change := range n.renames {
		if !kept() {
			continue
		}
		if change.from != "" {
			delete(left, change.from)
		}
		if delete(left, change.name); change.to != nil {
			left[change.name] = change.to
		}
	}
	names := make([]string, 0, len(left))
	for name := range left {
		names = append(names, name)
	}
	slices.Sort(names) // so that a seed has the same result each time
	for _, name := range names {
		c.names[name] = left[name].survive(kept, done)
		c.safe[name] = c.names[name]
	}
	return c
}

// survived applies one write, sector by sector.
func (n *node) survived(w write, kept func() bool) {
	if w.data == nil {
		if kept() {
			n.truncate(w.off)
		}
		return
	}
	for len(w.data) > 0 {
		size := min(int64(len(w.data)), sector-w.off%sector)
		if kept() {
			n.put(w.off, w.data[:size])
		}
		w.off, w.data = w.off+size, w.data[size:]
	}
}

func (n *node) put(off int64, b []byte) {
	if grow := off + int64(len(b)) - int64(len(n.data)); grow > 0 {
		n.data = append(n.data, make([]byte, grow)...)
	}
	copy(n.data[off:], b)
}

func (n *node) truncate(size int64) {
	if grow := size - int64(len(n.data)); grow > 0 {
		n.data = append(n.data, make([]byte, grow)...)
	}
	n.data = n.data[:size]
}

// do runs one call on a path: parent is its directory, base its name there. The root is not a path.
func (d *Disk) do(op, name string, call func(parent *node, base string) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.die() {
		return ErrDead
	}
	name = path.Clean("/" + name)
	at := d.root
	dir, base := path.Split(name)
	err := error(nil)
	for part := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if part == "" || err != nil {
			continue
		}
		if at = at.names[part]; at == nil || at.names == nil {
			err = syscall.ENOENT
		}
	}
	if err == nil {
		err = call(at, base)
	}
	if err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// change makes an unsynced change of names.
func (n *node) change(c nameChange) {
	if c.from != "" {
		delete(n.names, c.from)
	}
	if delete(n.names, c.name); c.to != nil {
		n.names[c.name] = c.to
	}
	n.renames = append(n.renames, c)
}

// Mkdir implements volume.FS.
func (d *Disk) Mkdir(name string) error {
	return d.do("mkdir", name, func(parent *node, base string) error {
		if parent.names[base] != nil {
			return syscall.EEXIST
		}
		parent.change(nameChange{name: base, to: newDir()})
		return nil
	})
}

// Create implements volume.FS.
func (d *Disk) Create(name string) (volume.File, error) {
	f := &diskFile{d: d, n: &node{}, name: name}
	err := d.do("open", name, func(parent *node, base string) error {
		if parent.names[base] != nil {
			return syscall.EEXIST
		}
		parent.change(nameChange{name: base, to: f.n})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open implements volume.FS.
func (d *Disk) Open(name string) (volume.File, error) {
	f := &diskFile{d: d, name: name}
	err := d.do("open", name, func(parent *node, base string) error {
		if f.n = parent.names[base]; f.n == nil {
			return syscall.ENOENT
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenWrite implements volume.FS.
func (d *Disk) OpenWrite(name string) (volume.File, error) { return d.Open(name) }

// dirEntry is one name in a directory.
type dirEntry struct {
	name string
	n    *node
}

func (e dirEntry) Name() string               { return e.name }
func (e dirEntry) IsDir() bool                { return e.n.names != nil }
func (e dirEntry) Info() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (e dirEntry) Type() fs.FileMode {
	if e.IsDir() {
		return fs.ModeDir
	}
	return 0
}

// ReadDir implements volume.FS.
func (d *Disk) ReadDir(name string) ([]fs.DirEntry, error) {
	var list []fs.DirEntry
	err := d.do("readdir", name, func(parent *node, base string) error {
		n := parent
		if base != "" {
			n = parent.names[base]
		}
		if n == nil || n.names == nil {
			return syscall.ENOENT
		}
		for name, child := range n.names {
			list = append(list, dirEntry{name, child})
		}
		return nil
	})
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}

// Rename implements volume.FS, but only within one directory.
func (d *Disk) Rename(from, to string) error {
	if path.Dir(from) != path.Dir(to) {
		return errors.ErrUnsupported
	}
	return d.do("rename", from, func(parent *node, base string) error {
		n := parent.names[base]
		if n == nil {
			return syscall.ENOENT
		}
		parent.change(nameChange{name: path.Base(to), to: n, from: base})
		return nil
	})
}

// Remove implements volume.FS.
func (d *Disk) Remove(name string) error {
	return d.do("remove", name, func(parent *node, base string) error {
		n := parent.names[base]
		if n == nil {
			return syscall.ENOENT
		}
		if len(n.names) > 0 {
			return syscall.ENOTEMPTY
		}
		d.room += int64(len(n.data))
		parent.change(nameChange{name: base})
		return nil
	})
}

// Linked implements volume.FS.
func (d *Disk) Linked(string) (bool, error) { return false, nil }

// SyncDir implements volume.FS.
func (d *Disk) SyncDir(name string) error {
	return d.do("fsync", name, func(parent *node, base string) error {
		n := parent
		if base != "" {
			n = parent.names[base]
		}
		if n == nil || n.names == nil {
			return syscall.ENOENT
		}
		n.renames = nil
		n.safe = make(map[string]*node, len(n.names))
		for name, child := range n.names {
			n.safe[name] = child
		}
		return nil
	})
}

// SyncAll implements volume.FS. It makes nothing durable, because nobody may rely on it.
func (d *Disk) SyncAll(name string) error {
	return d.do("syncfs", name, func(*node, string) error { return nil })
}

// Space implements volume.FS.
func (d *Disk) Space(name string) (free, total int64, err error) {
	err = d.do("statfs", name, func(*node, string) error { free = max(d.room, 0); return nil })
	return free, 1 << 40, err
}

// diskFile is an open file of a Disk.
type diskFile struct {
	d    *Disk
	n    *node
	name string
}

func (f *diskFile) do(op string, call func() error) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.die() {
		return ErrDead
	}
	if err := call(); err != nil {
		return &os.PathError{Op: op, Path: f.name, Err: err}
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *diskFile) ReadAt(p []byte, off int64) (n int, err error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off < int64(len(f.n.data)) {
		n = copy(p, f.n.data[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements volume.File.
func (f *diskFile) WriteAt(bufs [][]byte, off int64) (written int64, err error) {
	err = f.do("pwritev", func() error {
		b := slices.Concat(bufs...)
		full := off+int64(len(b))-int64(len(f.n.data)) > f.d.room
		if full {
			b = b[:max(0, min(int64(len(b)), f.d.room))]
		}
		written = int64(len(b))
		was := len(f.n.data)
		if written > 0 {
			f.n.put(off, b)
			f.n.writes = append(f.n.writes, write{off, b})
		}
		f.d.room -= int64(len(f.n.data) - was)
		if full {
			return syscall.ENOSPC
		}
		return nil
	})
	return written, err
}

// Datasync implements volume.File.
func (f *diskFile) Datasync() error {
	return f.do("fdatasync", func() error {
		onDisk := node{data: f.n.disk}
		for _, w := range f.n.writes {
			onDisk.survived(w, func() bool { return true })
		}
		f.n.disk, f.n.writes = onDisk.data, nil
		return nil
	})
}

// lose is a failed sync, as in Linux: what was not on disk will never be, although everybody can
// still read it and later syncs succeed.
func (f *diskFile) lose() {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.n.writes = nil
}

// Truncate implements volume.File.
func (f *diskFile) Truncate(size int64) error {
	return f.do("ftruncate", func() error {
		f.d.room += int64(len(f.n.data)) - size
		f.n.truncate(size)
		f.n.writes = append(f.n.writes, write{off: size})
		return nil
	})
}

// Size implements volume.File.
func (f *diskFile) Size() (n int64, err error) {
	err = f.do("fstat", func() error { n = int64(len(f.n.data)); return nil })
	return n, err
}

// Named implements volume.File.
func (f *diskFile) Named(name string) (same bool, err error) {
	err = f.d.do("stat", name, func(parent *node,
		base string) error {
		same = parent.names[base] == f.n
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return same, err
}

// CopyTo implements volume.File.
func (f *diskFile) CopyTo(w io.Writer, off, n int64) (int64, error) {
	return io.Copy(w, io.NewSectionReader(f, off, n))
}

// Forget implements volume.File.
func (f *diskFile) Forget(int64, int64) {}

// Close implements io.Closer.
func (f *diskFile) Close() error { return nil }
