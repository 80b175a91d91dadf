package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The console in Chromium, through every page, as root and as a viewer. No page breaks a rule of
// axe-core, in light or dark, and none asks another address for anything.
// WEIR_E2E_PICTURES names a directory for pictures of all of them.
func TestConsole(t *testing.T) {
	works(t)
	needTool(t, "chromium", "node", "ffmpeg")
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	if status, _, _ := get(t, s.URL+"/console/icon.svg"); status != 200 {
		missing(t, "this weir was built without the console; `make build` embeds it")
	}
	camera(t, s, "cam")
	s.put("old", filepath.Join("..", "..", "cmd", "weir", "demo.mkv"), 0)
	awaitLive(t, s, "cam", "--expires", "300")
	s.run("weir", "hls", "old", "--from", "1h ago")
	var viewer struct{ AccessKeyId, SecretAccessKey string }
	text := s.run("weir", "keys", "create", "guard", "--policy", "viewer", "--output", "json")
	if err := json.Unmarshal(text, &viewer); err != nil {
		t.Fatal(err)
	}
	link := strings.TrimSpace(string(s.run("weir", "open", "--print")))

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "console.mjs", chromiumPath(t), link,
		viewer.AccessKeyId, viewer.SecretAccessKey, os.Getenv("WEIR_E2E_PICTURES"))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		t.Log(lines.Text())
		switch lines.Text() {
		case "ASK stop":
			s.stop()
		case "ASK start":
			s = start(t, data, "--listen", strings.TrimPrefix(s.URL, "http://"))
		case "ASK disable":
			s.run("weir", "keys", "disable", "guard")
		default:
			continue
		}
		stdin.Write([]byte("done\n"))
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the console: %v", err)
	}
}
