package e2e_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A server that restarts, in whatever way, loses no frame and shows none twice. Producers with
// absolute and relative timecodes, in groups of two and ten seconds, send across two restarts and
// a renewal of their token.
func TestRestartLosesNoFrame(t *testing.T) {
	prepares(t)
	needTool(t, "ffmpeg")
	const frames = 1000
	type media struct {
		group  int
		header []byte
		units  [][]byte
		want   []string
	}
	var sources []media
	for _, group := range []int{50, 250} {
		path, header, units := sdkSource(t, frames, group)
		sources = append(sources, media{group, header, units, frameHashes(t, path, "0:v", false)})
	}
	for _, way := range restarts {
		t.Run(way.name, func(t *testing.T) {
			waits(t)
			s, again := way.start(t)
			var producers []*sdkProducer
			for _, m := range sources {
				for _, timecodes := range []string{"ABSOLUTE", "RELATIVE"} {
					stream := fmt.Sprintf("%s-%d", timecodes, m.group)
					s.run("weir", "create-stream", "--stream-name", stream,
						"--data-retention-in-hours", "2")
					producers = append(producers,
						newSDKProducer(s, stream, timecodes, m.header, m.units, m.group))
				}
			}
			errs := make([]error, len(producers))
			var running sync.WaitGroup
			for i, p := range producers {
				running.Go(func() { errs[i] = p.run() })
			}
			for range 2 {
				// the moment is the test's input
				time.Sleep(frames * sdkMillis * time.Millisecond / sdkSpeed / 5)
				s = again(s)
			}
			running.Wait()
			refused, headless, full := 0, 0, 0
			for i, p := range producers {
				if errs[i] != nil || p.skipped > 0 {
					t.Errorf("%s: %v, %d fragments skipped", p.stream, errs[i], p.skipped)
					continue
				}
				refused, headless, full = refused+p.refused, headless+p.headless, full+p.full
				kind := everything("PRODUCER_TIMESTAMP")
				if p.timecodes == "RELATIVE" {
					// producer timestamps jump with each connection
					kind = everythingPast("SERVER_TIMESTAMP")
				}
				u := s.hls(p.stream, "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
					kind)
				compareHashes(t, p.stream, sources[i/2].want,
					frameHashes(t, elementary(t, u), "0:v", false))
			}
			t.Logf("%d connections refused, %d bodies began inside a document, %d met a full disk",
				refused, headless, full)
			if (refused > 0) != way.refuses || (headless > 0) != way.refuses ||
				(full > 0) != way.fills {
				t.Errorf("%d connections were refused, %d bodies began inside a document, "+
					"%d met a full disk", refused, headless, full)
			}
		})
	}
}

// restarts are the ways to restart. start runs a server and tells how to restart it, at the same
// address.
var restarts = []struct {
	name    string
	refuses bool // connections, meanwhile
	fills   bool // the disk, before and after
	start   func(t *testing.T) (*server, func(*server) *server)
}{
	{"SIGTERM", true, false, func(t *testing.T) (*server, func(*server) *server) {
		return start(t, ""), func(s *server) *server {
			s.stop()
			time.Sleep(5 * sdkRetry) // every producer is refused at least once
			return start(t, s.Data, "--listen", address(s))
		}
	}},
	{"kill -9", true, false, func(t *testing.T) (*server, func(*server) *server) {
		return start(t, ""), func(s *server) *server {
			s.kill()
			time.Sleep(5 * sdkRetry)
			return start(t, s.Data, "--listen", address(s))
		}
	}},
	// Another program takes the last byte under the producers, and later what the stop has freed.
	{"full disk", true, true, func(t *testing.T) (*server, func(*server) *server) {
		const full = "degraded, read-only: the disk is full"
		disk := newSmallDisk(t, "64m")
		end := (*server).stop
		return start(t, disk.data(), "--min-free", "2MB"), func(s *server) *server {
			disk.fill()
			s.readiness(full)
			end(s)
			end = (*server).kill
			time.Sleep(5 * sdkRetry)
			disk.fill()
			s = start(t, s.Data, "--min-free", "2MB", "--listen", address(s))
			s.readiness(full)
			disk.free()
			s.readiness("ready")
			return s
		}
	}},
	{"takeover", false, false, func(t *testing.T) (*server, func(*server) *server) {
		return start(t, ""), func(old *server) *server {
			s := start(t, old.Data, "--listen", address(old), "--takeover")
			<-old.done
			if code := old.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("the old server ended with %v", old.cmd.ProcessState)
			}
			return s
		}
	}},
	{"socket activation", false, false, func(t *testing.T) (*server, func(*server) *server) {
		var sockets []*os.File
		players := "" // where players go, the second socket
		for range 2 {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			socket, err := listener.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			players = "http://" + listener.Addr().String()
			listener.Close()
			t.Cleanup(func() { socket.Close() })
			sockets = append(sockets, socket)
		}
		data := filepath.Join(t.TempDir(), "data")
		activate := func() *server {
			// As systemd does it: descriptors start at 3, and the process that becomes the server
			// says who it is.
			cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, weirBinary, "serve",
				"--data", data)
			cmd.ExtraFiles = sockets
			cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=main:playback")
			s := startCommand(t, data, cmd)
			if got := string(mustGet(t, players+"/readyz")); got != "ready\n" {
				t.Errorf("the socket for players: %q", got)
			}
			return s
		}
		return activate(), func(s *server) *server {
			s.cmd.Process.Signal(syscall.SIGTERM)
			<-s.done
			return activate()
		}
	}},
}

func address(s *server) string { return s.URL[len("http://"):] }

// elementary is a file with the H.264 of a session's segments, one after the other. ffmpeg's reader
// of HLS leaves out a segment whose times lie before those of the last one, which RELATIVE ones do
// after a renewal.
func elementary(t *testing.T, master string) string {
	t.Helper()
	media := mediaPlaylist(master, 1)
	segments, _ := parsePlaylist(t, media)
	var stream []byte
	for _, segment := range segments {
		for units := mdat(t, mustGet(t, segment.uri)); len(units) >= 4; {
			n := 4 + int(binary.BigEndian.Uint32(units))
			stream = append(append(stream, 0, 0, 0, 1), units[4:n]...)
			units = units[n:]
		}
	}
	path := filepath.Join(t.TempDir(), "session.h264")
	if err := os.WriteFile(path, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
