package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
	"weir/internal/audit"
	"weir/internal/media"
	"weir/internal/status"
	"weir/internal/store"
	"weir/internal/store/memory"
	"weir/test/output"
)

// What a stream holds is reported for those that the caller may ask about, and for no others.
func TestStatusOfStreams(t *testing.T) {
	t.Parallel()
	st, _ := openStore(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := newSiteOver(t, st, listener)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1,"Tags":{"site":"north"}}`)
	s.ok("/createStream", `{"StreamName":"cam2","DataRetentionInHours":1}`)
	s.record()
	const all = `{"StreamNames":["cam1","cam2","cam3"]}`
	list := s.ok("/weir/getStreamStatus", all)["StreamStatusList"].([]any)
	if len(list) != 2 {
		t.Fatalf("%d streams: %v", len(list), list)
	}
	one, two := list[0].(map[string]any), list[1].(map[string]any)
	if one["State"] != api.StateReceiving || one["StoredBytes"].(float64) < 25*200 ||
		one["BitRate"].(float64) != 25*200*8 || fmt.Sprint(one["Tags"]) != "map[site:north]" ||
		len(one["Tracks"].([]any)) != 1 {
		t.Errorf("cam1: %v", one)
	}
	if two["State"] != api.StateNoData || two["StoredBytes"].(float64) != 0 ||
		two["LastFragmentTime"] != nil {
		t.Errorf("cam2: %v", two)
	}

	s.putPolicy("north", `{"Effect":"Allow","Action":"weir:GetStreamStatus","Resource":"*",
		"Condition":{"StringEquals":{"aws:ResourceTag/site":"north"}}}`)
	north := s.newKey("guard", "north")
	a := s.as(north, "/weir/getStreamStatus", all)
	if a.status != http.StatusOK || strings.Count(a.body, `"StreamName"`) != 1 ||
		!strings.Contains(a.body, `"StreamName":"cam1"`) {
		t.Errorf("the guard of the north sees %d %s", a.status, a.body)
	}
	s.as(north, "/weir/getStreamStatus", `{"StreamNames":["cam2","cam3"]}`).fails(t,
		http.StatusForbidden, refused, "weir:GetStreamStatus")
}

// faulty is a store that fails to find one stream.
type faulty struct {
	engine
	name string
}

func (f *faulty) Stream(ctx context.Context, name string) (store.Stream, error) {
	if name == f.name {
		return store.Stream{}, errors.New("injected")
	}
	return f.engine.Stream(ctx, name)
}

// When the store fails to find a stream, that is a fault of the server and not a missing stream,
// whatever was decided for the names before it.
func TestStatusWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var log output.Buffer
	s := newSiteOver(t, &faulty{inMemory{memory.New(time.Now)}, "lost"}, listener,
		func(o *Options) { o.Logger = logTo(&log) })
	s.putPolicy("status", `{"Effect":"Allow","Action":"weir:GetStreamStatus",
		"Resource":"arn:aws:kinesisvideo:*:*:stream/mine/*"}`)
	key := s.newKey("guard", "status")
	for _, names := range []string{`"lost"`, `"other","lost","mine"`, `"mine","lost"`} {
		s.as(key, "/weir/getStreamStatus", `{"StreamNames":[`+names+`]}`).fails(t,
			http.StatusInternalServerError, "InternalFailure", "")
	}
	if strings.Contains(log.String(), "panic") {
		t.Error(log.String())
	}
}

// Tags that a camera sent with a fragment are listed for those who may see them, such as viewers; a
// policy can leave that out.
func TestTagsOfFragments(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	start := time.Now().Add(-time.Minute).UnixMilli()
	p, c := s.dial("cam1"), newCamera(t)
	p.started()
	c.cluster(start, 25, 200)
	must(t, c.w.WriteTags([]media.Tag{{Name: "motion", Value: "porch"}}))
	c.cluster(start+1000, 25, 200)
	p.send(c.endOfFragment().take())
	p.until(fmt.Sprintf("PERSISTED %d", start+1000))
	p.end()
	body := fmt.Sprintf(`{"StreamName":"cam1","FragmentSelector":{"FragmentSelectorType":
		"PRODUCER_TIMESTAMP","TimestampRange":{"StartTimestamp":%d,"EndTimestamp":%d}}}`,
		start/1000-1, start/1000+10)
	a := s.as(s.newKey("guard", "viewer"), "/weir/listFragmentTags", body)
	if a.status != http.StatusOK || strings.Count(a.body, "FragmentNumber") != 1 ||
		!strings.Contains(a.body, `"Tags":[{"Name":"motion","Value":"porch"}]`) ||
		!strings.Contains(a.body, `"NextToken":null`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.as(s.newKey("porch", "producer"), "/weir/listFragmentTags", body).fails(t,
		http.StatusForbidden, refused, "weir:ListFragmentTags")
}

func TestStatusOfTheServer(t *testing.T) {
	t.Parallel()
	began := time.Now()
	s := newSite(t, func(o *Options) {
		gathered, _ := o.Registerer.(*prometheus.Registry)
		o.Status = status.NewSampler("1.2.3", gathered, began)
	})
	out := s.ok("/weir/getServerStatus", `{}`)
	if out["Version"] != "1.2.3" || out["CertificateEndTime"] != nil ||
		out["StartTime"].(float64) < float64(began.Unix()) {
		t.Errorf("%v", out)
	}
	s.as(s.newKey("guard", "viewer"), "/weir/getServerStatus", `{}`).fails(t,
		http.StatusForbidden, refused, "weir:GetServerStatus")
}

// The answers are those of the calls themselves, including tags of streams.
func TestPermissions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	arns := map[string]string{}
	for name, site := range map[string]string{"cam1": "north", "cam2": "south"} {
		arns[name] = s.ok("/createStream", fmt.Sprintf(`{"StreamName":%q,"Tags":{"site":%q}}`, name,
			site))["StreamARN"].(string)
	}
	s.putPolicy("north", `{"Effect":"Allow","Action":"kinesisvideo:DeleteStream","Resource":"*",
		"Condition":{"StringEquals":{"aws:ResourceTag/site":"north"}}}`)
	guard := s.newKey("guard", "north")
	question := func(action, resource string) string {
		return fmt.Sprintf(`{"ActionName":%q,"ResourceARN":%q}`, action, resource)
	}
	body := `{"Questions":[` + strings.Join([]string{
		question("kinesisvideo:DeleteStream", arns["cam1"]),
		question("kinesisvideo:DeleteStream", arns["cam2"]),
		question("weir:ListKeys", "*")}, ",") + `]}`
	a := s.as(guard, "/weir/getPermissions", body)
	var out api.GetPermissionsOutput
	must(t, json.Unmarshal([]byte(a.body), &out))
	var got []string
	for _, p := range out.Permissions {
		got = append(got, p.Decision)
	}
	if strings.Join(got, " ") != "allowed denied denied" {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.putPolicy("blind", `{"Effect":"Deny","Action":"weir:GetPermissions","Resource":"*"}`)
	s.as(s.newKey("blind", "blind"), "/weir/getPermissions", body).fails(t, http.StatusForbidden,
		refused, "weir:GetPermissions")
}

// A code returns the credentials that it was made for, once, to whoever has it; nothing else does.
func TestSignInCodes(t *testing.T) {
	t.Parallel()
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	s := newSTSSite(t, func(o *Options) { o.Audit = log })
	guard := s.newKey("guard", "viewer")
	made := s.form(guard, "Action=GetSessionToken").sts(t).Session.Credentials
	body := fmt.Sprintf(`{"AccessKeyId":%q,"SecretAccessKey":%q,"SessionToken":%q,"Expiration":%q}`,
		made.AccessKeyId, made.SecretAccessKey, made.SessionToken, made.Expiration)
	var code api.CreateSignInCodeOutput
	a := s.as(guard, "/weir/createSignInCode", body)
	must(t, json.Unmarshal([]byte(a.body), &code))
	if wait := time.Until(code.ExpirationTime.Time()); wait <= 0 || wait > time.Minute {
		t.Errorf("the code waits for %s", wait)
	}
	take := func(code string) answer {
		return s.do(s.request(http.MethodPost, "/console/sign-in", code))
	}
	const gone, invalid = "ResourceNotFoundException", "InvalidArgumentException"
	take(code.Code[1:]).fails(t, http.StatusNotFound, gone, "has been used")
	take(strings.Repeat("a", 65)).fails(t, http.StatusBadRequest, invalid, "")
	a = take(code.Code)
	var got minted
	must(t, json.Unmarshal([]byte(a.body), &got))
	if a.status != http.StatusOK || got != made ||
		a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	take(code.Code).fails(t, http.StatusNotFound, gone, "has been used")
	if a := s.as(got.key(), "/listStreams", `{}`); a.status != http.StatusOK {
		t.Errorf("what the code opened is refused: %d %s", a.status, a.body)
	}

	// The audit log says who made the code and which key it returned, and little about strangers.
	events := auditEventsOf(t, log, audit.Filter{Action: "weir:SignIn"}, 3)
	lines := make([]string, 0, len(events))
	for _, e := range events {
		lines = append(lines,
			fmt.Sprint(e.Principal, " ", e.AccessKey, " ", e.Allowed, " ", e.Outcome))
	}
	slices.Sort(lines)
	if want := []string{"  false " + invalid, "  false " + gone,
		"arn:aws:iam::000000000000:user/guard " + made.AccessKeyId + " true ok"}; !slices.Equal(
		lines, want) {
		t.Errorf("audit log %q, want %q", lines, want)
	}
}
