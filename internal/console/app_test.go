package console

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

// maxScripts bounds the JavaScript of the console without hls.js, compressed.
const maxScripts = 350 << 10

func getApp(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	if !HasApp() {
		t.Skip("the console is not embedded; `make build` does that")
	}
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	App("eu-west-1", `0000"00000000`).ServeHTTP(w, r)
	return w
}

// The page names only files that are there, runs no script of its own, and is told where it is.
func TestConsoleLoadsOnlyItsOwnFiles(t *testing.T) {
	w := getApp(t, "/")
	page := w.Body.String()
	if w.Code != http.StatusOK || !strings.Contains(page, `content="eu-west-1"`) ||
		!strings.Contains(page, `content="0000&#34;00000000"`) {
		t.Fatalf("status %d, page %s", w.Code, page)
	}
	if csp := w.Header().Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") ||
		!strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "http") {
		t.Errorf("policy %q", csp)
	}
	if regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\son\w+=|\sstyle=`).MatchString(page) {
		t.Errorf("the page has scripts or styles of its own: %s", page)
	}
	references := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(references) < 3 {
		t.Fatalf("the page refers to %v", references)
	}
	for _, ref := range references {
		file := getApp(t, "/"+ref[1])
		if file.Code != http.StatusOK || file.Header().Get("Content-Type") == "" ||
			!strings.Contains(file.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: status %d, %v", ref[1], file.Code, file.Header())
		}
	}
}

func TestConsoleFilesAreCompressedForWhoTakesThem(t *testing.T) {
	script := regexp.MustCompile(`script src="([^"]+)"`).FindStringSubmatch(
		getApp(t, "/").Body.String())[1]
	plain := getApp(t, "/"+script)
	packed := getApp(t, "/"+script, "Accept-Encoding", "gzip, br")
	if got := packed.Header().Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("encoding %q", got)
	}
	r, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(r); err != nil || !bytes.Equal(data, plain.Body.Bytes()) {
		t.Errorf("%d bytes unpacked, %d plain: %v", len(data), plain.Body.Len(), err)
	}
	for _, accept := range []string{"gzip;q=0", "br, gzip; q=0.0", "x-gzipped"} {
		w := getApp(t, "/"+script, "Accept-Encoding", accept)
		if w.Header().Get("Content-Encoding") != "" ||
			!bytes.Equal(w.Body.Bytes(), plain.Body.Bytes()) {
			t.Errorf("%q: encoding %q", accept, w.Header().Get("Content-Encoding"))
		}
	}
}

func TestConsoleStaysSmall(t *testing.T) {
	getApp(t, "/") // skips without the console
	files, err := distFiles.ReadDir(strings.TrimSuffix(appDir, "/"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts int64
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".js.gz") || strings.HasPrefix(file.Name(), "hls") {
			continue
		}
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		scripts += info.Size()
	}
	if t.Logf("%d bytes", scripts); scripts > maxScripts || scripts == 0 {
		t.Errorf("scripts have %d bytes compressed, want at most %d", scripts, maxScripts)
	}
}

func TestConsoleServesNothingElse(t *testing.T) {
	for _, name := range []string{"/console/", "/console/index.html", "/console/nothing.js",
		"/console/hls.min.js", "/console/main.tsx", "/console/../console.go"} {
		if w := getApp(t, path.Clean(name)); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
}
