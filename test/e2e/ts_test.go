package e2e_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is a recording of a kind of stream that is played, and what ffmpeg encodes it with.
type source struct {
	name         string
	video, audio []string // encoder options; nil: none
}

var sources = []source{
	{"h264", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-bf", "0"}, nil},
	{"h264 aac", []string{"-c:v", "libx264", "-preset", "veryfast", "-g", "45", "-bf", "2"},
		[]string{"-c:a", "aac"}},
	{"h264 open groups",
		[]string{"-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-bf", "3", "-x264-params",
			"open-gop=1:b-pyramid=2"},
		[]string{"-c:a", "aac", "-ac", "2"}},
	{"h265", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
		"log-level=none:keyint=30:bframes=0"}, nil},
	{"h265 aac", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
		"log-level=none:keyint=30:bframes=3:open-gop=1"},
		[]string{"-c:a", "aac"}},
	{"aac", nil, []string{"-c:a", "aac"}},
	{"h265 closed groups",
		[]string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
			"log-level=none:keyint=30:bframes=3:open-gop=0"}, nil},
}

// make encodes six seconds at 29.97 pictures a second and 44.1 kHz, and cuts them into a stream of
// Matroska.
func (c source) make(t testing.TB) string {
	t.Helper()
	needTool(t, "ffmpeg", "ffprobe")
	path := filepath.Join(t.TempDir(), "source.mkv")
	args := []string{"-v", "error"}
	if c.video != nil {
		args = append(args, "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30000/1001:duration=6")
	}
	if c.audio != nil {
		args = append(args, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=6")
	}
	args = append(args, c.video...)
	args = append(args, c.audio...)
	if err := os.WriteFile(path, program(t, "ffmpeg", append(args, "-f", "matroska", "pipe:1")...),
		0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every frame that went in comes out of a transport stream, and of MP4, once and in order, and is
// the same when decoded; sound is the same bit for bit. ffmpeg complains neither of lost packets
// nor of times.
func TestEveryCodecInEveryContainer(t *testing.T) {
	prepares(t)
	s := start(t, "")
	for i, c := range sources {
		t.Run(c.name, func(t *testing.T) {
			works(t)
			s := *s
			s.t = t
			path := c.make(t)
			stream := fmt.Sprintf("source%d", i)
			s.run("weir", "put-media", "--stream-name", stream, "--create",
				"--data-retention-in-hours", "24", path)
			for _, container := range []string{"MPEG_TS", "FRAGMENTED_MP4"} {
				for _, mode := range []string{"NEVER", "ALWAYS"} {
					what := container + " " + mode
					u := s.hls(stream, "--playback-mode", "ON_DEMAND", "--container-format",
						container, "--discontinuity-mode", mode,
						"--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))
					if c.video != nil {
						compareHashes(t, what+": video", hashes(t, path, "0:v"),
							hashes(t, u, "0:v"))
					}
					if c.audio != nil {
						compareHashes(t, what+": audio", hashes(t, path, "0:a", "-c", "copy"),
							hashes(t, u, "0:a", "-c", "copy", "-bsf:a", "aac_adtstoasc"))
					}
				}
			}
		})
	}
}

// hashes returns an MD5 of each frame, and fails when ffmpeg warns.
func hashes(t testing.TB, input, stream string, options ...string) (found []string) {
	t.Helper()
	args := append([]string{"-v", "warning", "-i", input, "-map", stream, "-fps_mode",
		"passthrough"}, options...)
	cmd := exec.Command("ffmpeg", append(args, "-f", "framemd5", "-")...)
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil || warnings.Len() > 0 {
		t.Errorf("ffmpeg %v: %v\n%s", options, err, warnings.String())
	}
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			fields := strings.Split(strings.TrimSpace(line), ",")
			found = append(found, strings.TrimSpace(fields[5])) // those of side data follow
		}
	}
	return found
}

// The transport stream of a whole recording, one segment after another, has no seams in its times,
// and no presentation time before its decode time.
func TestTransportStreamTimes(t *testing.T) {
	waits(t)
	s := start(t, "")
	c := sources[2]
	s.run("weir", "put-media", "--stream-name", "times", "--create", "--data-retention-in-hours",
		"24", c.make(t))
	u := s.hls("times", "--playback-mode", "ON_DEMAND", "--container-format", "MPEG_TS",
		"--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))
	playlist := mediaPlaylist(u, 1)
	text := string(mustGet(t, playlist))
	if strings.Contains(text, "EXT-X-MAP") || !strings.Contains(text, "#EXT-X-VERSION:3\n") {
		t.Errorf("playlist:\n%s", text)
	}
	var whole []byte
	for _, uri := range uris(t, playlist, text) {
		res, err := http.Get(uri)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || res.Header.Get("Content-Type") != "video/mp2t" ||
			res.ContentLength != int64(len(body)) {
			t.Fatalf("%s: %v %v, %d bytes, %v", uri, res.Status, res.Header, len(body), err)
		}
		req, _ := http.NewRequest(http.MethodGet, uri, nil)
		req.Header.Set("Range", "bytes=1000-1999")
		if part, err := http.DefaultClient.Do(req); err != nil || part.StatusCode != 206 {
			t.Errorf("a range: %v %v", part, err)
		} else {
			if got, err := io.ReadAll(part.Body); err != nil ||
				string(got) != string(body[1000:2000]) {
				t.Errorf("a range has other bytes: %v", err)
			}
			part.Body.Close()
		}
		whole = append(whole, body...)
	}
	path := filepath.Join(t.TempDir(), "whole.ts")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for stream, pace := range map[string]float64{"v": 1001.0 / 30000, "a": 1024.0 / 44100} {
		out := string(program(t, "ffprobe", "-v", "warning", "-select_streams", stream,
			"-show_entries", "packet=pts_time,dts_time,flags", "-of", "csv=p=0", path))
		lines := strings.Fields(out)
		var last float64
		for i, line := range lines {
			f := strings.Split(line, ",")
			pts, _ := strconv.ParseFloat(f[0], 64)
			dts, _ := strconv.ParseFloat(f[1], 64)
			if strings.Contains(f[2], "C") {
				t.Fatalf("%s: packet %d is marked corrupt", stream, i)
			}
			if pts < dts {
				t.Fatalf("%s: packet %d is shown at %f, decoded at %f", stream, i, pts, dts)
			}
			if i > 0 && math.Abs(dts-last-pace) > 0.0011 {
				t.Fatalf("%s: packet %d follows after %f s, not %f", stream, i, dts-last, pace)
			}
			last = dts
		}
		if want := int(6 / pace); len(lines) < want {
			t.Errorf("%s: %d packets, want %d", stream, len(lines), want)
		}
	}
}

// uris lists what a playlist refers to as absolute URLs.
func uris(t testing.TB, playlist, text string) (found []string) {
	t.Helper()
	base, err := url.Parse(playlist)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			u, err := base.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, u.String())
		}
	}
	return found
}

// The byte ranges of an I-frame playlist, each by itself, decode to exactly one picture: the
// fragment's first.
func TestIFramePlaylist(t *testing.T) {
	waits(t)
	s := start(t, "")
	for i, c := range []source{sources[1], sources[6]} {
		stream := fmt.Sprintf("iframes%d", i)
		path := c.make(t)
		s.run("weir", "put-media", "--stream-name", stream, "--create", "--data-retention-in-hours",
			"24", path)
		source := hashes(t, path, "0:v")
		for _, container := range []string{"MPEG_TS", "FRAGMENTED_MP4"} {
			u := s.hls(stream, "--playback-mode", "ON_DEMAND", "--container-format", container,
				"--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))
			m := regexp.MustCompile(
				`#EXT-X-I-FRAME-STREAM-INF:.*URI="([^"]+)"`).FindStringSubmatch(
				string(mustGet(t, u)))
			if m == nil {
				t.Fatalf("%s %s: no I-frame playlist", c.name, container)
			}
			playlist := strings.Replace(u, u[strings.LastIndex(u, "/")+1:], m[1], 1)
			text := string(mustGet(t, playlist))
			ranges := regexp.MustCompile(`#EXT-X-BYTERANGE:(\d+)@0`).FindAllStringSubmatch(text, -1)
			segments := uris(t, playlist, text)
			if len(segments) < 3 || len(ranges) != len(segments) {
				t.Fatalf("%s %s:\n%s", c.name, container, text)
			}
			var head []byte
			if container == "FRAGMENTED_MP4" {
				head = mustGet(t,
					uris(t, playlist,
						regexp.MustCompile(`URI="([^"]+)"`).FindStringSubmatch(text)[1])[0])
			}
			at := 0
			for j, uri := range segments {
				n, _ := strconv.Atoi(ranges[j][1])
				file := filepath.Join(t.TempDir(), "iframe")
				if err := os.WriteFile(file,
					append(append([]byte{}, head...), mustGet(t, uri)[:n]...), 0o600); err != nil {
					t.Fatal(err)
				}
				found := frameHashes(t, file, "0:v", false)
				if len(found) != 1 {
					t.Fatalf("%s %s: range %d gives %d pictures", c.name, container, j, len(found))
				}
				for at < len(source) && source[at] != found[0] {
					at++
				}
				if at == len(source) {
					t.Fatalf("%s %s: the picture of range %d is not in the source, or not in order",
						c.name, container, j)
				}
			}
		}
	}
}

// playTransportStream allows hls.js to report that it skipped a few milliseconds where it began,
// and nothing else. It begins the time of a transport stream at the first sound or at the decoding
// of the first picture, whichever comes first. If that is a little before the first picture is
// shown, it may say so, whoever made the stream.
func playTransportStream(t *testing.T, pageURL string, options map[string]any) playback {
	t.Helper()
	p := tryPlay(t, pageURL, options)
	p.Errors = slices.DeleteFunc(p.Errors, func(e string) bool {
		return e == "mediaError bufferSeekOverHole"
	})
	if p.Failure != "" || len(p.Errors) > 0 || len(p.Console) > 0 {
		t.Fatalf("player: %+v", p)
	}
	return p
}

func TestChromiumPlaysTransportStreams(t *testing.T) {
	works(t)
	s := start(t, "")
	camera(t, s, "ts")
	u := awaitLive(t, s, "ts", "--container-format", "MPEG_TS")
	p := playTransportStream(t, strangersPage(t, u), map[string]any{"seconds": 10})
	if p.Stalls > 0 || p.Played < 10 || p.Width != 320 || p.Frames < 10*25*9/10 {
		t.Fatalf("LIVE: %+v", p)
	}
	c := clip{rate: "30000/1001", bframes: 2, audio: true, seconds: 30}
	s.run("weir", "put-media", "--stream-name", "recorded", "--create", "--data-retention-in-hours",
		"1", c.make(t))
	for _, mode := range []string{"NEVER", "ALWAYS"} {
		u = s.hls("recorded", "--playback-mode", "ON_DEMAND", "--container-format", "MPEG_TS",
			"--discontinuity-mode", mode,
			"--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))
		p = playTransportStream(t, strangersPage(t, u),
			map[string]any{"seconds": 5, "seeks": []float64{15, 27, 2}})
		if p.Stalls > 0 || len(p.Seeks) != 3 || math.Abs(p.Duration-30) > 0.2 {
			t.Fatalf("%s: %+v", mode, p)
		}
	}
}
