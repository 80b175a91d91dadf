package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newTokens(t testing.TB) *TokenKeys {
	t.Helper()
	k, err := LoadOrCreateTokenKeys(filepath.Join(t.TempDir(), "token-keys"))
	if err != nil {
		t.Fatal(err)
	}
	k.Clock = func() time.Time { return testTime }
	return k
}

func TestTokenRoundTrip(t *testing.T) {
	k := newTokens(t)
	want := Claims{SessionID: "0123456789abcde\xff", Expires: testTime.Add(time.Hour)}
	token := k.Seal(want)
	if len(token) != tokenLength || !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(token) {
		t.Errorf("the token is %q", token)
	}
	if got, err := k.Open(token); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if k.Seal(want) == token {
		t.Error("two tokens of one session are equal: the nonce was used twice")
	}
}

func TestTokenExpiry(t *testing.T) {
	k := newTokens(t)
	want := Claims{SessionID: "0123456789abcdef", Expires: testTime}
	token := k.Seal(want)
	for before, good := range map[time.Duration]bool{time.Nanosecond: true, 0: false,
		-time.Hour: false} {
		k.Clock = func() time.Time { return testTime.Add(-before) }
		got, err := k.Open(token)
		if got != want || good && err != nil || !good && !errors.Is(err, ErrTokenExpired) {
			t.Errorf("%v before the expiry: %+v, %v", before, got, err)
		}
	}
}

func TestTokenTampering(t *testing.T) {
	k := newTokens(t)
	token := k.Seal(Claims{SessionID: "0123456789abcdef", Expires: testTime.Add(-time.Hour)})
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			changed := append([]byte(nil), raw...)
			changed[i] ^= 1 << bit
			// Expired and damaged counts as damaged: the expiry of a forgery means nothing.
			if c, err := k.Open(base64.RawURLEncoding.EncodeToString(changed)); !errors.Is(err,
				ErrTokenInvalid) || c != (Claims{}) {
				t.Fatalf("byte %d bit %d: %+v, %v", i, bit, c, err)
			}
		}
	}
	for _, bad := range []string{"", "x", token[:67], token + "A", token + "~", token[:67] + "=",
		token[:40] + "\n" + token[41:], strings.Repeat("~", 68),
		newTokens(t).Seal(Claims{SessionID: "0123456789abcdef"})} {
		if _, err := k.Open(bad); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// vectors returns the fields of each line of a file in testdata, without comments. It wants so many
// lines.
func vectors(t *testing.T, name string, want int) (lines [][]string) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); f[0] != "#" {
			lines = append(lines, f)
		}
	}
	if len(lines) != want {
		t.Errorf("%d vectors, want %d", len(lines), want)
	}
	return lines
}

// testdata/tokens.txt pins the format: a token that is in use must open in the next release.
func TestTokenVectors(t *testing.T) {
	for _, f := range vectors(t, "tokens", 3) {
		keys, err := parseTokenKeys(f[0] + " 2026-01-01T00:00:00Z " + f[1])
		if err != nil {
			t.Fatal(err)
		}
		nonce, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		session, err := hex.DecodeString(f[3])
		if err != nil {
			t.Fatal(err)
		}
		expires, err := strconv.ParseInt(f[4], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want := Claims{SessionID: string(session), Expires: time.Unix(expires, 0).UTC()}
		if got := keys[0].seal(tokenVersion, [nonceSize]byte(nonce), session,
			want.Expires); got != f[5] {
			t.Errorf("sealed %s, want %s", got, f[5])
		}
		k := &TokenKeys{keys: keys, Clock: func() time.Time { return time.Unix(expires-1, 0) }}
		if got, err := k.Open(f[5]); err != nil || got != want {
			t.Errorf("opened %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestTokenKeyFileErrors(t *testing.T) {
	key := strings.Repeat("ab", 32)
	for text, want := range map[string]string{
		"":                                "0 keys",
		"01 2026-01-01T00:00:00Z":         "2 fields",
		"1 2026-01-01T00:00:00Z " + key:   "key id",
		"01 today " + key:                 "line 1",
		"# c\n01 2026-01-01T00:00:00Z ab": "line 2: the key is not 64",
		strings.Repeat("01 2026-01-01T00:00:00Z "+key+"\n", 2): "twice",
		"01 2026-01-01T00:00:00Z " + strings.Repeat("zz", 32):  "not 64",
	} {
		if _, err := parseTokenKeys(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}

func FuzzTokenOpen(f *testing.F) {
	k := newTokens(f)
	good := k.Seal(Claims{SessionID: "0123456789abcdef", Expires: testTime.Add(time.Hour)})
	link, err := k.SealLink([]byte("a clip"), testTime.Add(time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(link)
	f.Add("")
	f.Add(strings.Repeat("A", tokenLength))
	f.Add(strings.Repeat("~", tokenLength))
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := k.Open(token); err == nil && token != good {
			t.Fatalf("%q opened: %+v", token, c)
		}
		if data, err := k.OpenLink(token); err == nil && token != link {
			t.Fatalf("%q opened as a link: %x", token, data)
		}
	})
}

// A link's token returns what was sealed until it expires, and is not a session's token.
func TestLinks(t *testing.T) {
	k, now := newTokens(t), testTime
	expires := now.Add(time.Minute)
	for _, n := range []int{0, 1, sessionIDSize, maxLinkData} {
		data := bytes.Repeat([]byte{7}, n)
		token, err := k.SealLink(data, expires)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.OpenLink(token); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
		if _, err := k.Open(token); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("%d bytes opened as a session: %v", n, err)
		}
		for i := range len(token) {
			bad := []byte(token)
			bad[i] ^= 1
			if _, err := k.OpenLink(string(bad)); !errors.Is(err, ErrTokenInvalid) {
				t.Fatalf("%d bytes, character %d changed: %v", n, i, err)
			}
		}
		k.Clock = func() time.Time { return expires }
		if _, err := k.OpenLink(token); !errors.Is(err, ErrTokenExpired) {
			t.Errorf("%d bytes, a minute later: %v", n, err)
		}
		k.Clock = func() time.Time { return now }
	}
	if _, err := k.SealLink(make([]byte, maxLinkData+1), expires); err == nil {
		t.Error("too much was sealed")
	}
	session := k.Seal(Claims{SessionID: strings.Repeat("s", sessionIDSize), Expires: expires})
	for _, bad := range []string{session, "", "AgAA", strings.Repeat("A", 10_000)} {
		if _, err := k.OpenLink(bad); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("%.20q opened as a link: %v", bad, err)
		}
	}
}
