// Package handover passes listening sockets between processes, so that a restart refuses no
// connection: from systemd (Activated), and from a server to its successor on the same data
// directory (Offer, Take).
//
// The two servers exchange lines over a Unix socket in the data directory:
//
//	new ─ connects
//	old → {"version":1,"pid":…,"sockets":["main",…]}, or {"error":"…"}
//	      with the descriptors of the sockets (SCM_RIGHTS, unix(7))
//	new → stop        the old server finishes its work and releases the directory
//	old → released
//	new → serving     the old server exits
//
// If one of them closes its end of the connection, the other goes on serving. The old server keeps
// its sockets until it has read "serving", and takes the directory back if that does not come.
package handover

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// socketName is the Unix socket in the data directory.
const socketName = "takeover.sock"

const (
	version = 1

	// answerTime is how long each end waits for an answer that the other can give at once.
	answerTime = 10 * time.Second
	// maxLine bounds a line; names and errors are short.
	maxLine = 4 << 10
)

// Lines after the first one.
const (
	lineStop     = "stop\n"
	lineReleased = "released\n"
	lineServing  = "serving\n"
)

// offer is the first line.
type offer struct {
	Version int      `json:"version,omitempty"`
	PID     int      `json:"pid,omitempty"`
	Sockets []string `json:"sockets,omitempty"` // names, in the order of the descriptors
	Error   string   `json:"error,omitempty"`
}

// Offer is a server's offer of its sockets to a successor.
type Offer struct {
	path     string
	sockets  Sockets
	log      *slog.Logger
	listener *net.UnixListener
	asked    chan *Successor
	running  sync.WaitGroup

	mu     sync.Mutex
	busy   bool                       // somebody has the sockets
	closed bool                       // Close was called
	open   map[*net.UnixConn]struct{} // connections that Close ends
}

// NewOffer offers the sockets of the server on dir, whose lock the caller holds. The sockets stay
// the caller's.
func NewOffer(dir string, sockets Sockets, log *slog.Logger) (*Offer, error) {
	o := &Offer{
		path: filepath.Join(dir, socketName), sockets: sockets, log: log,
		asked: make(chan *Successor, 1), open: map[*net.UnixConn]struct{}{},
	}
	// It has another name until its mode is right. A socket that a killed server has left is
	// replaced.
	temporary := o.path + ".new"
	_ = os.Remove(temporary) // a killed server may have left this too
	err := withShortPath(temporary, func(path string) (err error) {
		o.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("offer sockets: %w", err)
	}
	o.listener.SetUnlinkOnClose(false) // the file may be another server's by then
	if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, o.path)); err != nil {
		return nil, errors.Join(fmt.Errorf("offer sockets: %w", err), o.listener.Close(),
			os.Remove(temporary))
	}
	o.running.Go(o.accept)
	return o, nil
}

// Asked returns a channel for the process that asks this one to stop. There is at most one. Asked
// and Close may be called on a nil Offer, which nobody takes.
func (o *Offer) Asked() <-chan *Successor {
	if o == nil {
		return nil
	}
	return o.asked
}

// Close withdraws the offer. It does not affect a successor that was received from Asked. remove
// says that the directory is still the caller's, so that the socket in it is this Offer's.
func (o *Offer) Close(remove bool) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	o.closed = true
	for conn := range o.open {
		_ = conn.Close() // its reader notices
	}
	o.mu.Unlock()
	err := o.listener.Close()
	o.running.Wait()
	select {
	case s := <-o.asked: // nobody has taken it
		s.Close()
	default:
	}
	if remove {
		if e := os.Remove(o.path); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (o *Offer) accept() {
	for {
		conn, err := o.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files
			o.log.Warn("cannot be taken over from", "error", err)
			time.Sleep(time.Second)
			continue
		}
		o.running.Go(func() { o.talk(conn) })
	}
}

// talk gives the sockets to one process. When that wants this one to stop, talk sends it to Asked.
func (o *Offer) talk(conn *net.UnixConn) {
	if !o.enter(conn) {
		_ = conn.Close() // the other process notices
		return
	}
	keep := false
	defer func() {
		o.leave(conn)
		if !keep {
			_ = conn.Close()
		}
	}()
	pid, err := checkPeer(conn)
	if err != nil {
		o.log.Warn("takeover refused", "error", err)
		return
	}
	if !o.take() {
		_ = send(conn, offer{Error: "another takeover is under way"}, nil)
		return
	}
	defer func() {
		if !keep {
			o.giveBack()
		}
	}()
	names := o.sockets.names()
	files := make([]*os.File, len(names))
	for i, name := range names {
		files[i] = o.sockets[name]
	}
	mine := offer{Version: version, PID: os.Getpid(), Sockets: names}
	if err := send(conn, mine, files); err != nil {
		o.log.Warn("takeover failed", "pid", pid, "error", err)
		return
	}
	s := &Successor{PID: pid, conn: conn, lines: bufio.NewReaderSize(conn, maxLine)}
	if err := s.expect(lineStop, answerTime); err != nil {
		o.log.Warn("takeover given up by the other process", "pid", pid, "error", err)
		return
	}
	keep = true
	o.asked <- s
}

func (o *Offer) enter(conn *net.UnixConn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.open[conn] = struct{}{}
	return true
}

func (o *Offer) leave(conn *net.UnixConn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.open, conn)
}

func (o *Offer) take() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.busy
	o.busy = true
	return !was
}

func (o *Offer) giveBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = false
}

// Successor is the process that takes over.
type Successor struct {
	PID   int
	conn  *net.UnixConn
	lines *bufio.Reader
}

// Release tells the successor that the data directory is free.
func (s *Successor) Release() error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(answerTime)) // fails when Write does
	if _, err := s.conn.Write([]byte(lineReleased)); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// Serves waits until the successor serves, which may take long. It returns an error if the
// successor has given up.
func (s *Successor) Serves() error { return s.expect(lineServing, 0) }

// Close ends the conversation. Then Serves returns.
func (s *Successor) Close() { _ = s.conn.Close() } // nothing can be lost

func (s *Successor) expect(line string, limit time.Duration) error {
	return expect(s.conn, s.lines, line, limit)
}

// expect reads a line within a time; 0: no limit.
func expect(conn *net.UnixConn, lines *bufio.Reader, line string, limit time.Duration) error {
	deadline := time.Time{}
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	if err := conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	got, err := lines.ReadSlice('\n')
	if err == nil && string(got) != line {
		err = fmt.Errorf("%q where %q was due", got, line)
	}
	return err
}

// send writes the first line with the descriptors of files.
func send(conn *net.UnixConn, o offer, files []*os.File) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	fds := make([]int, len(files))
	for i, f := range files {
		// Not Fd, which would make the socket blocking for every process that has it.
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return err
		}
	}
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, _, err = conn.WriteMsgUnix(append(line, '\n'), rights, nil)
	runtime.KeepAlive(files)
	return err
}

// withShortPath calls f with a path to the same file that fits the address of a Unix socket (108
// bytes on Linux, unix(7)).
func withShortPath(path string, f func(path string) error) error {
	if len(path) < 100 || runtime.GOOS != "linux" {
		return f(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = f(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
	return errors.Join(err, dir.Close())
}

// names returns the names of the sockets, sorted.
func (s Sockets) names() (names []string) {
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
