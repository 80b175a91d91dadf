package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// Sound begins late, and is switched off and on again in the middle of fragments: each player shows
// every picture all the same. (Without silence in its place players of separate sound wait for ever
// or jump over the pictures, and transport streams whose program map changes end hls.js and Shaka
// Player.)
func TestPlayersGoOnWithoutSound(t *testing.T) {
	works(t)
	needTool(t, "ffmpeg", "chromium", "node")
	s := start(t, "", "--hls-sessions-per-stream", "0")
	codec := numbered{name: "H.264+AAC, not always", video: "libx264", audio: "aac"}
	args := codec.encode(recordedSeconds)
	args = slices.Insert(args, slices.Index(args, "aac")+1, "-af",
		"aselect='gte(t,1.3)*not(between(t,2.4,4.7))'")
	path := filepath.Join(t.TempDir(), "source.mkv")
	if err := os.WriteFile(path, program(t, "ffmpeg", args...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("weir", "put-media", "--stream-name", "quiet", "--create", path)
	chromium := startBrowser(t)
	watch := func(player, u string) error {
		c := playCase{"ON_DEMAND", "", codec, false}
		if player == "ffmpeg" {
			raw := program(t, "ffmpeg", "-v", "error", "-i", u, "-an", "-fps_mode", "passthrough",
				"-f", "rawvideo", "-pix_fmt", "gray", "-")
			saw := shown{frames: readFrames(raw, numberedWidth*numberedHeight)}
			return saw.checkFrames(c)
		}
		a, err := chromium.ask(
			map[string]any{"page": chromium.page(player, u), "rate": numberedRate, "join": 0,
				"seconds": 0})
		var saw shown
		if err == nil {
			err = saw.watch(a)
		}
		if err == nil {
			err = saw.checkFrames(c)
		}
		return err
	}
	var running sync.WaitGroup
	free := make(chan struct{}, 4)
	for _, player := range []string{"hls.js", "Shaka Player", "Chromium", "ffmpeg"} {
		for _, container := range containers {
			running.Go(func() {
				free <- struct{}{}
				defer func() { <-free }()
				var err error
				// a browser that gets no processor for a second loses what it would have painted
				for range 3 {
					u := s.hls("quiet", "--playback-mode", "ON_DEMAND", "--container-format",
						container, "--discontinuity-mode", "ON_DISCONTINUITY",
						"--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))
					if err = watch(player, u); err == nil {
						return
					}
				}
				t.Error(fmt.Errorf("%s, %s: %w", player, container, err))
			})
		}
	}
	running.Wait()
}
