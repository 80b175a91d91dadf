package volume

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"weir/internal/store/local/directory"
)

// FS is the file system under Volumes: exactly the calls that they make, so that a test can make
// each of them fail, or take away what a power cut would. Errors are those of package os. Symbolic
// links are followed, since an operator may have moved a volume, or a whole stream, to another
// disk.
type FS interface {
	Mkdir(path string) error                    // mkdir(2), mode 0700
	Create(path string) (File, error)           // open(2) O_RDWR|O_CREAT|O_EXCL, mode 0600
	Open(path string) (File, error)             // open(2) O_RDONLY
	OpenWrite(path string) (File, error)        // open(2) O_RDWR
	ReadDir(path string) ([]fs.DirEntry, error) // getdents(2)
	Rename(from, to string) error               // rename(2)
	// unlink(2), or rmdir(2); for a linked volume also its file
	Remove(path string) error
	Linked(path string) (bool, error) // lstat(2): whether it is a symbolic link
	// fsync(2) of a directory: makes the names in it durable
	SyncDir(path string) error
	// syncfs(2): a hint to write the whole file system to disk; see rounds
	SyncAll(path string) error
	// statfs(2): bytes that this user may use, and all bytes
	Space(path string) (free, total int64, _ error)
}

// File is an open file of an FS. Reads and writes say where, so its only state is its name.
type File interface {
	io.ReaderAt // pread(2)
	io.Closer
	// WriteAt writes the slices back to back, with one pwritev(2) unless the kernel writes less. It
	// changes bufs. written is only less than the whole with an error.
	WriteAt(bufs [][]byte, off int64) (written int64, err error)
	Datasync() error           // fdatasync(2): the bytes, and the size if it changed
	Truncate(size int64) error // ftruncate(2)
	Size() (int64, error)      // fstat(2)
	// Named reports whether a path leads to this file: stat(2) and fstat(2). It is not an error if
	// the path leads nowhere.
	Named(path string) (bool, error)
	// CopyTo writes n bytes from off on to w, or fewer if the file ends before. A file of the
	// operating system hands itself to w, so that a connection sends it with sendfile(2); its
	// offset moves.
	CopyTo(w io.Writer, off, n int64) (int64, error)
	// Forget drops a range from the page cache, so that the next read goes to the device. It is a
	// hint.
	Forget(off, n int64)
}

// OS is the operating system's file system.
type OS struct{}

var _ FS = OS{}

// osFile is a File of the operating system. sys_*.go has what depends on the platform.
type osFile struct{ *os.File }

// Mkdir implements FS.
func (OS) Mkdir(path string) error { return os.Mkdir(path, 0o700) }

// Create implements FS.
func (OS) Create(path string) (File, error) {
	return openFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements FS.
func (OS) Open(path string) (File, error) { return openFile(path, os.O_RDONLY) }

// OpenWrite implements FS.
func (OS) OpenWrite(path string) (File, error) { return openFile(path, os.O_RDWR) }

func openFile(path string, flags int) (File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err // not a File that holds nil
	}
	return osFile{f}, nil
}

// ReadDir implements FS.
func (OS) ReadDir(path string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(path)
	for i, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		// else it leads nowhere
		if info, err := os.Stat(filepath.Join(path, e.Name())); err == nil {
			entries[i] = fs.FileInfoToDirEntry(info)
		}
	}
	return entries, err
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS. A linked file must go too, not only its link.
func (OS) Remove(path string) error {
	if filepath.Ext(path) == volumeSuffix {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if file, err := filepath.EvalSymlinks(path); err == nil {
				if err := os.Remove(file); err != nil {
					return err
				}
			}
		}
	}
	return os.Remove(path)
}

// Linked implements FS.
func (OS) Linked(path string) (bool, error) {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0, err
}

// SyncDir implements FS.
func (OS) SyncDir(path string) error { return directory.Sync(path) }

// SyncAll implements FS.
func (OS) SyncAll(path string) error { return syncAll(path) }

// WriteAt implements File.
func (f osFile) WriteAt(bufs [][]byte, off int64) (int64, error) {
	return writeAt(f.File, bufs,
		off)
}

// Datasync implements File.
func (f osFile) Datasync() error { return syncData(f.File) }

// Size implements File.
func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Named implements File.
func (f osFile) Named(path string) (bool, error) { return leadsTo(path, f.File) }

// CopyTo implements File. A connection sends a file from the file's own offset, so that is set
// first.
func (f osFile) CopyTo(w io.Writer, off, n int64) (int64, error) {
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return io.Copy(w, &io.LimitedReader{R: f.File, N: n})
}

// removeAll removes a directory with all that is in it, if it exists.
func removeAll(fsys FS, path string) error {
	entries, err := fsys.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		name := path + string(os.PathSeparator) + e.Name()
		err := fsys.Remove(name) // of a link to another directory, only the link
		if err != nil && e.IsDir() {
			err = removeAll(fsys, name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := fsys.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
