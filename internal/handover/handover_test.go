package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// server offers a socket on a directory.
func server(t *testing.T, dir string) (*Offer, *os.File) {
	t.Helper()
	socket, err := Listen(t.Context(), "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	o, err := NewOffer(dir, Sockets{Main: socket}, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { o.Close(false) })
	return o, socket
}

// A connection that comes while nobody accepts waits, and the successor answers it.
func TestConnectionsWaitForTheSuccessor(t *testing.T) {
	// longer than the address of a Unix socket may be
	dir := filepath.Join(t.TempDir(), strings.Repeat("a long name ", 10))
	must(t, os.Mkdir(dir, 0o700))
	o, socket := server(t, dir)
	info, err := os.Stat(filepath.Join(dir, socketName))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the socket in the directory has mode %v", info.Mode())
	}

	p, err := Take(t.Context(), dir)
	must(t, err)
	address, err := Address(socket)
	must(t, err)
	if p.PID != os.Getpid() || len(p.Sockets) != 1 || !Serves(p.Sockets[Main], address.String()) {
		t.Fatalf("got %+v", p)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(context.Background()) }()
	s := <-o.Asked()
	must(t, socket.Close())
	client, err := net.Dial("tcp", address.String())
	must(t, err)
	defer client.Close()
	must(t, s.Release())
	must(t, <-stopped)
	served := make(chan error, 1)
	go func() { served <- s.Serves() }()

	listener, err := net.FileListener(p.Sockets[Main])
	must(t, err)
	defer listener.Close()
	conn, err := listener.Accept()
	must(t, err)
	_, err = io.WriteString(conn, "served")
	must(t, errors.Join(err, conn.Close()))
	p.Serving()
	must(t, <-served)
	if text, err := io.ReadAll(client); err != nil || string(text) != "served" {
		t.Errorf("the client read %q, %v", text, err)
	}
	p.Sockets.Close()
}

// If one process dies or gives up, the other goes on.
func TestGivingUp(t *testing.T) {
	dir := t.TempDir()
	o, _ := server(t, dir)

	p, err := Take(t.Context(), dir)
	must(t, err)
	if _, err := Take(t.Context(), dir); err == nil ||
		!strings.Contains(err.Error(), "another takeover is under way") {
		t.Errorf("a second takeover: %v", err)
	}
	p.Close() // before it has asked the server to stop
	p.Sockets.Close()
	for {
		if p, err = Take(t.Context(), dir); err == nil {
			break // the server has noticed
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop(context.Background()) }()
	s := <-o.Asked()
	must(t, s.Release())
	must(t, <-stopped)
	p.Close() // it could not open the store
	p.Sockets.Close()
	if err := s.Serves(); err == nil {
		t.Error("a successor that closed is said to serve")
	}
	s.Close()

	o, _ = server(t, dir)
	p, err = Take(t.Context(), dir)
	must(t, err)
	go func() { (<-o.Asked()).Close() }() // the server dies
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("the server died while it stopped: %v", err)
	}
	p.Sockets.Close()

	must(t, o.Close(true))
	if _, err := Take(t.Context(), dir); !errors.Is(err, ErrNobody) {
		t.Errorf("without a server: %v", err)
	}
}

// Take fails on an offer that makes no sense.
func TestStrangeOffers(t *testing.T) {
	for _, line := range []string{"", "\n", "junk\n", `{"version":2}` + "\n",
		`{"version":1,"sockets":["main"]}` + "\n", `{"error":"no"}` + "\n"} {
		dir := t.TempDir()
		listener, err := net.Listen("unix", filepath.Join(dir, socketName))
		must(t, err)
		go func() {
			if conn, err := listener.Accept(); err == nil {
				fmt.Fprint(conn, line)
				conn.Close()
			}
		}()
		if p, err := Take(t.Context(), dir); err == nil {
			t.Errorf("%q gave %+v", line, p)
		}
		listener.Close()
	}
}

func TestServes(t *testing.T) {
	somewhere, err := Listen(t.Context(), "127.0.0.1:0")
	must(t, err)
	defer somewhere.Close()
	anywhere, err := Listen(t.Context(), ":0")
	must(t, err)
	defer anywhere.Close()
	here, err := Address(somewhere)
	must(t, err)
	everywhere, err := Address(anywhere)
	must(t, err)
	for _, c := range []struct {
		socket  *os.File
		address string
		want    bool
	}{
		{somewhere, here.String(), true},
		{somewhere, "127.0.0.1:0", true},
		{somewhere, fmt.Sprintf("localhost:%d", here.Port), true},
		{somewhere, fmt.Sprintf(":%d", here.Port), false},
		{somewhere, fmt.Sprintf("127.0.0.1:%d", here.Port^1), false},
		{somewhere, "nonsense", false},
		{anywhere, fmt.Sprintf(":%d", everywhere.Port), true},
		{anywhere, fmt.Sprintf("0.0.0.0:%d", everywhere.Port), true},
		{anywhere, fmt.Sprintf("127.0.0.1:%d", everywhere.Port), false},
	} {
		if got := Serves(c.socket, c.address); got != c.want {
			t.Errorf("%s: %v", c.address, got)
		}
	}
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	if _, err := Address(r); err == nil {
		t.Error("a pipe has an address")
	}
}
