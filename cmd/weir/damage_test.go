package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/store/local/volume"
	"weir/internal/store/record"
	"weir/test/output"
)

// serveDemo serves a new directory and stores the demo in stream cam. Other commands then use that
// server.
func serveDemo(t *testing.T, args ...string) (s *running, data string) {
	t.Helper()
	data = t.TempDir()
	s = serveHere(t, serveCmd{Data: data})
	useServer(t, s.url, data)
	args = append([]string{"put-media", "--stream-name", "cam", "--create", "demo.mkv"}, args...)
	if code, _, errs := command(t, args...); code != exitOK {
		t.Fatal(errs)
	}
	return s, data
}

// A fragment that the disk has damaged has an error of its own; its neighbours play.
func TestDamagedFragmentFailsAlone(t *testing.T) {
	_, data := serveDemo(t, "--start-timestamp", "2026-01-31T12:00:00Z")
	fragments := damageSomeFragments(t, data)

	code, out, errs := command(t, "get-hls-streaming-session-url", "--stream-name", "cam",
		"--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
		`{"FragmentSelectorType":"PRODUCER_TIMESTAMP",`+
			`"TimestampRange":{"StartTimestamp":"2026-01-31T12:00:00Z",`+
			`"EndTimestamp":"2026-01-31T12:01:00Z"}}`,
		"--query", "HLSStreamingSessionURL")
	if code != exitOK {
		t.Fatal(errs)
	}
	master := linesOf(t, strings.Trim(strings.TrimSpace(out), `"`))
	var answers []int
	for _, u := range linesOf(t, master[0]) {
		status, _ := fetch(t, u)
		answers = append(answers, status)
	}
	if len(answers) != fragments {
		t.Fatalf("%d segments of %d fragments", len(answers), fragments)
	}
	for i, status := range answers {
		want := http.StatusOK
		if i == 1 || i == 2 {
			want = http.StatusInternalServerError
		}
		if status != want {
			t.Errorf("fragment %d: %d", i, status)
		}
	}
}

// damageSomeFragments damages the picture of the second fragment of a data directory and the frame
// table of the third. It returns how many there are.
func damageSomeFragments(t *testing.T, data string) int {
	t.Helper()
	volumes, err := filepath.Glob(filepath.Join(data, "volumes", "*", "*.vol"))
	if err != nil || len(volumes) == 0 {
		t.Fatal(volumes, err)
	}
	f, err := os.OpenFile(volumes[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var places, payloads []int64
	if _, _, err := volume.Walk(f, info.Size(), volume.HeaderSize,
		func(r volume.FoundRecord) error {
			if r.Header.Type == record.TypeFragment {
				places = append(places, r.Offset)
				payloads = append(payloads, r.Offset+r.Header.MetaLength)
			}
			return nil
		}); err != nil || len(places) < 4 {
		t.Fatal(places, err)
	}
	_, err = f.WriteAt([]byte{0xff, 0xff, 0xff}, places[2]+record.HeaderSize+2)
	if err != nil {
		t.Fatal(err)
	}
	picture := make([]byte, 1)
	if _, err := f.ReadAt(picture, payloads[1]+100); err != nil {
		t.Fatal(err)
	}
	picture[0] ^= 1
	if _, err := f.WriteAt(picture, payloads[1]+100); err != nil {
		t.Fatal(err)
	}
	return len(places)
}

// fetch gets a URL.
func fetch(t *testing.T, u string) (int, string) {
	t.Helper()
	res, err := http.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// refusedAcks matches the metrics of a server that could not store a fragment.
var refusedAcks = regexp.MustCompile(
	`weir_put_media_error_acks_total\{.*"(5001|ARCHIVAL_ERROR)".*\} [1-9]`)

// linesOf returns the URIs of a playlist.
func linesOf(t *testing.T, u string) (list []string) {
	t.Helper()
	base, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	status, text := fetch(t, u)
	if status != http.StatusOK {
		t.Fatal(status, text)
	}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			ref, err := base.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, ref.String())
		}
	}
	return list
}

// On a full disk an acknowledgement tells the producer so, and it goes on by itself when there is
// space again.
func TestFullDiskAndSpaceAgain(t *testing.T) {
	data := t.TempDir()
	minFree := byteSize(8 << 20)
	if err := unix.Mount("tmpfs", data, "tmpfs", 0, "size=64m"); err == nil {
		t.Cleanup(func() {
			if err := unix.Unmount(data, 0); err != nil {
				t.Error(err)
			}
		})
	} else { // not allowed here: nearly all free space is kept free, once the ballast is written
		free, _, err := volume.OS{}.Space(data)
		if err != nil {
			t.Fatal(err)
		}
		minFree = byteSize(free - 40<<20)
	}
	ballast := filepath.Join(data, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 57<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveHere(t, serveCmd{Data: data, storeFlags: storeFlags{MinFree: minFree}})
	useServer(t, s.url, data)
	out, errs := &output.Buffer{}, &output.Buffer{}
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), []string{"put-media", "--stream-name", "cam", "--create",
			"demo.mkv"}, stdio{In: strings.NewReader(""), Out: out, Err: errs})
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for refused := false; !refused; <-tick.C {
		_, metrics := fetch(t, s.url+"/metrics")
		refused = refusedAcks.MatchString(metrics) &&
			regexp.MustCompile(`weir_store_appends_total\{result="full"\} [1-9]`).MatchString(metrics)
		select {
		case code := <-done:
			t.Fatalf("exit code %d\n%s%s", code, out, errs)
		default:
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitOK || !strings.Contains(errs.String(), "8 stored") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
