package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store"
	"weir/internal/store/memory"
	"weir/test/output"
)

func TestSignatures(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const unsigned = "MissingAuthenticationTokenException"
	s.do(s.request("POST", "/listStreams", "{}")).fails(t, 403, unsigned,
		"Missing Authentication Token")

	r := s.request("POST", "/listStreams", "{}")
	unknown := auth.Credentials{AccessKeyID: "AKIDNOBODY", SecretAccessKey: "x"}
	other := auth.Signer{Credentials: unknown, Region: "us-west-2"}
	other.Sign(r, []byte("{}"))
	s.do(r).fails(t, 403, "UnrecognizedClientException",
		"The security token included in the request is invalid.")

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
		s.do(s.request("GET", "/hls/v1/getHLSMasterPlaylist.m3u8"+query, "")).fails(t, 403,
			"NotAuthorizedException", "")
	}
}

// Users' keys sign like root's, until they are disabled.
func TestKeysOfUsers(t *testing.T) {
	t.Parallel()
	var who *access.Registry
	s := newSite(t, func(o *Options) { who = o.Access })
	_, pair, err := who.CreateUser(t.Context(), "ann", nil, []string{"administrator"})
	must(t, err)
	s.signer.Credentials = auth.Credentials{AccessKeyID: pair.AccessKeyID,
		SecretAccessKey: pair.SecretAccessKey}
	if a := s.call("/listStreams", "{}"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	must(t, who.DisableKey(t.Context(), pair.AccessKeyID))
	s.call("/listStreams", "{}").fails(t, 403, "UnrecognizedClientException",
		"The security token included in the request is invalid.")
	must(t, who.EnableKey(t.Context(), pair.AccessKeyID))
	s.signer.SecretAccessKey += "x"
	s.call("/listStreams", "{}").fails(t, 403, "InvalidSignatureException", "does not match")
}

// oneToken opens one token.
type oneToken struct {
	access.Claims
	token string
}

func (o oneToken) Open(token string, _ time.Time) (access.Claims, error) {
	if token != o.token {
		return access.Claims{}, &auth.Error{Code: auth.UnrecognizedClient, Message: "wrong"}
	}
	return o.Claims, nil
}

func TestTemporaryKeys(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var who *access.Registry
	s := newSite(t, func(o *Options) { who = o.Access })
	thing, err := who.PutCamera(t.Context(), access.CameraInfo{Name: "cam1",
		Policies: []string{"administrator"}}, store.NewDocument)
	must(t, err)
	c := access.Claims{AccessKeyID: "ASIACAMERA", Secret: "s", Kind: access.Camera, Name: "cam1",
		Thing: "cam1", ThingID: thing.ID, Expires: now.Add(time.Hour)}
	who.SetTemporary(oneToken{c, "token"})
	s.signer.Credentials = auth.Credentials{AccessKeyID: "ASIACAMERA", SecretAccessKey: "s",
		SessionToken: "token"}
	if a := s.call("/listStreams", "{}"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.signer.SessionToken = "another"
	s.call("/listStreams", "{}").fails(t, 403, "UnrecognizedClientException", "wrong")
	c.Expires = now
	s2 := newSite(t, func(o *Options) { who = o.Access })
	who.SetTemporary(oneToken{c, "token"})
	s2.signer.Credentials = auth.Credentials{AccessKeyID: "ASIACAMERA", SecretAccessKey: "s",
		SessionToken: "token"}
	s2.call("/listStreams", "{}").fails(t, 403, "ExpiredTokenException", "expired")
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
	// Known, but not served.
	for _, name := range []string{
		"DescribeMediaStorageConfiguration", "StartEdgeConfigurationUpdate",
	} {
		s.call("/"+name, "{}").fails(t, 404, "UnknownOperationException", name)
	}
	a := s.do(s.request("GET", "/describeStream", ""))
	a.fails(t, 405, "UnknownOperationException", "does not take GET")
	if a.header.Get("Allow") != "POST, OPTIONS" {
		t.Errorf("Allow %q", a.header.Get("Allow"))
	}
	s.do(s.request("POST", "/hls/v1/getMP4InitFragment.mp4", "")).fails(t, 405,
		"UnknownOperationException", "GET, HEAD")
}

// Nobody gets past a proxy that keeps strangers from /metrics by its prefix.
func TestOpenPathsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, target := range []string{
		"/hls/v1/../../metrics", "/hls/v1/%2e%2e/%2e%2e/metrics", "//metrics", "/./metrics",
		"/metrics/", "/METRICS", "/%6Detrics",
		"/hls/v1//getHLSMasterPlaylist.m3u8", "/hls/v1/GETHLSMasterPlaylist.m3u8", "/x/../player/",
		"/player/../metrics", "/player//x",
		"/hls/../putMedia", "//listStreams",
	} {
		conn, err := net.Dial("tcp", s.address)
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target)
		if got, err := io.ReadAll(conn); err != nil ||
			!strings.HasPrefix(string(got), "HTTP/1.1 404 ") {
			t.Errorf("%s: %.60q, %v", target, got, err)
		}
	}
	for path, want := range map[string]int{"/metrics": 200, "/player": 200, "/player/": 200} {
		if a := s.get(s.url + path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
}

// Whatever name a client gives the server, its URLs contain only what can be a host.
func TestHostInURLs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1"}`)
	_, port, _ := net.SplitHostPort(s.address)
	for host, want := range map[string]string{
		"cams.example:8480": "cams.example:8480", "cams.example": "cams.example:" + port,
		"10.0.0.1":     "10.0.0.1:" + port,
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
		fmt.Fprintf(conn, "POST /getDataEndpoint HTTP/1.1\r\nHost: %s\r\n"+
			"Connection: close\r\nContent-Length: %d\r\n", host, len(body))
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
	for _, header := range []string{"x-amzn-stream-name: cam1",
		"x-amzn-stream-arn: arn:aws:kinesisvideo:us-west-2:000000000000:stream/cam1/1"} {
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
	headers := "authorization,content-type,x-amz-date,x-amz-content-sha256,x-amz-security-token," +
		"x-amz-user-agent,amz-sdk-invocation-id,amz-sdk-request,x-amzn-stream-name"
	for path, method := range map[string]string{
		"/describeStream": "POST", "/putMedia": "POST", "/getHLSStreamingSessionURL": "POST",
		"/TagResource":                      "POST",
		"/hls/v1/getHLSMasterPlaylist.m3u8": "GET", "/hls/v1/getMP4MediaFragment.mp4": "GET",
	} {
		r := s.request("OPTIONS", path, "")
		r.Header.Set("Origin", "https://page.example")
		r.Header.Set("Access-Control-Request-Method", method)
		r.Header.Set("Access-Control-Request-Headers", headers)
		a := s.do(r)
		if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "*" ||
			a.header.Get("Access-Control-Max-Age") == "" ||
			!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), method) {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		for name := range strings.SplitSeq(headers, ",") {
			if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%s: %s is not allowed", path, name)
			}
		}
	}
	for _, bad := range []string{"x y", "a\"b", "ä", strings.Repeat("a,", 65),
		strings.Repeat("a", 5000)} {
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

// A body that no route asked for does not hold up the answer or the connection for ever.
func TestUnwantedBodyIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) { o.bodyTime = 50 * time.Millisecond })
	for _, line := range []string{
		"GET /healthz", "GET /hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=x", "POST /nothing",
		"OPTIONS /listStreams", "POST /listStreams",
	} {
		conn, err := net.Dial("tcp", s.address)
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(conn,
			line+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfive!")
		must(t, err)
		if got, err := io.ReadAll(conn); err != nil ||
			!strings.HasPrefix(string(got), "HTTP/1.1 ") {
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
	if len(s.holds) != 2 || s.holds[0] != 200*time.Millisecond ||
		s.holds[1] != 400*time.Millisecond {
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
		if a := s.do(s.request("GET", path, "")); a.status != 200 ||
			!strings.Contains(a.body, want) {
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
	// A proxy may change the Host.
	for _, host := range []string{"video.example:8443", "video.example"} {
		r := s.request("POST", "/listStreams", "{}")
		arrived := r.Host
		r.Host = host
		s.signer.Sign(r, []byte("{}"))
		r.Host = arrived
		if a := s.do(r); a.status != 200 {
			t.Errorf("signed for %s: %d %s", host, a.status, a.body)
		}
	}
	for _, bad := range []string{"video.example", "ftp://video.example", "http://",
		"http://u:p@video.example", "http://video.example?x=y",
		"https://video.example/kvs"} {
		if _, err := New(Options{AdvertiseURL: bad}); err == nil {
			t.Errorf("%q is taken for a URL to advertise", bad)
		}
	}
}

// TLS must not bring HTTP/2, which drops headers that producers sign and may merge
// acknowledgements.
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
	go func() {
		served <- s.server.Serve(ctx,
			Listeners{Main: listener, TLS: &tls.Config{Certificates: lender.TLS.Certificates}})
	}()
	defer func() {
		client.CloseIdleConnections()
		cancel()
		must(t, <-served)
	}()

	const body = `{"StreamName":"cam1","APIName":"PUT_MEDIA"}`
	r, err := http.NewRequest(http.MethodPost,
		"https://"+listener.Addr().String()+"/getDataEndpoint", strings.NewReader(body))
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

// A panic in a handler is an answer and a line in the log, and not the end of the process.
func TestPanicIsAnInternalFailure(t *testing.T) {
	t.Parallel()
	var log output.Buffer
	s := newSite(t, func(o *Options) {
		o.Logger = logTo(&log)
		o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic("out of luck")
		})
	})
	if a := s.do(s.request("GET", "/metrics", "")); a.status != 500 ||
		a.header.Get("x-amzn-ErrorType") != "InternalFailure" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if !strings.Contains(log.String(), "out of luck") {
		t.Errorf("log:\n%s", log.String())
	}
}

// brokenStore cannot find any stream, for a reason of its own.
type brokenStore struct{ inMemory }

var errBroken = errors.New("disk on fire")

func (brokenStore) Stream(context.Context, string) (store.Stream, error) {
	return store.Stream{}, errBroken
}

func (brokenStore) ListStreams(context.Context, string, string, int) ([]store.Stream, error) {
	return nil, errBroken
}

// A fault of the server reveals its cause to the log, and only the request's ID to the caller.
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
