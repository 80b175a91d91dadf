package volume

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What statfs(2) says about an ext4 of 256 MB when only root's reserve was left, and when root had
// used that up.
func TestFreeBlocks(t *testing.T) {
	reserve := unix.Statfs_t{Type: unix.EXT4_SUPER_MAGIC, Blocks: 57274, Bfree: 4586, Bavail: 0}
	end := unix.Statfs_t{Type: unix.EXT4_SUPER_MAGIC, Blocks: 57274, Bfree: 1459, Bavail: 0}
	plenty := unix.Statfs_t{
		Type: unix.EXT4_SUPER_MAGIC, Blocks: 1 << 30, Bfree: 1 << 29, Bavail: 1 << 28,
	}
	other := reserve
	other.Type = unix.XFS_SUPER_MAGIC
	for _, c := range []struct {
		name     string
		st       unix.Statfs_t
		root     bool
		min, max int64
	}{
		{"the reserve, to root", reserve, true, 2000, 3276},
		{"the reserve, to another", reserve, false, 0, 0},
		{"the reserve, elsewhere", other, true, 0, 0},
		{"the end", end, true, 0, 0},
		{"plenty, to root", plenty, true, 1<<29 - 4096, 1<<29 - 4096},
		{"plenty, to another", plenty, false, 1 << 28, 1 << 28},
	} {
		if got := freeBlocks(&c.st, c.root); got < c.min || got > c.max {
			t.Errorf("%s: %d blocks, want %d to %d", c.name, got, c.min, c.max)
		}
	}
}

// On an ext4 with 4 KiB blocks, root is told all that it can write, and in the end nothing.
func TestSpaceOfRootOnExt4(t *testing.T) {
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20),
		os.Mkdir(mount, 0o700))
	if err != nil {
		t.Fatal(err)
	}
	make4K := exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "5", image)
	if err := make4K.Run(); err != nil {
		t.Skip("no mkfs.ext4:", err)
	}
	if err := exec.Command("mount", "-o", "loop", image, mount).Run(); err != nil {
		t.Skip("mounting a file system needs root:", err)
	}
	defer func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}()
	space := func() int64 {
		t.Helper()
		free, _, err := OS{}.Space(mount)
		if err != nil {
			t.Fatal(err)
		}
		return free
	}
	f, err := os.Create(filepath.Join(mount, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	told := false // of the reserve
	for chunk := make([]byte, 256<<10); ; {
		if _, err = f.Write(chunk); err == nil {
			err = f.Sync()
		}
		if err != nil {
			break
		}
		if err := unix.Statfs(mount, &st); err != nil {
			t.Fatal(err)
		}
		told = told || st.Bavail == 0 && space() > 0
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := unix.Statfs(mount, &st); err != nil {
		t.Fatal(err)
	}
	if !told {
		t.Error("nothing was free while root could write")
	}
	if free := space(); free > 0 {
		t.Errorf("%d bytes are free, and none can be written", free)
	}
}
