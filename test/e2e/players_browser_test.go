package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir/test/output"
)

// browser is a headless Chromium, run by players/browser.mjs, and the origin that its pages come
// from.
type browser struct {
	origin string

	mu      sync.Mutex
	in      io.WriteCloser
	waiting map[int]chan browserAnswer
	last    int
}

// browserAnswer is what browser.mjs prints.
type browserAnswer struct {
	ID           int
	Frames       [][3]float64 // number, media time in seconds, milliseconds since 1970 when painted
	Found        [][2]int     // number looked for, number found
	Tones        []int
	Decoded      int
	Stalls       int
	Blocked      int // requests with _HLS_part
	Notes        []string
	Errors       []string
	Console      []string
	Failure      string
	Supported    bool
	Began, Ended bool
}

// startBrowser starts Chromium for the rest of the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("players", "page.html"))
	})
	for _, script := range []string{"hls.js/dist/hls.min.js",
		"shaka-player/dist/shaka-player.compiled.js", "video.js/dist/video.min.js",
		"dashjs/dist/modern/umd/dash.all.min.js"} {
		path := filepath.Join("..", "..", "node_modules", filepath.FromSlash(script))
		if _, err := os.Stat(path); err != nil {
			missing(t, script+" is not installed; `npm ci` installs it")
		}
		mux.HandleFunc("/"+filepath.Base(path), func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, path)
		})
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	b := &browser{origin: srv.URL, waiting: map[int]chan browserAnswer{}}
	cmd := exec.Command("node", filepath.Join("players", "browser.mjs"), chromiumPath(t))
	log := &output.Buffer{}
	cmd.Stderr = log
	in, out := startPiped(t, cmd)
	b.in = in
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				break
			}
			var a browserAnswer
			if err := json.Unmarshal(line, &a); err != nil {
				fmt.Fprintf(log, "not JSON: %v: %s", err, line)
				continue
			}
			b.mu.Lock()
			if c := b.waiting[a.ID]; c != nil {
				c <- a
				delete(b.waiting, a.ID)
			}
			b.mu.Unlock()
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for id, c := range b.waiting {
			c <- browserAnswer{Failure: "the browser ended"}
			delete(b.waiting, id)
		}
		b.waiting = nil
	}()
	t.Cleanup(func() {
		b.in.Close()
		<-done
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("browser: %v\n%s", err, log.Tail(4<<10))
		}
	})
	return b
}

// ask sends a request and waits for its answer.
func (b *browser) ask(request map[string]any) (browserAnswer, error) {
	b.mu.Lock()
	b.last++
	request["id"] = b.last
	answer := make(chan browserAnswer, 1)
	if b.waiting == nil {
		b.mu.Unlock()
		return browserAnswer{}, fmt.Errorf("the browser ended")
	}
	b.waiting[b.last] = answer
	line, err := json.Marshal(request)
	if err == nil {
		_, err = b.in.Write(append(line, '\n'))
	}
	b.mu.Unlock()
	if err != nil {
		return browserAnswer{}, err
	}
	a := <-answer
	if problems := append(append(a.Errors, a.Console...), a.Failure); strings.Join(problems,
		"") != "" {
		return a, fmt.Errorf("%s (notes: %q; %d stalls; %d frames seen, %d decoded)",
			strings.Join(problems, "; "), a.Notes, a.Stalls, len(a.Frames), a.Decoded)
	}
	return a, nil
}

// decodes reports whether the browser says that it has decoders for a CODECS attribute.
func (b *browser) decodes(codecs string) (bool, error) {
	a, err := b.ask(map[string]any{"codecs": codecs})
	return a.Supported, err
}

// players are those that run in the browser.
func (b *browser) players() (players []player) {
	for _, name := range browserPlayers {
		players = append(players,
			player{name: name, heavy: true, play: func(u string, c playCase) (shown, error) {
				return b.play(name, u, c)
			}})
	}
	return players
}

// page is the address of page.html for a player, a URL and options of the page.
func (b *browser) page(player, u string, options ...string) string {
	query := url.Values{"player": {player}, "url": {u}}
	for _, option := range options {
		query.Set(option, "1")
	}
	return b.origin + "/?" + query.Encode()
}

func (b *browser) play(name, u string, c playCase) (shown, error) {
	a, err := b.ask(b.request(name, u, c))
	if err != nil {
		return shown{}, err
	}
	return a.shown(c)
}

// request is what plays a case.
func (b *browser) request(name, u string, c playCase) map[string]any {
	var options []string
	if c.codec.audio != "" {
		options = append(options, "sound")
	}
	request := map[string]any{"page": b.page(name, u, options...), "rate": numberedRate, "join": 0,
		"seconds": 0}
	if c.mode == "LIVE" {
		request["join"], request["seconds"] = 2, liveSeconds
	}
	return request
}

// shown is what the page saw of a case.
func (a *browserAnswer) shown(c playCase) (shown, error) {
	s := shown{pitch: a.Tones}
	if c.codec.video == "" {
		return s, nil
	}
	return s, s.watch(*a)
}

// watch takes the frames that the page saw. The page reads the picture when the browser tells it
// of one. If it is late, it reads the next picture, whose number is ahead of the media time. A
// number that is behind was shown at a wrong time.
func (s *shown) watch(a browserAnswer) error {
	var starts []float64 // where each picture puts the time of frame 0
	for _, f := range a.Frames {
		starts = append(starts, f[0]/numberedRate-f[1])
	}
	slices.Sort(starts)
	late := false
	for i, f := range a.Frames {
		if i == 1 && f[0] == a.Frames[0][0] && f[1] == a.Frames[0][1] {
			continue // the first picture, painted again when playing begins
		}
		n, off := int(f[0]), f[0]/numberedRate-f[1]-starts[len(starts)/2]
		if n < 0 || off < -0.5/numberedRate {
			return fmt.Errorf("a picture cannot be read, or is not of its time: %v in %v", f,
				a.Frames)
		}
		if last := len(s.frames) - 1; last < 0 || !late || s.frames[last] != n {
			s.frames = append(s.frames, n)
		}
		late = off > 0.5/numberedRate
	}
	if len(s.frames) == 0 {
		return fmt.Errorf("no frame was seen")
	}
	span := s.frames[len(s.frames)-1] - s.frames[0] + 1
	if a.Decoded < span {
		return fmt.Errorf("%d frames were decoded, %d shown", a.Decoded, span)
	}
	for _, f := range a.Found {
		if f[0] != f[1] {
			return fmt.Errorf("frame %d was missed, and frame %d is at its time: %v", f[0], f[1],
				a.Frames)
		}
	}
	s.missed, s.found = span-len(s.frames), len(a.Found)
	return nil
}
