package e2e_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Players of MPEG-DASH show every frame once and in order and play the sound in order: live in
// dash.js and Shaka Player, recorded in these, GStreamer and VLC.
func TestDASHPlayersShowEveryFrame(t *testing.T) {
	t.Parallel()
	needTool(t, "ffmpeg", "gst-launch-1.0", "cvlc", "chromium", "node")
	s := start(t, "", "--hls-sessions-per-stream", "0")
	begin := time.Now().Truncate(time.Second)
	codec := numberedCodecs[1]
	codec.camera(t, s, begin)
	chromium := startBrowser(t)
	awaitFragments(t, s, codec.stream(), begin, recordedSeconds+2)
	for _, mode := range []string{"LIVE", "ON_DEMAND"} {
		players := chromium.dashPlayers()
		if mode == "ON_DEMAND" {
			players = append(players, programs(t)[1:]...) // ffmpeg: docs/players.md
		}
		c := playCase{mode, "DASH", codec, false}
		for _, p := range players {
			err := playCell(s, p, c, begin)
			for range 2 { // a busy browser loses what it would have painted
				if err == nil {
					break
				}
				t.Logf("%s, %v: again, after: %v", p.name, c, err)
				err = playCell(s, p, c, begin)
			}
			if err != nil {
				t.Errorf("%s, %v: %v", p.name, c, err)
			}
		}
	}
}

func (b *browser) dashPlayers() (players []player) {
	for _, name := range []string{"dash.js", "Shaka Player"} {
		play := func(u string, c playCase) (shown, error) { return b.play(name, u, c) }
		players = append(players, player{name: name, play: play})
	}
	return players
}

// Across a gap programs show all frames of a recording, with B-frames before and after.
func TestDASHAcrossAGap(t *testing.T) {
	t.Parallel()
	needTool(t, "ffmpeg", "gst-launch-1.0", "cvlc")
	s := start(t, "")
	begin := time.Now().Truncate(time.Second).Add(-time.Minute)
	codec := numberedCodecs[1]
	dir := t.TempDir()
	var want []int
	for _, from := range []int{0, 9} {
		for n := from * numberedRate; n < (from+3)*numberedRate; n++ {
			want = append(want, n)
		}
		whole := filepath.Join(dir, "whole.mkv")
		args := codec.encode(from + 3)
		program(t, "ffmpeg", append(args[:len(args)-1], "-y", whole)...)
		seek := "0"
		if from > 0 { // to the key frame before
			seek = strconv.Itoa(from) + ".5"
		}
		cut := filepath.Join(dir, "cut.mkv")
		program(t, "ffmpeg", "-v", "error", "-ss", seek, "-i", whole, "-map", "0", "-c", "copy",
			"-y", cut)
		at := begin.Add(time.Duration(from) * time.Second).UTC().Format(time.RFC3339)
		s.run("weir", "put-media", "--stream-name", "gap", "--create",
			"--data-retention-in-hours", "1", "--start-timestamp", at, cut)
	}
	for _, p := range programs(t) {
		u := s.dash("gap", "--playback-mode", "ON_DEMAND", "--dash-fragment-selector",
			everything("PRODUCER_TIMESTAMP"))
		saw, err := p.play(u, playCase{"ON_DEMAND", "DASH", codec, false})
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			continue
		}
		least := len(want) - saw.spare
		if n := len(saw.frames); n < least || n > len(want) ||
			!slices.Equal(saw.frames, want[:n]) {
			t.Errorf("%s showed %v, want %v", p.name, saw.frames, want)
		}
	}
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
