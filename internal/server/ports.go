package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
	"weir/internal/cameras"
	"weir/internal/connections"
)

// Names of the listeners, in metrics.
const (
	portMain     = "main"
	portPlayers  = "playback"
	portCameras  = "camera"
	portRedirect = "redirect"
)

var portNames = []string{portMain, portPlayers, portCameras, portRedirect}

// Listeners are where a server accepts connections.
type Listeners struct {
	// Main takes every request, over HTTP/1.1 only: HTTP/2 drops headers that producers sign and
	// may merge acknowledgements (docs/reference/producers.md, "Requests").
	Main net.Listener
	TLS  *tls.Config // nil: without TLS
	// Playback takes only requests with a session token, and those open to anybody; nil: there is
	// none. With TLS it also speaks HTTP/2, which Apple's players need for low latency (RFC 8216bis
	// appendix B.1).
	Playback    net.Listener
	PlaybackTLS *tls.Config // nil: without TLS
	// Cameras takes the calls of cameras with certificates, for their credentials and signed ones,
	// all under the one authority that they trust; nil: there is none. Over HTTP/1.1 only, like
	// Main.
	Cameras    net.Listener
	CamerasTLS *tls.Config // with Cameras
	// Redirect sends requests over http elsewhere; nil: there is none. RedirectHandler answers
	// there.
	Redirect        net.Listener
	RedirectHandler http.Handler // with Redirect
}

// Close closes them.
func (on Listeners) Close() {
	_ = on.Main.Close() // no connection is left that could be told
	for _, l := range []net.Listener{on.Playback, on.Cameras, on.Redirect} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// port is what a server answers on one of its listeners.
type port struct {
	routes   routes
	requests map[int]prometheus.Counter // by the major version of HTTP
}

func newPort(name string, routes routes, requests *prometheus.CounterVec) *port {
	return &port{routes: routes, requests: map[int]prometheus.Counter{
		1: requests.WithLabelValues(name, "HTTP/1.1"),
		2: requests.WithLabelValues(name, "HTTP/2"),
	}}
}

// count counts a request to the port.
func (p *port) count(r *http.Request) {
	if c := p.requests[r.ProtoMajor]; c != nil {
		c.Inc()
	}
}

// forPlayers returns the routes of the listener for players: none that needs a signature; not the
// console, which only makes such calls; not metrics; and not what is for other nodes.
func (rs routes) forPlayers() routes {
	public := maps.Clone(rs)
	maps.DeleteFunc(public, func(_ string, rt *route) bool {
		return rt.needs == signed || rt.operation == opMetrics ||
			rt.operation == opConsole || rt.operation == opSignIn || rt.operation == opRelay
	})
	return public
}

// forCameras returns the routes of the listener for cameras: the credentials endpoint and signed
// calls, so that a camera needs no other address and no other authority. Nobody administrates from
// there.
func (rs routes) forCameras(credentials http.Handler) routes {
	own := maps.Clone(rs)
	maps.DeleteFunc(own, func(_ string, rt *route) bool {
		if op := api.Find(rt.operation); op != nil && op.Service == api.Administration {
			return true
		}
		return rt.needs != signed && rt.operation != opHealth && rt.operation != opReady
	})
	own[cameras.Path] = &route{http.MethodGet, cameras.Path, "GetCameraCredentials", anyone,
		slog.LevelInfo, nil, credentials}
	return own
}

// playersHTTP makes the http.Server of the listener for players.
//
// net/http runs no more handlers for a connection than it may have streams, even if the client
// resets streams, and closes a connection on which four times as many wait (CVE-2023-44487). It
// limits header sections together with their CONTINUATION frames (CVE-2023-45288), and answers to
// SETTINGS and PING that are not read. The rest is set here.
func (s *Server) playersHTTP(config *tls.Config) *http.Server {
	srv := s.newHTTP(s.at(s.players), config, api.MaxPlayerHeaderBytes)
	srv.Protocols.SetHTTP2(true)
	srv.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: api.MaxPlayerStreams,
		// Requests of players have no bodies: the least that the protocol allows.
		MaxReadFrameSize:              16 << 10,
		MaxReceiveBufferPerConnection: 64 << 10,
		MaxReceiveBufferPerStream:     16 << 10,
		// Each answer has its own deadline. This is for a client that accepts nothing at all.
		WriteByteTimeout: s.answerTime,
	}
	return srv
}

// at returns the handler of a port.
func (s *Server) at(p *port) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, p) })
}

// newHTTP makes an http.Server with what those of all listeners have in common.
func (s *Server) newHTTP(handler http.Handler, config *tls.Config, maxHeader int) *http.Server {
	srv := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		MaxHeaderBytes:    maxHeader,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       keepAliveTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	srv.Protocols.SetHTTP1(true)
	connections.Watch(srv)
	return srv
}

// servers are the http.Servers of a Server, and their listeners.
type servers struct {
	http      []*http.Server
	listeners []net.Listener
}

// newServers makes them.
func (s *Server) newServers(on Listeners) *servers {
	all := &servers{}
	add := func(srv *http.Server, l net.Listener, name string) {
		all.http = append(all.http, srv)
		all.listeners = append(all.listeners, s.connections.Listen(l, name))
	}
	add(s.newHTTP(s, on.TLS, api.MaxHeaderBytes), on.Main, portMain)
	s.mainScheme = schemeOf(on.TLS)
	_, s.mainPort, _ = net.SplitHostPort(on.Main.Addr().String())
	if on.Playback != nil {
		add(s.playersHTTP(on.PlaybackTLS), on.Playback, portPlayers)
		s.playersScheme = schemeOf(on.PlaybackTLS)
		_, s.playersPort, _ = net.SplitHostPort(on.Playback.Addr().String()) // "" of a Unix socket
	}
	if on.Cameras != nil {
		add(s.newHTTP(s.at(s.cameras), on.CamerasTLS, api.MaxHeaderBytes), on.Cameras, portCameras)
		_, s.camerasPort, _ = net.SplitHostPort(on.Cameras.Addr().String())
	}
	if on.Redirect != nil {
		srv := s.newHTTP(on.RedirectHandler, nil, api.MaxPlayerHeaderBytes)
		srv.ReadTimeout, srv.WriteTimeout = s.bodyTime, s.answerTime
		add(srv, on.Redirect, portRedirect)
	}
	return all
}

// schemeOf returns the scheme of a listener's URLs.
func schemeOf(config *tls.Config) string {
	if config != nil {
		return "https"
	}
	return "http"
}

// serve serves all listeners until one fails or stop is called.
func (all *servers) serve() error {
	failed := make(chan error, len(all.http))
	for i, srv := range all.http {
		go func() {
			if srv.TLSConfig != nil {
				failed <- srv.ServeTLS(all.listeners[i], "", "")
			} else {
				failed <- srv.Serve(all.listeners[i])
			}
		}()
	}
	first := <-failed
	for _, l := range all.listeners {
		_ = l.Close() // its connections stay
	}
	for range all.http[1:] {
		<-failed
	}
	return first
}

// stop lets running requests end, until ctx does.
func (all *servers) stop(ctx context.Context) error {
	errs := make([]error, len(all.http))
	var stopped sync.WaitGroup
	for i, srv := range all.http {
		stopped.Go(func() { errs[i] = srv.Shutdown(ctx) })
	}
	stopped.Wait()
	return errors.Join(errs...)
}

// close cuts off running requests.
func (all *servers) close() {
	for _, srv := range all.http {
		_ = srv.Close() // the listener is closed already; no connection is left that could be told
	}
}

// playbackURL is the beginning of the URLs of sessions and links, without a trailing slash: that of
// the options, or else the host of the main one with the port of the listener for players, if there
// is one.
func (s *Server) playbackURL(r *http.Request) string {
	base := s.baseURL(r)
	if ofCameras(r) { // that listener opens no sessions
		base = s.mainURL(base)
	}
	u, err := url.Parse(base)
	switch {
	case s.playbackBase != "":
		return s.playbackBase
	case s.playersPort == "" || err != nil:
		return base
	}
	return s.playersScheme + "://" + net.JoinHostPort(u.Hostname(), s.playersPort)
}

// ofCameras reports whether a request came to the listener for cameras.
func ofCameras(r *http.Request) bool {
	return connections.Of(r).Listener() == portCameras
}

// mainURL is where a client of another listener finds the main one.
func (s *Server) mainURL(base string) string {
	u, err := url.Parse(base)
	if s.advertise != "" || err != nil {
		return s.advertise
	}
	return s.mainScheme + "://" + net.JoinHostPort(u.Hostname(), s.mainPort)
}

// cameraURL is where cameras find their listener; "" when there is none.
func (s *Server) cameraURL(r *http.Request) string {
	u, err := url.Parse(s.baseURL(r))
	switch {
	case s.camerasBase != "":
		return s.camerasBase
	case s.camerasPort == "" || err != nil:
		return ""
	}
	return "https://" + net.JoinHostPort(u.Hostname(), s.camerasPort)
}
