package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"weir/internal/api"
	"weir/internal/awscli"
	"weir/internal/client"
	"weir/internal/recut"
	"weir/internal/terminal"
)

// putMediaCmd sends Matroska to a stream.
type putMediaCmd struct {
	streamFlags
	TimecodeType   string        `name:"fragment-timecode-type" enum:"ABSOLUTE,RELATIVE" default:"ABSOLUTE" placeholder:"TYPE" help:"What the fragments' timecodes count from on the wire: ABSOLUTE or RELATIVE."`
	StartTimestamp string        `name:"start-timestamp" placeholder:"TIME" help:"Time of the first frame: epoch seconds or a date, local without a zone. Left out: now, or the file's own times if they are since 1970."`
	Create         bool          `help:"Create the stream if there is none."`
	Retention      *int          `name:"data-retention-in-hours" placeholder:"HOURS" help:"For --create; 24 by default."`
	Realtime       bool          `help:"Send a file at the speed of its timestamps, as a camera would."`
	Loop           bool          `help:"Play the file again and again, in real time, without a gap in its times."`
	JSON           bool          `name:"json" help:"Print each acknowledgement as a line of JSON."`
	GiveUpAfter    time.Duration `name:"give-up-after" default:"10m" placeholder:"TIME" help:"How long to keep trying while nothing succeeds."`
	serverFlags
	File string `arg:"" help:"A Matroska file or pipe of H.264 or H.265, with or without audio; - for standard input."`
}

// Help is shown by weir put-media --help.
func (c *putMediaCmd) Help() string {
	return `Cuts any Matroska into fragments that begin with key frames, sends them with PutMedia, and waits until the server has stored
each of them. After a broken connection, it connects again and sends again what was not acknowledged. Ctrl-C ends the current
fragment, waits for its acknowledgement and exits. The exit code is 0 only if every fragment is stored.

Examples:

  weir put-media --stream-name cam1 --create recording.mkv
  ffmpeg -i rtsp://camera/ -c copy -f matroska - | weir put-media --stream-name cam1 -`
}

// Run sends the file.
func (c *putMediaCmd) Run(ctx context.Context, std stdio) error {
	if c.StreamName == "" && c.StreamARN == "" || c.StreamName != "" && c.StreamARN != "" {
		return errors.New("give one of --stream-name and --stream-arn")
	}
	if c.Create && c.StreamName == "" {
		return errors.New("--create needs --stream-name")
	}
	if c.Retention != nil && !c.Create {
		return withHint(errors.New("--data-retention-in-hours is for --create"),
			"weir update-data-retention changes the stream that is there")
	}
	if c.Loop && c.File == "-" {
		return errors.New("--loop needs a file: standard input cannot be read twice")
	}
	if c.File != "-" { // before a stream is made for it
		if _, err := os.Stat(c.File); err != nil {
			return err
		}
	}
	var start time.Time
	if c.StartTimestamp != "" {
		var err error
		if start, err = awscli.ParseMoment(c.StartTimestamp, time.Now()); err != nil {
			return fmt.Errorf("--start-timestamp: %w", err)
		}
	}
	cl, err := c.client(ctx)
	if err != nil {
		return err
	}
	stream := api.StreamRef{StreamName: c.StreamName, StreamARN: c.StreamARN}
	if c.Create {
		hours := 24
		if c.Retention != nil {
			hours = *c.Retention
		}
		if err := ensureStream(ctx, cl, c.StreamName, hours); err != nil {
			return err
		}
	}
	info, err := describe(ctx, cl, stream)
	if errors.Is(err, &client.Error{Code: api.ResourceNotFoundException}) {
		return withHint(fmt.Errorf("there is no stream %s", cmp.Or(c.StreamName, c.StreamARN)),
			"--create makes it")
	}
	if err != nil {
		return err
	}
	progress := newProgress(std, info.StreamName, c.JSON)
	if info.DataRetentionInHours == 0 {
		progress.last, progress.done = api.AckReceived, "received"
	}
	source, closeSource, err := c.source(std.In, start, progress.say)
	if err != nil {
		return err
	}
	defer closeSource()
	summary, err := client.NewProducer(client.ProducerOptions{
		Client: cl, Stream: stream, Timecodes: api.TimecodeType(c.TimecodeType),
		ReceivedIsEnough: info.DataRetentionInHours == 0,
		GiveUp:           c.GiveUpAfter,
		OnAck:            progress.ack,
		OnSafe:           progress.safe,
		OnRetry:          progress.retry,
	}).Run(ctx, source)
	progress.summary(&summary)
	switch {
	case err != nil:
		return err
	case summary.Fragments == 0:
		return errors.New("nothing was sent")
	case summary.Persisted < summary.Fragments:
		return fmt.Errorf("%d of %d fragments were not stored", summary.Fragments-summary.Persisted,
			summary.Fragments)
	}
	return nil
}

// source opens the input. Only regular files are closed: on standard input a read may be blocked.
func (c *putMediaCmd) source(stdin io.Reader, start time.Time, say func(string)) (recut.Source,
	func(), error) {
	open := func() (io.ReadCloser, error) { return os.Open(c.File) }
	var src recut.Source
	closeSource := func() {}
	switch {
	case c.File == "-":
		src = recut.New(stdin, say)
	case c.Loop:
		if f, err := open(); err != nil {
			return nil, nil, err
		} else if err := f.Close(); err != nil {
			return nil, nil, err
		}
		src = recut.Loop(open, say)
	default:
		f, err := open()
		if err != nil {
			return nil, nil, err
		}
		src, closeSource = recut.New(f, say), func() { _ = f.Close() } // only read
	}
	clock := recut.SystemClock{}
	if c.Realtime || c.Loop {
		src = recut.Pace(src, clock)
	}
	return recut.OnClock(src, start, clock), closeSource, nil
}

// ensureStream creates a stream if there is none with that name.
func ensureStream(ctx context.Context, c *client.Client, name string, hours int) error {
	err := c.Call(ctx, "CreateStream", &api.CreateStreamInput{StreamName: name,
		DataRetentionInHours: hours}, nil)
	if errors.Is(err, &client.Error{Code: api.ResourceInUseException}) {
		return nil
	}
	return err
}

// progress shows how sending goes. On a terminal it keeps one line up to date; elsewhere it prints
// a line now and then. The producer calls its methods one at a time, except say.
type progress struct {
	std      stdio
	name     string // of the stream
	json     bool   // acknowledgements go to standard output
	terminal bool
	last     api.AckType // the acknowledgement that settles a fragment
	done     string      // what it is then
	stored   int         // fragments settled
	began    time.Time   // of the first acknowledgement
	first    int64       // timecode of the first fragment settled, ms
	bytes    int64       // of the fragments settled
	acks     int         // acknowledgements of any kind
	notices  chan string // from the goroutine that reads the source
}

// progressLines is how many fragments pass between two lines if standard error is not a terminal.
const progressLines = 50

func newProgress(std stdio, name string, json bool) *progress {
	return &progress{std: std, name: name, json: json, terminal: terminal.Is(std.Err),
		last: api.AckPersisted, done: "persisted", notices: make(chan string, 16)}
}

// line prints a line that stays.
func (p *progress) line(format string, args ...any) {
	if p.terminal {
		fmt.Fprint(p.std.Err, "\r\x1b[K")
	}
	fmt.Fprintf(p.std.Err, "%s: %s\n", p.name, fmt.Sprintf(format, args...))
}

// say keeps a notice until the next line is printed. Too many of them are cut off.
func (p *progress) say(text string) {
	select {
	case p.notices <- text:
	default:
	}
}

func (p *progress) flush() {
	for {
		select {
		case text := <-p.notices:
			p.line("%s", text)
		default:
			return
		}
	}
}

func (p *progress) ack(a client.Ack) {
	p.flush()
	if p.acks++; p.began.IsZero() {
		p.began = time.Now()
	}
	if p.json {
		fmt.Fprintf(p.std.Out, "%s\n", a.Raw)
	}
	if a.Type != p.last.String() {
		return
	}
	p.stored++
	if !p.terminal && (p.stored == 1 || p.stored%progressLines == 0) {
		p.line("%s %s, the last at timecode %d", count(p.stored, "fragment"), p.done, a.Timecode)
	}
}

// safe shows the progress: time of media, fragments, rate, acknowledgements, latency.
func (p *progress) safe(f client.Safe) {
	if p.bytes == 0 {
		p.first = f.Timecode
	}
	p.bytes += int64(f.Bytes)
	if p.terminal {
		fmt.Fprintf(p.std.Err, "\r\x1b[K%s: %s", p.name, p.bar(f, time.Since(p.began)))
	}
}

// bar returns the text of the progress line after some time.
func (p *progress) bar(f client.Safe, elapsed time.Duration) string {
	media := time.Duration(f.Timecode-p.first) * time.Millisecond
	rate := 0.0
	if elapsed > 0 {
		rate = float64(p.bytes) * 8 / 1e6 / elapsed.Seconds()
	}
	return fmt.Sprintf("%02d:%02d:%02d  %s %s  %.1f MB  %.1f Mbit/s  %s  latency %v",
		int(media.Hours()), int(media.Minutes())%60, int(media.Seconds())%60,
		count(p.stored, "fragment"), p.done,
		float64(p.bytes)/1e6, rate, count(p.acks, "ack"), f.Latency.Round(100*time.Microsecond))
}

func (p *progress) retry(err error, wait time.Duration) {
	p.flush()
	p.line("%v; next attempt in %v", err, wait.Round(time.Millisecond))
}

func (p *progress) summary(s *client.Summary) {
	p.flush()
	refused := ""
	if s.Skipped > 0 {
		refused = fmt.Sprintf(", %d refused", s.Skipped)
	}
	p.line("%s, %.1f MB, %.1f s of media: %d stored%s; acknowledged after "+
		"%v (median), %v (99 %%); connections: %d",
		count(s.Fragments, "fragment"), float64(s.Bytes)/1e6, s.Duration.Seconds(),
		s.Persisted, refused,
		s.Latency(0.5).Round(100*time.Microsecond), s.Latency(0.99).Round(100*time.Microsecond),
		s.Connections)
}

// describe gets what the producer needs to know about a stream.
func describe(ctx context.Context, c *client.Client, stream api.StreamRef) (api.StreamInfo, error) {
	var out struct{ StreamInfo api.StreamInfo }
	err := c.Call(ctx, "DescribeStream", &api.DescribeStreamInput{StreamRef: stream}, &out)
	return out.StreamInfo, err
}
