package still

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weir/internal/mkv"
)

// maxSide bounds the side of an image, in pixels, that is computed from the other one.
const maxSide = 3840

// arguments returns the command line: fragmented MP4 in, images in Matroska out. Matroska separates
// the images and says which frame each is of. Any error in the media ends the process, because
// ffmpeg would otherwise make up a picture.
func (j *Job) arguments() []string {
	args := []string{"-hide_banner", "-nostdin", "-v", "error", "-xerror", "-copyts",
		// Open nothing that the input names, and guess nothing from it.
		"-protocol_whitelist", "pipe", "-codec_whitelist", string(j.Codec), "-probesize", "32",
		"-analyzeduration", "0",
		// Without "strict", ffmpeg drops frames of streams with B-frames that do not say how they
		// are reordered.
		"-threads", "1", "-err_detect", j.detect(), "-strict", "strict", "-c:v", string(j.Codec),
		"-f", "mp4", "-i", "pipe:0",
		"-map", "0:v:0", "-filter_threads", "1", "-vf", j.filter(), "-threads", "1",
		"-strict", "normal"}
	if j.PNG {
		args = append(args, "-c:v", "png")
	} else {
		args = append(args, "-c:v", "mjpeg", "-qmin", "1", "-qmax", "69",
			"-q:v", jpegScale(j.Quality))
	}
	// Each image has a cluster of its own, so that none waits for another.
	return append(args, "-cluster_time_limit", "1", "-flush_packets", "1",
		"-f", "matroska", "pipe:1")
}

// detect returns what counts as an error: a bitstream that is not allowed, and pictures that differ
// from the checksums that H.265 may carry. Without the latter ffmpeg does not notice most damage in
// a slice of H.265. In an open group, pictures drop references to pictures of the group before,
// which the decoder does not have. Only "explode" takes that for an error, so open groups do
// without it. Concealed damage ends the process anyway (-xerror).
func (j *Job) detect() string {
	if j.Open {
		return "crccheck"
	}
	return "crccheck+explode"
}

// filter chooses the frames and scales them. Scaled images get square pixels, because image viewers
// ignore other pixel shapes, which analogue cameras have.
func (j *Job) filter() string {
	var f strings.Builder
	f.WriteString("select='")
	for i, n := range j.Frames {
		if i > 0 {
			f.WriteByte('+')
		}
		fmt.Fprintf(&f, "eq(round(t),%d)", n)
	}
	f.WriteByte('\'')
	switch w, h := j.Width, j.Height; {
	case w > 0 && h > 0:
		fmt.Fprintf(&f, ",scale=w=%d:h=%d,setsar=1", w, h)
	case w > 0:
		fmt.Fprintf(&f, ",scale=w=%d:h='clip(round(%d/dar),1,%d)',setsar=1", w, w, maxSide)
	case h > 0:
		fmt.Fprintf(&f, ",scale=h=%d:w='clip(round(%d*dar),1,%d)',setsar=1", h, h, maxSide)
	}
	if j.PNG {
		f.WriteString(",format=rgb24")
	} else {
		f.WriteString(",format=yuvj420p")
	}
	return f.String()
}

// jpegScale turns libjpeg's quality of 1 to 100 into ffmpeg's scale, on which 1 is best and 8 is
// about libjpeg's 75.
func jpegScale(quality int) string {
	percent := 200 - 2*quality // of libjpeg's tables
	if quality < 50 {
		percent = 5000 / quality
	}
	return strconv.Itoa(max(1, min((percent*27+100)/200, 69)))
}

// maxComplaint bounds how much of ffmpeg's messages is kept, in bytes.
const maxComplaint = 2 << 10

// complaint keeps the beginning of ffmpeg's messages.
type complaint struct{ text []byte }

func (c *complaint) Write(p []byte) (int, error) {
	c.text = append(c.text, p[:min(len(p), maxComplaint-len(c.text))]...)
	return len(p), nil
}

// Run runs one process. The caller must have a turn (Enter). Images come in the order of the
// frames; those before an error are good. Errors are ErrMissing, ErrMedia, those of the job's
// functions, that of ctx, and a process that could not be started.
func (d *Decoder) Run(ctx context.Context, j *Job) error {
	path, err := d.path()
	if err != nil {
		return err
	}
	isolated := d.sandbox()
	limited, cancel := context.WithTimeoutCause(ctx, d.limits.Time, ErrTime)
	defer cancel()

	cmd := d.command(limited, path, isolated.alone, j.arguments()...)
	var said complaint
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start ffmpeg: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start ffmpeg: %w", err)
	}
	wait, err := start(cmd, isolated.confined)
	if err != nil {
		return fmt.Errorf("start ffmpeg: %w", err)
	}
	err = restrict(cmd.Process.Pid, d.limits)
	if err != nil {
		cancel()
	}
	written := make(chan error, 1)
	go func() {
		err := j.Write(in)
		in.Close() // the end of ffmpeg's input; ffmpeg may be gone
		if errors.Is(err, syscall.EPIPE) {
			err = nil // ffmpeg says why itself
		}
		if err != nil {
			cancel()
		}
		written <- err
	}()
	readErr := d.read(out, j)
	cancel() // nothing more is wanted
	fed, waited := <-written, wait()
	switch {
	case err != nil:
		return fmt.Errorf("limit ffmpeg: %w", err)
	case fed != nil:
		return fed
	case readErr == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.Is(readErr, ErrMedia):
		return readErr
	}
	if context.Cause(limited) == ErrTime { //nolint:errorlint // the value itself is the cause
		return fmt.Errorf("%w: %w", ErrMedia, ErrTime)
	}
	return fmt.Errorf("%w (%v): %s", readErr, waited, bytes.TrimSpace(said.text))
}

// command prepares a process: without environment, in the root directory, with own in its own
// namespaces.
func (d *Decoder) command(ctx context.Context, path string, own bool, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = attributes(own)
	cmd.WaitDelay = time.Second // for the pipes of a process that was killed
	return cmd
}

// start starts a process on a thread of its own. The process is confined as its thread is, and
// killed when its thread ends (sandbox_linux.go). wait must be called once.
func start(cmd *exec.Cmd, confined bool) (wait func() error, err error) {
	started, wanted, ended := make(chan error), make(chan struct{}), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		if confined {
			cmd.Err = confine(cmd.Path) // Start returns it, and closes the pipes
		}
		err := cmd.Start()
		started <- err
		if err == nil {
			<-wanted
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return func() error { close(wanted); return <-ended }, nil
}

// read reads images from the output until all have come.
func (d *Decoder) read(out io.Reader, j *Job) error {
	limits := mkv.DefaultLimits()
	limits.Fragment = int64(d.limits.Image)
	r := mkv.NewReader(out, limits)
	wanted := slices.Clone(j.Frames)
	var image []byte
	for len(wanted) > 0 {
		ev, err := r.Next()
		if err != nil {
			return fmt.Errorf("%w: %d of %d images were not made: %w", ErrMedia, len(wanted),
				len(j.Frames), err)
		}
		if ev.Kind != mkv.Frame {
			continue
		}
		if image, err = r.AppendPayload(image[:0]); err != nil {
			return fmt.Errorf("%w: %w", ErrMedia, err)
		}
		frame := int(ev.Timecode * r.TimestampScale() / int64(time.Second))
		if frame != wanted[0] {
			return fmt.Errorf("%w: no image of frame %d", ErrMedia, wanted[0])
		}
		if err := j.Made(frame, image); err != nil {
			return err
		}
		wanted = wanted[1:]
	}
	return nil
}
