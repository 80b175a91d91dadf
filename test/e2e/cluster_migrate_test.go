package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/store/cluster/clustertest"
)

// migrate runs weir migrate and returns what it printed.
func (c *clusterSite) migrate(data string, flags ...string) (string, error) {
	cmd := exec.Command(weirBinary, append([]string{"migrate", data, "--database", c.database,
		"--objects", c.objects}, flags...)...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+clustertest.AccessKey,
		"AWS_SECRET_ACCESS_KEY="+clustertest.SecretKey)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A server that ran on one machine goes on as a node. A session that was opened before plays
// there, with the same playlist and the same media; the keys of root and of users sign; and
// fragments have the names that they had.
func TestMigrated(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	site := newClusterSite(t)
	film := clip{rate: "25", seconds: 6, audio: true}.make(t)
	data := filepath.Join(t.TempDir(), "data")
	old := start(t, data)
	old.run("weir", "put-media", "--stream-name", "cam", "--create", "--data-retention-in-hours",
		"24", film)
	printed := old.run("weir", "keys", "create", "anna", "--policy", "read-only")
	master := old.hls("cam", "--playback-mode", "ON_DEMAND", "--container-format",
		"FRAGMENTED_MP4", "--hls-fragment-selector", everything("PRODUCER_TIMESTAMP"))
	media := mediaPlaylist(master, 1)
	live := old.hls("cam", "--playback-mode", "LIVE")
	playlist := mustGet(t, media)
	segments, _ := parsePlaylist(t, media)
	segment := segments[1].uri
	frames := mustGet(t, segment)
	describe := func(s *server) []byte {
		return s.run("weir", "describe-stream", "--stream-name", "cam")
	}
	described, numbers := describe(old), old.numbers("weir", "cam")

	if out, err := site.migrate(data); err == nil || !strings.Contains(out, "stop the server") {
		t.Fatalf("while the server runs: %v\n%s", err, out)
	}
	old.stop()
	if out, err := site.migrate(data); err != nil || !strings.Contains(out, "Copied 1 stream") {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	site.accessKey = filepath.Join(data, "access.key")
	node := site.node()

	if got := mustGet(t, at(media, node.URL)); !bytes.Equal(got, playlist) {
		t.Errorf("the playlist is\n%s\nit was\n%s", got, playlist)
	}
	if got := mustGet(t, at(segment, node.URL)); !bytes.Equal(got, frames) {
		t.Error("the segment is not what it was")
	}
	mustGet(t, at(live, node.URL))
	node.env = append(node.env, "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(data, "credentials"))
	if got := describe(node); !bytes.Equal(got, described) {
		t.Errorf("the stream is %s, it was %s", got, described)
	}
	profiles := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(profiles, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	node.env = append(node.env, "AWS_SHARED_CREDENTIALS_FILE="+profiles, "AWS_PROFILE=anna")
	if got := node.numbers("weir", "cam"); strings.Join(got, " ") != strings.Join(numbers, " ") {
		t.Errorf("fragments are %v, they were %v", got, numbers)
	}
	node.hls("cam", "--playback-mode", "LIVE")
}
