package index

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
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
