package server

import (
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"

	"weir/internal/api"
	"weir/internal/cameras"
	"weir/internal/clip"
	"weir/internal/console"
	"weir/internal/relay"
	"weir/internal/sessionurl"
)

// Operation names, used in routes, metrics and logs.
const (
	opPutMedia = "PutMedia" // its body is media
	opGetMedia = "GetMedia" // its answer lasts as long as the client wants
	opGetClip  = "GetClip"
	opMetrics  = "Metrics"
	opHealth   = "Health"
	opReady    = "Ready"
	opConsole  = "Console"
	opSignIn   = "SignIn"
	opRelay    = "Relay" // its answer lasts as long as the other node wants
	opUnknown  = "Unknown"
)

// need is what a caller needs.
type need uint8

const (
	anyone need = iota // nothing
	signed             // a SigV4 signature
	token              // a session token in the URL, or a sign-in code
)

// route is one method on one path.
type route struct {
	method string // GET answers HEAD too
	// path is spelt as by clients. For signed paths case does not matter
	// (docs/reference/producers.md, "Requests").
	path      string
	operation string
	needs     need
	level     slog.Level // of its access log line
	handle    handler    // nil: plain is used
	plain     http.Handler
}

// playerFiles, console.AppFiles and cameras.Path stand for everything below them.
const playerFiles = "/player/"

// pageOf is the key of the console's page, because / is also the API's path for other methods.
const pageOf = "page of " + console.AppPage

// routes has the route of each path, as spelt by clients; for signed ones also in lower case. A
// path has one method.
type routes map[string]*route

// operationRoute is the route of an operation of the API. Package api knows its path.
type operationRoute struct {
	name   string
	level  slog.Level
	handle handler
}

// newRoutes is the whole URL space.
func (s *Server) newRoutes(metrics http.Handler) routes {
	const post, get = http.MethodPost, http.MethodGet
	const info, debug = slog.LevelInfo, slog.LevelDebug
	operations := []operationRoute{
		// Streams and their tags.
		{"CreateStream", info, call(s, s.createStream)},
		{"DescribeStream", debug, call(s, s.describeStream)},
		{"ListStreams", debug, call(s, s.listStreams)},
		{"DeleteStream", info, call(s, s.deleteStream)},
		{"UpdateStream", info, call(s, s.updateStream)},
		{"UpdateDataRetention", info, call(s, s.updateDataRetention)},
		{"DescribeStreamStorageConfiguration", debug, call(s, s.describeStorage)},
		{"UpdateStreamStorageConfiguration", info, call(s, s.updateStorage)},
		{"DescribeNotificationConfiguration", debug, call(s, s.describeNotification)},
		{"UpdateNotificationConfiguration", info, call(s, s.updateNotification)},
		{"DescribeImageGenerationConfiguration", debug, call(s, s.describeImageGeneration)},
		{"UpdateImageGenerationConfiguration", info, call(s, s.updateImageGeneration)},
		{"GetDataEndpoint", debug, call(s, s.getDataEndpoint)},
		{"TagStream", info, call(s, s.tagStream)},
		{"UntagStream", info, call(s, s.untagStream)},
		{"ListTagsForStream", debug, call(s, s.listTagsForStream)},
		{"TagResource", info, call(s, s.tagResource)},
		{"UntagResource", info, call(s, s.untagResource)},
		{"ListTagsForResource", debug, call(s, s.listTagsForResource)},

		// Media in and out.
		{opPutMedia, debug, s.putMedia},
		{"GetHLSStreamingSessionURL", info, call(s, s.getHLSStreamingSessionURL)},
		{"GetDASHStreamingSessionURL", info, call(s, s.getDASHStreamingSessionURL)},
		{"GetImages", debug, call(s, s.getImages)},
		{"ListFragments", debug, call(s, s.listFragments)},
		{opGetClip, info, s.getClip},
		{opGetMedia, info, s.getMedia},
		{"GetMediaForFragmentList", debug, s.getMediaForFragmentList},
	}
	operations = append(operations, s.administration()...)
	actions := map[string]handler{
		"GetHLSMasterPlaylist": sessionAction(s, parseNoRef, s.hlsMasterPlaylist),
		"GetHLSMediaPlaylist": sessionAction(s, sessionurl.ParseMediaPlaylist,
			s.hlsMediaPlaylist),
		"GetMP4InitFragment":    sessionAction(s, sessionurl.ParseInitSegment, s.mp4InitFragment),
		"GetMP4MediaFragment":   sessionAction(s, sessionurl.ParseSegment, s.mp4MediaFragment),
		"GetMP4PartialFragment": sessionAction(s, sessionurl.ParsePart, s.mp4PartialFragment),
		"GetTSFragment":         sessionAction(s, sessionurl.ParseSegment, s.tsFragment),
	}
	table := []*route{
		// For people and machines nearby.
		{get, "/player", "Player", anyone, debug, nil, s.page},
		{get, playerFiles, "Player", anyone, debug, nil, s.page},
		{get, pageOf, opConsole, anyone, debug, nil, s.console},
		{get, console.AppFiles, opConsole, anyone, debug, nil, s.console},
		{post, console.SignInPath, opSignIn, token, info, s.signIn, nil},
		{get, "/healthz", opHealth, anyone, debug, nil, http.HandlerFunc(s.healthy)},
		{get, "/readyz", opReady, anyone, debug, nil, http.HandlerFunc(s.ready)},
		{get, sessionurl.DASHTimePath, "Time", anyone, debug, s.dashTime, nil},
	}
	table = append(table, &route{get, clip.LinkPath, opGetClip, token, debug, s.linkedClip, nil})
	if s.relay != nil {
		table = append(table, &route{get, relay.Path, opRelay, anyone, debug, nil, s.relay})
	}
	if metrics != nil {
		table = append(table, &route{get, "/metrics", opMetrics, anyone, debug, nil, metrics})
	}

	for path, name := range sessionurl.HLSActions() {
		table = append(table, &route{get, path, name, token, debug, actions[name], nil})
	}
	dash := map[string]handler{
		"GetDASHManifest":     sessionAction(s, parseNoRef, s.dashManifest),
		"GetMP4InitFragment":  sessionAction(s, sessionurl.ParseInitSegment, s.dashInitFragment),
		"GetMP4MediaFragment": sessionAction(s, sessionurl.ParseDASHSegment, s.dashMediaFragment),
	}
	for path, name := range sessionurl.DASHActions() {
		table = append(table, &route{get, path, name, token, debug, dash[name], nil})
	}
	for _, op := range operations {
		table = append(table, &route{post, api.Find(op.name).Path, op.name, signed, op.level,
			op.handle, nil})
	}

	if s.sts != nil {
		table = append(table, &route{post, stsPath, opSTS, signed, info, s.temporary, nil})
	}

	rs := routes{}
	for _, rt := range table {
		rs[rt.path] = rt
		if rt.needs == signed {
			rs[strings.ToLower(rt.path)] = rt
		}
	}
	return rs
}

// find returns the route of a request, or nil and the methods of the path, "" when the path is
// unknown.
func (rs routes) find(r *http.Request) (rt *route, methods string) {
	rt = rs.at(r.URL)
	switch {
	case console.WantsApp(r) && rs[pageOf] != nil:
		return rs[pageOf], ""
	case rt == nil:
		return nil, ""
	case r.Method != rt.method && (rt.method != http.MethodGet || r.Method != http.MethodHead):
		return nil, rt.methods()
	}
	return rt, ""
}

// at returns the route of a path, whatever the method. A path that is open, or that a token opens,
// has exactly one spelling. A proxy that keeps strangers from it compares the text, and escapes,
// dots, doubled slashes or capitals must not get past that. Signed calls need no such protection.
// PutMedia may have more slashes, because producers append its path to an endpoint that ends in
// one.
func (rs routes) at(u *url.URL) *route {
	switch rt := rs[u.Path]; {
	case u.RawPath != "": // escapes that need not be
		return nil
	case rt != nil:
		return rt
	case path.Clean(u.Path) != u.Path:
	case strings.HasPrefix(u.Path, playerFiles):
		return rs[playerFiles]
	case strings.HasPrefix(u.Path, console.AppFiles):
		return rs[console.AppFiles]
	case strings.HasPrefix(u.Path, cameras.Path):
		return rs[cameras.Path]
	}
	if rt := rs[strings.ToLower(u.Path)]; rt != nil && rt.needs == signed {
		return rt
	}
	rt := rs[strings.ToLower("/"+strings.TrimLeft(u.Path, "/"))]
	if rt != nil && rt.operation == opPutMedia {
		return rt
	}
	return nil
}

// methods lists the methods of the path.
func (rt *route) methods() string {
	if rt.method == http.MethodGet {
		return "GET, HEAD, OPTIONS"
	}
	return rt.method + ", OPTIONS"
}
