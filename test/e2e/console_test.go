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

// The console in Chromium, through every page, as root, as a viewer, and as somebody who may see
// one stream. No page breaks a rule of axe-core, in light or dark, and none asks another address
// for anything.
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
	viewer := consoleUser(t, s, "guard", "viewer")
	policy := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(policy, []byte(`{"Version": "2012-10-17", "Statement": [{
		"Effect": "Allow", "Action": ["kinesisvideo:Get*", "kinesisvideo:ListFragments"],
		"Resource": "arn:aws:kinesisvideo:*:*:stream/cam/*"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("weir", "policies", "put", "cam-only", "file://"+policy)
	neighbour := consoleUser(t, s, "neighbour", "cam-only")
	link := strings.TrimSpace(string(s.run("weir", "open", "--print")))

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "console.mjs", chromiumPath(t), link,
		viewer.AccessKeyId, viewer.SecretAccessKey,
		neighbour.AccessKeyId, neighbour.SecretAccessKey, os.Getenv("WEIR_E2E_PICTURES"))
	cmd.Stderr = os.Stderr
	stdin, stdout := startPiped(t, cmd)
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

type consoleKey struct{ AccessKeyId, SecretAccessKey string }

// consoleUser makes a user who has a policy.
func consoleUser(t *testing.T, s *server, name, policy string) (key consoleKey) {
	t.Helper()
	text := s.run("weir", "keys", "create", name, "--policy", policy, "--output", "json")
	if err := json.Unmarshal(text, &key); err != nil {
		t.Fatal(err)
	}
	return key
}
