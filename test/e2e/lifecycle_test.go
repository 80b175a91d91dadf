package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// credential reads one value of the data directory's credentials file.
func credential(t testing.TB, s *server, key string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in the credentials file", key)
	return ""
}

func TestFirstStartMakesWhatIsNeeded(t *testing.T) {
	waits(t)
	s := start(t, "")
	for path, mode := range map[string]os.FileMode{"": 0o700, "credentials": 0o600} {
		info, err := os.Stat(filepath.Join(s.Data, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%q has mode %v, want %v", path, info.Mode().Perm(), mode)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if status, _, body := get(t, s.URL+path); status != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	// What `weir env` prints is all that a shell needs.
	out := program(t, "sh", "-c", `eval "$("$0" env --data "$1")" && exec "$0" list-streams`,
		weirBinary, s.Data)
	if !strings.Contains(string(out), "StreamInfoList") {
		t.Errorf("list-streams in the shell of `weir env`: %s", out)
	}
}

func TestSecondServerOnTheSameDataIsRefused(t *testing.T) {
	waits(t)
	s := start(t, "")
	out, err := exec.Command(weirBinary, "serve", "--listen", "127.0.0.1:0", "--data",
		s.Data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use") {
		t.Fatalf("second start: %v\n%s", err, out)
	}
	mustGet(t, s.URL+"/healthz")
}

// A session URL survives a restart: the token key, the session and the fragments are on disk.
func TestSessionsSurviveARestart(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	s := start(t, "")
	c := clip{rate: "25", bframes: 2, audio: true, seconds: 6}
	source := c.make(t)
	s.run("weir", "put-media", "--stream-name", "cam", "--create", "--data-retention-in-hours", "1",
		source)
	u := s.hls("cam", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
		everything("PRODUCER_TIMESTAMP"))
	want := frameHashes(t, source, "0:v", false)
	s.stop()
	again := start(t, s.Data)
	u = strings.Replace(u, s.URL, again.URL, 1)
	compareHashes(t, "after a restart", want, frameHashes(t, u, "0:v", false))
}
