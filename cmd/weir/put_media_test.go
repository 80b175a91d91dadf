package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/client"
	"weir/test/output"
)

// useServer points the environment at a server and its key pair.
func useServer(t *testing.T, endpoint, data string) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_PROFILE", "AWS_ENDPOINT_URL_KINESIS_VIDEO"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(data, credentialsFile))
}

func TestPutMediaStoresAFile(t *testing.T) {
	data := t.TempDir()
	s := serveHere(t, serveCmd{Data: data})
	useServer(t, s.url, data)
	out, errs := &output.Buffer{}, &output.Buffer{}
	call := func(in io.Reader, args ...string) int {
		return run(t.Context(), args, stdio{In: in, Out: out, Err: errs})
	}
	if code := call(nil, "put-media", "--stream-name", "cam", "demo.mkv"); code != exitError ||
		!strings.Contains(errs.String(), "weir: hint: --create") {
		t.Errorf("without a stream: exit code %d, %s", code, errs)
	}
	if code := call(nil, "put-media", "--stream-name", "cam", "--create", "--json",
		"--start-timestamp", "2026-01-31T12:00:00Z", "demo.mkv"); code != exitOK {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	persisted := 0
	for line := range strings.Lines(out.String()) {
		var ack struct {
			EventType        string
			FragmentTimecode int64
		}
		if err := json.Unmarshal([]byte(line), &ack); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if ack.EventType == "PERSISTED" {
			if want := int64(1769860800000 + persisted*1000); ack.FragmentTimecode != want {
				t.Errorf("fragment %d at %d, not %d", persisted, ack.FragmentTimecode, want)
			}
			persisted++
		}
	}
	if persisted != 8 ||
		!strings.Contains(errs.String(), "cam: 8 fragments, 0.2 MB, 8.0 s of media: 8 stored; ") {
		t.Errorf("%d fragments persisted; %s", persisted, errs)
	}

	clip, err := os.Open("demo.mkv")
	if err != nil {
		t.Fatal(err)
	}
	defer clip.Close()
	if code := call(clip, "put-media", "--stream-name", "cam", "--fragment-timecode-type",
		"RELATIVE", "-"); code != exitOK {
		t.Errorf("from a pipe: exit code %d, %s", code, errs)
	}
	if code := call(strings.NewReader("no Matroska"), "put-media", "--stream-name", "cam",
		"-"); code != exitError || !strings.Contains(errs.String(), "matroska") {
		t.Errorf("nonsense: exit code %d, %s", code, errs)
	}
	if code := call(nil, "put-media", "--stream-name", "memory", "--create",
		"--data-retention-in-hours", "0", "demo.mkv"); code != exitOK ||
		!strings.Contains(errs.String(), "memory: 1 fragment received, ") ||
		!strings.Contains(errs.String(), "memory: 8 fragments, ") {
		t.Errorf("without retention: exit code %d, %s", code, errs)
	}
	for _, args := range []string{"--stream-name a --stream-arn b x", "--create --stream-arn b x",
		"--data-retention-in-hours 2 --stream-name cam demo.mkv", "--loop --stream-name a -",
		"--start-timestamp soon --stream-name a x", "x"} {
		if code := call(nil,
			append([]string{"put-media"}, strings.Fields(args)...)...); code != exitError {
			t.Errorf("put-media %s: exit code %d", args, code)
		}
	}
}

func TestDemoPlaysAndTellsHow(t *testing.T) {
	data := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	reader, out := io.Pipe()
	errs := &output.Buffer{}
	done := make(chan error, 1)
	go func() {
		err := (&demoCmd{Listen: "127.0.0.1:0", Data: data}).Run(ctx,
			stdio{In: strings.NewReader(""), Out: out, Err: errs})
		out.Close()
		done <- err
	}()
	text := make([]byte, 64<<10)
	n, err := reader.Read(text) // one write, when the first fragments are stored
	if err != nil {
		t.Fatalf("the demo printed nothing: %v, %v, %s", err, <-done, errs)
	}
	printed := string(text[:n])
	hls := regexp.MustCompile(
		`(?m)^  (http://\S+getHLSMasterPlaylist\.m3u8\?SessionToken=\S+)$`).FindStringSubmatch(
		printed)
	player := regexp.MustCompile(`http://\S+/player#url=(\S+)`).FindStringSubmatch(printed)
	if hls == nil || player == nil || player[1] != url.QueryEscape(hls[1]) {
		t.Fatalf("the demo printed\n%s", printed)
	}
	fetch := func(u string) string {
		resp, err := http.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || err != nil {
			t.Errorf("%s: %s, %v", u, resp.Status, err)
		}
		return string(body)
	}
	fetch(player[0])
	media := regexp.MustCompile(`(?m)^getHLSMediaPlaylist\S+$`).FindString(fetch(hls[1]))
	// what `weir serve` has by default
	live := fetch(hls[1][:strings.LastIndex(hls[1], "/")+1] + media)
	if !strings.Contains(live, "#EXT-X-PART-INF") {
		t.Errorf("the demo's playlist has no parts:\n%s", live)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the demo ended with %v\n%s", err, errs)
	}
}

func TestProgressBar(t *testing.T) {
	var errs bytes.Buffer
	p := newProgress(stdio{Err: &errs}, "cam", false)
	p.terminal = true
	for i := range int64(3) {
		p.ack(client.Ack{Type: "RECEIVED", Timecode: 1000 + i*62_000})
		p.ack(client.Ack{Type: "PERSISTED", Timecode: 1000 + i*62_000})
		p.safe(client.Safe{Timecode: 1000 + i*62_000, Bytes: 500_000,
			Latency: 8 * time.Millisecond})
	}
	if got, want := p.bar(client.Safe{Timecode: 125_000, Latency: 8 * time.Millisecond},
		6*time.Second),
		"00:02:04  3 fragments persisted  1.5 MB  2.0 Mbit/s  6 acks  latency 8ms"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if lines := strings.Split(errs.String(), "\r\x1b[Kcam: "); len(lines) != 4 ||
		strings.Contains(errs.String(), "\n") {
		t.Errorf("%q", errs.String())
	}
}
