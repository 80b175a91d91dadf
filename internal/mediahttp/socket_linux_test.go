//go:build linux && (amd64 || arm64 || riscv64)

package mediahttp

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file of which a part is not in memory would hold up the scheduler.
func TestReady(t *testing.T) {
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
	if _, err := unix.Preadv2(int(f.Fd()), [][]byte{make([]byte, 1)}, 0, unix.RWF_NOWAIT); err != nil {
		known = false
	}
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
		if got := ready(f.Fd(), c.off, c.n); got != (c.want && known) {
			t.Errorf("%d bytes from %d: %v, want %v; the kernel tells: %v", c.n, c.off, got, c.want, known)
		}
	}
}

// The header and the beginning of the file are one packet.
func TestOnePacket(t *testing.T) {
	media := startMedia(t, Options{})
	small := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(small, []byte("some frames"), 0o600); err != nil {
		t.Fatal(err)
	}
	media.player.path.Store(&small)
	conn := media.dial()
	if _, body, err := get(conn, "whole-file"); err != nil || body != "some frames" {
		t.Fatal(body, err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.Data_segs_in != 1 {
			t.Error("packets with data:", info.Data_segs_in, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// Not every file system has what sendfile(2) needs; proc(5) has not.
func TestFileWithoutSendfile(t *testing.T) {
	f, err := os.Open("/proc/self/environ")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil || len(all) < 10 {
		t.Fatal(all, err)
	}
	s, client := newPair(t)
	if n, err := s.SendFile(f, 1, 8); n != 8 || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, 8)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != string(all[1:9]) {
		t.Errorf("%q, %v, want %q", got, err, all[1:9])
	}
}

// A file that ends too early is an error, or the client would wait for the rest.
func TestShortFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "short"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("0123456789"); err != nil {
		t.Fatal(err)
	}
	s, _ := newPair(t)
	if n, err := s.SendFile(f, 4, 7); n != 6 || err != io.ErrUnexpectedEOF {
		t.Error(n, err)
	}
}

// newPair makes a socket and the other end of it.
func newPair(t *testing.T) (s *socket, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); conn.Close() })
	return newSocket(conn.(*net.TCPConn)), client
}
