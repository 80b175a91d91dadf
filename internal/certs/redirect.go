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

// Redirect sends GET and HEAD to the same path over https: at base, a URL without final slash, or
// without one at the host that the request named, on a port. Only what may be repeated: a signed
// call that went over the wire in the open should fail, lest nobody notice.
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

// secureBase is "" when the host is none.
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

// HSTS lets answers say over TLS for how long browsers are to use nothing else (RFC 6797); 0 says
// nothing.
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
