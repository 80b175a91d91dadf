package server

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/audit"
	"weir/internal/auth"
)

// session opens a session of cam1 and returns its URL.
func (s *site) session() string {
	s.t.Helper()
	return s.ok("/getHLSStreamingSessionURL", `{"StreamName":"cam1"}`)["HLSStreamingSessionURL"].(string)
}

// opens wants URLs of sessions still to work, or no longer.
func (s *site) opens(want map[string]bool) {
	s.t.Helper()
	for url, open := range want {
		if a := s.get(url); (a.status == 200) != open {
			s.t.Errorf("%s: %d %s, want it open: %t", url, a.status, a.body, open)
		}
	}
}

// Sessions are closed at once: one, those of a stream, or those of an opener. Closing them needs
// the right to it on their stream.
func TestSessionsAreClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":2}`)
	s.record()
	site := s.newKey("site", "viewer")
	root := s.session()
	r := s.as(site, "/getHLSStreamingSessionURL", `{"StreamName":"cam1"}`)
	var out struct{ HLSStreamingSessionURL string }
	must(t, json.Unmarshal([]byte(r.body), &out))
	users := out.HLSStreamingSessionURL
	s.opens(map[string]bool{root: true, users: true})

	const user = "arn:aws:iam::000000000000:user/site"
	list := s.ok("/weir/listSessions", `{"StreamName":"cam1","Principal":"`+user+`"}`)
	if ids := listed(list, "SessionInfoList", "SessionId"); len(ids) != 1 {
		t.Fatal(list)
	}
	info := list["SessionInfoList"].([]any)[0].(map[string]any)
	if info["Protocol"] != "HLS" || info["Principal"] != user || info["StreamName"] != "cam1" {
		t.Error(info)
	}
	var ids []string
	for next := ""; ; { // page by page
		page := s.ok("/weir/listSessions", fmt.Sprintf(`{"MaxResults":1,"NextToken":%q}`, next))
		ids = append(ids, listed(page, "SessionInfoList", "SessionId")...)
		token, more := page["NextToken"].(string)
		if next = token; !more {
			break
		}
	}
	if len(ids) != 2 || strings.Contains(fmt.Sprint(list), strings.Split(users, "=")[1]) {
		t.Error(ids, list)
	}

	s.as(site, "/weir/closeSessions", `{"SessionId":"`+ids[0]+`"}`).fails(t, 403, refused, "cam1")
	s.as(site, "/weir/closeSessions", `{"SessionId":"00112233445566778899aabbccddeeff"}`).fails(t, 403,
		refused, "")
	s.as(site, "/weir/listSessions", `{"StreamName":"none"}`).fails(t, 403, refused, "")
	s.call("/weir/closeSessions", `{}`).fails(t, 400, "InvalidArgumentException", "must be specified")
	s.opens(map[string]bool{root: true, users: true})

	if n := s.ok("/weir/closeSessions", `{"Principal":"`+user+`"}`)["Closed"]; n != 1.0 {
		t.Error(n)
	}
	s.opens(map[string]bool{root: true, users: false})
	other := s.session()
	id := listed(s.ok("/weir/listSessions", `{}`), "SessionInfoList", "SessionId")[0]
	s.ok("/weir/closeSessions", `{"SessionId":"`+id+`"}`)
	s.call("/weir/closeSessions", `{"SessionId":"`+id+`"}`).fails(t, 404, "ResourceNotFoundException",
		"not open")
	tagged := &permitTest{site: s, who: s.server.access, keys: map[string]auth.Credentials{}}
	key := tagged.as(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*",` +
		`"Resource":"*"},{"Effect":"Deny","Action":"weir:*","Resource":"*","Condition":` +
		`{"StringEquals":{"aws:ResourceTag/site":"north"}}}]}`)
	s.ok("/tagStream", `{"StreamName":"cam1","Tags":{"site":"north"}}`)
	for path, input := range map[string]string{"/weir/listSessions": `{"StreamName":"cam1"}`,
		"/weir/closeSessions": `{"StreamName":"cam1"}`} {
		s.as(key, path, input).fails(t, 403, refused, "explicit deny")
	}
	left := s.ok("/weir/closeSessions", `{"StreamName":"cam1"}`)
	if left["Closed"] != 1.0 {
		t.Error(left)
	}
	s.opens(map[string]bool{root: false, other: false})
}

// A new key ends no session. With REVOKE no old URL works any more, even those of sessions that the
// server remembers.
func TestTokenKeysRotate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":2}`)
	s.record()
	before := s.session()
	s.opens(map[string]bool{before: true})
	made := s.ok("/weir/rotateTokenKey", "{}")
	if made["KeyId"] != "02" || made["OlderKeys"] != 1.0 || made["Closed"] != 0.0 {
		t.Error(made)
	}
	after := s.session()
	s.opens(map[string]bool{before: true, after: true})
	made = s.ok("/weir/rotateTokenKey", `{"OlderKeys":"REVOKE"}`)
	if made["KeyId"] != "03" || made["OlderKeys"] != 0.0 || made["Closed"] != 2.0 {
		t.Error(made)
	}
	s.opens(map[string]bool{before: false, after: false, s.session(): true})
}

// Whoever may can read the audit log over the API, page by page.
func TestAuditIsRead(t *testing.T) {
	t.Parallel()
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	s := newSite(t, func(o *Options) { o.Audit = log })
	ann := s.newKey("ann", "viewer")
	s.ok("/createStream", `{"StreamName":"cam1"}`)
	s.as(ann, "/weir/listAuditEvents", "{}").fails(t, 403, refused, "weir:ListAuditEvents")
	auditEvents(t, log, 3)

	out := s.ok("/weir/listAuditEvents", `{"Decision":"denied","Principal":"ann"}`)
	event := out["AuditEvents"].([]any)[0].(map[string]any)
	if event["Action"] != "weir:ListAuditEvents" || event["Outcome"] != refused ||
		!strings.Contains(event["Reason"].(string), "not authorized") ||
		event["AccessKeyId"] != ann.AccessKeyID {
		t.Error(event)
	}
	var actions []string
	for next := ""; ; {
		page := s.ok("/weir/listAuditEvents", fmt.Sprintf(`{"MaxResults":1,"NextToken":%q,`+
			`"EndTime":%d}`, next, time.Now().Unix()+60))
		actions = append(actions, listed(page, "AuditEvents", "Action")...)
		token, more := page["NextToken"].(string)
		if next = token; !more || len(actions) > 100 {
			break
		}
	}
	got := strings.Join(actions, " ")
	if !strings.HasPrefix(got, "weir:CreateKey kinesisvideo:CreateStream weir:ListAuditEvents") {
		t.Error(got)
	}
	s.call("/weir/listAuditEvents", `{"NextToken":"AAAA"}`).fails(t, 400,
		"InvalidArgumentException", "NextToken")
}
