package sts

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/policy"
	"weir/internal/store"
	"weir/internal/store/memory"
)

var issued = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func openRegistry(t testing.TB, st store.Documents, dir string) *access.Registry {
	t.Helper()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(dir, "credentials"))
	if err == nil {
		var r *access.Registry
		if r, err = access.Open(t.Context(), access.Options{Store: st, Keys: keys,
			KeyFile: filepath.Join(dir, "access.key"), Account: "000000000000"}); err == nil {
			return r
		}
	}
	t.Fatal(err)
	return nil
}

func document(t testing.TB, resource string) *policy.Document {
	t.Helper()
	d, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow",` +
		`"Action":"kinesisvideo:*","Resource":"` + resource + `"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func claims(t testing.TB) access.Claims {
	return access.Claims{Kind: access.Role, Name: "viewers", ID: "AROA1", SessionName: "ann",
		Parent: "WEIR1", Policies: []policy.Named{{Name: "session", Document: document(t, "*")}},
		Tags: map[string]string{"site": "north"}, Context: map[string][]string{"a:b": {"c", "d"}},
		Thing: "cam1", ThingID: "T1", Certificate: "0a", Issued: issued,
		Expires: issued.Add(time.Hour)}
}

// What is minted opens unchanged, in every process that has the store, until the second when it
// ends.
func TestTokens(t *testing.T) {
	t.Parallel()
	dir, st := t.TempDir(), memory.New(time.Now)
	m := NewMinter(openRegistry(t, st, dir), 0, nil)
	want := claims(t)
	made, err := m.Mint(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Mint(t.Context(), want)
	if err != nil || again.AccessKeyID == made.AccessKeyID ||
		again.SecretAccessKey == made.SecretAccessKey || again.SessionToken == made.SessionToken {
		t.Errorf("%v, or twice the same", err)
	}
	if len(made.AccessKeyID) != 20 || !strings.HasPrefix(made.AccessKeyID, "ASIA") ||
		len(made.SecretAccessKey) != 40 {
		t.Errorf("%+v", made)
	}
	want.AccessKeyID, want.Secret = made.AccessKeyID, made.SecretAccessKey
	other := NewMinter(openRegistry(t, st, dir), 0, nil) // another process
	for _, m := range []*Minter{m, other} {
		got, err := m.Open(made.SessionToken, issued.Add(time.Hour-time.Nanosecond))
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Policies[0].Document.Text()) != string(want.Policies[0].Document.Text()) {
			t.Errorf("its policy is %s", got.Policies[0].Document.Text())
		}
		got.Policies = want.Policies
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		_, err = m.Open(made.SessionToken, issued.Add(time.Hour))
		refused(t, err, auth.ExpiredToken)
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	var refusal *auth.Error
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// No token opens that was changed, or is from another store.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	m := NewMinter(openRegistry(t, memory.New(time.Now), t.TempDir()), 0, nil)
	other := NewMinter(openRegistry(t, memory.New(time.Now), t.TempDir()), 0, nil)
	made, err := m.Mint(t.Context(), claims(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Mint(t.Context(), claims(t)); err != nil {
		t.Fatal(err)
	}
	_, err = other.Open(made.SessionToken, issued)
	refused(t, err, auth.UnrecognizedClient)
	sealed, err := base64.RawURLEncoding.DecodeString(made.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := append([]byte(nil), sealed...)
		changed[i] ^= 1
		for _, token := range []string{base64.RawURLEncoding.EncodeToString(changed),
			base64.RawURLEncoding.EncodeToString(sealed[:i])} {
			_, err := m.Open(token, issued)
			refused(t, err, auth.UnrecognizedClient)
		}
	}
	for _, token := range []string{made.SessionToken + "A", made.SessionToken + "=", " ",
		strings.Repeat("A", api.MaxSessionToken+1)} {
		_, err := m.Open(token, issued)
		refused(t, err, auth.UnrecognizedClient)
	}
}

// Claims that do not fit into a token are refused. The largest session policy of AWS fits, unless
// it is noise.
func TestTokensStayShort(t *testing.T) {
	t.Parallel()
	m := NewMinter(openRegistry(t, memory.New(time.Now), t.TempDir()), 0, nil)
	c := claims(t)
	c.Policies[0].Document = document(t, strings.Repeat("arn:aws:kinesisvideo:*:*:stream/a", 60))
	if made, err := m.Mint(t.Context(), c); err != nil ||
		len(made.SessionToken) > api.MaxSessionToken {
		t.Errorf("%d characters, %v", len(made.SessionToken), err)
	}
	c.Tags = map[string]string{}
	for i := range 50 {
		c.Tags[fmt.Sprint(i)] = auth.RandomText(64, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop")
	}
	if _, err := m.Mint(t.Context(), c); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v", err)
	}
}

// What compresses into a token but is more than Open reads is refused by Mint, not later.
func TestClaimsThatCompressWell(t *testing.T) {
	t.Parallel()
	m := NewMinter(openRegistry(t, memory.New(time.Now), t.TempDir()), 0, nil)
	c := claims(t)
	large := c.Policies[0]
	large.Document = document(t, "arn:aws:kinesisvideo:*:*:stream/"+strings.Repeat("a", 5900))
	for len(c.Policies)*5900 <= maxClaims {
		c.Policies = append(c.Policies, large)
	}
	if made, err := m.Mint(t.Context(), c); !errors.Is(err, ErrTooLong) {
		_, opened := m.Open(made.SessionToken, issued)
		t.Errorf("it is minted (%v) and then %v", err, opened)
	}
}

// Any token is refused, or was minted.
func FuzzTokens(f *testing.F) {
	m := NewMinter(openRegistry(f, memory.New(time.Now), f.TempDir()), 0, nil)
	made, err := m.Mint(f.Context(), claims(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made.SessionToken)
	f.Add("AQAAAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := m.Open(token, issued); err == nil && token != made.SessionToken {
			t.Errorf("%q opens", token)
		}
	})
}
