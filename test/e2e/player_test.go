package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"weir/test/output"
)

// page is a player as a stranger would write it: another origin, hls.js with its defaults.
const page = `<!doctype html><meta charset="utf-8"><title>player</title><link rel="icon" href="data:,">
<video controls style="width:640px"></video>
<script src="/hls.min.js"></script>
<script>
window.playerErrors = [];
const hls = new Hls();
hls.on(Hls.Events.ERROR, (_, d) => window.playerErrors.push(d.type + ' ' + d.details + (d.fatal ? ' (fatal)' : '')));
hls.loadSource(new URLSearchParams(location.search).get('url'));
hls.attachMedia(document.querySelector('video'));
</script>`

// playback is what play.mjs reports.
type playback struct {
	Played, Duration float64
	Seeks            []float64
	Stalls           int
	Errors, Console  []string
	Frames, Dropped  int
	Width, Height    int
	Failure          string
}

// play runs a player that must neither stall nor report anything. What another test takes from
// Chromium's processor shows as stalls, and hls.js says bufferAppendNoProgress if sound arrives
// before it knows where the picture begins, so there is a second chance.
func play(t *testing.T, pageURL string, options map[string]any) playback {
	t.Helper()
	for again := false; ; again = true {
		p := tryPlay(t, pageURL, options)
		if p.Failure == "" && len(p.Errors) == 0 && len(p.Console) == 0 && p.Stalls == 0 {
			return p
		}
		if again {
			t.Fatalf("player: %+v", p)
		}
		t.Logf("again, after: %+v", p)
	}
}

// chromiumPath returns the path of Chromium, which the scripts of this directory start.
func chromiumPath(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func tryPlay(t *testing.T, pageURL string, options map[string]any) playback {
	t.Helper()
	needTool(t, "chromium", "node")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "node_modules", "playwright-core")); err != nil {
		missing(t, "playwright-core is not installed; `npm ci` installs it")
	}
	options["page"], options["chromium"] = pageURL, chromiumPath(t)
	arg, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	var p playback
	out := program(t, "node", filepath.Join(root, "test", "e2e", "play.mjs"), string(arg))
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return p
}

// strangersPage serves the page above and hls.js from another port than the server's.
func strangersPage(t *testing.T, hlsURL string) string {
	t.Helper()
	player := filepath.Join("..", "..", "node_modules", "hls.js", "dist", "hls.min.js")
	if _, err := os.Stat(player); err != nil {
		missing(t, "hls.js is not installed; `npm ci` installs it")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, page)
	})
	mux.HandleFunc("/hls.min.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, player)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL + "/?url=" + url.QueryEscape(hlsURL)
}

// camera pushes a live picture in real time until the test ends or off is called: ffmpeg encodes,
// `weir put-media` sends.
func camera(t *testing.T, s *server, stream string, args ...string) (off func()) {
	t.Helper()
	needTool(t, "ffmpeg")
	ctx, cancel := context.WithCancel(context.Background())
	encode := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i",
		"testsrc2=size=320x240:rate=25",
		"-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-c:a",
		"aac", "-f", "matroska", "-flush_packets", "1", "pipe:1")
	send := s.command(ctx, "weir",
		append([]string{"put-media", "--stream-name", stream, "--create",
			"--data-retention-in-hours", "1"}, append(args, "-")...)...)
	return film(t, stream, encode, send, cancel)
}

// film runs an encoder into a sender until the test ends or off is called; then stop must end both.
func film(t *testing.T, name string, encode, send *exec.Cmd, stop func()) (off func()) {
	t.Helper()
	pipe, err := encode.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	send.Stdin = pipe
	log := &output.Buffer{}
	send.Stderr, encode.Stderr = log, log
	for _, c := range []*exec.Cmd{encode, send} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	off = sync.OnceFunc(func() {
		stop()
		encode.Wait()
		send.Wait()
	})
	t.Cleanup(func() {
		off()
		if t.Failed() {
			t.Logf("camera %s:\n%s", name, log.Tail(4<<10))
		}
	})
	return off
}

// awaitLive asks for a LIVE session until the camera's first fragments are stored.
func awaitLive(t *testing.T, s *server, stream string, args ...string) string {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	args = append([]string{"get-hls-streaming-session-url", "--stream-name", stream,
		"--playback-mode", "LIVE"}, args...)
	for {
		out, stderr, err := s.try("weir", args...)
		if err == nil {
			var v struct{ HLSStreamingSessionURL string }
			if err := json.Unmarshal(out, &v); err != nil {
				t.Fatal(err)
			}
			return v.HLSStreamingSessionURL
		}
		if time.Now().After(deadline) {
			t.Fatalf("no live session: %s", stderr)
		}
		time.Sleep(200 * time.Millisecond) // polling another process
	}
}

// Without parts, because other tests run beside this one, and a player that is a second behind the
// camera stalls when the processor is busy. TestPlayersUseParts has parts.
func TestChromiumPlaysLive(t *testing.T) {
	works(t)
	s := start(t, "", "--low-latency", "off")
	camera(t, s, "live")
	u := awaitLive(t, s, "live")
	// fragments last a second: the playlist is another one, twice over, at the end
	const seconds = 12
	p := play(t, strangersPage(t, u), map[string]any{"seconds": seconds})
	if p.Stalls > 0 || p.Played < seconds || p.Width != 320 {
		t.Fatalf("LIVE: %+v", p)
	}
	if p.Frames < seconds*25*9/10 {
		t.Errorf("LIVE: %d frames shown in %.1f s of 25 frames per second", p.Frames, p.Played)
	}
}

func TestChromiumSeeksOnDemand(t *testing.T) {
	works(t)
	needTool(t, "ffmpeg")
	s := start(t, "")
	c := clip{rate: "25", bframes: 2, audio: true, seconds: 30}
	s.run("weir", "put-media", "--stream-name", "seek", "--create", "--data-retention-in-hours",
		"1", c.make(t))
	for _, mode := range [][]string{
		{"--hls-fragment-selector", everything("PRODUCER_TIMESTAMP")},
		{"--hls-fragment-selector", everythingPast("SERVER_TIMESTAMP")},
	} {
		u := s.hls("seek", append([]string{"--playback-mode", "ON_DEMAND"}, mode...)...)
		p := play(t, strangersPage(t, u),
			map[string]any{"seconds": 2, "seeks": []float64{0, 15, 27, 5}})
		if p.Stalls > 0 || len(p.Seeks) != 4 || math.Abs(p.Duration-30) > 0.2 {
			t.Fatalf("%v: %+v", mode, p)
		}
	}
}

// The page that Weir serves plays a stream with nothing but the binary.
func TestLocalPagePlays(t *testing.T) {
	works(t)
	needTool(t, "ffmpeg")
	s := start(t, "")
	c := clip{rate: "25", bframes: 0, audio: true, seconds: 10}
	s.run("weir", "put-media", "--stream-name", "page", "--create", "--data-retention-in-hours",
		"1", c.make(t))
	u := s.hls("page", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
		everything("PRODUCER_TIMESTAMP"))
	status, _, body := get(t, s.URL+"/player?url="+url.QueryEscape(u))
	if status != http.StatusOK {
		t.Fatalf("player page: %d\n%s", status, body)
	}
	if status, _, _ := get(t, s.URL+"/player/hls.min.js"); status != http.StatusOK {
		missing(t, "this weir was built without the player; `make build` embeds it")
	}
	p := play(t, s.URL+"/player?url="+url.QueryEscape(u),
		map[string]any{"seconds": 3, "seeks": []float64{7}})
	if p.Stalls > 0 || p.Width != 320 {
		t.Fatalf("%+v", p)
	}
}
