package server

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// CheckAdvertiseURL refuses an advertised URL (Options.AdvertiseURL) to which no path can be
// appended.
func CheckAdvertiseURL(base string) error { return checkBase("advertised URL", base) }

// CheckPlaybackURL refuses an Options.PlaybackURL to which no path can be appended.
func CheckPlaybackURL(base string) error { return checkBase("playback URL", base) }

// CheckCameraURL refuses an Options.CameraURL that cameras could not use: their libraries always
// speak https.
func CheckCameraURL(base string) error {
	if strings.HasPrefix(base, "http://") {
		return fmt.Errorf("camera URL %q must start with https://", base)
	}
	return checkBase("camera URL", base)
}

// CheckNodeURL refuses an address of a node to which no path can be appended.
func CheckNodeURL(base string) error { return checkBase("node URL", base) }

func checkBase(what, base string) error {
	base = strings.TrimRight(base, "/")
	u, err := url.Parse(base)
	switch {
	case base == "":
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%s %q must start with http:// or https:// and a host", what, base)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%s %q must not have a query, a fragment or a user", what, base)
	case u.Path != "" && what == "playback URL":
		return fmt.Errorf("%s %q must not have a path: players are told paths of their own", what,
			base)
	case u.Path != "":
		return fmt.Errorf("%s %q must not have a path: clients sign the paths of the "+
			"API as they send them, and a proxy that takes a prefix away breaks that; give the "+
			"server a host name or a port of its own", what, base)
	}
	return nil
}

// advertisedHosts returns the values of Host that clients of the advertised URL may sign: with its
// port and, like the C and Java producers, without it.
func advertisedHosts(advertise string) []string {
	u, err := url.Parse(advertise)
	if err != nil || u.Host == "" {
		return nil
	}
	return []string{u.Host, strings.TrimSuffix(u.Host, ":"+u.Port())}
}

// validHost matches a Host that is a name or an address, with or without a port (RFC 3986 section
// 3.2.2, but with all names that hosts really have).
var validHost = regexp.MustCompile(`\A(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\z`)

// baseURL is the beginning of the URLs for a client, without a trailing slash.
//
// Producers send a Host without the port of the URL that they were given
// (docs/reference/producers.md, "Requests"), so a missing port is taken from the connection. A
// proxy on another port therefore needs an advertised URL.
//
// A client of the listener for cameras gets URLs that lead there, whatever is advertised: a camera
// may trust only the authority of that listener's certificate.
func (s *Server) baseURL(r *http.Request) string {
	advertise := s.advertise
	if ofCameras(r) {
		advertise = s.camerasBase
	}
	if advertise != "" {
		return advertise
	}
	scheme, usual := "http", "80"
	if r.TLS != nil {
		scheme, usual = "https", "443"
	}
	host := r.Host
	if !validHost.MatchString(host) {
		host = "" // what is not a host must not get into a URL
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil { // no server's request
		return scheme + "://" + host
	}
	_, port, err := net.SplitHostPort(local.String())
	if err != nil || host == "" {
		return scheme + "://" + local.String()
	}
	if u, err := url.Parse("//" + host); err == nil && u.Port() == "" && port != usual {
		host = strings.TrimSuffix(host, ":") + ":" + port
	}
	return scheme + "://" + host
}
