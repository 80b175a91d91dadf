package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/store"
	"weir/test/output"
)

// inputOf makes a valid body for an operation, which names a stream if it can.
func inputOf(t *testing.T, op *api.Operation, name, arn string) string {
	t.Helper()
	// required members whose kind of shape says too little
	special := map[string]string{
		"ResourceARN": `"` + arn + `"`, "StreamARN": `"` + arn + `"`,
		"StreamName": `"` + name + `"`,
		"FragmentSelector": `{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":` +
			`{"StartTimestamp":1,"EndTimestamp":2}}`,
		"ClipFragmentSelector": `{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":` +
			`{"StartTimestamp":1,"EndTimestamp":2}}`,
		"StartSelector":  `{"StartSelectorType":"NOW"}`,
		"Fragments":      `["` + strings.Repeat("1", 47) + `"]`,
		"CurrentVersion": `"x"`, "StreamStorageConfiguration": `{"DefaultStorageTier":"HOT"}`,
		"StartTimestamp": "1", "EndTimestamp": "2", "ImageSelectorType": `"SERVER_TIMESTAMP"`,
		"Format": `"JPEG"`, "TagKeyList": `["site"]`, "APIName": `"PUT_MEDIA"`,
		"Operation": `"INCREASE_DATA_RETENTION"`, "DataRetentionChangeInHours": "1",
	}
	if op.Name == "TagResource" {
		special["Tags"] = `[{"Key":"site","Value":"a"}]`
	} else if op.Name == "TagStream" || op.Name == "CreateStream" {
		special["Tags"] = `{"site":"a"}`
	}
	var members []string
	for _, m := range op.Input.Members {
		value, known := special[m.Name]
		switch {
		case m.Name == "StreamName" && op.Name != "DeleteStream",
			m.Name == "ResourceARN", m.Required,
			m.Name == "FragmentSelector", m.Name == "Tags":
		default:
			continue
		}
		if !known {
			t.Fatalf("%s: give %s a value", op.Name, m.Name)
		}
		members = append(members, fmt.Sprintf("%q:%s", m.Name, value))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// refusedAs returns the code of a refusal.
func refusedAs(op *api.Operation) string {
	if op.Service == api.Media || op.Service == api.ArchivedMedia {
		return "NotAuthorizedException"
	}
	return "AccessDeniedException"
}

// permitTest is a server with users who have one policy each.
type permitTest struct {
	*site
	who  *access.Registry
	keys map[string]auth.Credentials // by the policy's document
}

// as returns the key of a user with that policy.
func (p *permitTest) as(document string) auth.Credentials {
	p.t.Helper()
	if key, ok := p.keys[document]; ok {
		return key
	}
	name := fmt.Sprint("p", len(p.keys))
	_, err := p.who.PutPolicy(p.t.Context(), name, "", []byte(document), store.NewDocument)
	must(p.t, err)
	_, pair, err := p.who.CreateUser(p.t.Context(), "u"+name, map[string]string{"team": "red"},
		[]string{name})
	must(p.t, err)
	key := auth.Credentials{AccessKeyID: pair.AccessKeyID, SecretAccessKey: pair.SecretAccessKey}
	p.keys[document] = key
	return key
}

func newPermitTest(t *testing.T, change ...func(*Options)) *permitTest {
	p := &permitTest{keys: map[string]auth.Credentials{}}
	p.site = newSite(t, append(change, func(o *Options) { p.who = o.Access })...)
	return p
}

// callAs makes a call of an operation about a stream. PutMedia ends at once if it is allowed.
func (p *permitTest) callAs(key auth.Credentials, op *api.Operation, name, arn string) answer {
	p.t.Helper()
	signer := p.signer
	signer.Credentials = key
	if op.NewInput != nil {
		body := inputOf(p.t, op, name, arn)
		r := p.request(http.MethodPost, op.Path, body)
		signer.Sign(r, []byte(body))
		if op.Name == "GetMedia" { // whose answer has no end: its head is enough
			res, err := p.client.Do(r)
			must(p.t, err)
			if res.StatusCode == http.StatusOK {
				res.Body.Close()
				return answer{res.StatusCode, res.Header, ""}
			}
			return readAnswer(p.t, res)
		}
		return p.do(r)
	}
	r := p.request(http.MethodPost, op.Path, "")
	r.Body, r.ContentLength = http.NoBody, 0
	r.Header.Set(api.HeaderStreamName, name)
	r.Header.Set("x-amzn-fragment-timecode-type", "ABSOLUTE")
	r.Header.Set("x-amzn-producer-start-timestamp", "1795358519.803")
	signer.SignPutMedia(r)
	return p.do(r)
}

// refuses wants the refusal to be the same whether the named stream exists or not.
func (p *permitTest) refuses(t *testing.T, what string, key auth.Credentials, op *api.Operation,
	stream [2]string, code, message string) {
	t.Helper()
	for _, name := range []string{stream[0], "nobody"} {
		a := p.callAs(key, op, name, strings.Replace(stream[1], stream[0], name, 1))
		if a.status != http.StatusForbidden || a.header.Get("x-amzn-ErrorType") != code ||
			!strings.Contains(a.body, message) {
			t.Errorf("%s, %s: %d %s %s", what, name, a.status, a.header.Get("x-amzn-ErrorType"),
				a.body)
		}
	}
}

func statement(effect, action, resource, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":%q,"Action":%q,`+
		`"Resource":%q%s}]}`, effect, action, resource, condition)
}

// Every operation decides whether its signer may do it to its stream, before it says anything about
// that stream.
func TestEveryOperationIsDecided(t *testing.T) {
	t.Parallel()
	past := time.Now().Add(-time.Second)
	p := newPermitTest(t)
	disabled := p.as(statement("Allow", "*", "*", `{"Bool":{"aws:SecureTransport":"false"}}`))
	must(t, p.who.DisableKey(t.Context(), disabled.AccessKeyID))
	camera, err := p.who.PutCamera(t.Context(), access.CameraInfo{Name: "cam",
		Policies: []string{"administrator"}}, store.NewDocument)
	must(t, err)
	p.who.SetTemporary(oneToken{access.Claims{AccessKeyID: "ASIAEXPIRED", Secret: "s",
		Kind: access.Camera, Name: "cam", Thing: "cam", ThingID: camera.ID,
		Expires: past}, "token"})
	for _, op := range api.Operations() {
		if !op.Served() || op.Service > api.WebRTCStorage {
			continue
		}
		t.Run(op.Name, func(t *testing.T) {
			name := "front-" + op.Name
			stream, err := p.store.CreateStream(t.Context(), store.Stream{Name: name,
				RetentionHours: 1, Tags: map[string]string{"site": "a"}})
			must(t, err)
			arn := p.server.arn(&stream)
			mine := "arn:aws:kinesisvideo:*:*:stream/" + name + "/*"
			listed := op.Name == "ListStreams" // which names no stream
			untagged := listed || op.Name == "CreateStream"
			whole := map[bool]string{true: "*", false: mine}[listed]
			tag := `{"StringEquals":{"aws:ResourceTag/site":"a"}}`
			allows := func(what string, key auth.Credentials) {
				t.Helper()
				a := p.callAs(key, op, name, arn)
				if code := a.header.Get("x-amzn-ErrorType"); a.status == http.StatusForbidden ||
					a.status >= 500 || code == refusedAs(op) {
					t.Errorf("%s is refused: %d %s", what, a.status, a.body)
				}
			}
			refuses := func(what string, key auth.Credentials, code, message string) {
				t.Helper()
				p.refuses(t, what, key, op, [2]string{name, arn}, code, message)
			}
			denied := refusedAs(op)
			// an allowed call may change or delete the stream, so it comes last
			refuses("nothing allowed", p.as(statement("Allow", "s3:*", "*", "")), denied,
				"is not authorized to perform: "+op.Action()+" on resource: ")
			refuses("denied", p.as(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*",`+
				`"Resource":"*"},{"Effect":"Deny","Action":"`+op.Action()+`","Resource":"*"}]}`), denied,
				"with an explicit deny")
			refuses("another stream", p.as(statement("Allow", op.Action(),
				"arn:aws:kinesisvideo:*:*:stream/other/*", "")), denied, "no identity-based policy")
			refuses("wrong address", p.as(statement("Allow", "*", "*",
				`{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`)), denied, "")
			if !untagged {
				refuses("wrong tag", p.as(statement("Allow", "*", "*",
					`{"StringEquals":{"aws:ResourceTag/site":"b"}}`)), denied, "")
			}
			refuses("disabled", disabled, "UnrecognizedClientException", "")
			refuses("expired", auth.Credentials{AccessKeyID: "ASIAEXPIRED", SecretAccessKey: "s",
				SessionToken: "token"}, "ExpiredTokenException", "")
			refuses("wrong token", auth.Credentials{AccessKeyID: "ASIAEXPIRED",
				SecretAccessKey: "s", SessionToken: "another"}, "UnrecognizedClientException", "")
			tampered := p.as(statement("Allow", "*", "*", ""))
			tampered.SecretAccessKey += "x"
			refuses("tampered", tampered, "InvalidSignatureException", "")

			last := []func(){
				func() {
					allows("the operation", p.as(statement("Allow", op.Action(), whole, "")))
				},
				func() { allows("root", p.signer.Credentials) },
			}
			if !untagged {
				last = append([]func(){func() {
					allows("the tag", p.as(statement("Allow", "*", "*", tag)))
				}}, last...)
			}
			for _, try := range last {
				try()
				if op.Name == "DeleteStream" { // once is enough
					_, _ = p.store.CreateStream(t.Context(), stream)
					if s, err := p.store.Stream(t.Context(), name); err == nil {
						arn = p.server.arn(&s)
					}
				}
			}
		})
	}
}

// The tags that a call sets can be used in conditions, and so can the caller's own.
func TestTagsAreConditions(t *testing.T) {
	t.Parallel()
	p := newPermitTest(t)
	policy := func(condition string) auth.Credentials {
		return p.as(statement("Allow", "*", "*", condition))
	}
	for _, c := range []struct {
		condition, body string
		status          int
	}{
		{`{"StringEquals":{"aws:RequestTag/site":"a"}}`, `{"StreamName":"s1","Tags":{"site":"a"}}`, 200},
		{`{"StringEquals":{"aws:RequestTag/site":"a"}}`, `{"StreamName":"s2","Tags":{"site":"b"}}`, 403},
		{`{"StringEquals":{"aws:RequestTag/site":"a"}}`, `{"StreamName":"s3"}`, 403},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["site"]}}`,
			`{"StreamName":"s4","Tags":{"site":"a"}}`, 200},
		{`{"ForAllValues:StringEquals":{"aws:TagKeys":["site"]}}`,
			`{"StreamName":"s5","Tags":{"site":"a","x":"y"}}`, 403},
		{`{"StringEquals":{"aws:RequestTag/site":"${aws:PrincipalTag/team}"}}`,
			`{"StreamName":"s6","Tags":{"site":"red"}}`, 200},
	} {
		p.signer.Credentials = policy(c.condition)
		if a := p.call("/createStream", c.body); a.status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.condition, c.body, a.status, a.body, c.status)
		}
	}
}

// Conditions see only the first bytes of a User-Agent. The header may be long, and so may the
// pattern, if a caller has written it in a session policy.
func TestConditionsOnAUserAgent(t *testing.T) {
	t.Parallel()
	p := newPermitTest(t)
	for condition, status := range map[string]int{"a*": 200, "a*b": 403} {
		p.signer.Credentials = p.as(statement("Allow", "*", "*",
			`{"StringLike":{"aws:UserAgent":"`+condition+`"}}`))
		r := p.request(http.MethodPost, "/listStreams", "{}")
		r.Header.Set("User-Agent", strings.Repeat("a", maxConditionAgent)+"b")
		p.signer.Sign(r, []byte("{}"))
		if a := p.do(r); a.status != status {
			t.Errorf("%s: %d %s", condition, a.status, a.body)
		}
	}
}

// A trusted proxy says who the caller is; nobody else does.
func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		trusted, forwarded, proto string
		address                   string
		secure                    bool
	}{
		{"127.0.0.0/8", "198.51.100.7", "https", "198.51.100.7", true},
		{"127.0.0.0/8", "10.0.0.1, 198.51.100.7", "http", "198.51.100.7", false},
		{"127.0.0.0/8,10.0.0.0/8", "192.0.2.9, 198.51.100.7, 10.0.0.1", "", "198.51.100.7", false},
		{"127.0.0.0/8", "", "", "127.0.0.1", false},
		{"127.0.0.0/8", "nonsense", "", "127.0.0.1", false},
		{"10.0.0.0/8", "198.51.100.7", "https", "127.0.0.1", false},
		{"", "198.51.100.7", "https", "127.0.0.1", false},
		{"127.0.0.0/8", "::ffff:198.51.100.7", "", "198.51.100.7", false},
		{"127.0.0.0/8", "198.51.100.7:51234", "", "198.51.100.7", false},
		{"127.0.0.0/8", "[2001:db8::7]:51234", "", "2001:db8::7", false},
		{"127.0.0.0/8", "203.0.113.1, 198.51.100.7:x", "", "127.0.0.1", false},
		{"127.0.0.0/8", "198.51.100.7", "https http", "198.51.100.7", false}, // the client's first
		{"127.0.0.0/8", "198.51.100.7", "http https", "198.51.100.7", false},
		{"127.0.0.0/8", "198.51.100.7", "https HTTPS", "198.51.100.7", true},
		{"127.0.0.0/8", "198.51.100.7", "https, http", "198.51.100.7", false},
	} {
		s := &Server{}
		for text := range strings.SplitSeq(c.trusted, ",") {
			if text != "" {
				s.proxies = append(s.proxies, netip.MustParsePrefix(text))
			}
		}
		r := &http.Request{RemoteAddr: "127.0.0.1:1234", Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		switch {
		case strings.Contains(c.proto, ","):
			r.Header.Set("X-Forwarded-Proto", c.proto)
		case c.proto != "":
			r.Header["X-Forwarded-Proto"] = strings.Fields(c.proto)
		}
		if got := s.callerOf(r); got.address.String() != c.address || got.secure != c.secure {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// Connections end when their caller may no longer have them: a key is disabled, a policy changes,
// or temporary credentials end.
func TestConnectionsEndWithTheRight(t *testing.T) {
	t.Parallel()
	var log output.Buffer
	p := newPermitTest(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	_, err := p.store.CreateStream(t.Context(), store.Stream{Name: "cam1", RetentionHours: 1})
	must(t, err)
	all := statement("Allow", "kinesisvideo:*", "*", "")
	camera, err := p.who.PutCamera(t.Context(), access.CameraInfo{Name: "cam1",
		Policies: []string{"administrator"}}, store.NewDocument)
	must(t, err)
	for what, take := range map[string]func(key string){
		"disabled": func(key string) { must(t, p.who.DisableKey(t.Context(), key)) },
		"detached": func(string) {
			must(t, p.who.Detach(t.Context(), access.HolderUser, "up1", "p1"))
		},
		"denied": func(string) {
			now, err := p.who.Policy("p2")
			must(t, err)
			_, err = p.who.PutPolicy(t.Context(), "p2", "", []byte(statement("Deny", "*", "*", "")),
				now.Revision)
			must(t, err)
		},
		"expired": func(string) {},
	} {
		switch what {
		case "expired":
			p.who.SetTemporary(oneToken{access.Claims{AccessKeyID: "ASIA1", Secret: "s",
				Kind: access.Camera, Name: "cam1", Thing: "cam1", ThingID: camera.ID,
				Expires: time.Now().Add(2 * time.Second)}, "token"})
			p.signer.Credentials = auth.Credentials{AccessKeyID: "ASIA1", SecretAccessKey: "s",
				SessionToken: "token"}
		default:
			n := map[string]int{"disabled": 0, "detached": 1, "denied": 2}[what]
			for len(p.keys) <= n { // a user for each
				p.signer.Credentials = p.as(strings.Repeat(" ", len(p.keys)) + all)
			}
			p.signer.Credentials = p.as(strings.Repeat(" ", n) + all)
		}
		producer := p.dial("cam1")
		if status, _ := producer.header(); status != http.StatusOK {
			t.Fatalf("%s: PutMedia is answered with %d", what, status)
		}
		r := p.request(http.MethodPost, "/getMedia",
			`{"StreamName":"cam1","StartSelector":{"StartSelectorType":"NOW"}}`)
		p.signer.Sign(r, []byte(`{"StreamName":"cam1","StartSelector":{"StartSelectorType":"NOW"}}`))
		res, err := p.client.Do(r)
		must(t, err)
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: GetMedia is answered with %s", what, res.Status)
		}
		take(p.signer.AccessKeyID)
		if _, err := io.Copy(io.Discard, producer.in); err != nil {
			t.Errorf("%s: PutMedia goes on: %v", what, err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Errorf("%s: GetMedia breaks off: %v", what, err)
		}
	}
	p.stop()
	lines := logLines(&log, "producer ended")
	if len(lines) != 4 {
		t.Errorf("the log tells of the end of %d producers, not 4", len(lines))
	}
	for _, line := range lines {
		if !strings.Contains(line, `reason="no longer authorized"`) {
			t.Errorf("the log has %s", line)
		}
	}
}

// With the option, a session ends when its opener could no longer open it, and no other session
// does.
func TestSessionsCloseWithTheRight(t *testing.T) {
	t.Parallel()
	p := newPermitTest(t, func(o *Options) { o.CloseLostSessions = true })
	stream, err := p.store.CreateStream(t.Context(), store.Stream{Name: "cam1", RetentionHours: 1})
	must(t, err)
	p.as(statement("Allow", "kinesisvideo:Get*StreamingSessionURL", "*", ""))
	p.as(statement("Allow", "kinesisvideo:Get*", "*", ""))
	open := func(id, user string) {
		_, err := p.store.OpenSession(t.Context(), store.Session{ID: strings.Repeat(id, 16),
			Stream: stream.ID, Principal: "arn:aws:iam::000000000000:user/" + user,
			ExpiresMillis: time.Now().Add(time.Hour).UnixMilli()}, 0)
		must(t, err)
	}
	open("a", "up0")
	open("b", "up1")
	open("c", "up1")
	left := func() (ids string) {
		list, err := p.store.ListSessions(t.Context(), store.SessionQuery{})
		must(t, err)
		for i := range list {
			ids += list[i].ID[:1]
		}
		return ids
	}
	must(t, p.who.Detach(t.Context(), access.HolderUser, "up1", "p1"))
	await(t, "open sessions", "a", left)
	must(t, p.who.DeleteUser(t.Context(), "up0"))
	await(t, "open sessions", "", left)
}
