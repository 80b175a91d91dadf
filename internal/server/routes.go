package server

import (
	"log/slog"
	"net/http"
	"path"
	"strings"

	"weir/internal/console"
)

// Operation names, used in routes, metrics and logs.
const (
	opPutMedia = "PutMedia"
	opUnknown  = "Unknown"
)

// access says what a caller needs.
type access uint8

const (
	open   access = iota // nothing
	signed               // a SigV4 signature
	token                // a session token in the URL
)

// route is one method on one path.
type route struct {
	method    string // GET answers HEAD too
	path      string // as clients spell it; matched without regard to case (producers.md, rule 1)
	operation string
	access    access
	level     slog.Level // of its access log line
	handle    handler    // nil: plain is used
	plain     http.Handler
}

// routes finds the route of a request.
type routes struct {
	mux    *http.ServeMux    // lower-case patterns; handlers are *route
	method map[string]string // lower-case path → methods it takes, for Allow
}

// newRoutes is the whole URL space.
func (s *Server) newRoutes(metrics http.Handler) routes {
	const post, get = http.MethodPost, http.MethodGet
	const info, debug = slog.LevelInfo, slog.LevelDebug
	table := []*route{
		// Control plane (kvs-behaviour 4.1).
		{post, "/createStream", "CreateStream", signed, info, call(s.createStream), nil},
		{post, "/describeStream", "DescribeStream", signed, debug, call(s.describeStream), nil},
		{post, "/listStreams", "ListStreams", signed, debug, call(s.listStreams), nil},
		{post, "/deleteStream", "DeleteStream", signed, info, call(s.deleteStream), nil},
		{post, "/updateStream", "UpdateStream", signed, info, call(s.updateStream), nil},
		{post, "/updateDataRetention", "UpdateDataRetention", signed, info, call(s.updateDataRetention), nil},
		{post, "/getDataEndpoint", "GetDataEndpoint", signed, debug, call(s.getDataEndpoint), nil},
		{post, "/tagStream", "TagStream", signed, info, call(s.tagStream), nil},
		{post, "/untagStream", "UntagStream", signed, info, call(s.untagStream), nil},
		{post, "/listTagsForStream", "ListTagsForStream", signed, debug, call(s.listTagsForStream), nil},
		{post, "/TagResource", "TagResource", signed, info, call(s.tagResource), nil},
		{post, "/UntagResource", "UntagResource", signed, info, call(s.untagResource), nil},
		{post, "/ListTagsForResource", "ListTagsForResource", signed, debug, call(s.listTagsForResource), nil},

		// Media in and out.
		{post, "/putMedia", opPutMedia, signed, debug, s.putMedia, nil},
		{post, "/getHLSStreamingSessionURL", "GetHLSStreamingSessionURL", signed, info, call(s.getHLSStreamingSessionURL), nil},
		{get, "/hls/v1/getHLSMasterPlaylist.m3u8", "GetHLSMasterPlaylist", token, debug, s.hlsMasterPlaylist, nil},
		{get, "/hls/v1/getHLSMediaPlaylist.m3u8", "GetHLSMediaPlaylist", token, debug, s.hlsMediaPlaylist, nil},
		{get, "/hls/v1/getMP4InitFragment.mp4", "GetMP4InitFragment", token, debug, s.mp4InitFragment, nil},
		{get, "/hls/v1/getMP4MediaFragment.mp4", "GetMP4MediaFragment", token, debug, s.mp4MediaFragment, nil},
		{get, "/hls/v1/getTSFragment.ts", "GetTSFragment", token, debug, s.tsFragment, nil},

		// For people and machines nearby.
		{get, "/player", "Player", open, debug, nil, console.Player()},
		{get, "/player/", "Player", open, debug, nil, console.Player()},
		{get, "/healthz", "Health", open, debug, nil, http.HandlerFunc(s.healthy)},
		{get, "/readyz", "Ready", open, debug, nil, http.HandlerFunc(s.ready)},
	}
	if metrics != nil {
		table = append(table, &route{get, "/metrics", "Metrics", open, debug, nil, metrics})
	}

	rs := routes{mux: http.NewServeMux(), method: map[string]string{}}
	for _, rt := range table {
		lower := strings.ToLower(rt.path)
		rs.mux.Handle(rt.method+" "+lower, rt)
		rs.method[lower] = rt.method + ", OPTIONS"
		if rt.method == get {
			rs.method[lower] = "GET, HEAD, OPTIONS"
		}
	}
	return rs
}

// find returns the route of a request, or nil and the lower-case path that was looked for.
func (rs routes) find(r *http.Request) (rt *route, lower string) {
	lower = cleanPath(r.URL.Path)
	lookup := &http.Request{Method: r.Method, Host: r.Host, URL: r.URL.JoinPath()}
	lookup.URL.Path, lookup.URL.RawPath = lower, ""
	h, _ := rs.mux.Handler(lookup)
	rt, _ = h.(*route)
	return rt, lower
}

// methods lists what a lower-case path takes, "" when it is unknown.
func (rs routes) methods(lower string) string {
	if strings.HasPrefix(lower, "/player/") {
		lower = "/player/"
	}
	return rs.method[lower]
}

// cleanPath gives the lower-case path without doubled slashes and dots: a client that joins a base and a path carelessly
// (//putMedia) means the same. The signature is checked over the path as it was sent.
func cleanPath(p string) string {
	p = strings.ToLower(p)
	cleaned := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}

// ServeHTTP makes a route a handler of the mux, which only looks it up and never calls it.
func (rt *route) ServeHTTP(http.ResponseWriter, *http.Request) {
	panic("server: routes are served by Server.ServeHTTP")
}
