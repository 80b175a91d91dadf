//go:build linux && (amd64 || arm64 || riscv64)

package mediahttp

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file of which a part is not in memory must not hold up the scheduler.
func TestInMemory(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page := int64(os.Getpagesize())
	if _, err := f.WriteAt(make([]byte, 4*page), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(8 * page); err != nil { // the second half was never touched
		t.Fatal(err)
	}
	known := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &unix.Cachestat_t{}, 0) == nil
	for _, c := range []struct {
		off, n int64
		want   bool
	}{
		{0, 4 * page, true},
		{1, 1, true},
		{page - 1, 2, true},
		{0, 4*page + 1, false},
		{4*page - 1, 2, false},
		{5 * page, 10, false},
		{0, 8 * page, false},
	} {
		if got := inMemory(f.Fd(), c.off, c.n); got != (c.want && known) {
			t.Errorf("%d bytes from %d: %v, want %v; the kernel tells: %v", c.n, c.off, got, c.want, known)
		}
	}
}
