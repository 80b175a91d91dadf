package still

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"weir/internal/mkv"
)

// script makes a program in place of ffmpeg.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n[ \"$1\" = -version ] && exit 0\n"+body),
		0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// answer returns a command that writes Matroska with an image for each second. It reads no file,
// because the sandbox would hide it.
func answer(t *testing.T, seconds ...int64) string {
	t.Helper()
	var b bytes.Buffer
	w := mkv.NewWriter(&b)
	must(t, w.WriteHeader(mkv.Header{Tracks: imageTracks}))
	for _, s := range seconds {
		must(t, w.WriteCluster(s*1000))
		must(t, w.WriteFrame(1, s*1000, true, []byte{'#', byte('0' + s)}))
	}
	var command strings.Builder
	command.WriteString("printf '")
	for _, c := range b.Bytes() {
		fmt.Fprintf(&command, "\\%03o", c)
	}
	return command.String() + "'"
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a job for frames 1 and 3 and returns the images.
func run(t *testing.T, d *Decoder, input io.Reader) (images string, err error) {
	t.Helper()
	err = d.Run(t.Context(), &Job{Codec: H264, Spec: Spec{Quality: 80}, Frames: []int{1, 3},
		Write: func(w io.Writer) error { _, err := io.Copy(w, input); return err },
		Made:  func(_ int, image []byte) error { images += string(image); return nil }})
	return images, err
}

func TestRun(t *testing.T) {
	t.Parallel()
	nothing := strings.NewReader("")
	for name, c := range map[string]struct {
		program string
		images  string
		failed  error
		says    string
	}{
		"all":           {"cat >/dev/null; " + answer(t, 1, 3), "#1#3", nil, ""},
		"one too few":   {answer(t, 1), "#1", ErrMedia, "1 of 2 images"},
		"another frame": {answer(t, 1, 2), "#1", ErrMedia, "no image of frame 3"},
		"no Matroska":   {"head -c 100000 /dev/zero", "", ErrMedia, "2 of 2 images"},
		"an error":      {"echo broken >&2; exit 1", "", ErrMedia, "broken"},
		"a long error":  {"head -c 10000000 /dev/zero >&2; exit 1", "", ErrMedia, "exit status 1"},
		"environment":   {"[ -z \"$HOME\" ] && echo at:$(pwd) >&2; exit 1", "", ErrMedia, "at:/"},
	} {
		images, err := run(t, NewDecoder(script(t, c.program), Limits{}, nil), nothing)
		if images != c.images || !errors.Is(err, c.failed) ||
			err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %.200v", name, images, err)
		}
		if err != nil && len(err.Error()) > 2*maxComplaint {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// A process that reads hostile media can use no more than it needs, and reach nothing.
func TestLimits(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux limits processes")
	}
	file := filepath.Join(t.TempDir(), "written")
	for name, c := range map[string]struct {
		program string
		limits  Limits
		says    string
	}{
		"memory": {"dd if=/dev/zero of=/dev/null bs=128M count=1", Limits{Memory: 64 << 20},
			"memory"},
		"processor": {"while :; do :; done", Limits{Time: 2 * time.Second}, "longer"},
		"clock":     {"sleep 1000", Limits{Time: time.Second}, "longer"},
		"files":     {"trap '' XFSZ; echo x >" + file, Limits{}, ""},
		"image":     {answer(t, 1, 3), Limits{Image: 1}, "more than the limit"},
	} {
		_, err := run(t, NewDecoder(script(t, "read x\n"+c.program), c.limits, nil),
			strings.NewReader("\n"))
		if !errors.Is(err, ErrMedia) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if data, err := os.ReadFile(file); err == nil && len(data) > 0 {
		t.Errorf("it wrote %q", data)
	}
}

// Code that takes over ffmpeg reaches no file of the server, no network and no other process, by
// any means that the kernel has.
func TestSandbox(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux confines processes")
	}
	secret := filepath.Join(t.TempDir(), "credentials")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	dial := "bash -c 'echo >/dev/tcp/127.0.0.1/" + port + "' && echo connected >&2"
	for name, c := range map[string]struct {
		isolation
		program     string
		has, hasNot string
	}{
		"files": {isolation{confined: true}, "cat " + secret + " >&2", "", "secret"},
		"directories": {isolation{confined: true}, "ls " + filepath.Dir(secret) + " >&2", "",
			"credentials\n"},
		"deleting": {isolation{confined: true}, "rm " + secret + " && echo deleted >&2", "",
			"deleted"},
		"its server": {isolation{confined: true}, "cat /proc/$PPID/environ >&2", "denied", "PATH"},
		"TCP":        {isolation{confined: true}, dial, "", "connected"},
		"network":    {isolation{alone: true}, dial, "", "connected"},
		"processes":  {isolation{alone: true}, "echo pid:$$ >&2", "pid:1\n", ""},
		"user":       {isolation{alone: true}, "echo uid:$(id -u) >&2", "uid:65534\n", ""},
	} {
		d := NewDecoder(script(t, "read x\n"+c.program+"; echo end >&2; exit 1"), Limits{}, nil)
		can := d.sandbox()
		if c.alone && !can.alone || c.confined && !can.confined {
			t.Logf("%s: not on this kernel", name)
			continue
		}
		d.sandbox = func() isolation { return c.isolation }
		_, err := run(t, d, strings.NewReader("\n"))
		text := fmt.Sprint(err) + "\n"
		if !strings.Contains(text, "end\n") || !strings.Contains(text, c.has) ||
			c.hasNot != "" && strings.Contains(text, c.hasNot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Run returns a job's own errors.
func TestErrorsOfTheJob(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	d := NewDecoder(script(t, answer(t, 1, 3)+"; sleep 1000"), Limits{}, nil)
	write := func(io.Writer) error { return nil }
	err := d.Run(t.Context(), &Job{Spec: Spec{PNG: true}, Frames: []int{1}, Write: write,
		Made: func(int, []byte) error { return mine }})
	if !errors.Is(err, mine) {
		t.Errorf("of Made: %v", err)
	}
	made := func(int, []byte) error { return nil }
	err = d.Run(t.Context(), &Job{Spec: Spec{PNG: true}, Frames: []int{1, 9},
		Write: func(io.Writer) error { return mine }, Made: made})
	if !errors.Is(err, mine) {
		t.Errorf("of Write: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	err = d.Run(ctx, &Job{Spec: Spec{PNG: true}, Frames: []int{1, 9}, Write: write,
		Made: func(int, []byte) error { cancel(mine); return nil }})
	if !errors.Is(err, mine) {
		t.Errorf("of the context: %v", err)
	}
	d = NewDecoder(filepath.Join(t.TempDir(), "none"), Limits{}, nil)
	if _, err := run(t, d, nil); !errors.Is(err, ErrMissing) ||
		!errors.Is(d.Available(), ErrMissing) {
		t.Errorf("without the program: %v", err)
	}
}

// As many callers may enter as processes may run. Others wait.
func TestTurns(t *testing.T) {
	t.Parallel()
	d := NewDecoder("ffmpeg", Limits{Processes: 1, Waiting: 1, Patience: 10 * time.Millisecond},
		nil)
	leave, err := d.Enter(t.Context())
	must(t, err)
	if _, err := d.Enter(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("patience: %v", err)
	}
	leave()
	d = NewDecoder("ffmpeg", Limits{Processes: 1, Waiting: 1, Patience: time.Hour}, nil)
	leave, err = d.Enter(t.Context())
	must(t, err)
	entered := make(chan error)
	go func() {
		leave, err := d.Enter(t.Context())
		if err == nil {
			leave()
		}
		entered <- err
	}()
	for d.turns.Waiting() == 0 {
		runtime.Gosched()
	}
	if _, err := d.Enter(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one waits: %v", err)
	}
	leave()
	must(t, <-entered)
}

func TestJPEGScale(t *testing.T) {
	for quality, want := range map[int]string{1: "69", 20: "34", 50: "14", 80: "5", 100: "1"} {
		if got := jpegScale(quality); got != want {
			t.Errorf("quality %d is %s", quality, got)
		}
	}
}
