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
	says.until(`^No picture since \d\d:\d\d:\d\d$`)
	s.stop()
	says.until(`^The server cannot be reached \(since \d\d:\d\d:\d\d\)\. Trying again…$`)
	s = start(t, data, "--listen", strings.TrimPrefix(s.URL, "http://"))
	// it flickered neither while the server was away nor when it came back
	says.next(`^No picture since `)
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

// until waits for a text, whatever comes before it.
func (w *pageLines) until(pattern string) {
	w.t.Helper()
	re := regexp.MustCompile(pattern)
	for text := range w.lines {
		w.t.Log(text)
		if re.MatchString(text) {
			return
		}
	}
	w.t.Fatalf("the page ended without saying %s", pattern)
}

// next wants the next text to be the one.
func (w *pageLines) next(pattern string) {
	w.t.Helper()
	text, ok := <-w.lines
	w.t.Log(text)
	if !ok || !regexp.MustCompile(pattern).MatchString(text) {
		w.t.Fatalf("the page says %q, want %s", text, pattern)
	}
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
