package e2e_test

import (
	"context"
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
)

// glassCamera is a camera whose every frame says which one it is, like those of a numbered source,
// and that knows when it sent each. So a player that shows a frame shows the time.
type glassCamera struct {
	name   string
	group  int    // seconds from key frame to key frame
	rate   [2]int // frames per second, a fraction
	sound  bool
	bframe bool
	leap   int // frames after which its clock leaps ahead by an hour, each time; 0: never
	// how much later than its clock says it sends, from its third leap on
	hesitates time.Duration
	grow      bool // after groups of one second, every other group is of ten seconds

	mu   sync.Mutex
	sent []time.Time // of each frame: when the encoder got it
}

func (g *glassCamera) fps() float64 { return float64(g.rate[0]) / float64(g.rate[1]) }

// encode is what ffmpeg does with pictures of sixteen blocks: it gives out each frame as soon as
// the muxer has the next one.
func (g *glassCamera) encode() []string {
	args := []string{"-v", "error", "-fflags", "nobuffer", "-f", "rawvideo", "-pix_fmt", "gray",
		"-video_size", "8x2", "-framerate", fmt.Sprintf("%d/%d", g.rate[0], g.rate[1]), "-i",
		"pipe:0"}
	if g.sound {
		args = append(args, "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
			"-c:a", "aac")
	}
	filter := "scale=320:192:flags=neighbor,format=yuv420p"
	if g.leap > 0 {
		filter += fmt.Sprintf(",setpts=PTS+floor(N/%d)*3600/TB", g.leap)
		args = append(args, "-fps_mode", "passthrough")
	}
	args = append(args, "-vf", filter, "-c:v", "libx264",
		"-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-sc_threshold", "0", "-g",
		fmt.Sprint(int(float64(g.group)*g.fps()+0.5)))
	if g.grow {
		args = append(args, "-g", "9999", "-force_key_frames", growing())
	}
	if g.bframe {
		args = append(args, "-bf", "2", "-b_strategy", "0")
	}
	return append(args, "-f", "matroska", "-cluster_time_limit", "1", "-flush_packets", "1",
		"pipe:1")
}

// growing lists the key frames of a camera whose groups grow: a second apart for sixteen seconds,
// then ten seconds apart every other time.
func growing() string {
	times := "0"
	for at, n := 1, 1; n < 100; n++ {
		times += fmt.Sprintf(",%d", at)
		if at++; at > 16 && n%2 == 0 {
			at += 9
		}
	}
	return times
}

// begin sends frames in real time until the test ends, or off is called.
func (g *glassCamera) begin(t *testing.T, s *server) (off func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	encode := exec.CommandContext(ctx, "ffmpeg", g.encode()...)
	pictures, err := encode.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	send := s.command(ctx, "weir", "put-media", "--stream-name", g.name, "--create",
		"--data-retention-in-hours", "1", "-")
	off = film(t, g.name, encode, send, cancel)
	go g.draw(ctx, pictures)
	return off
}

func (g *glassCamera) draw(ctx context.Context, pictures io.Writer) {
	begin := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		due := time.Duration(float64(n) / g.fps() * 1e9)
		if g.leap > 0 && n >= 3*g.leap {
			due += g.hesitates
		}
		select {
		case <-time.After(due - time.Since(begin)): // the camera's clock
		case <-ctx.Done():
			return
		}
		var picture [16]byte
		for i := range picture {
			picture[i] = 16 + byte(29*(n%2200)>>i&1)*219
		}
		g.mu.Lock()
		g.sent = append(g.sent, time.Now())
		g.mu.Unlock()
		if _, err := pictures.Write(picture[:]); err != nil {
			return
		}
	}
}

// latencies turns what a page saw, frame numbers and the time when each was painted, into the time
// from the camera to the screen.
func (g *glassCamera) latencies(frames [][3]float64) (out []time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range frames {
		shown := time.UnixMilli(int64(f[2]))
		n, found := int(f[0]), false
		if n < 0 {
			return nil, fmt.Errorf("a picture cannot be read: %v", f)
		}
		for ; n < len(g.sent); n += 2200 {
			if l := shown.Sub(g.sent[n]); l >= 0 && l < time.Minute {
				out, found = append(out, l), true
			}
		}
		if !found {
			return nil, fmt.Errorf("frame %v was shown before it was sent", f[0])
		}
	}
	return out, nil
}

// watchClock has a player of the browser follow a URL for some seconds, not counting the first.
func (b *browser) watchClock(player, u string, seconds int,
	options ...string) (browserAnswer, error) {
	return b.ask(map[string]any{"page": b.page(player, u, append(options, "clock")...), "join": 5,
		"seconds": seconds, "clock": true})
}

// options are those of a page that shows the camera.
func (g *glassCamera) options() []string {
	if g.sound {
		return []string{"sound"}
	}
	return nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(10 * time.Millisecond)
}

// TestGlassToGlass measures the time from a frame's sending to its painting, in players as they are
// (`make glass`), and prints the table of docs/latency.md. WEIR_GLASS says for how long each camera
// is watched, by both players at once. WEIR_GLASS_SERVE has further flags for `weir serve`,
// WEIR_GLASS_CASES the names of cases if not all are wanted. Both have played before: a browser
// that has just started compiles a player while it begins to play, which makes it begin late.
func TestGlassToGlass(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("WEIR_GLASS"))
	if err != nil {
		t.Skip("WEIR_GLASS is no duration; `make glass` runs it")
	}
	needTool(t, "ffmpeg", "chromium", "node")
	s := start(t, "", append([]string{"--hls-sessions-per-stream", "0"},
		strings.Fields(os.Getenv("WEIR_GLASS_SERVE"))...)...)
	chromium := startBrowser(t)
	plain, ntsc := [2]int{25, 1}, [2]int{30000, 1001}
	wanted := strings.Fields(os.Getenv("WEIR_GLASS_CASES"))
	played := false
	var table strings.Builder
	for _, c := range []struct {
		name, says string
		camera     *glassCamera
	}{
		{"group-1", "1", &glassCamera{group: 1, rate: plain}},
		{"group-2", "2", &glassCamera{group: 2, rate: plain}},
		{"group-10", "10", &glassCamera{group: 10, rate: plain}},
		{"sound", "2, sound", &glassCamera{group: 2, rate: plain, sound: true}},
		{"b-frames", "2, B-frames", &glassCamera{group: 2, rate: plain, bframe: true}},
		{"ntsc", "2, 29.97 a second", &glassCamera{group: 2, rate: ntsc}},
		{"all", "2, 29.97 a second, B-frames, sound",
			&glassCamera{group: 2, rate: ntsc, bframe: true, sound: true}},
	} {
		if len(wanted) > 0 && !slices.Contains(wanted, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			g := c.camera
			g.name = c.name
			defer g.begin(t, s)()
			awaitFragments(t, s, g.name, time.Now(), 3*g.group)
			if !played {
				g.rows(t, s, chromium, c.says, 2*time.Second)
				played = true
			}
			table.WriteString(g.rows(t, s, chromium, c.says, length))
		})
	}
	t.Logf("%s, %v each:\n\n| seconds from key frame to key frame | player | p50 | p95 | most | "+
		"stalls | painted | blocked reloads |\n|---|---|---|---|---|---|---|---|\n%s",
		time.Now().Format(time.DateOnly), length, &table)
}

// rows has both players follow the camera, and returns what they did as rows of a table.
func (g *glassCamera) rows(t *testing.T, s *server, b *browser, says string,
	length time.Duration) string {
	rows := make([]string, 2)
	var watching sync.WaitGroup
	for i, player := range []string{"hls.js", "Shaka Player"} {
		u := awaitLive(t, s, g.name, "--discontinuity-mode", "ON_DISCONTINUITY",
			"--expires", "43200")
		watching.Go(func() {
			if row, err := g.measure(b, player, u, length); err != nil {
				t.Errorf("%s: %v", player, err)
			} else {
				rows[i] = fmt.Sprintf("| %s | %s | %s\n", says, player, row)
			}
		})
	}
	watching.Wait()
	return strings.Join(rows, "")
}

// measure has a player follow a URL, and returns what it did as cells of a table.
func (g *glassCamera) measure(b *browser, player, u string,
	length time.Duration) (cells string, err error) {
	a, err := b.watchClock(player, u, int(length.Seconds()), g.options()...)
	if err != nil {
		return "", err
	}
	l, err := g.latencies(a.Frames)
	if err != nil || len(l) == 0 {
		return "", fmt.Errorf("%d frames: %w", len(l), err)
	}
	slices.Sort(l)
	at := func(q float64) float64 { return quantile(l, q).Seconds() }
	return fmt.Sprintf("%.2f s | %.2f s | %.2f s | %d | %.1f %% | %d |", at(0.5), at(0.95), at(1),
		a.Stalls, 100*float64(len(l))/(length.Seconds()*g.fps()), a.Blocked), nil
}

// hls.js and Shaka Player with their defaults play a live stream part by part, without a stall,
// and show its pictures in order. They go on when the server is killed in the middle of a part and
// starts again. A player is a second behind the camera here.
func TestPlayersUseParts(t *testing.T) {
	exact(t)
	needTool(t, "ffmpeg", "chromium", "node")
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	chromium := startBrowser(t)
	camera := &glassCamera{name: "parts", group: 1, rate: [2]int{25, 1}}
	camera.begin(t, s)
	awaitFragments(t, s, camera.name, time.Now(), 3)
	const seconds, chances = 6, 3
	var playing sync.WaitGroup
	for _, player := range []string{"hls.js", "Shaka Player"} {
		u := awaitLive(t, s, camera.name, "--discontinuity-mode", "ON_DISCONTINUITY")
		playing.Go(func() {
			var err error
			for range chances { // a browser that gets no processor for a second stalls
				if err = camera.watch(chromium, player, u, seconds); err == nil {
					return
				}
				t.Logf("%s: %v", player, err)
			}
			t.Errorf("%s: %v", player, err)
		})
	}
	playing.Wait()

	parts, answers := s.figure("weir_hls_parts_total"), map[string]*browserAnswer{}
	for _, player := range []string{"hls.js", "Shaka Player"} {
		u, a := awaitLive(t, s, camera.name), new(browserAnswer)
		answers[player] = a
		playing.Go(func() { *a, _ = chromium.watchClock(player, u, 2*seconds, "restarts") })
	}
	for s.figure("weir_hls_parts_total") < parts+60 { // both play, for some seconds
		time.Sleep(50 * time.Millisecond)
	}
	killed := time.Now()
	s.kill()
	start(t, data, "--listen", strings.TrimPrefix(s.URL, "http://"))
	back := time.Now()
	playing.Wait()
	for player, a := range answers {
		pause, after := camera.pause(a.Frames, back)
		t.Logf("%s: the server was away for %v, at most %v from picture to picture, %d pictures "+
			"of afterwards", player, back.Sub(killed), pause, after)
		if len(a.Errors) > 0 || after == 0 {
			t.Errorf("%s: %q, %q, %d pictures that were sent after the restart", player, a.Errors,
				a.Notes, after)
		}
	}
}

// pause is the longest time between two pictures that a page saw, and how many of them were sent
// after a moment.
func (g *glassCamera) pause(
	frames [][3]float64, moment time.Time,
) (longest time.Duration, after int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, f := range frames {
		if i > 0 {
			longest = max(longest, time.Duration((f[2]-frames[i-1][2])*1e6))
		}
		if n := int(f[0]); n >= 0 && n < len(g.sent) && g.sent[n].After(moment) {
			after++
		}
	}
	return longest, after
}

// watch has a player play for some seconds.
func (g *glassCamera) watch(b *browser, player, u string, seconds int) error {
	a, err := b.watchClock(player, u, seconds, g.options()...)
	if err != nil {
		return err
	}
	return g.check(&a, seconds)
}

// check compares what a page saw in so many seconds with what the camera sent.
func (g *glassCamera) check(a *browserAnswer, seconds int) error {
	if _, err := g.latencies(a.Frames); err != nil {
		return err
	}
	for i := 1; i < len(a.Frames); i++ {
		if a.Frames[i][1] < a.Frames[i-1][1] {
			return fmt.Errorf("frame %v was shown after frame %v", a.Frames[i], a.Frames[i-1])
		}
	}
	if want := float64(seconds) * g.fps(); a.Stalls > 0 || float64(len(a.Frames)) < want/2 ||
		a.Blocked < seconds {
		return fmt.Errorf("%d stalls, %d of %.0f frames painted, %d blocked reloads", a.Stalls,
			len(a.Frames), want, a.Blocked)
	}
	return nil
}
