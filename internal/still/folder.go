package still

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// folderTemporary begins the names of files that are not whole yet.
	folderTemporary = ".new-"
	// folderAbandoned is the age from which such a file counts as abandoned. A younger one may
	// belong to the server that this one is taking over from.
	folderAbandoned = time.Hour
)

// Folder is a directory of images for others to take. It holds up to a number of bytes; the oldest
// files make room for new ones. Others may read and delete files at any time. It is safe for
// concurrent use.
type Folder struct {
	dir  string
	most int64

	mu    sync.Mutex
	bytes int64 // on disk, except that deletions by others since the last count are not known
}

// OpenFolder opens a folder of at most most bytes on disk, and deletes abandoned temporary files.
// The directory need not exist.
func OpenFolder(dir string, most int64) (*Folder, error) {
	f := &Folder{dir: dir, most: most}
	if err := f.makeRoom(0); err != nil {
		return nil, fmt.Errorf("open folder of images: %w", err)
	}
	return f, nil
}

// Put writes a file atomically. name must be a path below the folder, and the file must fit in it.
func (f *Folder) Put(name string, size int64, content io.Reader) (err error) {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("put image: %q is not below its folder", name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	cost := size + cacheBlock
	if cost > f.most {
		return errors.New("put image: it is longer than all images may be")
	}
	if f.bytes+cost > f.most {
		if err := f.makeRoom(cost); err != nil {
			return fmt.Errorf("put image: %w", err)
		}
	}
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("put image: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), folderTemporary+"*")
	if err != nil {
		return fmt.Errorf("put image: %w", err)
	}
	n, err := io.Copy(file, content)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, file.Chmod(0o640), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the first error is returned
		return fmt.Errorf("put image: %w", err)
	}
	f.bytes += cost
	return nil
}

// Bytes returns how many bytes the files take on disk, except that others may have deleted some.
func (f *Folder) Bytes() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes
}

// makeRoom counts the files. If cost more bytes do not fit, it deletes the oldest files until they
// do and a tenth of the folder is free, so that not every Put has to do so. The caller holds mu, or
// is alone.
func (f *Folder) makeRoom(cost int64) error {
	type old struct {
		path string
		size int64
		made time.Time
	}
	var files []old
	f.bytes = 0
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // nothing yet, or somebody took it
		case err != nil || d.IsDir():
			return err
		}
		info, err := d.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !strings.HasPrefix(d.Name(), folderTemporary):
		case time.Since(info.ModTime()) > folderAbandoned:
			return os.Remove(path)
		default:
			return nil
		}
		files = append(files, old{path, info.Size() + cacheBlock, info.ModTime()})
		f.bytes += info.Size() + cacheBlock
		return nil
	})
	if err != nil || f.bytes+cost <= f.most {
		return err
	}
	slices.SortFunc(files, func(a, b old) int {
		return cmp.Or(a.made.Compare(b.made), strings.Compare(a.path, b.path))
	})
	for _, file := range files {
		if f.bytes+cost <= f.most-f.most/10 {
			break
		}
		if err := os.Remove(file.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f.bytes -= file.size
	}
	return nil
}
