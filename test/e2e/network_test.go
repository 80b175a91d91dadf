package e2e_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// networkVariable tells the test's binary that it has a network of its own, which it has to set up.
const networkVariable = "WEIR_E2E_NETWORK"

// benchmarks tells that benchmarks are to be run.
func benchmarks() bool {
	flag.Parse()
	return flag.Lookup("test.bench").Value.String() != ""
}

// runInOwnNetwork runs this program again, in a network namespace with nothing but a loopback, and gives its exit code. What sending
// costs depends on the machine's congestion control: BBR paces by timers, which on loopback cost as much as the sending. A namespace
// needs root; without it the error says so, and nothing was run.
func runInOwnNetwork() (code int, err error) {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), networkVariable+"=own", "WEIR_E2E_BINARY="+weirBinary)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // a thread's end would be its children's
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// setUpNetwork makes the namespace usable, with the congestion control that Linux has by default.
func setUpNetwork() error {
	const control = "/proc/sys/net/ipv4/tcp_congestion_control"
	if err := os.WriteFile(control, []byte("cubic"), 0); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return nil
}
