package e2e_test

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is the first block of code in a language after a heading of a page.
func block(t *testing.T, page, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(after)
	if m == nil {
		t.Fatalf("%s has no %s after %q", page, language, heading)
	}
	return m[1]
}

// The web back end of docs/security.md, with the key and the policy that the page has, gives each
// viewer a session of his own, and its key opens nothing else.
func TestWebBackEndAsDocumented(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	python := botoPython(t)
	s := start(t, "")
	s.run("weir", "put-media", "--stream-name", "cam1", "--create",
		clip{rate: "25", seconds: 2}.make(t))
	const heading = "Sessions from a web back end"
	policy := filepath.Join(t.TempDir(), "site.json")
	text := block(t, "security.md", heading, "json")
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("weir", "policies", "put", "site", "file://"+policy)
	profile := filepath.Join(t.TempDir(), "credentials")
	key := s.run("weir", "keys", "create", "site", "--policy", "site")
	if err := os.WriteFile(profile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	as := append(s.env[:len(s.env):len(s.env)], "AWS_SHARED_CREDENTIALS_FILE="+profile,
		"AWS_PROFILE=site", "STREAM=cam1", "PORT=0")
	site := exec.Command(python, "-c", block(t, "security.md", heading, "python"))
	site.Env = as
	var errs bytes.Buffer
	site.Stderr = &errs
	out, err := site.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := site.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { site.Process.Kill(); site.Wait() }()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		site.Wait()
		t.Fatalf("the back end ended: %s", errs.String())
	}
	tokens := map[string]bool{}
	for range 2 {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
		res, err := client.Get(strings.TrimSpace(address))
		if err != nil {
			t.Fatal(err, errs.String())
		}
		res.Body.Close()
		session := res.Header.Get("Location")
		s.learn([]byte(session), nil)
		if !bytes.HasPrefix(mustGet(t, session), []byte("#EXTM3U")) {
			t.Errorf("%s is no playlist", session)
		}
		tokens[session] = true
	}
	if len(tokens) != 2 {
		t.Error("two viewers have one session")
	}
	const user = "arn:aws:iam::000000000000:user/site"
	opened := s.run("weir", "sessions", "list", "--query", "SessionInfoList[].Principal",
		"--output", "text")
	if strings.Count(string(opened), user) != 2 {
		t.Errorf("opened by %s", opened)
	}
	for _, call := range [][]string{{"keys", "list"}, {"sessions", "list"}, {"list-streams"},
		{"describe-stream", "--stream-name", "cam1"},
		{"get-hls-streaming-session-url", "--stream-name", "cam2"}} {
		cmd := exec.Command(weirBinary, call...)
		cmd.Env = as
		if out, err := cmd.CombinedOutput(); err == nil ||
			!bytes.Contains(out, []byte("AccessDenied")) {
			t.Errorf("weir %s with the key of the site: %v\n%s", call, err, out)
		}
	}
	s.run("weir", "sessions", "close", "--principal", user)
	for session := range tokens {
		if status, _, _ := get(t, session); status != http.StatusForbidden {
			t.Errorf("a closed session: %d", status)
		}
	}
}
