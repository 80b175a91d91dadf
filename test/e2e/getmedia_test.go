package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/mkv"
)

const (
	numberTag = "AWS_KINESISVIDEO_FRAGMENT_NUMBER"
	tokenTag  = "AWS_KINESISVIDEO_CONTINUATION_TOKEN"
)

// numbers lists the fragments of a stream.
func (s *server) numbers(program, stream string) (numbers []string) {
	s.t.Helper()
	args := []string{"list-fragments", "--stream-name", stream, "--output", "json",
		"--fragment-selector", everything("PRODUCER_TIMESTAMP")}
	if program == "aws" {
		args = append([]string{"kinesis-video-archived-media"}, args...)
	}
	for _, f := range s.runJSON(program, args...)["Fragments"].([]any) {
		numbers = append(numbers, f.(map[string]any)["FragmentNumber"].(string))
	}
	return numbers
}

// getMedia runs get-media until it has written so many fragments. It does not end by itself, and
// the AWS command line writes a megabyte at a time. So the stream is deleted then, and the answer
// ends after a whole fragment.
func (s *server) getMedia(program, stream string, fragments int) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), program+".mkv")
	args := []string{"get-media", "--stream-name", stream, "--start-selector",
		"StartSelectorType=EARLIEST", path}
	if program == "aws" {
		args = append([]string{"kinesis-video-media"}, args...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := s.command(ctx, program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	before := s.fragmentsSent()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for s.fragmentsSent() < before+fragments {
		select {
		case err := <-ended:
			s.t.Fatalf("%s get-media ended: %v\n%s", program, err, out.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
	}
	described := s.runJSON("weir", "describe-stream", "--stream-name", stream)
	info, _ := described["StreamInfo"].(map[string]any)
	s.run("weir", "delete-stream", "--stream-arn", info["StreamARN"].(string))
	if err := <-ended; err != nil || !bytes.Contains(out.Bytes(), []byte(`"video/webm"`)) {
		s.t.Fatalf("%s get-media ended: %v\n%s", program, err, out.Bytes())
	}
	return path
}

// fragmentsSent is how many GetMedia has sent.
func (s *server) fragmentsSent() (n int) {
	s.t.Helper()
	const name = "\nweir_get_media_fragments_total "
	_, value, _ := strings.Cut(string(mustGet(s.t, s.URL+"/metrics")), name)
	if _, err := fmt.Sscan(value, &n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// What the AWS command line and weir's own write of GetMedia and GetMediaForFragmentList is what
// went in: ffmpeg and mkvtoolnix find every picture and all of the sound, once, in order.
func TestGetMediaFrames(t *testing.T) {
	waits(t)
	needTool(t, "aws", "ffmpeg", "mkvmerge")
	s := start(t, "")
	for i, c := range []clip{{rate: "25", bframes: 2, audio: true, seconds: 6},
		{rate: "30000/1001", seconds: 4}} {
		stream := fmt.Sprintf("cam%d", i)
		source := c.make(t)
		s.run("weir", "put-media", "--stream-name", stream, "--create",
			"--data-retention-in-hours", "24", source)
		program := []string{"aws", "weir"}[i]
		numbers := s.numbers(program, stream)
		if len(numbers) < 3 || !slices.IsSorted(numbers) {
			t.Fatalf("%s lists %v", program, numbers)
		}
		path := filepath.Join(t.TempDir(), program+".mkv")
		args := slices.Concat([]string{"get-media-for-fragment-list", "--stream-name", stream, path,
			"--fragments"}, numbers)
		if program == "aws" {
			args = append([]string{"kinesis-video-archived-media"}, args...)
		}
		if out := s.run(program, args...); !bytes.Contains(out, []byte(`"video/webm"`)) {
			t.Errorf("%s printed %s", program, out)
		}
		files := map[string]string{
			program + " get-media-for-fragment-list": path,
			program + " get-media":                   s.getMedia(program, stream, len(numbers)),
		}
		for name, path := range files {
			for _, file := range []string{path, remerged(t, path)} {
				compareHashes(t, name+": video", frameHashes(t, source, "0:v", false),
					frameHashesQuietly(t, file, "0:v", false))
				if c.audio {
					compareHashes(t, name+": audio", frameHashes(t, source, "0:a", true),
						frameHashesQuietly(t, file, "0:a", true))
				}
			}
		}
	}
	s.awsFails("ResourceNotFoundException", "kinesis-video-media", "get-media", "--stream-name",
		"none", "--start-selector", "StartSelectorType=NOW", filepath.Join(t.TempDir(), "none"))
}

// frameHashesQuietly is frameHashes of a file whose chunks ffmpeg complains about, because each is
// a document.
func frameHashesQuietly(t *testing.T, file, stream string, copy bool) []string {
	t.Helper()
	args := []string{"-v", "fatal", "-i", file, "-map", stream}
	if copy {
		args = append(args, "-c", "copy")
	}
	return hashesOf(t, args...)
}

// A camera changes its codec in mid-stream: the header changes with it, and what follows each
// header decodes to what went in.
func TestGetMediaThroughACodecChange(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	s := start(t, "")
	codecs := [][]string{{"-c:v", "libx264", "-preset", "veryfast", "-bf", "2"},
		{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"}}
	var want [][]string
	for i, codec := range codecs {
		source := clipSource(t, fmt.Sprintf("%d.mkv", i), "25", 3, codec...)
		want = append(want, frameHashes(t, source, "0:v", false))
		s.put("cam", source, 100*i)
	}
	data, err := os.ReadFile(s.getMedia("weir", "cam", len(s.numbers("weir", "cam"))))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	header := ""
	for _, chunk := range documents(t, data) {
		at := bytes.Index(chunk, []byte(numberTag))
		if at < 0 {
			t.Fatal("a chunk without a number")
		}
		if own := string(chunk[:at]); own != header {
			header = own
			parts = append(parts, "")
		}
		parts[len(parts)-1] += string(chunk)
	}
	if len(parts) != len(want) {
		t.Fatalf("%d headers for %d cameras", len(parts), len(want))
	}
	for i := range parts {
		path := filepath.Join(t.TempDir(), "part.mkv")
		if err := os.WriteFile(path, []byte(parts[i]), 0o600); err != nil {
			t.Fatal(err)
		}
		compareHashes(t, fmt.Sprint("camera ", i), want[i],
			frameHashesQuietly(t, path, "0:v", false))
	}
}

// documents cuts an answer where its documents begin.
func documents(t *testing.T, data []byte) (all [][]byte) {
	t.Helper()
	r := mkv.NewReader(bytes.NewReader(data), mkv.DefaultLimits())
	begin := int64(-1)
	for {
		ev, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return append(all, data[begin:])
		case err != nil:
			t.Fatal(err)
		case ev.Kind == mkv.DocumentStart:
			// the event tells where the Segment begins; its EBML header is right before
			at := int64(bytes.LastIndex(data[:ev.Offset+1], []byte{0x1A, 0x45, 0xDF, 0xA3}))
			if begin >= 0 {
				all = append(all, data[begin:at])
			}
			begin = at
		}
	}
}

// consumer follows a stream as a program over an SDK does: when an answer ends or breaks off, it
// asks again with the last token. It keeps the frames of the fragments that came whole.
type consumer struct {
	server  func() *server
	stream  string
	token   string
	numbers []string
	units   [][]byte
	answers int
}

// follow runs until the frames are there, or ctx ends.
func (c *consumer) follow(ctx context.Context, frames int) error {
	for len(c.units) < frames {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d frames of %d after %d answers: %w", len(c.units), frames,
				c.answers, err)
		}
		selector := "StartSelectorType=EARLIEST"
		if c.token != "" {
			selector = "StartSelectorType=CONTINUATION_TOKEN,ContinuationToken=" + c.token
		}
		answer, cancel := context.WithCancel(ctx)
		cmd := c.server().command(answer, "weir", "get-media", "--stream-name", c.stream,
			"--start-selector", selector, "/dev/stdout")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			cancel()
			return err
		}
		c.answers++
		c.read(out, frames)
		cancel()
		_ = cmd.Wait() // it was killed, or the server was
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// read takes the chunks of an answer.
func (c *consumer) read(answer io.Reader, frames int) {
	r := mkv.NewReader(answer, mkv.DefaultLimits())
	var units [][]byte
	number := ""
	for {
		ev, err := r.Next()
		if err != nil {
			return // the answer has ended, or broke off; what of a chunk has come comes again
		}
		switch {
		case ev.Kind == mkv.Frame:
			unit, err := r.AppendPayload(nil)
			if err != nil {
				return
			}
			units = append(units, unit)
		case ev.Kind != mkv.TagsEvent:
		case ev.Tags[0].Name == numberTag:
			number, units = ev.Tags[0].Value, nil
		case len(ev.Tags) == 2 && ev.Tags[1].Name == tokenTag:
			c.token = ev.Tags[1].Value
			c.numbers, c.units = append(c.numbers, number), append(c.units, units...)
			if len(c.units) >= frames {
				return
			}
		}
	}
}

// Each frame reaches a reader before the producer sends the next one. What the reader has in the
// end is the producer's media, to ffmpeg and to mkvtoolnix.
func TestGetMediaFrameByFrame(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg", "mkvmerge")
	const frames, group = 500, 50
	source, header, units := sdkSource(t, frames, group)
	s := start(t, "")
	s.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "2")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := s.command(ctx, "weir", "get-media", "--stream-name", "cam", "--start-selector",
		"StartSelectorType=NOW", "/dev/stdout")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p := newSDKProducer(s, "cam", "ABSOLUTE", header, units, group)
	body := p.open()
	if body == nil {
		t.Fatal("the producer is refused")
	}
	defer body.conn.Close()
	go p.listen(body)
	if _, err := body.body.Write(header); err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	r := mkv.NewReader(io.TeeReader(out, &answer), mkv.DefaultLimits())
	var tokens []string
	next := func(until func(*mkv.Event) bool) {
		for {
			ev, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == mkv.TagsEvent && len(ev.Tags) == 2 && ev.Tags[1].Name == tokenTag {
				tokens = append(tokens, ev.Tags[1].Value)
			}
			if until(&ev) {
				return
			}
		}
	}
	var late []time.Duration
	for i, unit := range units {
		p.next = i
		sent := time.Now()
		if _, err := body.body.Write(p.block(&p.frames[i])); err != nil {
			t.Fatal(err)
		}
		next(func(ev *mkv.Event) bool { return ev.Kind == mkv.Frame })
		got, err := r.AppendPayload(nil)
		if err != nil || !bytes.Equal(got, unit) {
			t.Fatalf("frame %d is another: %v", i, err)
		}
		late = append(late, time.Since(sent))
	}
	if _, err := body.body.Write(endOfFragment()); err != nil {
		t.Fatal(err)
	}
	next(func(*mkv.Event) bool { return len(tokens) == frames/group })
	if listed := s.numbers("weir", "cam"); !slices.Equal(tokens, listed) {
		t.Errorf("tokens %v, listed are %v", tokens, listed)
	}
	cancel()
	_ = cmd.Wait()
	slices.Sort(late)
	t.Logf("a frame is read %v after it was sent (p50), %v (p99), %v at most", late[frames/2],
		late[frames*99/100], late[frames-1])
	path := filepath.Join(t.TempDir(), "answer.mkv")
	if err := os.WriteFile(path, answer.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	want := frameHashes(t, source, "0:v", false)
	for _, file := range []string{path, remerged(t, path)} {
		compareHashes(t, filepath.Base(file), want, frameHashesQuietly(t, file, "0:v", false))
	}
}

// remerged is what mkvtoolnix makes of an answer.
func remerged(t *testing.T, path string) string {
	t.Helper()
	merged := filepath.Join(t.TempDir(), "merged.mkv")
	out, err := exec.Command("mkvmerge", "-o", merged, path).CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil &&
		(!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1 is a warning
		t.Errorf("mkvmerge: %v\n%s", err, out)
	}
	return merged
}

// A consumer follows a live stream across two restarts of the server, continues with its token
// each time, and gets every fragment once.
func TestGetMediaAcrossRestarts(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	followRestarts(t, 600, 2, time.Second)
}

// TestGetMediaForLong is the same for as long as WEIR_FOLLOW says; `make follow` runs it.
func TestGetMediaForLong(t *testing.T) {
	text := os.Getenv("WEIR_FOLLOW")
	if text == "" {
		t.Skip("WEIR_FOLLOW is not set; make follow sets it")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	followRestarts(t, int(long/(sdkMillis*time.Millisecond/sdkSpeed)), 2, long/3)
}

func followRestarts(t *testing.T, frames, restarts int, pause time.Duration) {
	const group = 50
	_, header, units := sdkSource(t, frames, group)
	s := start(t, "")
	s.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "2")
	var mu sync.Mutex
	current := func() *server {
		mu.Lock()
		defer mu.Unlock()
		return s
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(restarts+1)*2*pause)
	defer cancel()
	c := &consumer{server: current, stream: "cam"}
	followed := make(chan error, 1)
	go func() { followed <- c.follow(ctx, frames) }()
	produced := make(chan error, 1)
	p := newSDKProducer(s, "cam", "ABSOLUTE", header, units, group)
	go func() { produced <- p.run() }()
	for range restarts {
		old := current()
		within(t, time.Minute, "the consumer follows", func() bool {
			return old.figure("weir_get_media_connections") > 0
		})
		time.Sleep(pause) // the moment is the test's input
		old.stop()
		next := start(t, old.Data, "--listen", address(old))
		mu.Lock()
		s = next
		mu.Unlock()
	}
	if err := <-produced; err != nil {
		t.Fatalf("the producer: %v", err)
	}
	if err := <-followed; err != nil {
		t.Fatalf("the consumer: %v", err)
	}
	if c.answers <= restarts || !slices.IsSorted(c.numbers) ||
		len(slices.Compact(slices.Clone(c.numbers))) != len(c.numbers) {
		t.Errorf("%d answers, numbers %s", c.answers, strings.Join(c.numbers, " "))
	}
	if len(c.units) != len(units) {
		t.Fatalf("%d frames of %d in %d fragments", len(c.units), len(units), len(c.numbers))
	}
	for i := range units {
		if !bytes.Equal(c.units[i], units[i]) {
			t.Fatalf("frame %d is another", i)
		}
	}
	t.Logf("%d frames in %d fragments, by %d answers", len(c.units), len(c.numbers), c.answers)
}
