package e2e_test

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What goes into an encrypted server comes out frame by frame and range by range, also after a
// restart without the flag, and is nowhere in the data directory. The same search finds it where
// nothing is encrypted.
func TestEncryptedRecordings(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg", "ffprobe")
	c := clip{rate: "25", bframes: 2, audio: true, seconds: 6}
	source := c.make(t)
	raw, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	want := frameHashes(t, source, "0:v", false)
	put := func(s *server) {
		s.run("weir", "put-media", "--stream-name", "cam", "--create",
			"--data-retention-in-hours", "24", source)
	}
	plain := t.TempDir()
	s := start(t, plain)
	put(s)
	s.stop()
	if piecesOf(t, raw, plain) == 0 {
		t.Fatal("the search does not find what is not encrypted")
	}

	data := t.TempDir()
	s = start(t, data, "--encrypt")
	put(s)
	watch := func() {
		t.Helper()
		u := s.hls("cam", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
			everything("PRODUCER_TIMESTAMP"))
		compareHashes(t, "video", want, frameHashes(t, u, "0:v", false))
		checkRanges(t, u)
	}
	watch()
	s.stop()
	s = start(t, data)
	watch()
	s.stop()
	if n := piecesOf(t, raw, data); n > 0 {
		t.Errorf("%d pieces of the recording lie bare in the data directory", n)
	}
	check := func(flags ...string) string {
		out, stderr, _ := s.try("weir", append([]string{"check", data}, flags...)...)
		return string(out) + string(stderr)
	}
	if out := check(); !strings.Contains(out, "all is well") {
		t.Errorf("check: %s", out)
	}
	s.run("weir", "keys", "rotate-encryption-key", "--data", data)
	if out := check(); !strings.Contains(out, "all is well") {
		t.Errorf("check after the rotation: %s", out)
	}
	if out := check("--encryption-key-file", filepath.Join(plain, "none")); !strings.Contains(out,
		"encryption-key") {
		t.Errorf("check without the key: %s", out)
	}
}

// piecesOf counts the pieces of a file, 32 bytes of every 4 KB, that some file in a directory has.
func piecesOf(t *testing.T, raw []byte, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		for at := 4096; at+32 <= len(raw); at += 4096 {
			if bytes.Contains(b, raw[at:at+32]) {
				n++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkRanges compares ranges of a stream's first segment with the whole.
func checkRanges(t *testing.T, master string) {
	t.Helper()
	base, err := neturl.Parse(master)
	if err != nil {
		t.Fatal(err)
	}
	var url string
	for line := range strings.Lines(string(mustGet(t, master))) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			playlist, err := base.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			segments, _ := parsePlaylist(t, playlist.String())
			url = segments[0].uri
			break
		}
	}
	whole := mustGet(t, url)
	for _, r := range []struct {
		ask  string
		from int
		to   int // exclusive
	}{
		{"bytes=0-0", 0, 1}, {"bytes=1000-70000", 1000, 70001}, {"bytes=65536-", 65536, len(whole)},
		{"bytes=-100", len(whole) - 100, len(whole)},
	} {
		if r.to > len(whole) {
			t.Fatalf("the segment has %d bytes only", len(whole))
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Range", r.ask)
		res, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // it was read
		if err != nil || res.StatusCode != http.StatusPartialContent ||
			!bytes.Equal(body, whole[r.from:r.to]) {
			t.Errorf("%s: %d, %d bytes of %d, %v", r.ask, res.StatusCode, len(body), r.to-r.from,
				err)
		}
	}
}
