package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A server whose volumes are deleted acknowledges nothing more, and says that it is not ready.
func TestVolumesDeletedUnderTheServer(t *testing.T) {
	data := t.TempDir()
	s := serveHere(t, serveCmd{Data: data})
	useServer(t, s.url, data)
	if code, _, errs := command(t, "put-media", "--stream-name", "cam", "--create",
		"demo.mkv"); code != exitOK {
		t.Fatal(errs)
	}
	if err := os.RemoveAll(filepath.Join(data, "volumes")); err != nil {
		t.Fatal(err)
	}
	code, out, _ := command(t, "put-media", "--stream-name", "cam", "--json", "--give-up-after",
		"1ms", "demo.mkv")
	if code != exitError || strings.Contains(out, "PERSISTED") {
		t.Errorf("exit code %d, acknowledged into deleted files:\n%s", code, out)
	}
	get := func(path string) (int, string) {
		t.Helper()
		res, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	refused := regexp.MustCompile(
		`weir_put_media_error_acks_total\{.*"(5001|ARCHIVAL_ERROR)".*\} [1-9]`)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for {
		status, text := get("/readyz")
		_, metrics := get("/metrics")
		if status == http.StatusServiceUnavailable && refused.MatchString(metrics) {
			if !strings.Contains(text, "deleted or replaced") {
				t.Errorf("not ready: %q", text)
			}
			break
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("/readyz answers %d %q\n%s", status, text, s.log)
		}
	}
	if status, _ := get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d", status)
	}
}
