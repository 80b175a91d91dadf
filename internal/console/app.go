package console

import (
	"bytes"
	"compress/gzip"
	"html"
	"io"
	"net/http"
	"path"
	"strings"

	"weir/internal/negotiate"
)

// Paths of the console: its page, the directory of its files, and where it exchanges the code of a
// one-time link for credentials.
const (
	AppPage    = "/"
	AppFiles   = "/console/"
	SignInPath = "/console/sign-in"
)

// appDir has the built console, every file of it compressed.
const appDir = "dist/console/"

// appPolicy lets the console use its own origin and nothing else. Pictures are made in it, and
// hls.js gives the video element a blob URL.
const appPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; " +
	"img-src 'self' data: blob:; connect-src 'self'; media-src 'self' blob:; worker-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// HasApp reports whether the console is embedded; a plain go build has none.
func HasApp() bool {
	_, err := distFiles.Open(appDir + "index.html.gz")
	return err == nil
}

// WantsApp reports whether a request is that of a browser for the console's page. Others that ask
// for / do not say that they take HTML.
func WantsApp(r *http.Request) bool {
	return r.URL.Path == AppPage && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get("Accept"), "text/html") && HasApp()
}

// App returns the handler of the console, which serves its page at AppPage and its files below
// AppFiles. The page is told the region of signatures and the account of ARNs.
func App(region, account string) http.Handler {
	facts := strings.NewReplacer("{{region}}", html.EscapeString(region),
		"{{account}}", html.EscapeString(account))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, AppFiles)
		isPage := r.URL.Path == AppPage
		if isPage {
			name = "index.html"
		}
		packed, err := distFiles.ReadFile(appDir + path.Base(name) + ".gz")
		if err != nil || contentTypes[path.Ext(name)] == "" || !isPage && name == "index.html" {
			http.Error(w, "no such file: "+path.Base(name), http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentTypes[path.Ext(name)])
		h.Set("Content-Security-Policy", appPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Vary", "Accept, Accept-Encoding")
		if isPage {
			h.Set("Cache-Control", "no-cache")
			text := facts.Replace(string(unpack(packed)))
			io.WriteString(w, text) //nolint:errcheck // a client that went away needs no answer
			return
		}
		// the name of a file changes with what is in it
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		if negotiate.Gzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
		} else {
			packed = unpack(packed)
		}
		w.Write(packed) //nolint:errcheck // as above
	})
}

// unpack returns what an embedded file was before the build compressed it.
func unpack(packed []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil // the build wrote it
	}
	data, _ := io.ReadAll(r) // as above
	return data
}
