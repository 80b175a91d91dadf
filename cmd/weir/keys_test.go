package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store/local"
)

// Root's pair is replaced while no server runs, and the old one is useless afterwards.
func TestResetRoot(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	reset := func() (code int, out, errs string) {
		return command(t, "keys", "reset-root", "--data", data)
	}
	if code, _, errs := reset(); code != exitError || !strings.Contains(errs, "weir: hint: name") {
		t.Errorf("without a directory: %d\n%s", code, errs)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the directory was made")
	}
	s := serveHere(t, serveCmd{Data: data})
	old, err := os.ReadFile(filepath.Join(data, credentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := reset(); code != exitError ||
		!strings.Contains(errs, "stop the server first") {
		t.Errorf("beside a server: %d\n%s", code, errs)
	}
	s.stop()
	code, out, errs := reset()
	keys, err := auth.LoadKeys(filepath.Join(data, credentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	if key := keys.Default(); code != exitOK || !strings.Contains(out, key.AccessKeyID) ||
		strings.Contains(out+errs, key.SecretAccessKey) {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	s = serveHere(t, serveCmd{Data: data})
	useServer(t, s.url, data)
	if code, _, errs := command(t, "list-streams"); code != exitOK {
		t.Errorf("with the new pair: %d\n%s", code, errs)
	}
	past := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(past, old, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", past)
	if code, _, errs := command(t, "list-streams"); code == exitOK ||
		!strings.Contains(errs, "UnrecognizedClientException") {
		t.Errorf("with the old pair: %d\n%s", code, errs)
	}
}

// Users' keys still sign after the key that seals their secrets was replaced.
func TestRotateAccessKey(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	rotate := func() (code int, out, errs string) {
		return command(t, "keys", "rotate-access-key", "--data", data)
	}
	if code, _, errs := rotate(); code != exitError || !strings.Contains(errs, "weir: hint: name") {
		t.Errorf("without a directory: %d\n%s", code, errs)
	}
	s := serveHere(t, serveCmd{Data: data})
	if code, _, errs := rotate(); code != exitError ||
		!strings.Contains(errs, "stop the server first") {
		t.Errorf("beside a server: %d\n%s", code, errs)
	}
	s.stop()
	pair := createUser(t, data)
	before, err := os.ReadFile(filepath.Join(data, accessKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := rotate(); code != exitOK {
		t.Fatalf("%d\n%s", code, errs)
	}
	if after, err := os.ReadFile(filepath.Join(data, accessKeyFile)); err != nil ||
		string(after) == string(before) {
		t.Errorf("the key is the same: %v", err)
	}
	s = serveHere(t, serveCmd{Data: data})
	useServer(t, s.url, data)
	t.Setenv("AWS_ACCESS_KEY_ID", pair.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", pair.SecretAccessKey)
	if code, _, errs := command(t, "list-streams"); code != exitOK {
		t.Errorf("with the key of a user: %d\n%s", code, errs)
	}

	// Without the key the server says what to do, and starts once that is done.
	s.stop()
	if err := os.Remove(filepath.Join(data, accessKeyFile)); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, "serve", "--data", data, "--listen",
		"127.0.0.1:0"); code != exitError || !strings.Contains(errs, "put it back from a backup") ||
		!strings.Contains(errs, "weir: hint: if it is lost for good: ") {
		t.Errorf("without the key: %d\n%s", code, errs)
	}
	if code, out, errs := command(t, "keys", "rotate-access-key", "--lost", "--data",
		data); code != exitOK || !strings.HasPrefix(out, "Deleted 1 secret;") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	s = serveHere(t, serveCmd{Data: data})
	t.Setenv("AWS_ENDPOINT_URL", s.url)
	if code, _, errs := command(t, "list-streams"); code == exitOK ||
		!strings.Contains(errs, "UnrecognizedClientException") {
		t.Errorf("with a secret that is deleted: %d\n%s", code, errs)
	}
}

// createUser makes an administrator in a directory that no server uses.
func createUser(t *testing.T, data string) (pair access.KeyPair) {
	t.Helper()
	st, err := local.Open(t.Context(), data, local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := auth.LoadKeys(filepath.Join(data, credentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	who, err := access.Open(t.Context(), access.Options{Store: st, Keys: keys,
		KeyFile: filepath.Join(data, accessKeyFile)})
	if err == nil {
		_, pair, err = who.CreateUser(t.Context(), "ann", nil, []string{"administrator"})
	}
	if err = errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	return pair
}
