package index

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"weir/internal/store"
)

// allocate gives a range of a file its space on the disk, also behind its end, which stays where it
// is: fallocate(2) with FALLOC_FL_KEEP_SIZE. A file system that cannot do so is left to itself.
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

// shmOpen is the byte of the -shm file that every process which has it open locks (SQLite,
// os_unix.c, UNIX_SHM_DMS). Who locks it first cuts the file, and then another program may take the
// space.
const shmOpen = 128

// holdShm clears the -shm file, which makes SQLite read the log, gives it its space, and keeps
// SQLite from cutting it until the lock is let go. When another process has it open it is left as
// it is.
func holdShm(f *os.File) (release func(), err error) {
	lock := func(kind int16) error {
		l := unix.Flock_t{Type: kind, Start: shmOpen, Len: 1}
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l)
	}
	release = func() { _ = lock(unix.F_UNLCK) } // closing the file ends it too
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
