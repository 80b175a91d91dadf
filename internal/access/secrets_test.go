package access

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/store/memory"
)

// What nodes share is sealed with the key that they all have. If two nodes make the first token key
// at once, both end up with the same one. A rotation on one node counts on the other.
func TestSharedSecrets(t *testing.T) {
	st, keyFile := memory.New(time.Now), filepath.Join(t.TempDir(), "access.key")
	open := func() *Secrets {
		s, err := OpenSecrets(t.Context(), st, keyFile, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two := open(), open()
	if _, _, err := one.Secret("keys").Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before there is one: %v", err)
	}
	revision, err := one.Secret("keys").Store([]byte("hush"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Secret("keys").Store([]byte("other"), 0); !errors.Is(err, auth.ErrChanged) {
		t.Fatalf("a second first one: %v", err)
	}
	if data, got, err := two.Secret("keys").Load(); string(data) != "hush" || got != revision ||
		err != nil {
		t.Fatalf("the other has %q, %d, %v", data, got, err)
	}
	list, err := st.ListDocuments(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		if bytes.Contains(d.Data, []byte("hush")) {
			t.Fatalf("%s/%s is not sealed", d.Kind, d.Name)
		}
	}

	made := make(chan *auth.TokenKeys)
	for _, s := range []*Secrets{one, two} {
		go func() {
			keys, err := auth.ShareTokenKeys(s.Secret("tokens"))
			if err != nil {
				t.Error(err)
			}
			made <- keys
		}()
	}
	a, b := <-made, <-made
	claims := auth.Claims{SessionID: "0123456789abcdef", Expires: time.Now().Add(time.Hour)}
	opens := func(keys *auth.TokenKeys, token string) {
		t.Helper()
		if _, err := keys.Open(token); err != nil {
			t.Fatal(err)
		}
	}
	opens(b, a.Seal(claims))
	if _, err := a.Rotate(true); err != nil {
		t.Fatal(err)
	}
	opens(b, a.Seal(claims)) // it looks when a key is unknown
	if _, err := b.Rotate(false); err != nil {
		t.Fatal(err)
	}

	// Without the key nothing opens.
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	_, err = OpenSecrets(t.Context(), st, keyFile, slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrKeyLost) {
		t.Fatalf("without the key: %v", err)
	}
}
