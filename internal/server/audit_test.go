package server

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/audit"
	"weir/internal/auth"
	"weir/internal/throttle"
	"weir/test/output"
)

// auditEvents waits until the log has so many events.
func auditEvents(t *testing.T, log *audit.Log, want int) []audit.Event {
	t.Helper()
	return auditEventsOf(t, log, audit.Filter{}, want)
}

func auditEventsOf(t *testing.T, log *audit.Log, f audit.Filter, want int) []audit.Event {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		events, _, err := log.Read(t.Context(), f)
		must(t, err)
		if len(events) >= want {
			return events
		}
		if time.Now().After(end) {
			t.Fatalf("%d events, want %d: %+v", len(events), want, events)
		}
	}
}

// The log says who did what, from where, and with which result: for control calls, sessions,
// connections, and whatever was refused, but not for reading what is stored. It contains neither
// secrets nor tokens.
func TestAudit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log, err := audit.Open(audit.Options{Path: path})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	s := newSite(t, func(o *Options) { o.Audit = log })
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":2}`)
	s.record()
	s.ok("/listFragments", `{"StreamName":"cam1","FragmentSelector":{"FragmentSelectorType":`+
		`"SERVER_TIMESTAMP","TimestampRange":{"StartTimestamp":0,"EndTimestamp":4102444800}}}`)
	answer := s.ok("/getHLSStreamingSessionURL", `{"StreamName":"cam1"}`)
	session := answer["HLSStreamingSessionURL"].(string)
	if a := s.get(session); a.status != 200 {
		t.Fatal(a)
	}
	s.call("/deleteStream", `{"StreamARN":"arn:aws:kinesisvideo:us-west-2:000000000000:stream/no/1"}`)
	wrong := s.signer
	wrong.SecretAccessKey = "not-the-secret"
	for range 3 { // a stranger has one event
		r := s.request("POST", "/listStreams", "{}")
		wrong.Sign(r, []byte("{}"))
		s.do(r).fails(t, 403, auth.InvalidSignature, "")
	}
	s.do(s.request("OPTIONS", "/listStreams", ""))

	root, key := "arn:aws:iam::000000000000:root", s.signer.AccessKeyID
	want := []string{
		"call kinesisvideo:CreateStream cam1 " + root + " " + key + " true ok",
		"begin kinesisvideo:PutMedia cam1 " + root + " " + key + " true ok",
		"end kinesisvideo:PutMedia cam1 " + root + " " + key + " true end of body",
		"call kinesisvideo:GetHLSStreamingSessionURL cam1 " + root + " " + key + " true ok",
		"call kinesisvideo:DeleteStream no " + root + " " + key + " true ResourceNotFoundException",
		"call kinesisvideo:ListStreams   " + key + " false InvalidSignatureException",
	}
	var got []string
	events := auditEvents(t, log, len(want))
	for _, e := range events {
		got = append(got, fmt.Sprint(e.Event, " ", e.Action, " ", e.Stream, " ", e.Principal, " ",
			e.AccessKey, " ", e.Allowed, " ", e.Outcome))
		if !requestID.MatchString(e.RequestID) || !strings.HasPrefix(e.Remote, "127.0.0.1:") ||
			e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
	}
	slices.Sort(got) // the end of a connection and the next call come in any order
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	stream, err := s.store.Stream(t.Context(), "cam1")
	must(t, err)
	arns := map[string]string{"cam1": s.server.arn(&stream),
		"no": "arn:aws:kinesisvideo:us-west-2:000000000000:stream/no/1"}
	for _, e := range events {
		arn := arns[e.Stream]
		if strings.HasSuffix(e.Action, ":CreateStream") {
			arn = s.server.arnToBe("cam1")
		}
		if e.Resource != arn {
			t.Errorf("the resource of %s is %q, want %q", e.Action, e.Resource, arn)
		}
		switch {
		case e.Event == audit.End && e.Bytes < 600:
			t.Errorf("%d bytes of media", e.Bytes)
		case strings.Contains(e.Action, "HLS") && len(e.Session) != 32:
			t.Errorf("session %q", e.Session)
		case !e.Allowed && e.Reason == "":
			t.Error("nothing is said of why a call was refused")
		}
	}
}

// A caller with a key has an event for each call, unless there are very many: not for each refusal,
// whatever it names, and not for each change of one thing. The events of other callers are all
// there.
func TestOneCallerDoesNotFillTheAudit(t *testing.T) {
	t.Parallel()
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	var lines output.Buffer
	now := time.Now()
	s := newSite(t, func(o *Options) {
		o.Audit, o.Logger, o.Clock = log, logTo(&lines), func() time.Time { return now }
	})
	camera := s.newKey("cam1", "producer")
	const more = 50
	for i := range noteBurst + more {
		s.as(camera, "/deleteStream", fmt.Sprintf(
			`{"StreamARN":"arn:aws:kinesisvideo:us-west-2:000000000000:stream/s%d/1"}`, i))
	}
	for i := range noteBurst + more {
		s.as(camera, "/createStream", fmt.Sprintf(`{"StreamName":"s%d"}`, i))
	}
	for range noteBurst + more {
		s.as(camera, "/tagStream", `{"StreamName":"s1","Tags":{"a":"b"}}`)
	}
	s2, err := s.store.Stream(t.Context(), "s2")
	must(t, err)
	s.ok("/deleteStream", `{"StreamARN":"`+s.server.arn(&s2)+`"}`)
	now = now.Add(throttle.NoteEvery - time.Second) // when the limits have recovered
	s.as(camera, "/tagStream", `{"StreamName":"s1","Tags":{"a":"b"}}`)
	s.ok("/listStreams", `{}`)
	auditEventsOf(t, log, audit.Filter{Action: "ListStreams"}, 1) // the last one
	events, _, err := log.Read(t.Context(), audit.Filter{})
	must(t, err)
	got := map[string]int64{}
	for _, e := range events {
		_, action, _ := strings.Cut(e.Action, ":")
		got[action+" "+e.Outcome]++
		got["repeated "+action] += e.Repeated
	}
	for kind, want := range map[string]int64{
		"DeleteStream " + refused: noteBurst + 1, // one for all others
		"CreateStream ok":         noteBurst + more,
		"TagStream ok":            noteBurst + 2,
		"repeated TagStream":      more - 1,
		"DeleteStream ok":         1,
	} {
		if got[kind] != want {
			t.Errorf("%d of %s, want %d", got[kind], kind, want)
		}
	}
	if n := len(logLines(&lines, noteRefused)); n != noteBurst+1 {
		t.Errorf("%d lines of refusals in the log, want %d", n, noteBurst+1)
	}
}

// Each camera that got credentials is there, with its key; and if it got none, the reason.
func TestAuditOfCameraCredentials(t *testing.T) {
	t.Parallel()
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	var who *access.Registry
	s, cam1, address := newCamerasSite(t, func(o *Options) { o.Audit, who = log, o.Access })
	ask := func(status int) {
		t.Helper()
		res, _ := s.fetch(cam1, "GET", address+"/role-aliases/camera/credentials",
			"x-amzn-iot-thingname: cam1")
		if res.StatusCode != status {
			t.Errorf("%s, want %d", res.Status, status)
		}
	}
	ask(200)
	must(t, who.DisableCamera(t.Context(), "cam1"))
	ask(403)
	ask(403)
	events := auditEvents(t, log, 2)
	for i, e := range events {
		want := audit.Event{Time: e.Time, Sequence: e.Sequence, Event: audit.Call,
			RequestID: e.RequestID, Action: "iot:AssumeRoleWithCertificate",
			Resource:  "arn:aws:iam::000000000000:role/camera",
			Principal: "arn:aws:sts::000000000000:assumed-role/camera/cam1", Remote: e.Remote,
			UserAgent: e.UserAgent, AccessKey: "ASIA0", Allowed: true, Outcome: audit.OK}
		if i == 1 {
			want.AccessKey, want.Allowed, want.Outcome = "", false, "AccessDeniedException"
			want.Reason = e.Reason
		}
		if e != want || !requestID.MatchString(e.RequestID) || (i == 1) != (e.Reason != "") {
			t.Errorf("%+v\nwant %+v", e, want)
		}
	}
}

// Behind a trusted proxy the log has the client's address, which a stranger cannot forge.
func TestAuditBehindAProxy(t *testing.T) {
	t.Parallel()
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	for i, trusted := range []string{"127.0.0.0/8", "198.51.100.0/24"} {
		s := newSite(t, func(o *Options) {
			o.Audit, o.TrustedProxies = log, []netip.Prefix{netip.MustParsePrefix(trusted)}
		})
		r := s.request("POST", "/listStreams", "{}")
		r.Header.Set("X-Forwarded-For", "203.0.113.9, 192.0.2.7")
		s.signer.Sign(r, []byte("{}"))
		if a := s.do(r); a.status != 200 {
			t.Fatal(a)
		}
		got := auditEvents(t, log, i+1)[i].Remote
		if (i == 0) != (got == "192.0.2.7") || (i == 1) != strings.HasPrefix(got, "127.0.0.1:") {
			t.Errorf("trusting %s: %s", trusted, got)
		}
	}
}

// Strangers behind a trusted proxy are distinguished: what one does neither hides nor delays what
// another one does.
func TestStrangersBehindAProxy(t *testing.T) {
	t.Parallel()
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	now := time.Now()
	s := newSite(t, func(o *Options) {
		o.Audit, o.TrustedProxies = log, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.Clock = func() time.Time { return now }
	})
	fails := func(from string) {
		r := s.request("POST", "/listStreams", "{}")
		r.Header.Set("X-Forwarded-For", from)
		if a := s.do(r); a.status != 403 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	for range throttle.FreePenalties {
		fails("203.0.113.9")
	}
	fails("192.0.2.7")
	s.mu.Lock()
	if len(s.holds) != 0 {
		t.Errorf("one stranger waits for the other: %v", s.holds)
	}
	s.mu.Unlock()
	events := auditEvents(t, log, 2)
	if events[0].Remote != "203.0.113.9" || events[1].Remote != "192.0.2.7" {
		t.Errorf("%+v", events)
	}
}
