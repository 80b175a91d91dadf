package e2e_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// smallDisk is a file system of its own, which another program fills.
type smallDisk struct {
	t    *testing.T
	path string
}

func newSmallDisk(t *testing.T, size string) *smallDisk {
	t.Helper()
	d := &smallDisk{t, t.TempDir()}
	if err := syscall.Mount("tmpfs", d.path, "tmpfs", 0, "size="+size); err != nil {
		missing(t, "mounting a file system needs root: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.path, 0); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *smallDisk) data() string  { return filepath.Join(d.path, "data") }
func (d *smallDisk) other() string { return filepath.Join(d.path, "other") }

// fill lets the other program take every byte that is free.
func (d *smallDisk) fill() {
	d.t.Helper()
	f, err := os.OpenFile(d.other(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *smallDisk) free() {
	d.t.Helper()
	if err := os.Remove(d.other()); err != nil {
		d.t.Fatal(err)
	}
}

// readiness waits until /readyz says something, with 200.
func (s *server) readiness(text string) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		body := string(mustGet(s.t, s.URL+"/readyz"))
		if strings.HasPrefix(body, text) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("/readyz says %q, want %q", body, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *server) describe(stream string) map[string]any {
	s.t.Helper()
	v := s.runJSON("weir", "describe-stream", "--stream-name", stream)
	return v["StreamInfo"].(map[string]any)
}

// live pushes until stop is called, over restarts and refusals, as producers do. refused is told of
// each ERROR 5001.
func (c *crashCamera) live(t *testing.T, on func() *server, refused chan<- struct{}) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			err := c.push(on())
			if err != nil && !strings.Contains(err.Error(), " 5001 ") {
				t.Error(err)
				return
			}
			if err != nil {
				select {
				case refused <- struct{}{}:
				default:
				}
			}
			time.Sleep(10 * time.Millisecond) // a producer waits a little before it comes again
		}
	})
	return func() { close(ended); running.Wait() }
}

// Another program takes the last byte under a live producer, and again after each stop. What was
// acknowledged plays, before and after a clean stop and a kill -9. Streams can be deleted and
// retention can be shortened. When there is space, everything goes on by itself.
func TestFullDiskIsNotTheEnd(t *testing.T) {
	waits(t)
	disk := newSmallDisk(t, "64m")
	s := start(t, disk.data(), "--min-free", "2MB")
	var mu sync.Mutex
	current := func() *server { mu.Lock(); defer mu.Unlock(); return s }
	restart := func(end func(*server)) {
		t.Helper()
		end(s)
		disk.fill()
		next := start(t, disk.data(), "--min-free", "2MB")
		mu.Lock()
		s = next
		mu.Unlock()
	}
	base := time.Now().Add(-time.Hour).UnixMilli()
	cam := &crashCamera{stream: "cam", base: base, acked: map[int]string{}}
	for _, name := range []string{"cam", "old", "older"} {
		s.run("weir", "create-stream", "--stream-name", name, "--data-retention-in-hours", "24")
		c := &crashCamera{stream: name, base: base, acked: map[int]string{}}
		if name == "cam" {
			c = cam
		}
		if err := c.push(s); err != nil {
			t.Fatal(err)
		}
	}
	refused := make(chan struct{}, 1)
	stop := cam.live(t, current, refused)
	disk.fill()
	<-refused
	s.readiness("degraded, read-only: the disk is full")
	stop()
	cam.check(t, s)
	_, stderr, err := s.try("weir", "create-stream", "--stream-name", "new")
	if err == nil || !strings.Contains(string(stderr), "disk of the server is full") {
		t.Fatalf("create-stream on a full disk: %v\n%s", err, stderr)
	}

	for _, end := range []func(*server){(*server).stop, (*server).kill, (*server).stop} {
		restart(end)
		s.readiness("degraded, read-only: the disk is full")
		cam.check(t, s)
		s.run("weir", "check", disk.data())
		if n := strings.Count(s.log.Tail(1<<20), "disk is full"); n != 1 {
			t.Fatalf("the log says %d times that the disk is full", n)
		}
	}

	stop = cam.live(t, current, refused)
	<-refused
	s.run("weir", "update-data-retention", "--stream-name", "old",
		"--current-version", s.describe("old")["Version"].(string),
		"--operation", "DECREASE_DATA_RETENTION", "--data-retention-change-in-hours", "20")
	for _, name := range []string{"old", "older"} {
		disk.fill()
		s.run("weir", "delete-stream", "--stream-arn", s.describe(name)["StreamARN"].(string))
	}
	disk.free()
	s.readiness("ready")
	stop()
	acked := len(cam.acked)
	if err := cam.push(s); err != nil || len(cam.acked) == acked {
		t.Fatalf("nothing is stored when there is space again: %v", err)
	}
	s.stop()
	s.run("weir", "check", disk.data())
	s = start(t, disk.data(), "--min-free", "2MB")
	s.readiness("ready")
	cam.check(t, s)
}

// The oldest recordings are deleted so that new ones have room, even when not a byte is left, and
// at the start.
func TestDeleteOldestAtZeroBytes(t *testing.T) {
	waits(t)
	disk := newSmallDisk(t, "64m")
	flags := []string{"--min-free", "2MB", "--when-full", "delete-oldest"}
	s := start(t, disk.data(), flags...)
	s.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "24")
	base := time.Now().Add(-time.Hour).UnixMilli()
	cam := &crashCamera{stream: "cam", base: base, acked: map[int]string{}}
	for range 12 { // 14 MB
		if err := cam.push(s); err != nil {
			t.Fatal(err)
		}
	}
	goesOn := func() {
		t.Helper()
		deadline := time.Now().Add(time.Minute)
		for acked := len(cam.acked); len(cam.acked) == acked; {
			if err := cam.push(s); err != nil && !strings.Contains(err.Error(), " 5001 ") {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatalf("nothing is stored\n%s", s.log.Tail(4<<10))
			}
			time.Sleep(50 * time.Millisecond) // a producer waits a little before it comes again
		}
		s.readiness("ready")
	}
	disk.fill()
	goesOn()
	s.stop()
	disk.fill()
	s = start(t, disk.data(), flags...)
	goesOn()
	s.kill()
	disk.fill()
	s = start(t, disk.data(), flags...)
	goesOn()
	newest := cam.next - 1
	cam.acked = map[int]string{newest: cam.acked[newest]} // the others may be gone
	cam.check(t, s)
}
