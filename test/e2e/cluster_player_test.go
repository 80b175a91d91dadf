package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// hls.js plays on although each of its requests reaches another node: a recording, every picture
// and all of its sound, and a live stream part by part. It reports no error, not even one that it
// gets over.
func TestClusterPlayerMoves(t *testing.T) {
	exact(t)
	needTool(t, "ffmpeg", "chromium", "node")
	site := newClusterSite(t)
	one, two := site.node(), site.node()
	balancer := through(t, one, two)
	camera := &glassCamera{name: "live", group: 1, rate: [2]int{25, 1}}
	camera.begin(t, one)
	began := time.Now()
	recorded := playCase{"ON_DEMAND", "FRAGMENTED_MP4", numberedCodecs[1], false}
	path := filepath.Join(t.TempDir(), "recorded.mkv")
	must(t, os.WriteFile(path, program(t, "ffmpeg", recorded.codec.encode(recordedSeconds)...),
		0o600))
	one.run("weir", "put-media", "--stream-name", recorded.codec.stream(), "--create",
		"--data-retention-in-hours", "1", path)
	chromium := startBrowser(t)
	awaitFragments(t, two, camera.name, began, 4)
	live := awaitLive(t, two, camera.name, "--discontinuity-mode", "ON_DISCONTINUITY")
	film := one.hls(recorded.codec.stream(), "--playback-mode", "ON_DEMAND",
		"--discontinuity-mode", "ON_DISCONTINUITY",
		"--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))

	var playing sync.WaitGroup
	for _, play := range []func() (browserAnswer, error){
		func() (browserAnswer, error) { // every picture once, and all of the sound
			a, err := chromium.ask(chromium.request("hls.js", at(film, balancer.URL),
				recorded))
			if err != nil {
				return a, err
			}
			saw, err := a.shown(recorded)
			if err == nil {
				err = saw.check(recorded)
			}
			return a, err
		},
		func() (browserAnswer, error) {
			const seconds = 4
			a, err := chromium.watchClock("hls.js", at(live, balancer.URL), seconds)
			if err == nil {
				err = camera.check(&a, seconds)
			}
			return a, err
		},
	} {
		playing.Go(func() {
			const chances = 3 // a browser that gets no processor for a second stalls
			var err error
			for range chances {
				a, failed := play()
				if err = failed; err == nil && len(a.Notes) > 0 {
					err = fmt.Errorf("hls.js reports %q", a.Notes)
				}
				if err == nil {
					return
				}
				t.Log(err)
			}
			t.Error(err)
		})
	}
	playing.Wait()
	for _, s := range []*server{one, two} {
		if s.figure("weir_hls_parts_total") == 0 {
			t.Errorf("the node %s has served no part", s.URL)
		}
	}
}
