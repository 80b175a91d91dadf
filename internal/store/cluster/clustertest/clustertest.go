// Package clustertest starts the servers that a cluster needs, for tests: a real PostgreSQL and a
// real S3 server on loopback. A test binary shares one of each; each test has its own schema and
// prefix. Its proxy treats connections badly.
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Required makes a missing server a failure instead of a skipped test; make test sets it.
const Required = "WEIR_CLUSTER_REQUIRE_TOOLS"

// startTime is how long a server may take until it answers, on a machine with much else to do.
const startTime = 60 * time.Second

// errMissing says that a program is not installed.
var errMissing = errors.New("not installed")

// shared are the servers that this test binary shares.
var shared struct {
	mu       sync.Mutex
	postgres *Postgres // guarded by mu
	gateway  *Gateway  // likewise
	schemas  int       // likewise: given out
}

// Main runs the tests of a package and stops what they have started. Its TestMain is
//
//	func TestMain(m *testing.M) { clustertest.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	shared.mu.Lock()
	if shared.postgres != nil {
		shared.postgres.remove()
	}
	if shared.gateway != nil {
		shared.gateway.remove()
	}
	os.Exit(code)
}

// missing ends a test whose server is not installed.
func missing(t testing.TB, what string, err error) {
	t.Helper()
	if errors.Is(err, errMissing) && os.Getenv(Required) == "" {
		t.Skipf("%s is %v", what, err)
	}
	t.Fatalf("%s: %v", what, err)
}

// process is a server in its own directory. It ends with the test binary, however that ends.
type process struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
	stop   chan struct{} // gives back the thread that the kernel watches
}

// start runs a program and waits until ready has no error.
func (p *process) start(cmd *exec.Cmd, ready func(context.Context) error) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	exited, stop := make(chan struct{}), make(chan struct{})
	p.cmd, p.exited, p.stop = cmd, exited, stop
	started := make(chan error)
	go func() {
		// The signal comes when this thread ends, not when the process does: prctl(2).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			<-stop
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return p.await(ready)
}

// await waits until ready has no error.
func (p *process) await(ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			return fmt.Errorf("it ended: %w\n%s", err, log)
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// signal sends a signal.
func (p *process) signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// kill ends the process and waits for it.
func (p *process) kill() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.signal(syscall.SIGKILL)
	<-p.exited
	close(p.stop)
	p.cmd = nil
}

func (p *process) remove() {
	p.kill()
	_ = os.RemoveAll(p.dir)
}

// freePort returns a port on loopback that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return strconv.Itoa(port), l.Close()
}
