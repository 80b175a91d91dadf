package handover

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrNobody says that no server offers its sockets: none runs on the directory, or it has just
// released it.
var ErrNobody = errors.New("no server to take over from")

// releaseTime is how long a server may take to finish its work. It gives its producers five
// seconds; the rest is for the disk.
const releaseTime = time.Minute

// Predecessor is the server that this one takes over from. It serves as before until Stop.
type Predecessor struct {
	PID     int
	Sockets Sockets // the receiver's own descriptors

	conn  *net.UnixConn
	lines *bufio.Reader
}

// Take gets the sockets of the server on dir. The error is ErrNobody if there is none.
func Take(ctx context.Context, dir string) (*Predecessor, error) {
	var conn net.Conn
	err := withShortPath(filepath.Join(dir, socketName), func(path string) (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", path)
		return err
	})
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNobody
	case err != nil:
		return nil, fmt.Errorf("take over: %w", err)
	}
	p := &Predecessor{conn: conn.(*net.UnixConn)}
	if err := p.receive(); err != nil {
		_ = p.conn.Close() // the first error is returned
		return nil, fmt.Errorf("take over: %w", err)
	}
	p.lines = bufio.NewReaderSize(p.conn, maxLine)
	return p, nil
}

// receive reads the first line and the sockets with it.
func (p *Predecessor) receive() error {
	if _, err := checkPeer(p.conn); err != nil {
		return err
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	line, rights := make([]byte, maxLine), make([]byte, 1<<10)
	n, m, flags, _, err := p.conn.ReadMsgUnix(line, rights)
	if err != nil {
		return err
	}
	files, err := received(rights[:m])
	if err != nil {
		return err
	}
	if n == 0 {
		return closeAll(files, io.ErrUnexpectedEOF)
	}
	var o offer
	switch err := json.Unmarshal(line[:n], &o); {
	case err != nil:
		return closeAll(files, fmt.Errorf("the server's offer: %w", err))
	case o.Error != "":
		return closeAll(files, errors.New(o.Error))
	case o.Version != version:
		return closeAll(files,
			fmt.Errorf("the server speaks version %d of the handover, this one %d", o.Version,
				version))
	case flags&syscall.MSG_CTRUNC != 0 || len(files) != len(o.Sockets) ||
		!bytes.HasSuffix(line[:n], []byte("\n")):
		return closeAll(files, fmt.Errorf("%d of the %d sockets came", len(files), len(o.Sockets)))
	}
	p.PID, p.Sockets = o.PID, Sockets{}
	for i, name := range o.Sockets {
		p.Sockets[name] = files[i]
	}
	return nil
}

// received makes files of the descriptors in a control message.
func received(control []byte) (files []*os.File, err error) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return nil, closeAll(files, err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File, err error) error {
	for _, f := range files {
		_ = f.Close()
	}
	return err
}

// Stop asks the server to finish its work, and waits until it has released the data directory. It
// is no error if the server dies meanwhile: the lock of the directory shows whether it is free.
func (p *Predecessor) Stop(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = p.conn.Close() })()
	_, err := p.conn.Write([]byte(lineStop))
	if err == nil {
		err = expect(p.conn, p.lines, lineReleased, releaseTime)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return nil
	case err != nil:
		return fmt.Errorf("take over from process %d: %w", p.PID, err)
	}
	return nil
}

// Serving tells the old server that this one serves, so that it ends.
func (p *Predecessor) Serving() {
	_, _ = p.conn.Write([]byte(lineServing)) // it may be gone, which is what is wanted
	_ = p.conn.Close()
}

// Close gives up: the old server goes on, or takes the directory back. It does not close the
// sockets.
func (p *Predecessor) Close() { _ = p.conn.Close() }
