package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The console's page of a stream shows what the camera sends now and the very picture of any
// moment, at any speed and over gaps, and exports a range of it. The wall shows it beside a camera
// that does not send yet, lets one be heard, and what is out of sight rest. Neither breaks a rule
// of axe-core.
func TestConsoleShowsAnyMoment(t *testing.T) {
	works(t)
	needTool(t, "chromium", "node", "ffmpeg")
	s := start(t, "")
	if status, _, _ := get(t, s.URL+"/console/icon.svg"); status != 200 {
		missing(t, "this weir was built without the console; `make build` embeds it")
	}
	n := numberedCodecs[0]
	begin := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	recorded := filepath.Join(t.TempDir(), "recorded.mkv")
	encode := n.encode(20)
	program(t, "ffmpeg", append(encode[:len(encode)-1:len(encode)-1], recorded)...)
	s.run("weir", "put-media", "--stream-name", n.stream(), "--create",
		"--data-retention-in-hours", "24", "--start-timestamp",
		begin.UTC().Format(time.RFC3339), recorded)
	s.run("weir", "create-stream", "--stream-name", "empty", "--data-retention-in-hours", "1")
	n.camera(t, s, time.Now())
	awaitLive(t, s, n.stream())

	clip := filepath.Join(t.TempDir(), "clip.mp4")
	link := strings.TrimSpace(string(s.run("weir", "open", "--print")))
	environment := map[string]string{}
	for _, v := range s.env {
		name, value, _ := strings.Cut(v, "=")
		environment[name] = value
	}
	arg, err := json.Marshal(map[string]any{"chromium": chromiumPath(t), "link": link,
		"stream": n.stream(), "begin": begin.UnixMilli(), "clip": clip,
		"environment": environment, "send": []string{weirBinary, "put-media", "--stream-name",
			"empty", filepath.Join("..", "..", "cmd", "weir", "demo.mkv")}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Errors, Violations     []string
		Live, Says, Link, File string
		Rates, Heard           string
		Opened                 int
	}
	before := sessionsOf(t, s, n.stream())
	out := program(t, "node", "console_stream.mjs", string(arg))
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	says := begin.Add(12 * time.Second).In(berlin).Format("2 January 2006, 15:04:05")
	switch {
	case len(got.Errors) > 0:
		t.Fatalf("errors: %q", got.Errors)
	case len(got.Violations) > 0:
		t.Errorf("axe-core: %q", got.Violations)
	case got.Live != "true false":
		t.Errorf("live was pressed: %q, want first so and then not", got.Live)
	case got.Rates != "16 0.25":
		t.Errorf("speeds: %q", got.Rates)
	case got.Heard != "false true":
		t.Errorf("heard are %q, want the second alone", got.Heard)
	case got.Opened != 1:
		t.Errorf("a camera that never sent was asked for %d sessions, want 1", got.Opened)
	case !strings.Contains(got.Says, says):
		t.Errorf("the timeline says %q, want %q", got.Says, says)
	case !regexp.MustCompile(`^Export MP4 · [\d.]+ kB$`).MatchString(got.Link):
		t.Errorf("the export is called %q", got.Link)
	case !strings.HasPrefix(got.File, n.stream()+"-"):
		t.Errorf("the file is called %q", got.File)
	}
	for end := time.Now().Add(10 * time.Second); sessionsOf(t, s, n.stream()) > before; {
		if time.Now().After(end) {
			t.Fatal("the tab is gone, and its sessions are open")
		}
	}
	frames := readFrames(program(t, "ffmpeg", "-v", "error", "-i", clip, "-vf",
		"format=gray", "-f", "rawvideo", "pipe:1"), numberedWidth*numberedHeight)
	if len(frames) < 40 || frames[0] != 50 || !slices.Contains(frames, 89) ||
		frames[len(frames)-1] > 90 {
		t.Errorf("the file has the pictures %v, want 50 to 89 or 90", frames)
	}
}

// sessionsOf is how many playback sessions of a stream are open.
func sessionsOf(t *testing.T, s *server, stream string) int {
	t.Helper()
	var list struct{ SessionInfoList []struct{} }
	text := s.run("weir", "sessions", "list", "--stream-name", stream, "--output", "json")
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return len(list.SessionInfoList)
}
