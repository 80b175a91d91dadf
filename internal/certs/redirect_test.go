package certs

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A request over http is redirected to the same path over https. One that may not be repeated, or
// has an invalid Host, is refused.
func TestRedirect(t *testing.T) {
	for _, c := range []struct{ method, path, host, base, port, location string }{
		{"GET", "/player?a=%2F&b", "127.0.0.1", "", "8480",
			"https://127.0.0.1:8480/player?a=%2F&b"},
		{"HEAD", "/hls/v1/x%2Fy", "video.example.com:80", "", "443",
			"https://video.example.com/hls/v1/x%2Fy"},
		{"GET", "//evil.example/", "[2001:db8::1]", "", "8480",
			"https://[2001:db8::1]:8480//evil.example/"},
		{"GET", "/", "[2001:db8::1]:80", "", "443", "https://[2001:db8::1]/"},
		{"GET", "/x", "anything", "https://v.example:8443", "1", "https://v.example:8443/x"},
		{"GET", "/", "user@evil.example", "", "443", ""},
		{"GET", "/", "", "", "443", ""},
		{"POST", "/createStream", "127.0.0.1", "https://v.example", "443", ""},
	} {
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		Redirect(c.base, c.port).ServeHTTP(w, r)
		status := http.StatusPermanentRedirect
		if c.location == "" {
			status = http.StatusForbidden
		}
		if w.Code != status || w.Header().Get("Location") != c.location {
			t.Errorf("%+v: %d, %q", c, w.Code, w.Header().Get("Location"))
		}
	}
}

// Answers have the header only over TLS, and only if so configured.
func TestHSTS(t *testing.T) {
	for address, want := range map[string]string{"https://x/": "max-age=3600", "http://x/": ""} {
		for d, want := range map[time.Duration]string{time.Hour: want, 0: ""} {
			w := httptest.NewRecorder()
			HSTS(d, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", address, nil))
			if got := w.Header().Get("Strict-Transport-Security"); got != want {
				t.Errorf("%s, %v: %q, not %q", address, d, got, want)
			}
		}
	}
}
