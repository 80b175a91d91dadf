package e2e_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// With a live session that lists an hour, a browser goes back that far while the stream goes on,
// and returns to live: over HTTP/2, at the address for players.
func TestChromiumGoesBackInALiveStream(t *testing.T) {
	works(t)
	needTool(t, "chromium", "node", "ffmpeg", "curl", "openssl")
	cert, key, _ := certificateFor(t)
	s := start(t, "", "--playback-listen", "127.0.0.1:0", "--playback-tls-cert", cert,
		"--playback-tls-key", key)

	// an hour of the same picture, as if it had been sent before, in fragments of two seconds
	const hour = "3600"
	picture := []string{"-f", "lavfi", "-i", "testsrc2=size=96x64:rate=2", "-c:v", "libx264",
		"-preset", "ultrafast", "-tune", "zerolatency", "-g", "4", "-f", "matroska",
		"-flush_packets", "1"}
	stored := filepath.Join(t.TempDir(), "hour.mkv")
	program(t, "ffmpeg", append(append([]string{"-v", "error"}, picture...), "-t", hour, stored)...)
	s.run("weir", "put-media", "--stream-name", "cam", "--create", "--start-timestamp", "1h ago",
		stored)
	ctx, cancel := context.WithCancel(context.Background())
	film(t, "cam",
		exec.CommandContext(ctx, "ffmpeg",
			append(append([]string{"-v", "error", "-re"}, picture...), "pipe:1")...),
		s.command(ctx, "weir", "put-media", "--stream-name", "cam", "-"), cancel)

	session := awaitSession(t, s, "hls", "cam", "--dvr", "90m")
	curl := program(t, "curl", "--http2", "--insecure", "--silent", "--output", "/dev/null",
		"--write-out", "%{http_version} %{http_code}", session)
	if string(curl) != "2 200" {
		t.Errorf("curl --http2: %s", curl)
	}
	base := regexp.MustCompile(`\Ahttps://[^/]+`).FindString(session)
	arg, err := json.Marshal(map[string]any{"chromium": chromiumPath(t), "back": 3500,
		"page": base + "/player#url=" + url.QueryEscape(session)})
	if err != nil {
		t.Fatal(err)
	}
	type look struct {
		At, Edge float64
		Says     string
		Button   bool
	}
	var got struct {
		Live, Back, Again look
		Errors, Protocols []string
		MediaErrors       string
	}
	out := program(t, "node", "dvr.mjs", string(arg))
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	switch {
	case len(got.Errors) > 0 || !calm.MatchString(got.MediaErrors):
		t.Errorf("errors: %q, %s", got.Errors, got.MediaErrors)
	case got.Live.Button || got.Live.Edge < 3500:
		t.Errorf("it began at %+v, not live with an hour before it", got.Live)
	case !got.Back.Button || !strings.HasPrefix(got.Back.Says, "Playing, 58:"):
		t.Errorf("an hour back it is at %+v", got.Back)
	case got.Again.Button || got.Again.At < got.Live.At || got.Again.Edge <= got.Live.Edge:
		t.Errorf("back to live it is at %+v, was at %+v", got.Again, got.Live)
	case !slices.Contains(got.Protocols, "h2") || slices.Contains(got.Protocols, "http/1.1"):
		t.Errorf("it was loaded over %q", got.Protocols)
	}
}

// calm is what the page says of its errors if there were none, or only a picture that waited
// because others used the processor, or the hole that hls.js may leave where it was when the viewer
// went back: it keeps the parts of a group that it has loaded, and when it returns after the group
// it goes on with the next part that is independent (getNextPart in its base-stream-controller).
var calm = regexp.MustCompile(
	`^(0|\d+, the last: (aborted|buffer(NudgeOnStall|StalledError|SeekOverHole)))$`)

// awaitSession runs a command that prints a session URL until the camera's first fragments are
// stored.
func awaitSession(t *testing.T, s *server, args ...string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		out, stderr, err := s.try("weir", args...)
		if err == nil {
			return strings.TrimSpace(string(out))
		}
		if time.Now().After(deadline) {
			t.Fatalf("no session: %s", stderr)
		}
	}
}
