package index

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"weir/internal/store"
)

// allocate allocates disk space for a range of a file, also beyond its end, which does not move:
// fallocate(2) with FALLOC_FL_KEEP_SIZE. On a file system that cannot do it, nothing happens.
func allocate(f *os.File, off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil, errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		}
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
}

// shmOpen is the byte of the -shm file that every process locks that has it open (SQLite,
// os_unix.c, UNIX_SHM_DMS). The first one to lock it truncates the file, and then another program
// may take the space.
const shmOpen = 128

// holdShm clears the -shm file, which makes SQLite read the log again, and allocates its space.
// Until the lock is released, SQLite cannot truncate it. When another process has it open, it is
// left as it is.
func holdShm(f *os.File) (release func(), err error) {
	lock := func(kind int16) error {
		l := unix.Flock_t{Type: kind, Start: shmOpen, Len: 1}
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l)
	}
	release = func() { _ = lock(unix.F_UNLCK) } // closing the file releases it too
	if lock(unix.F_WRLCK) != nil {
		return release, nil
	}
	_, err = f.WriteAt(make([]byte, shmReserve), 0)
	if err == nil {
		err = lock(unix.F_RDLCK)
	}
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("%w for the shared memory of the index: %w", store.ErrFull, err)
	}
	return release, err
}
