package certs

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// redirectHost matches a Host that is a name or an address, with or without a port.
var redirectHost = regexp.MustCompile(
	`\A(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\z`)

// Redirect redirects GET and HEAD requests to the same path over https: below base, a URL without a
// final slash, or, if that is empty, at the host of the request, on a port. It refuses other
// requests: a signed call that was sent in the clear should fail, or nobody would notice.
func Redirect(base, port string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := base
		if to == "" {
			to = secureBase(r.Host, port)
		}
		if to == "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Connection", "close")
			http.Error(w, "https only", http.StatusForbidden)
			return
		}
		w.Header().Set("Cache-Control", "no-store") // the port may change
		http.Redirect(w, r, to+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}

// secureBase returns the base of https URLs at a host, "" if host is not one.
func secureBase(host, port string) string {
	u, err := url.Parse("//" + host)
	if err != nil || !redirectHost.MatchString(host) {
		return ""
	}
	name := u.Hostname()
	switch {
	case port != "443":
		name = net.JoinHostPort(name, port)
	case strings.Contains(name, ":"):
		name = "[" + name + "]"
	}
	return "https://" + name
}

// HSTS adds a header to answers over TLS that makes browsers use only TLS for a time (RFC 6797); 0
// adds none.
func HSTS(d time.Duration, next http.Handler) http.Handler {
	if d <= 0 {
		return next
	}
	value := fmt.Sprintf("max-age=%d", int64(d/time.Second))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil { // over http it would be ignored (section 8.1)
			w.Header().Set("Strict-Transport-Security", value)
		}
		next.ServeHTTP(w, r)
	})
}
