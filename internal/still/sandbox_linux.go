package still

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attributes let a process die with the thread that started it. With own it gets namespaces of its
// own: without a network, and without other processes. In them it is nobody, because no user is
// mapped into them.
func attributes(own bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if own {
		a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID |
			syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	}
	return a
}

// trySandbox finds out how far the kernel can isolate processes. Containers and some distributions
// have no namespaces, kernels before 5.13 have no Landlock, and an ffmpeg may be where confine
// keeps it from its libraries.
func (d *Decoder) trySandbox() (found isolation) {
	path, err := d.path()
	if err != nil {
		return isolation{}
	}
	works := func(i isolation) bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		wait, e := start(d.command(ctx, path, i.alone, "-version"), i.confined)
		if e == nil {
			e = wait()
		}
		err = errors.Join(err, e)
		return e == nil
	}
	for _, i := range []isolation{{true, true}, {false, true}, {true, false}} {
		if works(i) {
			found = i
			break
		}
	}
	if !found.alone {
		d.log.Warn("the kernel gives ffmpeg no namespaces of its own: media that takes it over "+
			"could reach other processes and the network", "error", err)
	}
	if !found.confined {
		d.log.Warn("ffmpeg cannot be kept from files by Landlock: media that takes it over could "+
			"read what the server can", "error", err)
	}
	return found
}

const (
	landlockRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE
	landlockRun   = landlockRead | unix.LANDLOCK_ACCESS_FS_EXECUTE
	landlockTree  = landlockRun | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockWrite = landlockRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
)

// confine takes TCP and all files but those of a program and its libraries from the calling thread,
// and from the processes that it starts (Landlock; kernel documentation, userspace-api/landlock).
// There is no way back: the thread must end.
func confine(program string) error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0,
		unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	rules, err := createRuleset(int(version))
	if err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	defer unix.Close(rules)
	prefix := filepath.Dir(program)
	if filepath.Base(prefix) == "bin" {
		prefix = filepath.Dir(prefix)
	}
	for _, r := range []struct {
		access uint64
		paths  []string
	}{
		{landlockTree, []string{"/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store",
			"/gnu/store", filepath.Join(prefix, "lib"), filepath.Join(prefix, "lib64")}},
		{landlockRun, []string{program}},
		{landlockRead, []string{"/etc/ld.so.cache", "/etc/ld.so.preload", "/dev/zero",
			"/dev/random", "/dev/urandom"}},
		{landlockWrite, []string{"/dev/null"}},
	} {
		for _, path := range r.paths {
			if err := allow(rules, path, r.access); err != nil {
				return fmt.Errorf("landlock: %s: %w", path, err)
			}
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	_, _, errno = unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(rules), 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	return nil
}

// createRuleset makes a ruleset that forbids everything that a version of Landlock can forbid.
func createRuleset(version int) (int, error) {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: 1<<13 - 1} // up to MAKE_SYM
	for _, more := range []struct {
		since  int
		access uint64
	}{
		{2, unix.LANDLOCK_ACCESS_FS_REFER},
		{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE},
		{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
	} {
		if version >= more.since {
			attr.Handled_access_fs |= more.access
		}
	}
	if version >= 4 {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP |
			unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)),
		unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// allow permits access to a file, or to everything below a directory. A path that does not exist
// needs no rule.
func allow(rules int, path string, access uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	} else if err != nil {
		return err
	}
	defer unix.Close(fd)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules),
		unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// niceness of the processes: ingest and playback are more urgent.
const niceness = 10

// restrict limits a process that has not read any input yet.
func restrict(pid int, l Limits) error {
	seconds := uint64(l.Time/time.Second) + 1
	for _, limit := range []struct {
		resource int
		most     uint64
	}{
		{unix.RLIMIT_DATA, l.Memory},
		{unix.RLIMIT_CPU, seconds},
		{unix.RLIMIT_FSIZE, 0}, // pipes are not affected
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, 64},
	} {
		rlimit := unix.Rlimit{Cur: limit.most, Max: limit.most}
		if err := unix.Prlimit(pid, limit.resource, &rlimit, nil); err != nil {
			return fmt.Errorf("prlimit %d: %w", limit.resource, err)
		}
	}
	return unix.Setpriority(unix.PRIO_PROCESS, pid, niceness)
}
