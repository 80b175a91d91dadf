package e2e_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Players of MPEG-DASH show every frame once and in order: of a live camera, of a replay to its
// last frame, and of recordings, also across a gap and a change of codec private data. dash.js and
// Shaka Player do so in H.264, GStreamer, VLC and ffmpeg also in H.265. The sound of a live camera
// and of recordings is played in order, G.711 too.
func TestDASHPlayersShowEveryFrame(t *testing.T) {
	works(t)
	needTool(t, "ffmpeg", "gst-launch-1.0", "cvlc", "chromium", "node")
	s := start(t, "", "--dash-sessions-per-stream", "0", "--codec-changes", "switch")
	d := &dashTest{T: t, server: s, begin: time.Now().Truncate(time.Second),
		old: time.Now().Truncate(time.Second).Add(-10 * time.Minute), dir: t.TempDir()}
	codec := numberedCodecs[1]
	codec.camera(t, s, d.begin)
	d.record("gap", 0, d.encode(codec, 3))
	d.record("gap", 9, d.cut(d.encode(codec, 12), 9))
	d.record("replay", 0, d.encode(codec, 9))
	silent := numberedCodecs[0]
	d.record("switch", 0, d.encode(silent, 3))
	d.record("switch", 3, d.cut(d.encode(silent, 6, "-profile:v", "baseline", "-bf", "0"), 3))
	others := []numbered{{name: "H.265 in DASH", video: "libx265"},
		{name: "H.265 and AAC", video: "libx265", audio: "aac"},
		{name: "H.264 and G.711", video: "libx264", audio: "pcm_alaw"},
		{name: "H.264 in DASH", video: "libx264"}}
	for _, other := range others {
		d.record(other.stream(), 0, d.encode(other, recordedSeconds+1))
	}

	chromium := startBrowser(t)
	awaitFragments(t, s, codec.stream(), d.begin, recordedSeconds+2)
	var browsers, decoders []*dashPlay
	for _, p := range chromium.dashPlayers() {
		browsers = append(browsers, d.cell(p, playCase{"LIVE", "DASH", codec, false}, d.begin),
			d.cell(p, playCase{"ON_DEMAND", "DASH", codec, false}, d.begin),
			d.watch(chromium, p.name, "replay", "LIVE_REPLAY", 0, 9),
			d.watch(chromium, p.name, "gap", "ON_DEMAND", 0, 3, 9, 12),
			d.watch(chromium, p.name, "switch", "ON_DEMAND", 0, 6))
	}
	for i, p := range programs(t) {
		if i > 0 { // of pictures beside sound ffmpeg leaves out the last: docs/players.md
			decoders = append(decoders,
				d.cell(p, playCase{"ON_DEMAND", "DASH", codec, false}, d.begin),
				d.cell(p, playCase{"ON_DEMAND", "DASH", others[1], false}, d.old),
				d.cell(p, playCase{"ON_DEMAND", "DASH", others[2], false}, d.old))
		}
		decoders = append(decoders, d.acrossAGap(p, codec),
			d.cell(p, playCase{"ON_DEMAND", "DASH", others[0], false}, d.old),
			d.cell(p, playCase{"ON_DEMAND", "DASH", others[3], false}, d.old))
	}
	var running sync.WaitGroup
	for _, plays := range [][]*dashPlay{browsers, decoders} {
		running.Go(func() { d.play(plays, 4) })
	}
	running.Wait()
	// A browser that gets no processor for a second loses what it would have painted, and
	// GStreamer now and then gives up although every request was answered. So what failed gets
	// more chances when less runs.
	failed := d.failed(append(browsers, decoders...))
	for chance := 0; chance < 3 && len(failed) > 0; chance++ {
		for _, play := range failed {
			d.Logf("%s: again, after: %v", play.what, play.err)
		}
		d.play(failed, 2-min(chance, 1)) // alone from the second time on
		failed = d.failed(failed)
	}
	for _, play := range failed {
		t.Errorf("%s: %v", play.what, play.err)
	}
}

// dashTest is what the plays of a test share.
type dashTest struct {
	*testing.T
	server     *server
	begin, old time.Time // when the live camera and what is recorded begin
	dir        string
	files      int
}

// dashPlay is one player at one URL, and what came of it.
type dashPlay struct {
	what string
	run  func() error
	err  error
}

// play runs so many plays at a time.
func (d *dashTest) play(plays []*dashPlay, slots int) {
	free := make(chan struct{}, slots)
	var running sync.WaitGroup
	for _, play := range plays {
		running.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			play.err = play.run()
		})
	}
	running.Wait()
}

// failed are those of the plays that failed.
func (d *dashTest) failed(plays []*dashPlay) []*dashPlay {
	return slices.DeleteFunc(slices.Clone(plays), func(p *dashPlay) bool { return p.err == nil })
}

// encode makes a file of so many seconds.
func (d *dashTest) encode(codec numbered, seconds int, more ...string) string {
	d.Helper()
	args := codec.encode(seconds)
	args = slices.Insert(args, len(args)-5, more...) // before the container
	d.files++
	path := filepath.Join(d.dir, fmt.Sprint(d.files, ".mkv"))
	program(d.T, "ffmpeg", append(args[:len(args)-1], "-y", path)...)
	return path
}

// cut makes a file of what another has from a second on.
func (d *dashTest) cut(path string, from int) string {
	d.Helper()
	d.files++
	cut := filepath.Join(d.dir, fmt.Sprint(d.files, ".mkv"))
	program(d.T, "ffmpeg", "-v", "error", "-ss", fmt.Sprint(from, ".5"), // to the key frame before
		"-i", path, "-map", "0", "-c", "copy", "-y", cut)
	return cut
}

// record stores a file as from a second on.
func (d *dashTest) record(stream string, from int, path string) {
	d.Helper()
	d.server.run("weir", d.put(stream, d.old.Add(time.Duration(from)*time.Second), path)...)
}

func (d *dashTest) put(stream string, at time.Time, path string) []string {
	return []string{"put-media", "--stream-name", stream, "--create",
		"--data-retention-in-hours", "1",
		"--start-timestamp", at.UTC().Format(time.RFC3339Nano), path}
}

// cell is a player in a case, of what began then.
func (d *dashTest) cell(p player, c playCase, begin time.Time) *dashPlay {
	return &dashPlay{what: fmt.Sprintf("%s, %v", p.name, c),
		run: func() error { return playCell(d.server, p, c, begin) }}
}

// acrossAGap plays the recording with a gap in a program, which must show all that is there.
func (d *dashTest) acrossAGap(p player, codec numbered) *dashPlay {
	return &dashPlay{what: p.name + ", ON_DEMAND, gap", run: func() error {
		u := d.server.dash("gap", "--playback-mode", "ON_DEMAND", "--dash-fragment-selector",
			selector("PRODUCER_TIMESTAMP", d.old, d.old.Add(time.Minute)))
		saw, err := p.play(u, playCase{"ON_DEMAND", "DASH", codec, false})
		if err != nil {
			return err
		}
		want := framesOf(0, 0, 3, 9, 12)
		if n := len(saw.frames); n < len(want)-saw.spare || n > len(want) ||
			!slices.Equal(saw.frames, want[:n]) {
			return fmt.Errorf("%v, want %v", saw.frames, want)
		}
		return nil
	}}
}

// framesOf are the frames from each second to the next, in pairs, without those before first.
func framesOf(first int, seconds ...int) (frames []int) {
	for i := 0; i < len(seconds); i += 2 {
		for n := max(first, seconds[i]*numberedRate); n < seconds[i+1]*numberedRate; n++ {
			frames = append(frames, n)
		}
	}
	return frames
}

// watch has a player of the browser show a stream, and returns the frames from each second to the
// next. A replay goes on while the page loads, so those at its start may be missing.
func (d *dashTest) watch(b *browser, player, stream, mode string, seconds ...int,
) *dashPlay {
	return &dashPlay{what: fmt.Sprintf("%s, %s, %s", player, mode, stream), run: func() error {
		u := d.server.dash(stream, "--playback-mode", mode, "--dash-fragment-selector",
			selector("PRODUCER_TIMESTAMP", d.old, d.old.Add(time.Minute)))
		a, err := b.ask(map[string]any{"page": b.page(player, u), "rate": numberedRate, "join": 0,
			"seconds": 0})
		if err != nil {
			return err
		}
		shown := a.numbers()
		first := 0
		if mode == "LIVE_REPLAY" && len(shown) > 0 {
			first = shown[0]
		}
		want := framesOf(first, seconds...)
		// dash.js jumps when it is within 0.3 s of a gap (gaps.threshold), Shaka Player within
		// 0.5 s (gapDetectionThreshold)
		for i := 1; i+1 < len(seconds); i += 2 {
			gap := seconds[i] * numberedRate
			want = slices.DeleteFunc(want, func(n int) bool {
				return n < gap && n >= gap-numberedRate/2 && !slices.Contains(shown, n)
			})
		}
		return a.showed(shown, want)
	}}
}

// numbers are those of the frames that the page saw, one after the other.
func (a *browserAnswer) numbers() (numbers []int) {
	for _, f := range a.Frames {
		if n := int(f[0]); len(numbers) == 0 || numbers[len(numbers)-1] != n {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// showed holds what was shown to what there is: in order, all of it, or found when it was looked
// for, and at most half of it that way.
func (a *browserAnswer) showed(shown, want []int) error {
	left := shown
	missed := 0
	for _, n := range want {
		if len(left) > 0 && left[0] == n {
			left = left[1:]
			continue
		}
		if missed++; !slices.Contains(a.Found, [2]int{n, n}) {
			return fmt.Errorf("frame %d was neither shown in its place nor found: %v, found %v", n,
				shown, a.Found)
		}
	}
	if len(left) > 0 || missed > len(want)/2 {
		return fmt.Errorf("%d frames were missed, or shown again: %v", missed, shown)
	}
	return nil
}

func (b *browser) dashPlayers() (players []player) {
	for _, name := range []string{"dash.js", "Shaka Player"} {
		play := func(u string, c playCase) (shown, error) { return b.play(name, u, c) }
		players = append(players, player{name: name, play: play})
	}
	return players
}

// dash asks for a session URL with weir's own command line.
func (s *server) dash(stream string, args ...string) string {
	s.t.Helper()
	v := s.runJSON("weir", append([]string{"get-dash-streaming-session-url",
		"--stream-name", stream}, args...)...)
	url, _ := v["DASHStreamingSessionURL"].(string)
	if url == "" {
		s.t.Fatalf("no URL in %v", v)
	}
	return url
}
