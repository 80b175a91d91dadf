package sts

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store"
	"weir/internal/store/memory"
)

// A key that no longer seals opens, in every process, what it sealed until that expires; after a
// revocation it opens nothing.
func TestRotation(t *testing.T) {
	t.Parallel()
	now := issued
	clock := func() time.Time { return now }
	dir, st := t.TempDir(), memory.New(time.Now)
	m := NewMinter(openRegistry(t, st, dir), 24*time.Hour, clock)
	registry := openRegistry(t, st, dir)
	go registry.Run(t.Context())
	other := NewMinter(registry, 0, clock)
	mint := func() string {
		t.Helper()
		c, err := m.Mint(t.Context(), claims(t))
		if err != nil {
			t.Fatal(err)
		}
		return c.SessionToken
	}
	opens := func(m *Minter, token string) bool {
		_, err := m.Open(token, issued)
		return err == nil
	}
	awaitOpens := func(token string) { // the other process is told
		t.Helper()
		for !opens(other, token) {
			select {
			case <-registry.Changed():
			case <-time.After(10 * time.Second):
				t.Fatal("another process does not open it")
			}
		}
	}
	first := mint()
	if again := mint(); again[:6] != first[:6] {
		t.Error("a young key was rotated")
	}
	if err := m.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	second := mint()
	if second[:6] == first[:6] || !opens(m, first) || !opens(m, second) {
		t.Error("not rotated, or not both open")
	}
	awaitOpens(second)

	now = now.Add(24 * time.Hour) // by age
	third := mint()
	if third[:6] == second[:6] || !opens(m, first) {
		t.Error("an old key seals, or one before it is gone too early")
	}
	now = now.Add(24 * time.Hour) // what the first one sealed had expired after 36 hours
	if mint(); opens(m, first) || !opens(m, second) {
		t.Error("a key that nobody needs is kept, or another one is not")
	}

	var err error
	for range maxSealingKeys {
		err = errors.Join(err, m.Rotate(t.Context(), false))
	}
	if !errors.Is(err, auth.ErrTokenKeysBusy) {
		t.Errorf("so many rotations end with %v", err)
	}
	last := mint()
	awaitOpens(last)
	if err := m.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if opens(m, last) || !opens(m, mint()) {
		t.Error("revoked, and it opens; or what is new does not")
	}
	awaitOpens(mint())
	if opens(other, last) {
		t.Error("another process opens what was revoked")
	}
}

// What is revoked stays revoked, whatever was opened at the moment of the revocation.
func TestRevocationBesideCalls(t *testing.T) {
	t.Parallel()
	r := openRegistry(t, memory.New(time.Now), t.TempDir())
	m := NewMinter(r, 0, nil)
	r.SetTemporary(m)
	camera, err := r.PutCamera(t.Context(), access.CameraInfo{Name: "cam1"}, store.NewDocument)
	if err != nil {
		t.Fatal(err)
	}
	who := access.Claims{Kind: access.Camera, Name: "cam1", Thing: "cam1", ThingID: camera.ID,
		Certificate: "01", Issued: time.Now(), Expires: time.Now().Add(time.Hour)}
	for range 200 {
		made, err := m.Mint(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		find := func() error {
			_, _, err := r.Find(made.AccessKeyID, made.SessionToken)
			return err
		}
		refused := make(chan struct{})
		go func() {
			defer close(refused)
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && find() == nil; {
			}
		}()
		if err := m.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if find() == nil {
			t.Fatal("found after the revocation")
		}
		<-refused
	}
}

// What a version of Weir has sealed, every later one opens.
func TestTokenVectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		KeyID, Key, Token string
		Claims            access.Claims
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
		t.Fatal(len(vectors), err)
	}
	for _, v := range vectors {
		id, err := hex.DecodeString(v.KeyID)
		if err != nil {
			t.Fatal(err)
		}
		key, err := hex.DecodeString(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := newAEAD(key)
		if err != nil {
			t.Fatal(err)
		}
		m := NewMinter(openRegistry(t, memory.New(time.Now), t.TempDir()), 0, nil)
		m.keys.Store(&sealingKeys{revision: store.NewDocument,
			list: []sealingKey{{id: [keyIDSize]byte(id), aead: aead}}})
		end := v.Claims.Expires
		got, err := m.Open(v.Token, end.Add(-time.Second))
		if err != nil || !reflect.DeepEqual(got, v.Claims) {
			t.Errorf("opened as %+v, %v; want %+v", got, err, v.Claims)
		}
		if _, err := m.Open(v.Token, end); !errors.Is(err, errExpired) {
			t.Errorf("at its end: %v", err)
		}
		if _, err := m.Open(v.Token[:len(v.Token)-1]+"A", issued); !errors.Is(err, errToken) {
			t.Errorf("tampered: %v", err)
		}
	}
}
