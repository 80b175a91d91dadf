package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/alecthomas/kong"

	"weir/internal/store/local/volume"
	"weir/test/output"
)

// running is `weir serve` in this process.
type running struct {
	url  string
	out  *output.Buffer
	log  *output.Buffer
	stop func() error

	ready chan string // called again when it serves again
}

func serveHere(t *testing.T, c serveCmd) *running {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if err := kong.ApplyDefaults(&c); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	c.ready = func(url string) { ready <- url }
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{out: &output.Buffer{}, log: &output.Buffer{}, ready: ready}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, stdio{In: strings.NewReader(""), Out: r.out, Err: r.log}) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := r.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case r.url = <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("serve ended: %v", err)
	}
	return r
}

// command runs a command line in this process.
func command(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, stdio{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestServeAndEnv(t *testing.T) {
	data := filepath.Join(t.TempDir(), "it's data")
	if code, _, errs := command(t, "env", "--data", data); code != exitError ||
		!strings.Contains(errs, "weir: hint: start one with: weir serve") {
		t.Errorf("env before the first start: %d\n%s", code, errs)
	}
	r := serveHere(t, serveCmd{Data: data})
	if out := r.out.String(); !strings.Contains(out, "serves "+r.url) ||
		!strings.Contains(out, "A new key pair") || !strings.Contains(out, "weir env") {
		t.Errorf("greeting\n%s", out)
	}
	for path, mode := range map[string]os.FileMode{"": 0o700, credentialsFile: 0o600,
		tokenKeysFile: 0o600, accessKeyFile: 0o600, clientFile: 0o600} {
		if info, err := os.Stat(filepath.Join(data, path)); err != nil ||
			info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v", path, info, err)
		}
	}
	res, err := http.Get(r.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("not ready: %d", res.StatusCode)
	}

	code, script, errs := command(t, "env", "--data", data)
	if code != exitOK {
		t.Fatalf("env: %d\n%s", code, errs)
	}
	shell := exec.Command("sh", "-c", `eval "$1"; echo "$AWS_ENDPOINT_URL $AWS_REGION `+
		`$AWS_DEFAULT_REGION $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY"`, "sh", script)
	got, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(got))
	if len(fields) != 5 || fields[0] != r.url || fields[1] != defaultRegion ||
		fields[2] != defaultRegion {
		t.Errorf("the shell has %q", got)
	}
	if _, out, _ := command(t, "env", "--data", data, "--endpoint-url",
		"https://video.example/"); !strings.Contains(out,
		"AWS_ENDPOINT_URL=https://video.example\n") {
		t.Errorf("env for another URL:\n%s", out)
	}

	code, _, errs = command(t, "serve", "--data", data, "--listen", "127.0.0.1:0")
	if code != exitError || !strings.Contains(errs, "is in use by another weir") ||
		!strings.Contains(errs, "weir: hint: ") {
		t.Errorf("second start: %d\n%s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(data, clientFile)); err != nil {
		t.Errorf("the second start took the first one's configuration: %v", err)
	}

	if err := r.stop(); err != nil {
		t.Errorf("serve: %v", err)
	}
	if code, _, _ := command(t, "env", "--data", data); code != exitError {
		t.Error("env succeeds without a server")
	}
	if again := serveHere(t, serveCmd{Data: data}); strings.Contains(again.out.String(),
		"A new key pair") {
		t.Error("the second start made another key pair")
	}
}

func TestMetricsOnAnAddressOfTheirOwn(t *testing.T) {
	r := serveHere(t, serveCmd{Data: t.TempDir(), MetricsListen: "127.0.0.1:0"})
	metrics := regexp.MustCompile(`http://[0-9.:]+/metrics`).FindString(r.log.String())
	heap := strings.TrimSuffix(metrics, "/metrics") + "/debug/pprof/heap"
	for url, want := range map[string]int{metrics: 200, r.url + "/metrics": 404, heap: 200,
		r.url + "/debug/pprof/heap": 404} {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want || url == metrics &&
			!bytes.Contains(body, []byte("weir_store_appends_total")) &&
			!bytes.Contains(body, []byte("weir_put_media_connections")) {
			t.Errorf("%s: %d", url, res.StatusCode)
		}
	}
}

func TestServeRefusesBadFlags(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--account-id", "12"}, exitError, "twelve digits"},
		{[]string{"--region", "us west"}, exitError, "region"},
		{[]string{"--tls-cert", "x.pem"}, exitError, "go together"},
		{[]string{"--tls-cert", "x.pem", "--tls-key", "x.pem"}, exitError, "weir: hint: "},
		{[]string{"--hls-sessions-per-stream=-1"}, exitError, "negative"},
		{[]string{"--dash-sessions-per-stream=-1"}, exitError,
			"--dash-sessions-per-stream -1 is negative"},
		{[]string{"--audit-keep=-1"}, exitError, "--audit-keep -1 is negative"},
		{[]string{"--audit-max-size=1KB"}, exitError, "less than 4 KiB"},
		{[]string{"--audit-max-age=1s"}, exitError, "less than a minute"},
		{[]string{"--audit-file", file + "/audit"}, exitError, "--audit-file names a file"},
		{[]string{"--token-key-max-age=59m"}, exitError, "less than 1h"},
		{[]string{"--sync-interval=1m"}, exitError, "10s"},
		{[]string{"--database=postgres://db", "--gather-size=1KiB"}, exitError, "64KiB"},
		{[]string{"--database=postgres://db", "--gather-time=0s"}, exitError, "1ms"},
		{[]string{"--database=postgres://db", "--orphan-age=59m"}, exitError, "1h"},
		{[]string{"--media-connections-per-stream=-1"}, exitError,
			"--media-connections-per-stream -1 is negative"},
		{[]string{"--media-call-rate=-1"}, exitError, "--media-call-rate -1 is negative"},
		{[]string{"--hls-playlist-rate=-1"}, exitError, "--hls-playlist-rate -1 is negative"},
		{[]string{"--max-connections=-1"}, exitError, "--max-connections -1 is negative"},
		{[]string{"--max-connections-per-address=-1"}, exitError,
			"--max-connections-per-address -1 is negative"},
		{[]string{"--ingest-memory=31MiB"}, exitError, "less than 32 MiB"},
		{[]string{"--hls-fragment-rate=-1"}, exitError, "--hls-fragment-rate -1 is negative"},
		{[]string{"--ffmpeg", file + "/ffmpeg"}, exitError, "--ffmpeg"},
		{[]string{"--clip-max-fragments=-1"}, exitError, "--clip-max-fragments -1 is negative"},
		{[]string{"--clip-max-size=-1MB"}, exitUsage, "is not a size such as"},
		{[]string{"--codec-changes=ignore"}, exitUsage, "exclude"},
		{[]string{"--advertise-url", "video.example"}, exitError, "must start with http"},
		{[]string{"--listen", taken.Addr().String()}, exitError, "another program listens there"},
		{[]string{"--camera-listen", taken.Addr().String(), "--listen", "127.0.0.1:0"}, exitError,
			"--camera-listen"},
		{[]string{"--camera-url", "http://video.example"}, exitError, "must start with https"},
		{[]string{"--camera-hosts", "https://video.example"}, exitError, "neither a name nor"},
		{[]string{"--client-ca", file}, exitError, "no certificate in PEM"},
		{[]string{"--accept-unregistered-cameras"}, exitError, "needs --client-ca"},
		{[]string{"--data", file}, exitError, "not a directory"},
		{[]string{"--min-free", "much"}, exitUsage, "is not a size such as"},
		{[]string{"--when-full", "panic"}, exitUsage, "when-full"},
		{[]string{"--scrub-rate=-1MB"}, exitUsage, "is not a size such as"},
		{[]string{"--log-level", "loud"}, exitUsage, "log-level"},
		{[]string{"--nonsense"}, exitUsage, "weir: hint: "},
	} {
		args := append([]string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen",
			"127.0.0.1:0"}, c.args...)
		if code, _, errs := command(t, args...); code != c.code ||
			!strings.Contains(errs, c.want) || !strings.HasPrefix(errs, "weir: error: ") {
			t.Errorf("%v: %d\n%s", c.args, code, errs)
		}
	}
}

func TestEnvironmentTwins(t *testing.T) {
	data := t.TempDir()
	lock, err := volume.LockDir(data)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	t.Setenv("WEIR_DATA", data)
	t.Setenv("WEIR_LISTEN", "127.0.0.1:0")
	if code, _, errs := command(t, "serve"); code != exitError ||
		!strings.Contains(errs, data+" is in use") {
		t.Errorf("%d\n%s", code, errs)
	}
	t.Setenv("WEIR_ACCOUNT_ID", "seven")
	if code, _, errs := command(t, "serve"); code != exitError ||
		!strings.Contains(errs, `"seven" is not twelve digits`) {
		t.Errorf("%d\n%s", code, errs)
	}
}

// With a low limit of open files, half of it is left to the store.
func TestConnectionFlags(t *testing.T) {
	for files, want := range map[uint64]int{32: 8, 256: 64, 1024: 384, 4096: 1920, 1 << 20: 524_160,
		math.MaxUint64: 1 << 20} {
		if got := connectionsFor(files); got != want {
			t.Errorf("%d connections for %d open files, want %d", got, files, want)
		}
	}
}

// Key files that anybody can read are worth a log line; others are not.
func TestExposedKeys(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true,
		0o602: true} {
		file := filepath.Join(t.TempDir(), "credentials")
		if err := errors.Join(os.WriteFile(file, nil, mode), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		warnExposed(slog.New(slog.NewTextHandler(&log, nil)), file, file+".none", "")
		if strings.Contains(log.String(), file) != want {
			t.Errorf("mode %o: logged %q", mode, log.String())
		}
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"./weir-data": "./weir-data", "": "''", "a b": "'a b'", "it's": `'it'\''s'`,
		"$(x)": "'$(x)'", "http://127.0.0.1:8480": "http://127.0.0.1:8480",
	} {
		if got := quote(text); got != want {
			t.Errorf("quote(%q) is %s, want %s", text, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]byteSize{
		"0": 0, "17": 17, "1GiB": 1 << 30, "1.5 MB": 1_500_000, "2kb": 2000, "3TiB": 3 << 40,
		"8B": 8,
		"":   -1, "GB": -1, "1XB": -1, "1 M": -1, "-1": -1, "NaN": -1, "1e30": -1, "1ib": -1,
	} {
		got := byteSize(-1)
		if err := got.UnmarshalText([]byte(text)); got != want || (err != nil) != (want == -1) {
			t.Errorf("%q reads as %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	if code, out, _ := command(t, "--version"); code != exitOK ||
		strings.TrimSpace(out) != version {
		t.Errorf("--version: %d %q", code, out)
	}
	code, out, _ := command(t, "serve", "--help")
	for _, want := range []string{"--listen", "--data", "--advertise-url", "--region",
		"--account-id", "--tls-cert", "--tls-key", "--metrics-listen",
		"--log-level", "--hls-sessions-per-stream", "--min-free", "--when-full", "--scrub-rate",
		"--sync-interval", "WEIR_SYNC_INTERVAL", "WEIR_LISTEN", "WEIR_HLS_SESSIONS_PER_STREAM",
		"WEIR_DASH_SESSIONS_PER_STREAM",
		"WEIR_HLS_PLAYLIST_RATE", "WEIR_HLS_FRAGMENT_RATE", "WEIR_CODEC_CHANGES", "Example:",
		"\nConnections:\n", "WEIR_INGEST_MEMORY", "WEIR_MAX_CONNECTIONS",
		"WEIR_MAX_CONNECTIONS_PER_ADDRESS"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("serve --help: %d, no %s in\n%s", code, want, out)
		}
	}
}
