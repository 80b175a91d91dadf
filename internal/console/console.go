// Package console holds the web pages that Weir serves itself, embedded into the binary: the
// console, which the build makes of web, and the player page, plain HTML and JavaScript that needs
// no build and no credentials. Both use only the public API and load nothing from another host.
package console

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// page holds what is written by hand; dist holds what the build copies in (hls.min.js) or makes of
// web (console), and may be empty but for .gitkeep.
var (
	//go:embed page
	pageFiles embed.FS
	//go:embed all:dist
	distFiles embed.FS
)

// policy lets the page use its own origin and nothing else. hls.js runs its demuxer in a worker
// made from a blob and gives the video element a blob URL.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; " +
	"media-src 'self' blob:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'"

// contentTypes are the types of the embedded files; the system's table is not asked, because it
// differs between systems.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Player returns the handler of the player page. It serves the page at /player and its files at
// /player/NAME. The page plays the HLS URL that stands in its fragment (/player#url=…, which no
// server sees) or in its query (/player?url=…), both percent-encoded; the URL must be of the page's
// own origin.
func Player() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "player.html"
		if base := path.Base(r.URL.Path); !strings.EqualFold(base, "player") {
			name = base
		}
		data, ok := find(name)
		if !ok {
			http.Error(w, "no such file: "+path.Base(name), http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentTypes[path.Ext(name)])
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		w.Write(data) //nolint:errcheck // a client that went away needs no answer
	})
}

// HasPlayer reports whether hls.js is embedded. Without it only browsers that play HLS by
// themselves (Safari) show video.
func HasPlayer() bool {
	_, ok := find("hls.min.js")
	return ok
}

// find returns an embedded file that has a content type, so neither .gitkeep nor anything
// unforeseen is served.
func find(name string) ([]byte, bool) {
	if contentTypes[path.Ext(name)] == "" {
		return nil, false
	}
	for _, files := range []struct {
		fs  fs.FS
		dir string
	}{{pageFiles, "page"}, {distFiles, "dist"}} {
		if data, err := fs.ReadFile(files.fs, path.Join(files.dir, name)); err == nil {
			return data, true
		}
	}
	return nil, false
}
