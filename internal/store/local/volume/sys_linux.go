package volume

import (
	"errors"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// maxVectors is Linux's IOV_MAX.
const maxVectors = 1024

// writeAt writes the slices back to back at an offset, with one pwritev(2) unless the kernel writes
// less. It changes bufs. written is only less than the whole with an error.
func writeAt(f *os.File, bufs [][]byte, off int64) (written int64, err error) {
	for {
		for len(bufs) > 0 && len(bufs[0]) == 0 {
			bufs = bufs[1:]
		}
		if len(bufs) == 0 {
			return written, nil
		}
		n, err := unix.Pwritev(int(f.Fd()), bufs[:min(len(bufs), maxVectors)], off+written)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = unix.ENOSPC
		}
		if err != nil {
			return written, &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		}
		// A full disk first writes less without an error; the next call then returns ENOSPC.
		written += int64(n)
		for n > 0 {
			k := min(n, len(bufs[0]))
			bufs[0] = bufs[0][k:]
			n -= k
			if len(bufs[0]) == 0 {
				bufs = bufs[1:]
			}
		}
	}
}

// syncData is fdatasync(2): the bytes, and the size if it changed.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}

// syncAll is syncfs(2) of the file system of a directory.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for {
		err := unix.Syncfs(int(f.Fd()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "syncfs", Path: dir, Err: err}
		}
		return nil
	}
}

// Space implements FS.
func (OS) Space(path string) (free, total int64, err error) {
	var st unix.Statfs_t
	for {
		if err = unix.Statfs(path, &st); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return freeBlocks(&st, rootHere()) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// freeBlocks returns how many blocks this process may use. ext4 reserves blocks for root, 5 % by
// default (mke2fs(8), -m). Bavail excludes them, Bfree does not. When nothing is left for anybody
// else, root can still write.
//
// Bfree also counts what ext4 keeps from everybody: 4096 clusters, or 2 % of a small file system
// (Linux, Documentation/ABI/testing/sysfs-fs-ext4, reserved_clusters). Blocks excludes metadata, so
// 3 % of it are at least as many.
func freeBlocks(st *unix.Statfs_t, root bool) int64 {
	free := int64(st.Bavail)
	if root && st.Type == unix.EXT4_SUPER_MAGIC {
		free = max(free, int64(st.Bfree)-int64(min(st.Blocks/32, 4096)))
	}
	return free
}

// rootHere reports whether this process is the root that ext4 reserves blocks for. The root of a
// user namespace (user_namespaces(7)) is another user outside it.
var rootHere = sync.OnceValue(func() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	if os.Geteuid() != 0 || err != nil {
		return false
	}
	ids := strings.Fields(string(b)) // inside, outside, count
	return len(ids) >= 2 && ids[0] == "0" && ids[1] == "0"
})

// openFiles is how many files this process may have open.
func openFiles() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}

// Forget implements File.
func (f osFile) Forget(off, n int64) {
	_ = unix.Fadvise(int(f.Fd()), off, n, unix.FADV_DONTNEED)
}
