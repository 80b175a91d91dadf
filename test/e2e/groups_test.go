package e2e_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// While nothing moves, some cameras send a key frame every ten seconds instead of every second.
// Players that have begun before go on part by part. It runs alone, with a camera with sound and
// one without.
func TestPlayersGoOnWhileGroupsGrow(t *testing.T) {
	needTool(t, "ffmpeg", "chromium", "node")
	s := start(t, "")
	chromium := startBrowser(t)
	const seconds, chances = 16, 2
	var playing sync.WaitGroup
	for _, camera := range []*glassCamera{
		{name: "grows", rate: [2]int{25, 1}, grow: true},
		{name: "grows-sound", rate: [2]int{25, 1}, grow: true, sound: true},
	} {
		camera.begin(t, s)
		awaitFragments(t, s, camera.name, time.Now(), 3)
		for _, player := range []string{"hls.js", "Shaka Player"} {
			u := awaitLive(t, s, camera.name, "--discontinuity-mode", "ON_DISCONTINUITY")
			playing.Go(func() {
				var err error
				for range chances { // a browser that gets no processor for a second stalls
					if err = camera.goesOn(chromium, player, u, seconds); err == nil {
						return
					}
					t.Logf("%s, %s: %v", camera.name, player, err)
				}
				t.Errorf("%s, %s: %v", camera.name, player, err)
			})
		}
	}
	playing.Wait()
}

// goesOn has a player follow the camera part by part: it paints the pictures, and does not stall.
func (g *glassCamera) goesOn(b *browser, player, u string, seconds int) error {
	a, err := b.watchClock(player, u, seconds, g.options()...)
	if err != nil {
		return err
	}
	want := float64(seconds) * g.fps()
	if n := len(a.Frames); float64(n) < want*95/100 || a.Stalls > 0 || a.Blocked < seconds {
		return fmt.Errorf("%d of %.0f frames painted, %d stalls, %d blocked reloads", n, want,
			a.Stalls, a.Blocked)
	}
	return nil
}

// Groups that grow to ten seconds are listed by the rules, slice by slice, also when the server is
// killed in the middle of one and starts again, and when the camera breaks off there.
func TestLowLatencyWhileGroupsGrow(t *testing.T) {
	exact(t)
	needTool(t, "ffmpeg")
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	g := &glassCamera{name: "grows", rate: [2]int{25, 1}, grow: true, sound: true, bframe: true}
	off := g.begin(t, s)
	awaitFragments(t, s, g.name, time.Now(), 3)
	v := openParts(t, awaitLive(t, s, g.name, partsFlags...))
	v.grows = true
	// third waits until parts of the third slice of a group, or a later one, come in.
	third := func() {
		t.Helper()
		for inside := 0; inside < 3; inside++ {
			v.followAll(1)
			v.report(t)
			awaitPart(t, v)
			if v.lists[0].known.Open.Parts[0].Independent { // of pictures
				inside = -1
			}
		}
	}
	third()
	v.followAll(10)
	v.report(t)
	if v.gaps > 0 || v.whole < 20 {
		t.Errorf("%d segments, %d gaps", v.whole, v.gaps)
	}

	third()
	s.kill()
	start(t, data, "--listen", strings.TrimPrefix(s.URL, "http://"))
	for i, p := range v.lists {
		shown := p.known
		within(t, time.Minute, "what was listed is listed again", func() bool {
			m, _, _ := v.playlist(p, "")
			p.known, p.parts = m, map[string][]byte{}
			return m != nil && m.Open.Sequence >= shown.Open.Sequence
		})
		v.hold(p.name, slices.DeleteFunc(conformance.CheckReload(shown, p.known),
			func(f conformance.Finding) bool { // sound begins anew, and is rounded anew
				return i > 0 && (f.Rule == conformance.DurationChanged ||
					f.Rule == conformance.DateChanged)
			}))
	}
	v.report(t)

	third()
	off()
	for range 16 { // the camera is away, and players ask
		v.followAll(0)
		time.Sleep(500 * time.Millisecond)
	}
	v.report(t)
	for _, p := range v.lists {
		if gaps := p.gaps(); gaps < 3 {
			t.Errorf("%s: %d gaps for the slices of the group that broke off", p.name, gaps)
		}
	}
}
