package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/store"
	"weir/internal/store/local/directory"
)

// Lock is the right to use a data directory. It is a flock(2) of the directory itself, which stays
// the same one as long as the path leads to it, and one of its file "lock", the only one that older
// versions take. Both end with Close or with the process. Its methods may be called concurrently.
type Lock struct {
	dir  string
	self *os.File // the directory

	mu     sync.Mutex
	file   *os.File               // the file "lock"; guarded by mu
	opened map[string]fs.FileInfo // what Watch found there, by path; guarded by mu
}

// lockFile is the name of the file in the data directory.
const lockFile = "lock"

// lockRetry is how often LockDirWithin tries.
const lockRetry = 20 * time.Millisecond

// LockDir makes the data directory (mode 0700) if need be and locks it. Lock it before the index is
// opened. store.ErrLocked when another process holds the lock.
func LockDir(dir string) (*Lock, error) {
	l, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return l, nil
}

// LockDirWithin is LockDir, but waits up to a given time until the process that holds the lock
// releases it.
func LockDirWithin(ctx context.Context, dir string, wait time.Duration) (*Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		l, err := LockDir(dir)
		if !errors.Is(err, store.ErrLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(lockRetry):
		}
	}
}

func lockDir(dir string) (*Lock, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	self, err := lockPath(dir, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	file, err := lockPath(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, errors.Join(err, self.Close())
	}
	return &Lock{dir: dir, self: self, file: file, opened: make(map[string]fs.FileInfo)}, nil
}

// lockPath opens what a path leads to and locks it. Then it checks that the path still leads there:
// the last holder may have removed it first.
func lockPath(path string, flags int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			return nil, err
		}
		for {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = store.ErrLocked
		}
		same := false
		if err == nil {
			same, err = leadsTo(path, f)
		}
		if err == nil && same {
			return f, nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// leadsTo reports whether a path still leads to an open file. It is not an error if the path leads
// nowhere.
func leadsTo(path string, f *os.File) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	return leadsToFile(path, open)
}

func leadsToFile(path string, opened fs.FileInfo) (bool, error) {
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(opened, now), err
}

// Watch makes Check look at more paths: they must still lead to what they lead to now.
func (l *Lock) Watch(paths ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		l.opened[path] = info
	}
	return nil
}

// Check returns store.ErrLost when the directory is gone from its path, when something else has
// taken its place or that of a watched path, or when another process has taken the lock. It makes
// the file "lock" again if somebody has removed it.
func (l *Lock) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if same, err := leadsTo(l.dir, l.self); err != nil || !same {
		return lost(l.dir, err)
	}
	path := filepath.Join(l.dir, lockFile)
	if same, err := leadsTo(path, l.file); err != nil {
		return lost(path, err)
	} else if !same {
		file, err := lockPath(path, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return lost(path, err)
		}
		_ = l.file.Close() // it has no name any more
		l.file = file
	}
	for path, opened := range l.opened {
		if same, err := leadsToFile(path, opened); err != nil || !same {
			return lost(path, err)
		}
	}
	return nil
}

func lost(path string, err error) error {
	if err == nil {
		return fmt.Errorf("%w: %s", store.ErrLost, path)
	}
	return fmt.Errorf("%w: %w", store.ErrLost, err)
}

// Close lets go of the directory.
func (l *Lock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.file.Close(), l.self.Close())
}

// makeDir makes a directory and its parents, and makes their names durable.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return directory.Sync(parent)
}
