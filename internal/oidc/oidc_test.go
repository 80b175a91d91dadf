package oidc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/store"
	"weir/internal/store/memory"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// idp is an identity provider with a key.
type idp struct {
	t   testing.TB
	key *ecdsa.PrivateKey
	id  string
}

func newIDP(t testing.TB, id string) *idp {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return &idp{t, key, id}
}

func (p *idp) set() []byte {
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey,
		KeyID: p.id, Algorithm: "ES256", Use: "sig"}}})
	must(p.t, err)
	return data
}

func (p *idp) sign(claims map[string]any) string {
	p.t.Helper()
	return sign(p.t, jose.ES256, jose.JSONWebKey{Key: p.key, KeyID: p.id}, claims)
}

func sign(t testing.TB, by jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: by, Key: key}, nil)
	must(t, err)
	text, err := json.Marshal(claims)
	must(t, err)
	signed, err := signer.Sign(text)
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}

func newRegistry(t testing.TB) *access.Registry {
	t.Helper()
	dir := t.TempDir()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(dir, "credentials"))
	must(t, err)
	r, err := access.Open(t.Context(), access.Options{Store: memory.New(time.Now), Keys: keys,
		KeyFile: filepath.Join(dir, "access.key"), Account: "000000000000"})
	must(t, err)
	return r
}

const issuer = "https://id.example.com"

var now = time.Unix(1_795_000_000, 0)

// claimsOf returns valid claims with some changes; nil removes one.
func claimsOf(changes map[string]any) map[string]any {
	claims := map[string]any{"iss": issuer, "sub": "ann", "aud": []string{"other", "weir"},
		"exp": now.Unix() + 600, "iat": now.Unix(), "groups": []string{"a", "b"},
		"verified": true, "level": 3}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// Tokens of the provider are accepted if issuer, audience, time, algorithm and signature are right,
// and no others are.
func TestVerify(t *testing.T) {
	t.Parallel()
	r, good, evil := newRegistry(t), newIDP(t, "k1"), newIDP(t, "k1")
	_, err := Put(t.Context(), r, Provider{Issuer: issuer, ClientIDs: []string{"weir", "second"},
		Keys: good.set()}, store.NewDocument)
	must(t, err)
	v := NewVerifier(r, Options{Clock: func() time.Time { return now }})
	who, err := v.Verify(t.Context(), good.sign(claimsOf(map[string]any{
		"https://aws.amazon.com/tags": map[string]any{"principal_tags": map[string]any{
			"site": []string{"north"}}, "transitive_tag_keys": []string{"site"}}})))
	must(t, err)
	if who.Subject != "ann" || who.Audience != "weir" || who.Provider.Name != "id.example.com" ||
		strings.Join(who.Claims["groups"], " ") != "a b" || who.Claims["level"] != nil ||
		strings.Join(who.Claims["aud"], " ") != "weir" || who.Claims["verified"][0] != "true" ||
		who.Tags["site"] != "north" || who.Transitive[0] != "site" {
		t.Errorf("%+v", who)
	}
	elsewhere := *good
	elsewhere.id = "k2"
	token := good.sign(claimsOf(nil))
	anew := func(changes map[string]any) string { return good.sign(claimsOf(changes)) }
	with := func(name string, value any) string { return anew(map[string]any{name: value}) }
	for name, c := range map[string]struct {
		token string
		code  api.ErrorCode
	}{
		"slash at the end":       {with("iss", issuer+"/"), ""},
		"late within the leeway": {with("exp", now.Unix()-29), ""},
		"expired":                {with("exp", now.Unix()-30), Expired},
		"no end":                 {with("exp", nil), InvalidToken},
		"early":                  {with("nbf", now.Unix()+31), InvalidToken},
		"made in the future":     {with("iat", now.Unix()+31), InvalidToken},
		"a text for a time":      {with("exp", "soon"), InvalidToken},
		"one audience":           {with("aud", "second"), ""},
		"wrong audience":         {with("aud", "other"), InvalidToken},
		"no audience":            {with("aud", nil), InvalidToken},
		"no subject":             {with("sub", nil), InvalidToken},
		"long subject":           {with("sub", strings.Repeat("a", 256)), InvalidToken},
		"another issuer":         {with("iss", "https://evil.example.com"), InvalidToken},
		"issuer over http":       {with("iss", "http://id.example.com"), InvalidToken},
		"another's key":          {evil.sign(claimsOf(nil)), InvalidToken},
		"unknown key":            {elsewhere.sign(claimsOf(nil)), InvalidToken},
		"changed claims": {token[:strings.Index(token, ".")] +
			evil.sign(claimsOf(map[string]any{"sub": "root"}))[strings.Index(token, "."):],
			InvalidToken},
		"the public key as a secret": {sign(t, jose.HS256, good.set(), claimsOf(nil)),
			InvalidToken},
		"no algorithm": {"eyJhbGciOiJub25lIn0" + token[strings.Index(token, "."):strings.
			LastIndex(token, ".")+1], InvalidToken},
		"another subject": {with("Sub", "root"), InvalidToken},
		"second issuer":   {with("ISS", "https://evil.example.com"), InvalidToken},
		"other audience":  {anew(map[string]any{"aud": nil, "Aud": "weir"}), InvalidToken},
		"capital subject": {anew(map[string]any{"sub": nil, "SUB": "ann"}), InvalidToken},
		"another group":   {with("Groups", "admins"), InvalidToken},
		"capitals":        {with("LEVEL2", "a"), ""},
		"long":            {with("pad", strings.Repeat("a", 20_000)), InvalidToken},
		"empty":           {"", InvalidToken},
	} {
		_, err := v.Verify(t.Context(), c.token)
		var refused *Error
		if errors.As(err, &refused); c.code == "" && err != nil ||
			c.code != "" && (refused == nil || refused.Code != c.code) {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	must(t, Delete(t.Context(), r, "id.example.com", store.AnyRevision))
	if _, err := v.Verify(t.Context(), token); err == nil {
		t.Error("a deleted provider is believed")
	}
}

// Keys are fetched once, and again for an unknown key, but not for each one. While the provider is
// away, old keys are good enough.
func TestKeysAreFetched(t *testing.T) {
	t.Parallel()
	r, old, next := newRegistry(t), newIDP(t, "k1"), newIDP(t, "k2")
	var calls atomic.Int64
	var answer atomic.Pointer[[]byte]
	keys := old.set()
	answer.Store(&keys)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		calls.Add(1)
		switch data := answer.Load(); {
		case data == nil:
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": "https://" + r.Host,
				"jwks_uri": "https://" + r.Host + "/keys"})
		default:
			_, _ = w.Write(*data)
		}
	}))
	defer server.Close()
	_, err := Put(t.Context(), r, Provider{Issuer: server.URL, ClientIDs: []string{"weir"}},
		store.NewDocument)
	must(t, err)
	at := now
	client := server.Client()
	client.CheckRedirect = noRedirect
	var log bytes.Buffer
	v := NewVerifier(r, Options{Clock: func() time.Time { return at }, Client: client,
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	verify := func(p *idp, code api.ErrorCode, fetches int64) {
		t.Helper()
		_, err := v.Verify(t.Context(), p.sign(claimsOf(map[string]any{"iss": server.URL,
			"exp": now.Unix() + 1e6})))
		var refused *Error
		if errors.As(err, &refused); code == "" && err != nil ||
			code != "" && (refused == nil || refused.Code != code) || calls.Load() != fetches {
			t.Fatalf("%v after %d fetches, want %q after %d", err, calls.Load(), code, fetches)
		}
	}
	verify(old, "", 2)
	verify(old, "", 2)
	verify(next, InvalidToken, 2) // fetched a moment ago
	keys2 := next.set()
	answer.Store(&keys2)
	at = at.Add(fetchAgain)
	verify(next, "", 4)
	verify(old, InvalidToken, 4)
	answer.Store(nil)
	at = at.Add(fetchAge)
	verify(next, "", 5) // with the old ones
	verify(old, Communication, 5)
	at = at.Add(keepKeys)
	verify(next, Communication, 6)
	verify(next, Communication, 6)
	if n := strings.Count(log.String(), "cannot be fetched"); n != 2 {
		t.Errorf("%d lines of two tries that failed: %s", n, log.String())
	}
}

// Weir fetches only from where it is told to.
func TestKeysOnAnotherHost(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/moved/.well-known/openid-configuration") {
			http.Redirect(w, r, "https://inside.example/", http.StatusFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": "https://" + r.Host,
			"jwks_uri": "https://inside.example/keys"})
	}))
	defer server.Close()
	client := server.Client()
	client.CheckRedirect = noRedirect
	v := NewVerifier(r, Options{Client: client})
	for _, at := range []string{server.URL, server.URL + "/moved"} {
		_, err := Put(t.Context(), r, Provider{Issuer: at, ClientIDs: []string{"weir"}},
			store.NewDocument)
		must(t, err)
		_, err = v.Verify(t.Context(), newIDP(t, "k1").sign(claimsOf(map[string]any{"iss": at})))
		var refused *Error
		if !errors.As(err, &refused) || refused.Code != Communication {
			t.Errorf("%s: %v", at, err)
		}
	}
	for name, p := range map[string]Provider{
		"http":     {Issuer: "http://id.example.com", ClientIDs: []string{"a"}},
		"query":    {Issuer: issuer + "?a", ClientIDs: []string{"a"}},
		"nobody":   {Issuer: issuer},
		"aws":      {Issuer: "https://AWS/", ClientIDs: []string{"a"}},
		"iot":      {Issuer: "https://credentials-iot", ClientIDs: []string{"a"}},
		"keys":     {Issuer: issuer, ClientIDs: []string{"a"}, Keys: []byte(`{"keys":[]}`)},
		"keys url": {Issuer: issuer, ClientIDs: []string{"a"}, KeysURL: "http://10.0.0.1/"},
		"file":     {Issuer: issuer, ClientIDs: []string{"a"}, KeysURL: "file:///etc/passwd"},
	} {
		if _, err := Put(t.Context(), r, p, store.AnyRevision); !errors.Is(err,
			access.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A provider that is written again keeps the time of its creation, even if there are already as
// many as are allowed.
func TestProvidersAreWrittenAgain(t *testing.T) {
	t.Parallel()
	r, began := newRegistry(t), time.Now().Truncate(time.Millisecond)
	put := func(at string) (Provider, error) {
		return Put(t.Context(), r, Provider{Issuer: at, ClientIDs: []string{"weir"}},
			store.AnyRevision)
	}
	first, err := put(issuer)
	must(t, err)
	for i := range api.MaxProviders - 1 {
		_, err := put(fmt.Sprintf("https://%d.example.com", i))
		must(t, err)
	}
	if _, err := put("https://more.example.com"); !errors.Is(err, access.ErrLimit) {
		t.Errorf("one too many: %v", err)
	}
	again, err := put(issuer)
	if err != nil || !again.Created.Equal(first.Created) || first.Created.Before(began) ||
		first.Created.After(time.Now()) {
		t.Errorf("created %s, then %s, %v", first.Created, again.Created, err)
	}
}

// Any token or key set is refused, or is right.
func FuzzToken(f *testing.F) {
	r, good := newRegistry(f), newIDP(f, "k1")
	_, err := Put(f.Context(), r, Provider{Issuer: issuer, ClientIDs: []string{"weir"},
		Keys: good.set()}, store.NewDocument)
	must(f, err)
	v := NewVerifier(r, Options{Clock: func() time.Time { return now }})
	token := good.sign(claimsOf(nil))
	f.Add(token, good.set(), []byte(`{"sub":"a","aud":["weir"],"exp":1e308}`))
	f.Add("a.b.c", []byte(`{"keys":[{"kty":"oct","k":"aa"}]}`), []byte(`{"aud":null}`))
	f.Fuzz(func(t *testing.T, text string, set, claims []byte) {
		if _, err := v.Verify(t.Context(), text); err == nil && strings.Split(text,
			".")[1] != strings.Split(token, ".")[1] {
			t.Errorf("%q is believed", text)
		}
		if keys, err := parseKeys(set); err == nil && len(keys) == 0 {
			t.Error("no key in a set that is right")
		}
		if who, err := identify(Provider{ClientIDs: []string{"weir"}}, claims, now); err == nil &&
			(who.Subject == "" || who.Audience != "weir") {
			t.Errorf("%s is %+v", claims, who)
		}
	})
}
