package e2e_test

import (
	"sync"
	"testing"
	"time"
)

// A camera's clock leaps ahead by an hour, every four seconds, and what follows one leap comes
// late: hls.js and Shaka Player go on part by part, whichever clock gives the dates. (Shaka Player
// lost four of five pictures for some seconds.) It runs alone, with four players.
func TestPlayersUsePartsWhenAClockLeaps(t *testing.T) {
	needTool(t, "ffmpeg", "chromium", "node")
	s := start(t, "")
	chromium := startBrowser(t)
	camera := &glassCamera{name: "leaps", group: 1, rate: [2]int{25, 1}, leap: 100,
		hesitates: 250 * time.Millisecond}
	camera.begin(t, s)
	awaitFragments(t, s, camera.name, time.Now(), 3)
	const seconds = 16
	var playing sync.WaitGroup
	for _, player := range []string{"hls.js", "Shaka Player"} {
		for _, clock := range []string{"SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP"} {
			u := awaitLive(t, s, camera.name, "--discontinuity-mode", "ON_DISCONTINUITY",
				"--hls-fragment-selector", "FragmentSelectorType="+clock)
			playing.Go(func() {
				a, err := chromium.watchClock(player, u, seconds)
				if err != nil {
					t.Errorf("%s, %s: %v", player, clock, err)
				}
				want := seconds * camera.fps()
				if n := float64(len(a.Frames)); n < want*85/100 || a.Blocked < seconds {
					t.Errorf("%s, %s: %.0f of %.0f frames painted, %d stalls, %d blocked reloads",
						player, clock, n, want, a.Stalls, a.Blocked)
				}
			})
		}
	}
	playing.Wait()
}
