package server

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"weir/internal/api"
	"weir/internal/audit"
	"weir/internal/quota"
)

// unsigned makes a call of the STS API without a signature.
func (s *site) unsigned(fields map[string]string) answer {
	s.t.Helper()
	values := url.Values{"Version": {"2011-06-15"}}
	for name, value := range fields {
		values.Set(name, value)
	}
	r := s.request(http.MethodPost, "/", values.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(r)
}

// webToken signs claims, with times as seconds since 1970.
func webToken(t *testing.T, key ed25519.PrivateKey, claims string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA,
		Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	must(t, err)
	signed, err := signer.Sign([]byte(claims))
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}

// putProvider makes a provider of web identities, and returns the key that signs its tokens.
func (s *site) putProvider() ed25519.PrivateKey {
	s.t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	must(s.t, err)
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public,
		KeyID: "k1"}}})
	must(s.t, err)
	s.ok("/weir/putOpenIDConnectProvider", fmt.Sprintf(`{"Url":"https://id.example.com",`+
		`"ClientIDList":["weir"],"Keys":%q}`, keys))
	return key
}

// An identity that a provider vouches for gets, without a signature, the credentials of roles that
// trust it and whose conditions its claims fulfil. The audit log names it.
func TestWebIdentity(t *testing.T) {
	t.Parallel()
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	s := newSTSSite(t, func(o *Options) { o.Audit = log })
	key := s.putProvider()
	if got := listed(s.ok("/weir/listOpenIDConnectProviders", `{}`), "ProviderInfoList",
		"OpenIDConnectProviderArn"); strings.Join(got, " ") !=
		"arn:aws:iam::000000000000:oidc-provider/id.example.com" {
		t.Errorf("providers %s", got)
	}
	s.ok("/weir/createRole", `{"RoleName":"viewers","Policies":["read-only"],"TrustPolicy":`+
		`"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",`+
		`\"Principal\":{\"Federated\":\"id.example.com\"},`+
		`\"Action\":\"sts:AssumeRoleWithWebIdentity\",\"Condition\":{`+
		`\"StringLike\":{\"id.example.com:sub\":\"team-*\"},`+
		`\"ForAnyValue:StringEquals\":{\"id.example.com:groups\":\"staff\"}}}}"}`)
	claims := func(more string) string {
		return fmt.Sprintf(`{"iss":"https://id.example.com","aud":"weir","exp":%d,%s}`,
			time.Now().Unix()+600, more)
	}
	call := func(token string) answer {
		return s.unsigned(map[string]string{"Action": "AssumeRoleWithWebIdentity",
			"RoleArn": viewersARN, "RoleSessionName": "ann", "WebIdentityToken": token})
	}
	const good = `"sub":"team-1","groups":["staff","x"]`
	got := call(webToken(t, key, claims(good)))
	var answer struct {
		Result struct {
			Credentials                           minted
			AssumedRoleUser                       struct{ Arn string }
			SubjectFromWebIdentityToken, Audience string
			Provider                              string
		} `xml:"AssumeRoleWithWebIdentityResult"`
	}
	must(t, xml.Unmarshal([]byte(got.body), &answer))
	made := answer.Result
	if got.status != 200 || made.SubjectFromWebIdentityToken != "team-1" ||
		made.Audience != "weir" || made.Provider != "https://id.example.com" ||
		made.AssumedRoleUser.Arn != "arn:aws:sts::000000000000:assumed-role/viewers/ann" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if a := s.as(made.Credentials.key(), "/listStreams", `{}`); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	for token, code := range map[string]string{
		webToken(t, key, claims(`"sub":"other","groups":["staff"]`)): "AccessDenied",
		webToken(t, key, claims(`"sub":"team-1"`)):                   "AccessDenied",
		webToken(t, key, claims(`"sub":"team-1","groups":["staff"],"https://aws.amazon.com/tags":`+
			`{"principal_tags":{"site":["a"]}}`)): "AccessDenied", // nobody trusts it with tags
		webToken(t, key, `{"iss":"https://id.example.com","aud":"weir","exp":1,`+good+`}`): string(
			api.ExpiredTokenException),
		webToken(t, key, `{"iss":"https://b.example.com"}`): "InvalidIdentityToken",
		"x": "InvalidIdentityToken",
	} {
		status := 400
		if code == "AccessDenied" {
			status = 403
		}
		call(token).stsFails(t, status, code, "")
	}
	s.unsigned(map[string]string{"Action": "GetCallerIdentity"}).stsFails(t, 403,
		"MissingAuthenticationToken", "")
	long := s.unsigned(map[string]string{"Action": strings.Repeat("a", api.MaxFormBytes)})
	long.stsFails(t, 413, "RequestEntityTooLargeException", "")

	var seen []audit.Event
	for _, e := range auditEvents(t, log, 5) {
		if e.Action == "sts:AssumeRoleWithWebIdentity" && e.Outcome == audit.OK {
			seen = append(seen, e)
		}
	}
	if len(seen) != 1 || !seen[0].Allowed || seen[0].Resource != viewersARN ||
		seen[0].Principal != "arn:aws:iam::000000000000:oidc-provider/id.example.com:weir:team-1" {
		t.Errorf("the audit log has %+v", seen)
	}
	s.ok("/weir/deleteOpenIDConnectProvider", `{"Url":"https://id.example.com"}`)
	call(webToken(t, key, claims(good))).stsFails(t, 400, "InvalidIdentityToken",
		"No OpenIDConnect provider")
}

// Calls of an identity are counted like those of a key, and its refusals do not fill the audit log.
func TestWebIdentityTooOften(t *testing.T) {
	t.Parallel()
	log, err := audit.Open(audit.Options{Path: filepath.Join(t.TempDir(), "audit.jsonl")})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close(context.Background())) })
	now := time.Now()
	s := newSTSSite(t, func(o *Options) {
		o.Audit, o.Clock = log, func() time.Time { return now }
		o.Limits = quota.Limits{PrincipalCalls: 3}
	})
	token := webToken(t, s.putProvider(), fmt.Sprintf(
		`{"iss":"https://id.example.com","aud":"weir","exp":%d,"sub":"ann"}`, now.Unix()+600))
	call := func() answer {
		return s.unsigned(map[string]string{"Action": "AssumeRoleWithWebIdentity",
			"RoleArn": viewersARN, "RoleSessionName": "ann", "WebIdentityToken": token})
	}
	for range 3 * api.RateBurstSeconds {
		call().stsFails(t, 403, "AccessDenied", "")
	}
	call().stsFails(t, 400, "ClientLimitExceededException", "3 calls of one principal")
	s.ok("/listStreams", `{}`)
	var got []string
	for _, e := range auditEvents(t, log, 4) {
		got = append(got, e.Action+" "+e.Outcome)
	}
	const web = "sts:AssumeRoleWithWebIdentity "
	want := []string{"weir:PutOpenIDConnectProvider ok", web + "AccessDenied",
		web + "ClientLimitExceededException", "kinesisvideo:ListStreams ok"}
	if !slices.Equal(got, want) {
		t.Errorf("the audit log has %q, want %q", got, want)
	}
}
