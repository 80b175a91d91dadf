package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"weir/internal/store/cluster/clustertest"
)

// The recordings of a WARM stream are in an object store after a while, and nobody who lists,
// plays or downloads them can tell.
func TestWarmTier(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg", "ffprobe")
	gateway := clustertest.StartGateway(t)
	data := filepath.Join(t.TempDir(), "data")
	serve := func() *server {
		cmd := exec.Command(weirBinary, "serve", "--listen", "127.0.0.1:0", "--data", data,
			"--objects", clustertest.URL(gateway.Endpoint(), "site"), "--warm-after", "1ms")
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+clustertest.AccessKey,
			"AWS_SECRET_ACCESS_KEY="+clustertest.SecretKey)
		return startCommand(t, data, cmd)
	}
	s := serve()
	s.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "24",
		"--stream-storage-configuration", "DefaultStorageTier=WARM")
	source := clip{rate: "25", bframes: 2, seconds: 6}.make(t)
	s.run("weir", "put-media", "--stream-name", "cam", source)
	path := filepath.Join(t.TempDir(), "clip.mp4")
	getClip := []string{"get-clip", "--stream-name", "cam", "--clip-fragment-selector",
		everything("PRODUCER_TIMESTAMP"), path}
	clipped := func() []byte {
		s.run("weir", getClip...)
		return readFile(t, path)
	}
	listed, whole := s.numbers("weir", "cam"), clipped()
	used := diskUsed(t, filepath.Join(data, "volumes"))
	s.stop() // what it wrote is sealed by the next start

	s = serve()
	s.awaitFigure("weir_store_object_volumes", 1)
	if now := diskUsed(t, filepath.Join(data, "volumes")); now >= used/2 {
		t.Errorf("the volumes take %d bytes of the disk, and took %d", now, used)
	}
	gateway.Kill()
	if got := s.numbers("weir", "cam"); len(got) != len(listed) || len(got) == 0 {
		t.Errorf("without the object store %d fragments of %d are listed", len(got), len(listed))
	}
	_, stderr, err := s.try("weir", getClip...)
	if err == nil || !bytes.Contains(stderr, []byte("InternalFailure")) {
		t.Errorf("a clip without the object store ends with %v: %s", err, stderr)
	}
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	if got := clipped(); !bytes.Equal(got, whole) {
		t.Error("the clip is another one")
	}
	url := s.hls("cam", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
		everything("PRODUCER_TIMESTAMP"))
	compareHashes(t, "pictures", frameHashes(t, source, "0:v", false),
		frameHashes(t, url, "0:v", false))

	info := s.describe("cam")
	s.run("weir", "update-stream-storage-configuration", "--stream-name", "cam",
		"--stream-storage-configuration", "DefaultStorageTier=HOT", "--current-version",
		info["Version"].(string))
	s.awaitFigure("weir_store_object_volumes", 0)
	if objects, err := filepath.Glob(filepath.Join(gateway.Dir(), "site", "*", "*")); err != nil ||
		len(objects) > 0 {
		t.Errorf("back on the disk, and there are objects %v, %v", objects, err)
	}
	if got := clipped(); !bytes.Equal(got, whole) {
		t.Error("back on the disk, the clip is another one")
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// awaitFigure waits until a metric has a value.
func (s *server) awaitFigure(name string, want float64) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if got := s.figure(name); got == want {
			return
		} else if time.Now().After(end) {
			s.t.Fatalf("%s is %v and does not become %v", name, got, want)
		}
	}
}

// diskUsed is how many bytes of the disk a directory takes.
func diskUsed(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			var at syscall.Stat_t
			err = syscall.Stat(path, &at)
			bytes += 512 * at.Blocks
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
