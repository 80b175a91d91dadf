package e2e_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The manual pages are well-formed for groff, and what they show as a command line can be pasted
// into a shell.
func TestManualPages(t *testing.T) {
	waits(t)
	needTool(t, "groff")
	dir := t.TempDir()
	program(t, weirBinary, "man", "--dir", dir)
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		if out, err := exec.Command("groff", "-man", "-ww", "-z",
			page).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", filepath.Base(page), err, out)
		}
	}
	for page, want := range map[string][]string{
		"weir.1": {
			"NAME\n       weir - self-hosted video stream server\n",
			`           eval "$(weir env)"`, "weir-put-media(1)"},
		"weir-hls.1": {
			`ffmpeg -i "$(weir hls cam1 --from '10m ago')" -c copy last-ten-minutes.mp4`,
			"       --from TIME\n"},
		"weir-get-hls-streaming-session-url.1": {
			`--playback-mode ON_DEMAND --hls-fragment-selector \`,
			"GLOBAL OPTIONS\n       --endpoint-url URL\n"},
	} {
		text := string(program(t, "groff", "-man", "-Tutf8", "-P-c", "-P-b", "-P-u",
			filepath.Join(dir, page)))
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %q in\n%s", page, w, text)
			}
		}
	}
}
