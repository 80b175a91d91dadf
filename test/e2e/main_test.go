// Package e2e_test starts the built binary and lets clients that none of us wrote use it: the AWS
// command line, ffmpeg, hls.js in Chromium. A tool that is missing is named in a skip, or fails the
// test when WEIR_E2E_REQUIRE_TOOLS is set.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/store/cluster/clustertest"
	"weir/test/output"
)

// weirBinary is the path of the weir under test: WEIR_E2E_BINARY, or one built for this run.
var weirBinary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("WEIR_E2E_REQUIRE_TOOLS") != "" {
		_ = os.Setenv(clustertest.Required, "1") // the name is a valid one
	}
	if dir := os.Getenv(floorEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "serving files:", serveFloor(dir))
		return 1
	}
	if dir := os.Getenv(copyVariable); dir != "" {
		return serveCopies(dir)
	}
	if dir := os.Getenv(rebuildVariable); dir != "" {
		return serveRebuilt(dir)
	}
	if weirBinary = os.Getenv("WEIR_E2E_BINARY"); weirBinary == "" {
		dir, err := os.MkdirTemp("", "weir-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		weirBinary = filepath.Join(dir, "weir")
		build := exec.Command("go", "build", "-o", weirBinary, "weir/cmd/weir")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building weir:", err)
			return 1
		}
	}
	if err := turnsNotSlots(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// needTool skips the test when a program is missing, or fails it where everything must run.
func needTool(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing(t, name+" is not installed; `make deps` installs it")
		}
	}
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("WEIR_E2E_REQUIRE_TOOLS") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// server is a running `weir serve`.
type server struct {
	t     testing.TB
	Data  string // data directory
	URL   string // http://127.0.0.1:PORT
	env   []string
	cmd   *exec.Cmd
	log   *output.Buffer
	done  chan struct{}
	batch *awsBatch // what runs `aws`, when there is one

	secrets *secrets // that answers had: see checkOutputs
}

var listening = regexp.MustCompile(`https?://(127\.0\.0\.1|localhost):\d+`)

// start runs `weir serve` on a free port over the data directory (a new one when data is empty) and
// waits until it answers. The server is stopped, and its exit code checked, when the test ends.
func start(t testing.TB, data string, flags ...string) *server {
	t.Helper()
	if data == "" {
		data = filepath.Join(t.TempDir(), "data")
	}
	return startCommand(t, data,
		exec.Command(weirBinary,
			append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, flags...)...))
}

// startCommand is start with a command that becomes `weir serve` over the data directory.
func startCommand(t testing.TB, data string, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, Data: data, log: &output.Buffer{}, done: make(chan struct{}), cmd: cmd,
		secrets: &secrets{}}
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(s.log, lines.Text())
			if u := listening.FindString(lines.Text()); u != "" {
				select {
				case url <- u:
				default:
				}
			}
		}
		s.cmd.Wait()
		close(s.done)
	}()
	select {
	case s.URL = <-url:
	case <-s.done:
		t.Fatalf("weir serve ended early: %v\n%s", s.cmd.ProcessState, s.log)
	case <-time.After(30 * time.Second):
		s.kill()
		t.Fatalf("weir serve printed no address\n%s", s.log)
	}
	for _, v := range os.Environ() {
		// whatever the tester's shell points at
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "WEIR_") {
			s.env = append(s.env, v)
		}
	}
	s.env = append(s.env,
		"AWS_ENDPOINT_URL="+s.URL,
		"AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(data, "credentials"),
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_REGION=us-west-2", "AWS_DEFAULT_REGION=us-west-2",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	)
	t.Cleanup(func() {
		metrics := s.scrape()
		s.stop()
		s.checkOutputs(metrics)
		if t.Failed() {
			t.Logf("server log:\n%s", s.log.Tail(8<<10))
		}
	})
	return s
}

// stop sends SIGTERM and waits; the server must end with success.
func (s *server) stop() {
	select {
	case <-s.done:
		return
	default:
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			s.t.Errorf("weir serve ended with %v after SIGTERM", s.cmd.ProcessState)
		}
	case <-time.After(30 * time.Second):
		s.kill()
		s.t.Error("weir serve did not end within 30 s of SIGTERM")
	}
}

// kill is kill -9, and returns when the process is gone.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// command is a program with the environment that points AWS tools (and weir's own commands) at the
// server.
func (s *server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if name == "weir" {
		name = weirBinary
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = s.env
	return cmd
}

// run runs a program to its end and returns its standard output; failure is fatal.
func (s *server) run(name string, args ...string) []byte {
	s.t.Helper()
	out, stderr, err := s.try(name, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, out, stderr)
	}
	return out
}

func (s *server) try(name string, args ...string) (stdout, stderr []byte, err error) {
	s.t.Helper()
	if name == "aws" && s.batch != nil {
		return s.batch.try(args)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	s.learn(out.Bytes(), errs.Bytes())
	return out.Bytes(), errs.Bytes(), err
}

// runJSON runs a program and decodes its standard output.
func (s *server) runJSON(name string, args ...string) map[string]any {
	s.t.Helper()
	out := s.run(name, args...)
	var v map[string]any
	if len(bytes.TrimSpace(out)) == 0 {
		return nil
	}
	if err := json.Unmarshal(out, &v); err != nil {
		s.t.Fatalf("%s %s: not JSON: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return v
}

// hls asks for a session URL with weir's own command line.
func (s *server) hls(stream string, args ...string) string {
	s.t.Helper()
	v := s.runJSON("weir",
		append([]string{"get-hls-streaming-session-url", "--stream-name", stream}, args...)...)
	url, _ := v["HLSStreamingSessionURL"].(string)
	if url == "" {
		s.t.Fatalf("no URL in %v", v)
	}
	return url
}

// mediaPlaylist returns the URL of a track's media playlist in the session of a master playlist's.
func mediaPlaylist(master string, track int) string {
	return strings.Replace(master, "getHLSMasterPlaylist.m3u8", "getHLSMediaPlaylist.m3u8", 1) +
		"&TrackNumber=" + strconv.Itoa(track)
}

// get fetches a URL and returns status and body.
func get(t testing.TB, url string) (int, http.Header, []byte) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, body
}

func mustGet(t testing.TB, url string) []byte {
	t.Helper()
	status, _, body := get(t, url)
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d\n%s", url, status, body)
	}
	return body
}

// program runs a tool that does not talk to the server through the AWS environment.
func program(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) || err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out
}

// startPiped starts a program, and returns its standard input and output.
func startPiped(t testing.TB, cmd *exec.Cmd) (stdin io.WriteCloser, stdout io.ReadCloser) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err = cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return stdin, stdout
}
