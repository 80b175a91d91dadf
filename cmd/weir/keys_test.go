package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/auth"
)

// The pair of root is replaced while no server runs, and the old one opens nothing afterwards.
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
