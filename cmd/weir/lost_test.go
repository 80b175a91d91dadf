package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A server whose volumes are deleted acknowledges nothing more, and says that it is not ready.
func TestVolumesDeletedUnderTheServer(t *testing.T) {
	s, data := serveDemo(t)
	if err := os.RemoveAll(filepath.Join(data, "volumes")); err != nil {
		t.Fatal(err)
	}
	code, out, _ := command(t, "put-media", "--stream-name", "cam", "--json", "--give-up-after",
		"1ms", "demo.mkv")
	if code != exitError || strings.Contains(out, "PERSISTED") {
		t.Errorf("exit code %d, acknowledged into deleted files:\n%s", code, out)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for {
		status, text := fetch(t, s.url+"/readyz")
		_, metrics := fetch(t, s.url+"/metrics")
		if status == http.StatusServiceUnavailable && refusedAcks.MatchString(metrics) {
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
	if status, _ := fetch(t, s.url+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d", status)
	}
}
