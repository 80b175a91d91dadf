// Package still makes still pictures of video, and keeps them. An installed ffmpeg decodes the
// video, one process for many pictures. It reads a stranger's media, so it runs without network,
// files or environment, with little memory, for a limited time, and only a few at once (run.go,
// sandbox_linux.go). A bounded directory keeps the pictures (cache.go). The caller decides which
// frame it wants and what must be decoded for it.
package still

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"weir/internal/fair"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrMissing = errors.New("ffmpeg is not installed")             // or not where it should be
	ErrBusy    = errors.New("too many images are being made")      // waited too long, or many wait
	ErrMedia   = errors.New("the media could not be decoded")      // or not within the limits
	ErrTime    = errors.New("decoding took longer than it may do") // an ErrMedia
)

// Limits of the processes. A zero field means the default after its last semicolon.
type Limits struct {
	Processes int           // at once; as many as processors
	Waiting   int           // runs that wait for others to end; 256
	Patience  time.Duration // of a run that waits; 20 s
	Memory    uint64        // bytes of private memory of a process; 512 MiB
	Time      time.Duration // of a process, both elapsed and of a processor; 20 s
	Image     int           // bytes of one image; maxImage
}

// maxImage is the longest image in bytes: its base64 form has the 6,291,456 characters that the
// service model allows for ImageContent.
const maxImage = 6 << 20 / 4 * 3

func (l *Limits) defaults() {
	set(&l.Processes, runtime.NumCPU())
	set(&l.Waiting, 256)
	set(&l.Patience, 20*time.Second)
	set(&l.Memory, 512<<20)
	set(&l.Time, 20*time.Second)
	set(&l.Image, maxImage)
}

func set[T comparable](v *T, usual T) {
	var zero T
	if *v == zero {
		*v = usual
	}
}

// Decoder runs ffmpeg. It is safe for concurrent use.
type Decoder struct {
	program string
	limits  Limits
	log     *slog.Logger
	turns   *fair.Turns
	sandbox func() isolation // what the kernel can do; found out once
}

// isolation is what separates a process from the rest of the machine, besides its limits.
type isolation struct {
	alone    bool // in namespaces of its own
	confined bool // to the files of its program
}

// NewDecoder makes a Decoder that runs program: a path, or a name in PATH. It need not be installed
// yet: each run looks for it. logger may be nil.
func NewDecoder(program string, limits Limits, logger *slog.Logger) *Decoder {
	limits.defaults()
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	d := &Decoder{program: program, limits: limits, log: logger,
		turns: fair.NewTurns(limits.Processes, limits.Waiting, limits.Patience)}
	d.sandbox = sync.OnceValue(d.trySandbox)
	return d
}

// Available returns ErrMissing if there is no ffmpeg.
func (d *Decoder) Available() error {
	_, err := d.path()
	return err
}

func (d *Decoder) path() (string, error) {
	path, err := exec.LookPath(d.program)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return path, nil
}

// Enter waits for a turn, and holds it until leave is called. There are as many turns as processes
// may run at once, and they go round among those who ask (fair.As). It returns ErrBusy if it waits
// too long or too many wait, and the error of ctx if ctx ends.
func (d *Decoder) Enter(ctx context.Context) (leave func(), err error) {
	leave, err = d.turns.Enter(ctx)
	if errors.Is(err, fair.ErrBusy) {
		err = ErrBusy
	}
	return leave, err
}

// lastPause is how long EnterLast waits before it tries again.
const lastPause = 50 * time.Millisecond

// EnterLast is Enter for less urgent work: it waits for a turn that nobody in Enter wants, for as
// long as ctx lasts.
func (d *Decoder) EnterLast(ctx context.Context) (leave func(), err error) {
	again := time.NewTicker(lastPause)
	defer again.Stop()
	for {
		if leave, ok := d.turns.Try(); ok {
			return leave, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Codec is what the input holds.
type Codec string

// The codecs that are decoded; no other decoder can be chosen by the media.
const (
	H264 Codec = "h264"
	H265 Codec = "hevc"
)

// Spec says what images look like.
type Spec struct {
	PNG     bool // otherwise JPEG
	Quality int  // of JPEG, 1 to 100
	// Width and Height in pixels. Both 0: as the video. One 0: in the video's aspect ratio.
	// Neither: stretched.
	Width, Height int
}

// Job is what one process does.
type Job struct {
	Spec
	Codec Codec
	// Open says that frames may refer to pictures before the input, as in an open group. A missing
	// reference is then no damage unless a picture needs it.
	Open bool
	// Write writes fragmented MP4 of one track, in which frame n is presented n seconds after zero.
	// Run returns its error, unless the error is that ffmpeg has stopped reading.
	Write func(w io.Writer) error
	// Frames are the frames to make images of, as their seconds, ascending.
	Frames []int
	// Made is called with each image as it comes. It must not keep the bytes. Its error ends the
	// run.
	Made func(frame int, image []byte) error
}
