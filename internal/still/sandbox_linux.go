package still

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attributes let a process die with this one, and with own be alone: without network and devices of
// its own, without sight of other processes, mounts and users.
func attributes(own bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if own {
		a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID |
			syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
		one := func(id int) []syscall.SysProcIDMap {
			return []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
		}
		a.UidMappings, a.GidMappings = one(os.Getuid()), one(os.Getgid())
	}
	return a
}

// trySandbox finds out whether the kernel lets processes have namespaces of their own. Containers and
// some distributions do not.
func (d *Decoder) trySandbox() bool {
	path, err := d.path()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.command(ctx, path, true, "-version").Run(); err != nil {
		d.log.Warn("the kernel gives ffmpeg no namespaces of its own: it decodes with limits, but "+
			"could reach the network if its media took it over", "error", err)
		return false
	}
	return true
}

// niceness of the processes: what comes in and goes out is more urgent.
const niceness = 10

// restrict limits a process that has not been told anything yet.
func restrict(pid int, l Limits) error {
	seconds := uint64(l.Time/time.Second) + 1
	for _, limit := range []struct {
		resource int
		most     uint64
	}{
		{unix.RLIMIT_DATA, l.Memory},
		{unix.RLIMIT_CPU, seconds},
		{unix.RLIMIT_FSIZE, 0}, // pipes are not meant
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
