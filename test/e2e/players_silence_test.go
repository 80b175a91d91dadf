package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Sound begins late, and is switched off and on again in the middle of fragments, of a recording
// and of a live stream. Each player shows every picture all the same. (Without silence in its
// place, players of separate sound wait for ever or skip the pictures, and transport streams whose
// program map changes end hls.js and Shaka Player.)
func TestPlayersGoOnWithoutSound(t *testing.T) {
	works(t)
	needTool(t, "ffmpeg", "chromium", "node")
	s := start(t, "", "--hls-sessions-per-stream", "0")
	recorded := numbered{name: "not always", video: "libx264", audio: "aac",
		heard: "gte(t,1.3)*not(between(t,2.4,4.7))"}
	path := filepath.Join(t.TempDir(), "source.mkv")
	source := program(t, "ffmpeg", recorded.encode(recordedSeconds)...)
	if err := os.WriteFile(path, source, 0o600); err != nil {
		t.Fatal(err)
	}
	begin := time.Now().Truncate(time.Second)
	s.run("weir", "put-media", "--stream-name", recorded.stream(), "--create", "--start-timestamp",
		begin.UTC().Format(time.RFC3339), path)
	live := numbered{name: "not always live", video: "libx264", audio: "aac",
		heard: "between(mod(t,5),1.3,3.4)"}
	live.camera(t, s, begin)
	chromium := startBrowser(t)
	watch := func(player string, c playCase) error {
		u, err := sessionURL(s, c, begin)
		if err != nil {
			return err
		}
		var saw shown
		if player == "ffmpeg" {
			raw := program(t, "ffmpeg", "-v", "error", "-i", u, "-an", "-fps_mode", "passthrough",
				"-f", "rawvideo", "-pix_fmt", "gray", "-")
			saw = shown{frames: readFrames(raw, numberedWidth*numberedHeight)}
		} else if saw, err = chromium.play(player, u, c); err != nil {
			return err
		}
		return saw.checkFrames(c)
	}
	var running sync.WaitGroup
	free := make(chan struct{}, 4)
	show := func(player string, c playCase) {
		running.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			var err error
			// a browser that gets no processor for a second loses what it would have painted
			for range 3 {
				if err = watch(player, c); err == nil {
					return
				}
			}
			t.Error(fmt.Errorf("%s, %s: %w", player, c, err))
		})
	}
	for _, player := range []string{"hls.js", "Shaka Player", "Chromium", "ffmpeg"} {
		for _, container := range containers {
			show(player, playCase{"ON_DEMAND", container, recorded, false})
		}
	}
	running.Wait()
	awaitFragments(t, s, live.stream(), begin, 10) // sound has gone and come twice
	for i, player := range []string{"hls.js", "Shaka Player"} {
		show(player, playCase{"LIVE", containers[i], live, false})
		show(player, playCase{"LIVE", containers[1-i], live, false})
	}
	running.Wait()
}
