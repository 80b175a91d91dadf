package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/internal/auth"
	"weir/internal/clip"
	"weir/internal/playback"
	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/memory"
	"weir/test/output"
)

// engine is a whole store as a server has it.
type engine interface {
	store.Store
	Full() bool
	Ready() error
}

// inMemory is one that never fills and is never lost.
type inMemory struct{ *memory.Store }

func (inMemory) Full() bool   { return false }
func (inMemory) Ready() error { return nil }

// site is a server on a port of this machine.
type site struct {
	t       *testing.T
	url     string
	address string
	server  *Server
	store   engine
	signer  auth.Signer
	client  *http.Client            // with connections of its own
	stop    func()                  // ends Serve gracefully and waits for it; may be called twice
	end     context.CancelCauseFunc // of Serve's context

	mu    sync.Mutex
	holds []time.Duration // error answers held back; guarded by mu
}

func newSite(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return newSiteOver(t, inMemory{memory.New(time.Now)}, listener, change...)
}

// openStore opens a store in a directory of the test; closeStore may be called twice.
func openStore(t *testing.T) (st *local.Store, closeStore func() error) {
	t.Helper()
	st, err := local.Open(t.Context(), t.TempDir(), local.Options{})
	must(t, err)
	closeStore = sync.OnceValue(st.Close)
	t.Cleanup(func() { must(t, closeStore()) })
	return st, closeStore
}

func newSiteOver(t *testing.T, st engine, listener net.Listener,
	change ...func(*Options)) *site {
	t.Helper()
	dir := t.TempDir()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(dir, "credentials"))
	must(t, err)
	tokens, err := auth.LoadOrCreateTokenKeys(filepath.Join(dir, "token-keys"))
	must(t, err)
	clips, err := clip.New(clip.Options{Store: st, Tokens: tokens, Dir: filepath.Join(dir, "clips"),
		CacheBytes: 64 << 20})
	must(t, err)
	registry := prometheus.NewRegistry()
	options := Options{
		Store:      st,
		Clips:      clips,
		Playback:   playback.New(playback.Options{Store: st, Tokens: tokens, Limits: playback.DefaultLimits()}),
		Keys:       keys,
		Region:     "us-west-2",
		Account:    "000000000000",
		Registerer: registry,
		Metrics:    promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	for _, c := range change {
		c(&options)
	}
	srv, err := New(options)
	must(t, err)

	s := &site{
		t: t, server: srv, store: st, address: listener.Addr().String(), url: "http://" + listener.Addr().String(),
		signer: auth.Signer{Credentials: keys.Default().Credentials(), Region: "us-west-2"},
		client: &http.Client{Transport: &http.Transport{}},
	}
	srv.wait = func(_ context.Context, d time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.holds = append(s.holds, d)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, listener, nil) }()
	s.end = cancel
	s.stop = sync.OnceFunc(func() {
		cancel(nil)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.stop()
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *site) do(r *http.Request) answer {
	s.t.Helper()
	res, err := s.client.Do(r)
	must(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(s.t, err)
	return answer{res.StatusCode, res.Header, string(body)}
}

func (s *site) request(method, path, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	must(s.t, err)
	return r
}

// call makes a signed call.
func (s *site) call(path, body string) answer {
	s.t.Helper()
	r := s.request(http.MethodPost, path, body)
	r.Header.Set("Content-Type", "application/json")
	s.signer.Sign(r, []byte(body))
	return s.do(r)
}

// ok makes a signed call that must succeed, and decodes its answer.
func (s *site) ok(path, body string) map[string]any {
	s.t.Helper()
	a := s.call(path, body)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		s.t.Fatalf("%s %s: %d %v\n%s", path, body, a.status, a.header, a.body)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		s.t.Fatalf("%s: %v in %q", path, err, a.body)
	}
	return v
}

var requestID = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z`)

// fails checks the wire form of an error answer.
func (a answer) fails(t *testing.T, status int, code, message string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	text, ok := body["Message"]
	if !ok {
		text = body["message"]
	}
	if a.status != status || a.header.Get("x-amzn-ErrorType") != code || a.header.Get("x-amz-ErrorType") != code ||
		len(body) != 1 || !strings.Contains(text, message) {
		t.Errorf("got %d %s %s\nwant %d %s %q", a.status, a.header.Get("x-amzn-ErrorType"), a.body, status, code, message)
	}
	if !requestID.MatchString(a.header.Get("x-amzn-RequestId")) {
		t.Errorf("request id %q", a.header.Get("x-amzn-RequestId"))
	}
	if a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a page could not read this error")
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const unsigned = "MissingAuthenticationTokenException"
	s.do(s.request("POST", "/listStreams", "{}")).fails(t, 403, unsigned, "Missing Authentication Token")

	r := s.request("POST", "/listStreams", "{}")
	other := auth.Signer{Credentials: auth.Credentials{AccessKeyID: "AKIDNOBODY", SecretAccessKey: "x"}, Region: "us-west-2"}
	other.Sign(r, []byte("{}"))
	s.do(r).fails(t, 403, "UnrecognizedClientException", "The security token included in the request is invalid.")

	r = s.request("POST", "/listStreams", `{"MaxResults":1}`)
	s.signer.Sign(r, []byte("{}"))
	s.do(r).fails(t, 403, "InvalidSignatureException", "does not match")

	r = s.request("POST", "/putMedia", "")
	r.Header.Set("x-amzn-stream-name", "cam1")
	s.do(r).fails(t, 403, unsigned, "")

	r = s.request("POST", "/listStreams", "{}")
	presigned, err := s.signer.Presign(r, []byte("{}"), time.Minute)
	must(t, err)
	r.URL = presigned
	if a := s.do(r); a.status != 200 {
		t.Errorf("presigned: %d %s", a.status, a.body)
	}
	for _, query := range []string{"", "?SessionToken=" + strings.Repeat("A", 20_000)} {
		s.do(s.request("GET", "/hls/v1/getHLSMasterPlaylist.m3u8"+query, "")).fails(t, 403, "NotAuthorizedException", "")
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/listStreams", "/ListStreams", "/LISTSTREAMS"} {
		if a := s.call(path, ""); a.status != 200 || a.body != `{"NextToken":null,"StreamInfoList":[]}` {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	s.call("/listAll", "{}").fails(t, 404, "UnknownOperationException", "/listAll")
	s.call("/", "{}").fails(t, 404, "UnknownOperationException", "")
	// Known, and not served.
	for _, name := range []string{
		"DescribeImageGenerationConfiguration", "UpdateImageGenerationConfiguration",
	} {
		s.call("/"+name, "{}").fails(t, 404, "UnknownOperationException", name)
	}
	a := s.do(s.request("GET", "/describeStream", ""))
	a.fails(t, 405, "UnknownOperationException", "does not take GET")
	if a.header.Get("Allow") != "POST, OPTIONS" {
		t.Errorf("Allow %q", a.header.Get("Allow"))
	}
	s.do(s.request("POST", "/hls/v1/getMP4InitFragment.mp4", "")).fails(t, 405, "UnknownOperationException", "GET, HEAD")
}

// A proxy that keeps /metrics from strangers by its prefix is not got round.
func TestOpenPathsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, target := range []string{
		"/hls/v1/../../metrics", "/hls/v1/%2e%2e/%2e%2e/metrics", "//metrics", "/./metrics", "/metrics/", "/METRICS", "/%6Detrics",
		"/hls/v1//getHLSMasterPlaylist.m3u8", "/hls/v1/GETHLSMasterPlaylist.m3u8", "/x/../player/", "/player/../metrics", "/player//x",
		"/hls/../putMedia", "//listStreams",
	} {
		conn, err := net.Dial("tcp", s.address)
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target)
		if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 404 ") {
			t.Errorf("%s: %.60q, %v", target, got, err)
		}
	}
	for path, want := range map[string]int{"/metrics": 200, "/player": 200, "/player/": 200} {
		if a := s.get(s.url + path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
}

// Whatever a client calls the server, only what can be a host stands in the URLs that it gets.
func TestHostInURLs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1"}`)
	_, port, _ := net.SplitHostPort(s.address)
	for host, want := range map[string]string{
		"cams.example:8480": "cams.example:8480", "cams.example": "cams.example:" + port, "10.0.0.1": "10.0.0.1:" + port,
		"[fe80::1]:80": "[fe80::1]:80", "my_nas": "my_nas:" + port,
		"a'b": s.address, "a;b": s.address, "a,b": s.address, "a%41": s.address, "[::1": s.address,
		"a:b:1": s.address, "(a)": s.address, "a!": s.address, "a:123456": s.address,
	} {
		const body = `{"StreamName":"cam1","APIName":"PUT_MEDIA"}`
		r := s.request(http.MethodPost, "/getDataEndpoint", body)
		r.Host = host
		s.signer.Sign(r, []byte(body))
		conn, err := net.Dial("tcp", s.address)
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		fmt.Fprintf(conn, "POST /getDataEndpoint HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n", host, len(body))
		must(t, r.Header.Write(conn))
		fmt.Fprintf(conn, "\r\n%s", body)
		if got, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(got), fmt.Sprintf(`{"DataEndpoint":"http://%s"}`, want)) {
			t.Errorf("Host %q: %s, %v, want %s", host, got, err, want)
		}
	}
}

// A signature covers the stream that it is for.
func TestStreamNameMustBeSigned(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	for _, header := range []string{"x-amzn-stream-name: cam1", "x-amzn-stream-arn: arn:aws:kinesisvideo:us-west-2:000000000000:stream/cam1/1"} {
		name, value, _ := strings.Cut(header, ": ")
		r := s.request(http.MethodPost, "/putMedia", "")
		s.signer.SignPutMedia(r)
		r.Header.Set(name, value)
		s.do(r).fails(t, 403, "InvalidSignatureException", "'"+name+"' must be a 'SignedHeader'")
	}
}

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.call("/createStream", `{"StreamName":`).fails(t, 400, "SerializationException", "not valid JSON")
	s.call("/createStream", `[]`).fails(t, 400, "SerializationException", "")
	s.call("/createStream", `{"StreamName":7}`).fails(t, 400, "SerializationException", "")
	s.call("/createStream", `{"StreamName":"no spaces"}`).fails(t, 400, "InvalidArgumentException", "1 validation error detected")
	s.call("/createStream", `{"StreamName":"`+strings.Repeat("x", 1<<20)+`"}`).fails(t, 413, "RequestEntityTooLargeException", "longer than")
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	headers := "authorization,content-type,x-amz-date,x-amz-content-sha256,x-amz-security-token,x-amz-user-agent,amz-sdk-invocation-id,amz-sdk-request,x-amzn-stream-name"
	for path, method := range map[string]string{
		"/describeStream": "POST", "/putMedia": "POST", "/getHLSStreamingSessionURL": "POST", "/TagResource": "POST",
		"/hls/v1/getHLSMasterPlaylist.m3u8": "GET", "/hls/v1/getMP4MediaFragment.mp4": "GET",
	} {
		r := s.request("OPTIONS", path, "")
		r.Header.Set("Origin", "https://page.example")
		r.Header.Set("Access-Control-Request-Method", method)
		r.Header.Set("Access-Control-Request-Headers", headers)
		a := s.do(r)
		if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Max-Age") == "" ||
			!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), method) {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		for name := range strings.SplitSeq(headers, ",") {
			if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%s: %s is not allowed", path, name)
			}
		}
	}
	for _, bad := range []string{"x y", "a\"b", "ä", strings.Repeat("a,", 65), strings.Repeat("a", 5000)} {
		if names, ok := headerNames(bad); ok {
			t.Errorf("%.20q is taken for %d header names", bad, len(names))
		}
	}
	s.do(s.request("OPTIONS", "/nothing", "")).fails(t, 404, "UnknownOperationException", "")
	a := s.call("/listStreams", "{}")
	if !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "x-amzn-RequestId") {
		t.Errorf("a page could not read the request id: %v", a.header)
	}
}

// A body that no route asked for holds neither the answer nor the connection for ever.
func TestUnwantedBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) { o.bodyTime = 50 * time.Millisecond })
	for _, line := range []string{
		"GET /healthz", "GET /hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=x", "POST /nothing", "OPTIONS /listStreams", "POST /listStreams",
	} {
		conn, err := net.Dial("tcp", s.address)
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(conn, line+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfive!")
		must(t, err)
		if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 ") {
			t.Errorf("%s: %.100q, %v", line, got, err)
		}
		conn.Close()
	}
}

func TestRepeatedFailuresAreHeldBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 6 {
		s.call("/describeStream", `{"StreamName":"nobody"}`).fails(t, 404, "ResourceNotFoundException", "")
	}
	s.ok("/createStream", `{"StreamName":"nobody"}`)
	s.ok("/describeStream", `{"StreamName":"nobody"}`)
	s.call("/describeStream", `{"StreamName":"other"}`)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.holds) != 2 || s.holds[0] != 200*time.Millisecond || s.holds[1] != 400*time.Millisecond {
		t.Errorf("held back %v, want the fifth and the sixth only", s.holds)
	}
}

func TestHealthMetricsAndPlayer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/listStreams", "{}")
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready", "/player": "<title>Weir player</title>",
		"/metrics": `weir_http_requests_total{operation="ListStreams",status="200"} 1`,
	} {
		if a := s.do(s.request("GET", path, "")); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d, no %q in\n%.2000s", path, a.status, want, a.body)
		}
	}
	s.server.beginStop()
	if a := s.do(s.request("GET", "/readyz", "")); a.status != 503 {
		t.Errorf("ready during a stop: %d", a.status)
	}
	if a := s.do(s.request("GET", "/healthz", "")); a.status != 200 {
		t.Errorf("not alive during a stop: %d", a.status)
	}
}

func TestAdvertisedURL(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) { o.AdvertiseURL = "https://video.example:8443/" })
	s.ok("/createStream", `{"StreamName":"cam1"}`)
	if got := s.ok("/getDataEndpoint", `{"StreamName":"cam1","APIName":"PUT_MEDIA"}`)["DataEndpoint"]; got != "https://video.example:8443" {
		t.Errorf("DataEndpoint %q", got)
	}
	for _, host := range []string{"video.example:8443", "video.example"} { // with a Host that a proxy changes
		r := s.request("POST", "/listStreams", "{}")
		arrived := r.Host
		r.Host = host
		s.signer.Sign(r, []byte("{}"))
		r.Host = arrived
		if a := s.do(r); a.status != 200 {
			t.Errorf("signed for %s: %d %s", host, a.status, a.body)
		}
	}
	for _, bad := range []string{"video.example", "ftp://video.example", "http://", "http://u:p@video.example", "http://video.example?x=y",
		"https://video.example/kvs"} {
		if _, err := New(Options{AdvertiseURL: bad}); err == nil {
			t.Errorf("%q is taken for a URL to advertise", bad)
		}
	}
}

// TLS must not bring HTTP/2, which drops headers that producers sign and may merge acknowledgements.
func TestTLSSpeaksHTTP1Only(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1"}`)
	lender := httptest.NewTLSServer(nil) // for its certificate
	defer lender.Close()
	client := lender.Client()
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(ctx, listener, lender.TLS.Certificates) }()
	defer func() {
		client.CloseIdleConnections()
		cancel()
		must(t, <-served)
	}()

	const body = `{"StreamName":"cam1","APIName":"PUT_MEDIA"}`
	r, err := http.NewRequest(http.MethodPost, "https://"+listener.Addr().String()+"/getDataEndpoint", strings.NewReader(body))
	must(t, err)
	s.signer.Sign(r, []byte(body))
	res, err := client.Do(r)
	must(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	must(t, err)
	if want := `{"DataEndpoint":"https://` + listener.Addr().String() + `"}`; res.ProtoMajor != 1 || string(got) != want {
		t.Errorf("%s %s, want %s", res.Proto, got, want)
	}
}

// A panic in a handler is an answer, a line in the log, and no end of the process.
func TestPanicIsAnInternalFailure(t *testing.T) {
	t.Parallel()
	var log output.Buffer
	s := newSite(t, func(o *Options) {
		o.Logger = logTo(&log)
		o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("out of luck") })
	})
	if a := s.do(s.request("GET", "/metrics", "")); a.status != 500 || a.header.Get("x-amzn-ErrorType") != "InternalFailure" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if !strings.Contains(log.String(), "out of luck") {
		t.Errorf("log:\n%s", log.String())
	}
}

// brokenStore finds no stream for a reason of its own.
type brokenStore struct{ inMemory }

var errBroken = errors.New("disk on fire")

func (brokenStore) Stream(context.Context, string) (store.Stream, error) {
	return store.Stream{}, errBroken
}

func (brokenStore) ListStreams(context.Context, string, string, int) ([]store.Stream, error) {
	return nil, errBroken
}

// A fault of the server tells its cause to the log, and only the request id to the caller.
func TestInternalFailure(t *testing.T) {
	t.Parallel()
	var log output.Buffer
	s := newSite(t, func(o *Options) {
		o.Logger, o.Store = logTo(&log), brokenStore{inMemory{memory.New(time.Now)}}
	})
	a := s.call("/describeStream", `{"StreamName":"cam1"}`)
	a.fails(t, 500, "InternalFailure", "unknown error")
	line := log.String()
	if !strings.Contains(line, a.header.Get("x-amzn-RequestId")) ||
		!strings.Contains(line, errBroken.Error()) || strings.Count(line, "level=ERROR") != 1 {
		t.Errorf("log:\n%s", line)
	}
	if a := s.do(s.request("GET", "/readyz", "")); a.status != 503 {
		t.Errorf("ready without a store: %d", a.status)
	}
}
