package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Player().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestPageLoadsOnlyItsOwnFiles(t *testing.T) {
	w := get(t, "/player?url=x")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("status %d, type %q", w.Code, w.Header().Get("Content-Type"))
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp,
		"default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	references := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(
		w.Body.String(), -1)
	if len(references) == 0 {
		t.Fatal("the page refers to nothing")
	}
	for _, ref := range references {
		switch {
		case ref[1] == "data:,":
		case ref[1] == "player/hls.min.js" && !HasPlayer(): // the page says how to get it
		default:
			if got := get(t, "/"+ref[1]); got.Code != http.StatusOK {
				t.Errorf("%s: status %d", ref[1], got.Code)
			}
		}
	}
}

func TestScriptIsServedAsJavaScript(t *testing.T) {
	w := get(t, "/player/player.js")
	if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK ||
		got != "text/javascript; charset=utf-8" {
		t.Errorf("status %d, type %q: a module of another type does not run", w.Code, got)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	for _, path := range []string{"/player/.gitkeep", "/player/console.go", "/player/../console.go",
		"/player/dist", "/player/nothing.js"} {
		if w := get(t, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}
