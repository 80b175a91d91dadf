package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/test/output"
)

// What a server writes for people and machines must not have anything that opens something.
// checkOutputs checks each server that a test starts, when it ends.

// leaking are the forms of what opens something, wherever it comes from.
var leaking = []*regexp.Regexp{
	regexp.MustCompile(`(?i)signature=[0-9a-f]{64}`),
	regexp.MustCompile(`SessionToken=[A-Za-z0-9_~-]{30,}`),
	regexp.MustCompile(`(?i)security-token[=:]\s*[A-Za-z0-9+/=_-]{30,}`),
	regexp.MustCompile(`(?i)aws_secret_access_key|SecretAccessKey`),
}

// secretForms are where answers and files of keys have secrets.
var secretForms = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^aws_secret_access_key *= *(\S+)`),
	regexp.MustCompile(`(?m)^aws_session_token *= *(\S+)`),
	regexp.MustCompile(`"(?:SecretAccessKey|SessionToken|secretAccessKey|sessionToken)": *"([^"]+)"`),
	regexp.MustCompile(`SessionToken=([A-Za-z0-9_~-]{30,})`),
}

// keyForm is a key in a file of the server's: at the end of a line.
var keyForm = regexp.MustCompile(`(?m)([A-Za-z0-9+/=_-]{32,})$`)

// maxSecrets are remembered of a server, so that one that opens many sessions is checked quickly.
const maxSecrets = 1000

// secrets are those that answers of a server had.
type secrets struct {
	mu  sync.Mutex
	all []string
}

// secretsIn returns the secrets of a text.
func secretsIn(text string) (secrets []string) {
	for _, form := range secretForms {
		for _, m := range form.FindAllStringSubmatch(text, -1) {
			secrets = append(secrets, m[1])
		}
	}
	return secrets
}

// leaks returns what of the secrets, or of their forms, a text has.
func leaks(text string, secrets []string) (found []string) {
	for _, form := range leaking {
		found = append(found, form.FindAllString(text, 1)...)
	}
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			line, _, _ := strings.Cut(text[strings.LastIndexByte(text[:i], '\n')+1:], "\n")
			found = append(found, line)
		}
	}
	return found
}

// scrape adds the metrics to what the server has put out. It runs until the test stops it.
func (s *server) scrape() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/metrics", nil)
	if err != nil {
		return ""
	}
	res, err := http.DefaultClient.Do(r) // fails when the test has stopped the server
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	var b output.Buffer
	_ = res.Write(&b)
	return b.String()
}

// checkOutputs checks that a server that has ended has put out no secret: in its log, its metrics,
// its audit log, and in what commands that ran against it printed beside their answers.
func (s *server) checkOutputs(metrics string) {
	s.secrets.mu.Lock()
	secrets := slices.Clone(s.secrets.all)
	s.secrets.mu.Unlock()
	for _, name := range []string{"credentials", "token-keys", "access.key"} {
		text, err := os.ReadFile(filepath.Join(s.Data, name))
		if err == nil { // else the test has taken the directory away
			secrets = append(secrets, keyForm.FindAllString(string(text), -1)...)
		}
	}
	outputs := map[string]string{"log": s.log.String(), "metrics": metrics}
	files, _ := filepath.Glob(filepath.Join(s.Data, "audit", "*"))
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			outputs[file] = string(text)
		}
	}
	for name, text := range outputs {
		for _, found := range leaks(text, secrets) {
			s.t.Errorf("the server's %s has a secret:\n%.300s", name, found)
		}
	}
}

// learn notes the secrets of an answer, and looks for known ones in what a command printed beside
// it.
func (s *server) learn(answer, beside []byte) {
	s.secrets.mu.Lock()
	defer s.secrets.mu.Unlock()
	for _, secret := range secretsIn(string(answer)) {
		if !slices.Contains(s.secrets.all, secret) && len(s.secrets.all) < maxSecrets {
			s.secrets.all = append(s.secrets.all, secret)
		}
	}
	for _, secret := range s.secrets.all {
		if strings.Contains(string(beside), secret) {
			s.t.Errorf("a command told a secret beside its answer:\n%.300s", beside)
		}
	}
}

// The check finds what it is for.
func TestLeaksAreFound(t *testing.T) {
	waits(t)
	secrets := secretsIn("[default]\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n" +
		`{"HLSStreamingSessionURL": "http://h/x.m3u8?SessionToken=AQFkZWZnaGlqa2xtbm9IGtxlfexQmTZrVePW"}`)
	for text, leak := range map[string]bool{
		"request path=/hls/v1/x.m3u8 status=200":                  false,
		"a=1\nkey wJalrXUtnFEMI/K7MDENG\nb":                       true,
		"AQFkZWZnaGlqa2xtbm9IGtxlfexQmTZrVePW":                    true,
		"Signature=" + strings.Repeat("0a", 32):                   true,
		"X-Amz-Security-Token: " + strings.Repeat("IQoJb3", 20):   true,
		"x?SessionToken=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": true,
	} {
		if found := leaks(text, secrets); (len(found) > 0) != leak {
			t.Errorf("%q: %q", text, found)
		}
	}
}

// At the level that logs most, with clients that do everything wrong, nothing is logged that opens
// something.
func TestDebugLogHasNoSecrets(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	s := start(t, "", "--log-level", "debug")
	s.run("weir", "put-media", "--stream-name", "cam", "--create",
		clip{rate: "25", seconds: 2}.make(t))
	session := s.hls("cam", "--playback-mode", "LIVE")
	mustGet(t, session)
	u, err := url.Parse(session)
	if err != nil {
		t.Fatal(err)
	}
	token := u.Query().Get("SessionToken")
	for _, wrong := range []string{
		"/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=" + token[:len(token)-1] + "~",
		"/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=9&SessionToken=" + token,
		"/hls/v1/getMP4MediaFragment.mp4?FragmentNumber=x&SessionToken=" + token,
		"/listStreams?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=" + strings.Repeat("ab", 32),
		"/nothing?SessionToken=" + token,
	} {
		if status, _, _ := get(t, s.URL+wrong); status == http.StatusOK {
			t.Errorf("%s is answered", wrong)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/listStreams", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261129/us-west-2/"+
		"kinesisvideo/aws4_request, SignedHeaders=host, Signature="+strings.Repeat("cd", 32))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	s.run("weir", "keys", "create", "ann", "--policy", "viewer")
	s.run("weir", "keys", "rotate-token-key", "--older-keys", "REVOKE")
	if status, _, _ := get(t, session); status != http.StatusForbidden {
		t.Errorf("a session after the keys are revoked: %d", status)
	}
	events := s.run("weir", "audit", "--query", "AuditEvents[].[Action,Decision]", "--output",
		"text")
	for _, want := range []string{"weir:CreateKey\tallowed", "kinesisvideo:PutMedia\tallowed",
		"kinesisvideo:ListStreams\tdenied", "kinesisvideo:GetHLSStreamingSessionURL\tallowed"} {
		if !strings.Contains(string(events), want) {
			t.Errorf("the audit log lacks %q:\n%s", want, events)
		}
	}
	if log := fmt.Sprint(s.log); !strings.Contains(log, "getHLSMediaPlaylist") {
		t.Errorf("the log tells nothing:\n%.2000s", log)
	}
}
