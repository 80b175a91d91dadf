package e2e_test

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// clipDay is when the sources of clips were filmed: long ago, by the producer's clock.
const clipDay = 1_790_000_000

// clipSource encodes seconds of a test picture and a tone with the arguments of the codecs.
func clipSource(t testing.TB, name, rate string, seconds int, codecs ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args := slices.Concat([]string{"-v", "error", "-f", "lavfi", "-i",
		fmt.Sprintf("testsrc2=size=320x240:rate=%s:duration=%d", rate, seconds),
		"-f", "lavfi", "-i",
		fmt.Sprintf("sine=frequency=440:sample_rate=8000:duration=%d", seconds)}, codecs,
		[]string{"-g", "50", "-f", "matroska", "pipe:1"})
	if err := os.WriteFile(path, program(t, "ffmpeg", args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// put sends a file whose first frame is so many seconds after clipDay.
func (s *server) put(stream, file string, at int) {
	s.t.Helper()
	s.run("weir", "put-media", "--stream-name", stream, "--create",
		"--data-retention-in-hours", "24", "--start-timestamp", strconv.Itoa(clipDay+at), file)
}

// clip downloads a clip of seconds after clipDay.
func (s *server) clip(stream string, from, to float64, flags ...string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "clip.mp4")
	s.run("weir", slices.Concat([]string{"clip", stream, path, "--clock", "producer",
		"--from", fmt.Sprintf("%.3f", clipDay+from), "--to", fmt.Sprintf("%.3f", clipDay+to)},
		flags)...)
	return path
}

// The frames of a clip are those that went in, whatever the codecs, also across a pause.
func TestClipsHoldWhatWentIn(t *testing.T) {
	prepares(t)
	needTool(t, "ffmpeg", "ffprobe")
	s := start(t, "")
	for name, codecs := range map[string][]string{
		"h264-aac": {"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-c:a", "aac", "-ar",
			"44100"},
		"hevc-alaw": {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none",
			"-c:a", "pcm_alaw"},
		"h264-ulaw": {"-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-c:a", "pcm_mulaw"},
	} {
		t.Run(name, func(t *testing.T) {
			works(t)
			s := *s
			s.t = t
			file := clipSource(t, name+".mkv", "30000/1001", 3, codecs...)
			s.put(name, file, 0)
			s.put(name, file, 60)
			one := frameHashes(t, file, "0:v", false)
			clip := s.clip(name, 0, 100)
			compareHashes(t, "pictures", slices.Concat(one, one),
				frameHashes(t, clip, "0:v", false))
			checkTimes(t, clip, 6)
			if strings.HasSuffix(name, "law") {
				want := pcm(t, file)
				if got := pcm(t, clip); !bytes.Equal(got, slices.Concat(want, want)) {
					t.Errorf("sound of %d bytes differs from twice %d", len(got), len(want))
				}
			} else {
				want, got := frameHashes(t, file, "0:a", true), frameHashes(t, clip, "0:a", true)
				compareHashes(t, "sound", want, got[:len(want)])
				compareHashes(t, "sound after the pause", want, got[len(got)-len(want):])
			}
			kept := s.clip(name, 0, 100, "--keep-gaps")
			compareHashes(t, "pause kept", slices.Concat(one, one),
				frameHashes(t, kept, "0:v", false))
			checkTimes(t, kept, 63)
		})
	}
}

// pcm is the decoded sound of a file.
func pcm(t *testing.T, file string) []byte {
	t.Helper()
	return program(t, "ffmpeg", "-v", "error", "-i", file, "-map", "0:a", "-f", "s16le", "-")
}

// checkTimes checks that the times of a clip of two halves rise and end after so many seconds, and
// that picture and sound begin the second half together.
func checkTimes(t *testing.T, clip string, length float64) {
	t.Helper()
	var ends [2]float64
	for i, kind := range []string{"v", "a"} {
		out := program(t, "ffprobe", "-v", "error", "-select_streams", kind, "-show_entries",
			"packet=pts_time,duration_time", "-of", "csv=p=0", clip)
		for line := range strings.Lines(string(out)) {
			at, lasts, _ := strings.Cut(strings.TrimSpace(line), ",")
			a, err := strconv.ParseFloat(at, 64)
			if err != nil {
				t.Fatal(err)
			}
			d, _ := strconv.ParseFloat(lasts, 64)
			ends[i] = max(ends[i], a+d)
		}
		if ends[i] < length-0.15 || ends[i] > length+0.15 {
			t.Errorf("%s ends after %.3f s, want %.1f", kind, ends[i], length)
		}
	}
}

// An exact clip shows the frames of its range and no others.
func TestExactClip(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	s := start(t, "")
	file := clipSource(t, "cam.mkv", "25", 6, "-c:v", "libx264", "-preset", "veryfast", "-bf", "2",
		"-c:a", "aac")
	s.put("cam", file, 0)
	all := frameHashes(t, file, "0:v", false)
	first := s.clip("cam", 2.52, 4.47, "--exact")
	got := frameHashes(t, first, "0:v", false)
	at := slices.Index(all, got[0])
	// The source's first picture is up to a frame of sound after its start.
	if at < 62 || at > 63 || len(got) < 49 || len(got) > 50 {
		t.Fatalf("%d pictures from %d on, want 49 or 50 from 62 or 63 on", len(got), at)
	}
	compareHashes(t, "exact", all[at:at+len(got)], got)
}

// The AWS command line downloads the same file, and gets the service's names of errors. The error
// of a change of codec private data says when the change was.
func TestAWSGetClip(t *testing.T) {
	waits(t)
	needTool(t, "aws", "ffmpeg")
	s := start(t, "")
	codec := []string{"-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac"}
	s.put("cam", clipSource(t, "a.mkv", "25", 4, codec...), 0)
	selector := func(from, to int) string {
		return fmt.Sprintf("FragmentSelectorType=PRODUCER_TIMESTAMP,TimestampRange="+
			"{StartTimestamp=%d,EndTimestamp=%d}", clipDay+from, clipDay+to)
	}
	for _, name := range []string{"aws", "weir"} {
		path := filepath.Join(t.TempDir(), name+".mp4")
		args := []string{"get-clip", "--stream-name", "cam", "--clip-fragment-selector",
			selector(0, 60), path}
		if name == "aws" {
			args = append([]string{"kinesis-video-archived-media", "--endpoint-url", s.URL},
				args...)
		}
		if out := s.run(name, args...); !bytes.Contains(out, []byte(`"ContentType": "video/mp4"`)) {
			t.Errorf("%s printed %s", name, out)
		}
		got, err := os.ReadFile(path)
		want, werr := os.ReadFile(s.clip("cam", 0, 60))
		if err != nil || werr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, %v, %v", name, len(got), len(want), err, werr)
		}
	}
	s.put("cam", clipSource(t, "b.mkv", "25", 4, append(codec, "-vf", "scale=160:120")...), 100)
	for code, from := range map[string][2]int{"InvalidCodecPrivateDataException": {0, 200},
		"ResourceNotFoundException": {300, 400}} {
		s.awsFails(code, "kinesis-video-archived-media", "--endpoint-url", s.URL, "get-clip",
			"--stream-name", "cam", "--clip-fragment-selector", selector(from[0], from[1]),
			filepath.Join(t.TempDir(), "none.mp4"))
	}
	if frames := frameHashes(t, s.clip("cam", 90, 200), "0:v", false); len(frames) != 100 {
		t.Errorf("%d pictures after the change", len(frames))
	}
}

// A page whose video has the link as its source plays it, and seeks in it.
func TestChromiumPlaysAClip(t *testing.T) {
	works(t)
	needTool(t, "chromium", "node", "ffmpeg")
	s := start(t, "")
	file := clipSource(t, "cam.mkv", "25", 20, "-c:v", "libx264", "-preset", "veryfast", "-bf", "2",
		"-c:a", "aac")
	s.put("cam", file, 0)
	s.put("cam", file, 100)
	for _, flags := range [][]string{{"--exact"}, {"--keep-gaps"}} {
		link := strings.TrimSpace(
			string(s.run("weir", slices.Concat([]string{"clip", "cam", "--url",
				"--clock", "producer", "--from", fmt.Sprint(clipDay + 1), "--to",
				fmt.Sprint(clipDay + 118)}, flags)...)))
		page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w,
				`<!doctype html><link rel="icon" href="data:,"><video controls src="%s"></video>`,
				html.EscapeString(link))
		}))
		defer page.Close()
		p := play(t, page.URL, map[string]any{"seconds": 2, "seeks": []float64{30, 5, -4}})
		if p.Width != 320 || len(p.Seeks) != 3 || p.Seeks[0] < 30 || p.Frames < 50 ||
			p.Duration < 37 {
			t.Errorf("%v: %+v", flags, p)
		}
	}
}
