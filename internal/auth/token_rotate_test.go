package auth

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// keyFile writes a token key file and loads it, with a clock that the test sets.
func keyFile(t *testing.T, now *time.Time, lines ...string) (*TokenKeys, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token-keys")
	text := "# written by hand\n\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadKeys(t, path, now), path
}

func loadKeys(t *testing.T, path string, now *time.Time) *TokenKeys {
	t.Helper()
	k, err := LoadTokenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	k.Clock = func() time.Time { return *now }
	return k
}

func rotate(t *testing.T, k *TokenKeys, revoke bool) Rotation {
	t.Helper()
	r, err := k.Rotate(revoke)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// However often the key changes, no token ends early. A key goes as soon as nothing that it sealed
// can be valid, and a server that restarts agrees.
func TestRotationCutsNoToken(t *testing.T) {
	now := testTime
	// The IDs wrap around: ff is followed by 01.
	k, path := keyFile(t, &now, "fa 2026-01-01T00:00:00Z "+strings.Repeat("5a", 32))
	type sealed struct {
		session, link string
		expires       time.Time
	}
	var tokens []sealed
	for i := range 60 {
		c := Claims{SessionID: "0123456789abcdef", Expires: now.Add(maxTokenLife)}
		link, err := k.SealLink([]byte("clip"), c.Expires)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, sealed{k.Seal(c), link, c.Expires})
		now = now.Add(30 * time.Minute)
		rotate(t, k, false)
		for _, keys := range []*TokenKeys{k, loadKeys(t, path, &now)} {
			for j, token := range tokens {
				_, errSession := keys.Open(token.session)
				_, errLink := keys.OpenLink(token.link)
				open := now.Before(token.expires)
				if (errSession == nil) != open || (errLink == nil) != open {
					t.Fatalf("rotation %d, token %d, open %t: %v, %v", i, j, open, errSession,
						errLink)
				}
			}
		}
	}
	// 12 hours and the grace, one key every half an hour, and the one that seals.
	if n := len(k.all()); n > 27 {
		t.Errorf("%d keys are left", n)
	}
	now = now.Add(maxTokenLife + time.Hour)
	if _, err := k.Maintain(0); err != nil || len(k.all()) != 1 {
		t.Errorf("%d keys after all sessions are over, %v", len(k.all()), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// When no ID is free, a new key is refused rather than a session ended.
func TestRotationWithoutEnd(t *testing.T) {
	now := testTime
	k, _ := keyFile(t, &now, "01 2026-01-01T00:00:00Z "+strings.Repeat("5a", 32))
	token := k.Seal(Claims{SessionID: "0123456789abcdef", Expires: now.Add(time.Hour)})
	var err error
	for i := 0; err == nil; i++ {
		if i > 2*maxTokenKeys {
			t.Fatal("there is no end")
		}
		_, err = k.Rotate(false)
	}
	if !errors.Is(err, ErrTokenKeysBusy) {
		t.Error(err)
	}
	if _, err := k.Open(token); err != nil {
		t.Error(err)
	}
	if r := rotate(t, k, true); r.Opening != 0 {
		t.Errorf("%+v", r)
	}
}

func TestRevokingRotation(t *testing.T) {
	now := testTime
	k, _ := keyFile(t, &now, "01 2026-01-01T00:00:00Z "+strings.Repeat("5a", 32))
	c := Claims{SessionID: "0123456789abcdef", Expires: now.Add(time.Hour)}
	before := k.Seal(c)
	if r := rotate(t, k, true); r.ID != 2 || r.Opening != 0 || !r.Created.Equal(now.UTC()) {
		t.Errorf("%+v", r)
	}
	if _, err := k.Open(before); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("an old token: %v", err)
	}
	if _, err := k.Open(k.Seal(c)); err != nil {
		t.Errorf("a new token: %v", err)
	}
}

func TestRotationByAge(t *testing.T) {
	now := testTime
	k, _ := keyFile(t, &now, "01 2026-01-01T00:00:00Z "+strings.Repeat("5a", 32))
	if r, err := k.Maintain(time.Hour); err != nil || r == nil || r.ID != 2 {
		t.Fatalf("an old key stays: %+v, %v", r, err)
	}
	for after, rotated := range map[time.Duration]bool{time.Hour - time.Second: false,
		time.Hour: true} {
		now = k.all()[0].created.Add(after)
		if r, err := k.Maintain(time.Hour); err != nil || (r != nil) != rotated {
			t.Errorf("%v: %+v, %v", after, r, err)
		}
	}
	now = now.AddDate(10, 0, 0)
	if r, err := k.Maintain(0); err != nil || r != nil {
		t.Errorf("a key changed by itself: %+v, %v", r, err)
	}
}

// Processes that share the file, such as a server and its successor, open each other's tokens, and
// neither loses the other's keys.
func TestTokenKeysOfAnotherProcess(t *testing.T) {
	now := testTime
	a, path := keyFile(t, &now, "01 2026-01-01T00:00:00Z "+strings.Repeat("5a", 32))
	b := loadKeys(t, path, &now)
	c := Claims{SessionID: "0123456789abcdef", Expires: now.Add(time.Hour)}
	rotate(t, a, false)
	first := a.Seal(c)
	if _, err := b.Open(first); err != nil {
		t.Errorf("the other process: %v", err)
	}
	rotate(t, b, false)
	rotate(t, a, false)
	if n := len(a.all()); n != 4 {
		t.Errorf("%d keys, want 4", n)
	}
	if _, err := a.Open(b.Seal(c)); err != nil {
		t.Error(err)
	}
	// A file that is gone or damaged changes nothing.
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Maintain(time.Hour); err == nil {
		t.Error("nothing was said of a damaged file")
	}
	if _, err := a.Rotate(false); err == nil {
		t.Error("a damaged file was written over")
	}
	if _, err := a.Open(first); err != nil {
		t.Error(err)
	}
}

// testdata/links.txt pins the format of links, as tokens.txt does that of sessions' tokens.
func TestLinkVectors(t *testing.T) {
	for _, f := range vectors(t, "links", 2) {
		expires, err := strconv.ParseInt(f[4], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(expires-1, 0)
		k, _ := keyFile(t, &now, f[0]+" 2026-01-01T00:00:00Z "+f[1])
		if got, err := k.OpenLink(f[5]); err != nil || hex.EncodeToString(got) != f[3] {
			t.Errorf("opened %x, %v; want %s", got, err, f[3])
		}
		now = now.Add(time.Second)
		if _, err := k.OpenLink(f[5]); !errors.Is(err, ErrTokenExpired) {
			t.Errorf("a second later: %v", err)
		}
	}
}
