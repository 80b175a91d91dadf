package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/test/output"
)

const (
	live          = "LIVE"
	liveReplay    = "LIVE_REPLAY"
	onDemand      = "ON_DEMAND"
	producer      = "PRODUCER_TIMESTAMP"
	fragmentedMP4 = "FRAGMENTED_MP4"
	mpegTS        = "MPEG_TS"

	conformanceWidth  = 320
	conformanceHeight = 180
	// fragments in a live playlist: six seconds, above three target durations of one
	conformanceWindow    = 15
	conformanceRecording = 20                     // fragments in a recording
	reloadEvery          = 800 * time.Millisecond // two fragments
	reloads              = 9
)

// combination is one case of the matrix.
type combination struct {
	name                                     string // of the codecs
	video                                    string // ffmpeg's encoder, or empty
	audio                                    bool
	mode, selector, discontinuity, container string
}

func (c combination) stream() string {
	return "conform-" + strings.NewReplacer(".", "", "+", "-").Replace(c.name)
}

func (c combination) String() string {
	return strings.Join([]string{c.mode, c.selector, c.discontinuity, c.container, c.name}, ", ")
}

// dates says whether the session asks for EXT-X-PROGRAM-DATE-TIME: all but one of six do.
func (c combination) dates() bool { return c.selector == producer || c.discontinuity != "NEVER" }

func conformanceCodecs() []combination {
	return []combination{
		{name: "H.264", video: "libx264"}, {name: "H.264+AAC", video: "libx264", audio: true},
		{name: "H.265", video: "libx265"}, {name: "H.265+AAC", video: "libx265", audio: true},
		{name: "AAC", audio: true},
	}
}

var (
	conformanceModes           = []string{live, liveReplay, onDemand}
	conformanceContainers      = []string{fragmentedMP4, mpegTS}
	conformanceSelectors       = []string{"SERVER_TIMESTAMP", producer}
	conformanceDiscontinuities = []string{"ALWAYS", "NEVER", "ON_DISCONTINUITY"}
)

func combinations() (all []combination) {
	for _, container := range conformanceContainers {
		for _, mode := range conformanceModes {
			for _, selector := range conformanceSelectors {
				for _, discontinuity := range conformanceDiscontinuities {
					// the stream changes with each, for the calls it allows a second
					for _, c := range conformanceCodecs() {
						c.container, c.mode, c.selector, c.discontinuity = container, mode,
							selector, discontinuity
						all = append(all, c)
					}
				}
			}
		}
	}
	return all
}

// Every combination of mode, selector, discontinuity mode, container and codec keeps every rule of
// the conformance package, over several reloads while the cameras push. mp4box and ffprobe read
// the files, too. docs/conformance.md is what this test found.
func TestConformance(t *testing.T) {
	works(t)
	needTool(t, "ffmpeg", "ffprobe", "node")
	if _, err := os.Stat(filepath.Join("..", "..", "node_modules", "mp4box")); err != nil {
		missing(t, "mp4box is not installed; `npm ci` installs it")
	}
	s := start(t, "", "--hls-sessions-per-stream=0", "--hls-playlist-rate=0",
		"--hls-fragment-rate=0")
	stop := conformanceCameras(t, s)
	for _, c := range conformanceCodecs() {
		awaitLive(t, s, c.stream())
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256},
		Timeout: 30 * time.Second}
	var viewers, recorded []*viewer
	for _, c := range combinations() {
		v := &viewer{c: c, client: client}
		if viewers = append(viewers, v); c.mode == onDemand {
			recorded = append(recorded, v)
		}
	}
	followed := slices.DeleteFunc(slices.Clone(viewers), func(v *viewer) bool {
		return v.c.mode == onDemand
	})
	each(followed, 4, func(v *viewer) { v.begin(s) })
	each(followed, len(followed), func(v *viewer) {
		for range reloads {
			v.poll()
			time.Sleep(reloadEvery) // the pace of a player's reloads
		}
	})
	stop()
	each(recorded, 4, func(v *viewer) {
		v.begin(s)
		v.poll()
		v.poll()
	})
	each(viewers, 4, (*viewer).finish)
	lookWithMP4Box(t, viewers)
	lookWithFFprobe(t, viewers)
	for _, v := range viewers {
		t.Run(v.c.String(), v.report)
	}
	conformanceDocument(t, viewers)
}

// each calls f for every viewer, so many at a time, and waits.
func each(viewers []*viewer, workers int, f func(*viewer)) {
	queue := make(chan *viewer)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for v := range queue {
				f(v)
			}
		})
	}
	for _, v := range viewers {
		queue <- v
	}
	close(queue)
	wg.Wait()
}

// begin opens the session and reads its master playlist.
func (v *viewer) begin(s *server) {
	selection := "FragmentSelectorType=" + v.c.selector
	switch {
	case v.c.mode == onDemand && v.c.selector == producer:
		selection = everything(producer)
	case v.c.mode == onDemand:
		selection = everythingPast(v.c.selector)
	case v.c.mode == liveReplay:
		selection += fmt.Sprintf(",TimestampRange={StartTimestamp=%s}",
			time.Now().Add(-20*time.Minute).UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	timestamps := "NEVER"
	if v.c.dates() {
		timestamps = "ALWAYS"
	}
	window := fmt.Sprint(conformanceWindow)
	if v.c.mode == onDemand {
		window = fmt.Sprint(conformanceRecording)
	}
	out, stderr, err := s.try("weir", "get-hls-streaming-session-url", "--stream-name",
		v.c.stream(), "--playback-mode", v.c.mode,
		"--hls-fragment-selector", selection, "--discontinuity-mode", v.c.discontinuity,
		"--container-format", v.c.container,
		"--display-fragment-timestamp", timestamps, "--max-media-playlist-fragment-results", window)
	if err != nil {
		v.faults = append(v.faults, string(bytes.TrimSpace(stderr)))
		return
	}
	var answer struct{ HLSStreamingSessionURL string }
	if err := json.Unmarshal(out, &answer); err != nil {
		v.faults = append(v.faults, err.Error())
		return
	}
	v.open(answer.HLSStreamingSessionURL)
}

// conformanceCameras encodes one clip for each codec and pushes it in real time, in fragments of
// 0.4 seconds. What it returns ends the cameras and waits until all that they sent is stored.
func conformanceCameras(t *testing.T, s *server) (stop func()) {
	t.Helper()
	// Longer than the live sessions take on a busy machine; stop ends it. Sixteen seconds have
	// whole groups of pictures and whole frames of AAC.
	const seconds, times = 16, 5
	dir := t.TempDir()
	codecs := conformanceCodecs()
	var encoding sync.WaitGroup
	for _, c := range codecs {
		if c.video != "" {
			encoding.Go(func() {
				once := filepath.Join(dir, c.name+", once.mkv")
				conformanceClip(t, c, once, seconds)
				if out, err := exec.Command("ffmpeg", "-v", "error", "-stream_loop",
					strconv.Itoa(times-1), "-i", once, "-c", "copy",
					filepath.Join(dir, c.name+".mkv")).CombinedOutput(); err != nil {
					t.Errorf("repeating %s: %v\n%s", c.name, err, out)
				}
			})
		}
	}
	encoding.Wait()
	if t.Failed() {
		t.FailNow()
	}
	s.run("weir", "create-stream", "--stream-name", "conform-AAC", "--data-retention-in-hours", "1")
	var running sync.WaitGroup
	var senders []*exec.Cmd
	for _, c := range codecs {
		if c.video == "" {
			continue
		}
		cmd := s.command(context.Background(), "weir", "put-media", "--stream-name", c.stream(),
			"--create", "--data-retention-in-hours", "1",
			"--realtime", filepath.Join(dir, c.name+".mkv"))
		log := &output.Buffer{}
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		senders = append(senders, cmd)
		running.Go(func() {
			if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() < 0 {
				t.Errorf("camera %s: %v\n%s", c.name, err, log.Tail(2<<10))
			}
		})
	}
	done := make(chan struct{})
	running.Go(func() { microphone(t, s, "conform-AAC", done) })
	stop = sync.OnceFunc(func() {
		close(done)
		for _, cmd := range senders {
			cmd.Process.Signal(os.Interrupt)
		}
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func conformanceClip(t *testing.T, c combination, path string, seconds int) {
	t.Helper()
	args := []string{"-v", "error", "-f", "lavfi", "-i",
		fmt.Sprintf("testsrc2=size=%dx%d:rate=25:duration=%d", conformanceWidth, conformanceHeight,
			seconds)}
	if c.audio {
		args = append(args, "-f", "lavfi", "-i",
			fmt.Sprintf("sine=frequency=440:sample_rate=48000:duration=%d", seconds), "-c:a", "aac")
	}
	args = append(args, "-c:v", c.video, "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10",
		"-keyint_min", "10", "-bf", "2")
	if c.video == "libx265" {
		args = append(args, "-x265-params",
			"log-level=none:keyint=10:min-keyint=10:scenecut=0:open-gop=0:bframes=2")
	} else {
		args = append(args, "-sc_threshold", "0")
	}
	if out, err := exec.Command("ffmpeg", append(args, path)...).CombinedOutput(); err != nil {
		t.Errorf("encoding %s: %v\n%s", c.name, err, out)
	}
}

// microphone sends AAC as ffmpeg's muxer clusters it, over a connection of our own, until done is
// closed.
func microphone(t *testing.T, s *server, stream string, done <-chan struct{}) {
	p, err := connect(s, stream)
	if err != nil {
		t.Error(err)
		return
	}
	defer p.conn.Close()
	go io.Copy(io.Discard, p.res.Body)
	offset := fmt.Sprintf("%.3f", float64(time.Now().UnixMilli())/1000)
	encode := exec.Command("ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i",
		"sine=frequency=440:sample_rate=48000",
		"-c:a", "aac", "-output_ts_offset", offset, "-cluster_time_limit", "400", "-f", "matroska",
		"-flush_packets", "1", "pipe:1")
	pipe, err := encode.StdoutPipe()
	if err == nil {
		err = encode.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	go func() {
		<-done
		encode.Process.Signal(os.Interrupt)
	}()
	if _, err := io.Copy(p.body, pipe); err != nil {
		t.Error(err)
	}
	encode.Wait()
	p.body.Close()
	io.WriteString(p.conn, "\r\n")
}
