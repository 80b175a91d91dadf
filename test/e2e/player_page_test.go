package e2e_test

import (
	"bufio"
	"context"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The page says what is wrong, in the server's words if it has some, for as long as it is wrong.
func TestPlayerPageSaysWhatIsWrong(t *testing.T) {
	works(t)
	needTool(t, "chromium", "node")
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	off := camera(t, s, "cam")
	session := awaitLive(t, s, "cam", "--expires", "300")
	if status, _, _ := get(t, s.URL+"/player/hls.min.js"); status != 200 {
		missing(t, "this weir was built without the player; `make build` embeds it")
	}
	says := watchPage(t, s.URL+"/player#url="+url.QueryEscape(session))

	says.until(`^Playing$`)
	off()
	since := says.until(`^No picture since (\d\d:\d\d:\d\d)$`)
	s.stop()
	says.until(`^The server cannot be reached \(since \d\d:\d\d:\d\d\)\. Trying again…$`)
	s = start(t, data, "--listen", strings.TrimPrefix(s.URL, "http://"))
	if now := says.next(`^No picture since (.*)$`); now < since {
		t.Errorf("pictures of %s are shown again, after those of %s", now, since)
	}
	// the limit of sessions a stream, so that the watched one is closed
	for range 5 {
		s.hls("cam", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
			everything("PRODUCER_TIMESTAMP"))
	}
	says.next(`^Streaming session is closed: .*\. Ask for a new session URL\.$`)
	says.nothingMore()
}

// pageLines are the texts that the page's status line shows, one after the other.
type pageLines struct {
	t     *testing.T
	lines chan string
	close func()
}

func watchPage(t *testing.T, page string) *pageLines {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	cmd := exec.CommandContext(ctx, "node", "watch.mjs", page, chromiumPath(t))
	stdin, stdout := startPiped(t, cmd)
	w := &pageLines{t: t, lines: make(chan string, 100), close: func() { stdin.Close() }}
	go func() {
		for text := bufio.NewScanner(stdout); text.Scan(); {
			w.lines <- text.Text()
		}
		close(w.lines)
	}()
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
		cancel()
	})
	return w
}

// until waits for a text, whatever comes before it, and returns its first submatch, if it has one.
func (w *pageLines) until(pattern string) string {
	w.t.Helper()
	return w.wait(pattern, regexp.MustCompile(""))
}

func (w *pageLines) wait(pattern string, before *regexp.Regexp) string {
	w.t.Helper()
	re := regexp.MustCompile(pattern)
	for text := range w.lines {
		w.t.Log(text)
		if found := re.FindStringSubmatch(text); found != nil {
			return found[len(found)-1]
		}
		if !before.MatchString(text) {
			w.t.Fatalf("the page says %q before %s", text, pattern)
		}
	}
	w.t.Fatalf("the page ended without saying %s", pattern)
	return ""
}

// next waits for a text as until does, after the server came back. Before it, the page may only say
// since when there is no picture, that a part is played that was on its way when the picture
// stopped, and that the server was away: of two requests that it refused, a busy browser may report
// one after another one was answered.
func (w *pageLines) next(pattern string) string {
	w.t.Helper()
	return w.wait(pattern, regexp.MustCompile(
		`^(No picture since .*|Playing|The server cannot be reached .*)$`))
}

// nothingMore wants the last text to stay: for as long as the page would need to fall back into
// waiting.
func (w *pageLines) nothingMore() {
	w.t.Helper()
	select {
	case text := <-w.lines:
		w.t.Fatalf("the page goes on to say %q", text)
	case <-time.After(3 * time.Second): // six looks of the page at its state
	}
}
