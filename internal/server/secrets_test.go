package server

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir/internal/audit"
	"weir/test/output"
)

// Errors, faults and panics of calls reveal neither the secrets that came with the calls nor those
// that they were about: not in the log, the audit log, the metrics, or the answer.
func TestErrorsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	told := &output.Buffer{}
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	log, err := audit.Open(audit.Options{Path: file})
	must(t, err)
	s := newSite(t, func(o *Options) {
		o.Audit = log
		o.Logger = slog.New(slog.NewTextHandler(told, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":2}`)
	s.record()
	session := s.session()
	_, token, _ := strings.Cut(session, "SessionToken=")
	key := s.newKey("ann", "viewer")
	fault := func(context.Context, *request) (response, error) { panic("a fault of the server's") }
	s.server.main.routes["/listStreams"].handle = fault

	secrets := []string{token, key.SecretAccessKey, s.signer.SecretAccessKey, "IQoJb3JpZ2luX2Vj"}
	signature := regexp.MustCompile(`Signature=([0-9a-f]{64})`)
	send := func(path, body string, change func(*http.Request)) {
		t.Helper()
		r := s.request(http.MethodPost, path, body)
		s.signer.Sign(r, []byte(body))
		change(r)
		for _, m := range signature.FindAllStringSubmatch(r.Header.Get("Authorization"), -1) {
			secrets = append(secrets, m[1])
		}
		told.Write([]byte(s.do(r).body)) // answers are checked, too
	}
	send("/listStreams", "{}", func(*http.Request) {})
	send("/describeStream", `{"StreamName":"cam1"}`, func(r *http.Request) {
		r.Header.Set("X-Amz-Date", "20200101T000000Z")
	})
	send("/describeStream", `{"StreamName":"none"}`, func(*http.Request) {})
	send("/describeStream", `{"StreamName":"cam1"}`, func(r *http.Request) {
		r.Header.Set("X-Amz-Security-Token", "IQoJb3JpZ2luX2Vj")
	})
	send("/describeStream?SessionToken="+token, `{"StreamName":"cam1"}`, func(r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Authorization")+"x")
	})
	for _, swapped := range []string{key.SecretAccessKey,
		"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"} { // AWS has secrets with slashes
		secrets = append(secrets, swapped, "MDENG/bPxRfi")
		send("/describeStream", `{"StreamName":"cam1"}`, func(r *http.Request) {
			as := s.signer
			as.AccessKeyID, as.SecretAccessKey = swapped, key.AccessKeyID
			as.Sign(r, []byte(`{"StreamName":"cam1"}`))
		})
	}
	for _, wrong := range []string{session[:len(session)-1] + "~", session + "&x=%zz",
		strings.Replace(session, "Master", "Media", 1)} {
		if a := s.get(wrong); a.status != 200 { // else it is a playlist
			told.Write([]byte(a.body))
		}
	}
	told.Write([]byte(s.get(s.url + "/metrics").body))
	s.stop()
	must(t, log.Close(t.Context()))

	events, _, err := log.Read(t.Context(), audit.Filter{})
	must(t, err)
	var outputs bytes.Buffer
	for _, e := range events {
		outputs.WriteString(strings.Join([]string{e.Reason, e.Outcome, e.AccessKey, e.UserAgent,
			e.Session, e.Action, e.Resource, e.Stream, e.Principal}, "\n") + "\n")
	}
	outputs.WriteString(told.String())
	for _, secret := range secrets {
		if at := strings.Index(outputs.String(), secret); at >= 0 {
			t.Errorf("%q is told:\n%.400s", secret, outputs.String()[max(0, at-200):])
		}
	}
	if !strings.Contains(told.String(), "a fault of the server's") || len(secrets) < 9 {
		t.Error("nothing panicked, or nothing was signed")
	}
}
