package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/test/e2e/conformance"
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

// Every combination of mode, selector, discontinuity mode, container and codec, over several
// reloads while the cameras push, against every rule of the conformance package; the files against
// mp4box and ffprobe too. docs/conformance.md is what this test found.
func TestConformance(t *testing.T) {
	t.Parallel()
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
	const seconds = 75 // longer than a busy machine needs for the live sessions; stop ends it
	dir := t.TempDir()
	codecs := conformanceCodecs()
	var encoding sync.WaitGroup
	for _, c := range codecs {
		if c.video != "" {
			encoding.Go(func() {
				conformanceClip(t, c, filepath.Join(dir, c.name+".mkv"), seconds)
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

// lookWithMP4Box lets mp4box read every MP4 track and compares.
func lookWithMP4Box(t *testing.T, viewers []*viewer) {
	t.Helper()
	dir := t.TempDir()
	var names []string
	var owners []*viewer
	var tracks []track
	for _, v := range viewers {
		if v.c.container != fragmentedMP4 {
			continue
		}
		for _, f := range v.files() {
			name := filepath.Join(dir, fmt.Sprintf("%d.mp4", len(names)))
			if err := os.WriteFile(name, f.data, 0o600); err != nil {
				t.Fatal(err)
			}
			names, owners, tracks = append(names, name), append(owners, v), append(tracks, f)
		}
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "mp4box.mjs")
	cmd.Stdin = bytes.NewReader(list)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var results []struct {
		Fragmented bool
		Complaints []string
		Tracks     []struct {
			Codec                         string
			Timescale, Start, End, Bytes  int64
			Width, Height, Samples, Syncs int
			Gaps                          []int
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &results)
	}
	if err != nil || len(results) != len(tracks) {
		t.Fatalf("mp4box: %v, %d results of %d\n%s", err, len(results), len(tracks),
			stderr.String())
	}
	for i, r := range results {
		v, f := owners[i], tracks[i]
		if !r.Fragmented || len(r.Complaints) > 0 || len(r.Tracks) != 1 {
			v.faults = append(v.faults, fmt.Sprintf("mp4box: %+v", r))
			continue
		}
		frames := 0
		for _, timing := range f.timings {
			frames += timing.Frames
		}
		last := f.timings[len(f.timings)-1]
		got := r.Tracks[0]
		if !strings.EqualFold(got.Codec, f.codec) || got.Width != f.width ||
			got.Height != f.height || got.Samples != frames ||
			got.Start != f.timings[0].Start || got.End != last.Start+last.Duration ||
			len(got.Gaps) > 0 {
			v.faults = append(v.faults,
				fmt.Sprintf("mp4box found %+v; we found %s, %dx%d, %d frames, %v to %v", got,
					f.codec, f.width, f.height,
					frames, f.timings[0], last))
		}
	}
}

// lookWithFFprobe lets ffprobe read every transport stream, segments back to back, and compares.
func lookWithFFprobe(t *testing.T, viewers []*viewer) {
	t.Helper()
	dir := t.TempDir()
	type stream = struct {
		Index         int
		CodecName     string `json:"codec_name"`
		Width, Height int
	}
	type verdict struct {
		once   sync.Once
		faults []string
	}
	var mu sync.Mutex
	known := map[[32]byte]*verdict{}
	names := map[string]string{"libx264": "h264", "libx265": "hevc"}
	each(viewers, 2, func(v *viewer) {
		if v.c.container != mpegTS || len(v.lists) == 0 || len(v.lists[0].bytes) == 0 {
			return
		}
		p := v.lists[0]
		whole := bytes.Join(p.bytes, nil)
		sum := sha256.Sum256(whole)
		mu.Lock()
		if known[sum] == nil {
			known[sum] = &verdict{}
		}
		result := known[sum]
		mu.Unlock()
		result.once.Do(func() {
			bad := func(format string, args ...any) {
				result.faults = append(result.faults, "ffprobe: "+fmt.Sprintf(format, args...))
			}
			path := filepath.Join(dir, fmt.Sprintf("%x.ts", sum[:8]))
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				bad("%v", err)
				return
			}
			var stderr bytes.Buffer
			cmd := exec.Command("ffprobe", "-v", "warning", "-show_entries",
				"stream=index,codec_name,width,height:packet=stream_index,dts,pts,flags",
				"-of", "json", path)
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			var r struct {
				Streams []stream
				Packets []struct {
					StreamIndex int `json:"stream_index"`
					DTS, PTS    int64
					Flags       string
				}
			}
			if err == nil {
				err = json.Unmarshal(out, &r)
			}
			if err != nil || stderr.Len() > 0 {
				bad("%v: %s", err, stderr.String())
				return
			}
			frames, want := map[string]int{}, map[string]int{}
			for _, ts := range p.streams {
				for _, s := range ts.Streams {
					if name := "aac"; s.Video() {
						want[names[v.c.video]] += s.Frames
					} else {
						want[name] += s.Frames
					}
				}
			}
			last := map[int]int64{}
			for _, packet := range r.Packets {
				s := r.Streams[packet.StreamIndex]
				frames[s.CodecName]++
				if strings.Contains(packet.Flags, "C") {
					bad("a corrupt packet of %s at %d", s.CodecName, packet.DTS)
				}
				if before, seen := last[packet.StreamIndex]; seen &&
					math.Abs(float64(packet.DTS-before)) > 9000 {
					bad("%s jumps from %d to %d", s.CodecName, before, packet.DTS)
				}
				last[packet.StreamIndex] = packet.DTS
				if s.CodecName != "aac" &&
					(s.Width != conformanceWidth || s.Height != conformanceHeight) {
					bad("%d x %d", s.Width, s.Height)
				}
			}
			if !maps.Equal(frames, want) {
				bad("frames %v, we counted %v", frames, want)
			}
		})
		v.faults = append(v.faults, result.faults...)
	})
}

// conformanceDocument writes what was found, and holds docs/conformance.md to it.
func conformanceDocument(t *testing.T, viewers []*viewer) {
	t.Helper()
	var doc strings.Builder
	doc.WriteString(`# HLS conformance

[The checker](../test/e2e/conformance/conformance.go) holds playlists and segments to the rules below. ` + "`TestConformance`" + ` runs it over every
combination here: five cameras push, a session of each kind is opened, live ones are followed over ` + fmt.Sprint(reloads) + ` reloads, every segment is read;
mp4box reads the MP4 tracks and ffprobe the transport streams besides. The test compares this page with what it found, and
` + "`go test ./test/e2e -run TestConformance -update`" + ` writes it.

| mode | container | codecs |`)
	for _, selector := range conformanceSelectors {
		for _, d := range conformanceDiscontinuities {
			fmt.Fprintf(&doc, " %s, %s |",
				strings.ToLower(strings.TrimSuffix(selector, "_TIMESTAMP")), d)
		}
	}
	doc.WriteString("\n|---|---|---|" +
		strings.Repeat("---|", len(conformanceSelectors)*len(conformanceDiscontinuities)) + "\n")
	verdicts := map[string]string{}
	for _, v := range viewers {
		verdicts[v.c.String()] = v.verdict()
	}
	for _, mode := range conformanceModes {
		for _, container := range conformanceContainers {
			for _, c := range conformanceCodecs() {
				fmt.Fprintf(&doc, "| %s | %s | %s |", mode, container, c.name)
				c.mode, c.container = mode, container
				for _, c.selector = range conformanceSelectors {
					for _, c.discontinuity = range conformanceDiscontinuities {
						fmt.Fprintf(&doc, " %s |", verdicts[c.String()])
					}
				}
				doc.WriteString("\n")
			}
		}
	}
	doc.WriteString("\n## Rules\n\nEach has at least one deliberately broken playlist or segment " +
		"in the checker's own tests that must trip it.\n\n" +
		"| rule | from | what it says |\n|---|---|---|\n")
	for _, s := range conformance.Statements() {
		fmt.Fprintf(&doc, "| %s | %s | %s |\n", s.Rule, s.Source, s.Text)
	}
	path := filepath.Join("..", "..", "docs", "conformance.md")
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(path, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != doc.String() {
		t.Errorf("docs/conformance.md is not what was found (%v); -update writes it", err)
	}
}

func (v *viewer) verdict() string {
	switch {
	case len(v.faults) > 0 && v.master == nil:
		return "refused"
	case len(v.faults) > 0 || len(v.findings) > 0:
		return "broken"
	}
	return "yes"
}

// getRange fetches length bytes from an offset on.
func getRange(client *http.Client, address string, offset,
	length int64) (int, http.Header, []byte, error) {
	return getHeaders(client, address,
		map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)})
}

func getHeaders(client *http.Client, address string,
	headers map[string]string) (int, http.Header, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, body, err
}
