package auth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	testScope  = "AKIDEXAMPLE/20261122/us-west-2/kinesisvideo/aws4_request"
	testToken  = "Session/Token+2=="
)

var testTime = time.Date(2026, 11, 22, 14, 41, 59, 0, time.UTC)

type mapKeys map[string]string

func (m mapKeys) Find(id, _ string) (secret, holder string, err error) {
	secret, ok := m[id]
	if !ok {
		return "", "", &Error{UnrecognizedClient,
			"The security token included in the request is invalid."}
	}
	return secret, "who has " + id, nil
}

func testVerifier() *Verifier[string] {
	return &Verifier[string]{Keys: mapKeys{testKey: testSecret}, Region: "us-west-2",
		Clock: func() time.Time { return testTime }}
}

// The example in AWS's documentation ("Create a signed AWS API request", GET iam ListUsers) with
// its published values.
func TestPublishedIAMExample(t *testing.T) {
	r := httptest.NewRequest("GET",
		"https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	signed := []string{"content-type", "host", "x-amz-date"}
	canonical := canonicalRequest(r, signed, func(n string) string {
		return headerValue(r, n)
	}, emptyHash)
	if got, want := hashHex([]byte(canonical)),
		"f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"; got != want {
		t.Errorf("hash of the canonical request is %s, want %s:\n%s", got, want, canonical)
	}
	s := scope{"20150830", "us-east-1", "iam"}
	if got, want := fmt.Sprintf("%x", signingKey(testSecret, s)),
		"c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"; got != want {
		t.Errorf("signing key is %s, want %s", got, want)
	}
	const want = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	if got := signature(testSecret, s, "20150830T123600Z", canonical); got != want {
		t.Errorf("signature is %s, want %s", got, want)
	}
	r.Header.Set("Authorization",
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "+
			"SignedHeaders=content-type;host;x-amz-date, Signature="+want)
	v := Verifier[string]{Keys: mapKeys{testKey: testSecret}, Service: "iam",
		Clock: func() time.Time { return time.Date(2015, 8, 30, 12, 40, 0, 0, time.UTC) }}
	if _, err := v.Verify(r, []byte{}); err != nil {
		t.Error(err)
	}
}

func TestCanonicalPath(t *testing.T) {
	for wire, want := range map[string]string{
		"": "/", "/": "/", "//": "/", "/a": "/a", "/a/": "/a/", "/a//b": "/a/b", "/a/./b": "/a/b",
		"/a/../b": "/b", "/../a": "/a",
		"/a/..": "/", "/a/b/..": "/a/", "/a%20b": "/a%2520b", "/~u-._": "/~u-._",
		"/a+b=c": "/a%2Bb%3Dc", "/é": "/%C3%A9",
	} {
		if got := canonicalPath(wire); got != want {
			t.Errorf("%q: got %q, want %q", wire, got, want)
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	for raw, want := range map[string]string{
		"":                          "",
		"b=2&a=1":                   "a=1&b=2",
		"a=b&a=B&a=":                "a=&a=B&a=b",
		"a":                         "a=",
		"a=1=2":                     "a=1%3D2",
		"a=x+y":                     "a=x%20y",
		"a=%7e%2f%2F":               "a=~%2F%2F",
		"a=100%":                    "a=100%25",
		"a=%zz":                     "a=%25zz",
		"A=1&a=1&X-Amz-Signature=s": "A=1&a=1",
		"&&a=1&":                    "a=1",
	} {
		if got := canonicalQuery(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

// request makes a request as net/http's server would pass it on after reading these bytes.
func request(t *testing.T, raw string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const kvssinkPutMedia = "POST /putMedia HTTP/1.1\r\n" +
	"Host: 127.0.0.1\r\n" +
	"Accept: */*\r\n" +
	"Authorization: AWS4-HMAC-SHA256 Credential=" + testScope +
	", SignedHeaders=connection;host;transfer-encoding;user-agent;" +
	"x-amz-date;x-amzn-fragment-acknowledgment-required;x-amzn-fragment-timecode-type;" +
	"x-amzn-producer-start-timestamp;x-amzn-stream-name, " +
	"Signature=7840dcf7532ba86bc97fb4eeb48c7add307a2eaba8d9ad6c6f8aeefefe8cec46\r\n" +
	"connection: keep-alive\r\n" +
	"content-type: application/json\r\n" +
	"transfer-encoding: chunked\r\n" +
	"user-agent: AWS-SDK-KVS-CPP-CLIENT/3.5.0/1.6.0 GCC/12.2.0 Linux/6.1 x86_64 CPPSDK\r\n" +
	"X-Amz-Date: 20261122T144159Z\r\n" +
	"x-amz-security-token: NOT-SIGNED\r\n" +
	"x-amzn-fragment-acknowledgment-required: 1\r\n" +
	"x-amzn-fragment-timecode-type: ABSOLUTE\r\n" +
	"x-amzn-producer-start-timestamp: 1795358519.803\r\n" +
	"x-amzn-stream-name: demo-stream\r\n" +
	"Expect: 100-continue\r\n\r\n0\r\n\r\n"

const javaPutMedia = "POST /putMedia HTTP/1.1\r\n" +
	"Host: 127.0.0.1\r\n" +
	"Authorization: AWS4-HMAC-SHA256 Credential=" + testScope +
	", SignedHeaders=connection;host;transfer-encoding;user-agent;" +
	"x-amz-date;x-amzn-fragment-timecode-type;x-amzn-producer-start-timestamp;" +
	"x-amzn-stream-name, " +
	"Signature=2920d603ab2afb55bb6901965049ce0cf6428b43bd5e66b9c0675d58e7382bcb\r\n" +
	"X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n" +
	"Connection: keep-alive\r\n" +
	"Transfer-Encoding: chunked\r\n" +
	"User-Agent: AWS-SDK-KVS-CPP-CLIENT/3.5.0/1.6.0 GCC/12.2.0 Linux/6.1 x86_64 CPPSDK\r\n" +
	"X-Amz-Date: 20261122T144159Z\r\n" +
	"x-amzn-fragment-timecode-type: ABSOLUTE\r\n" +
	"x-amzn-producer-start-timestamp: 1795358519.803\r\n" +
	"x-amzn-stream-name: demo-stream\r\n\r\n0\r\n\r\n"

// The signatures were computed outside of this package: by botocore where it says so, else by the
// specification from the canonical request that the client is known to make.
func TestVerifyProducers(t *testing.T) {
	const describe = "{\n\t\"StreamName\": \"demo-stream\"\n}"
	const botocoreBody = `{"StreamName": "demo-stream"}`
	for name, c := range map[string]struct {
		raw  string
		body []byte
	}{
		"kvssink putMedia": {kvssinkPutMedia, nil},
		"java putMedia":    {javaPutMedia, nil},
		"java putMedia without the unsigned header": {strings.Replace(javaPutMedia,
			"X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n", "", 1), nil},
		"behind a proxy that changes the hop's headers": {
			strings.Replace(strings.Replace(kvssinkPutMedia, "connection: keep-alive",
				"connection: close", 1),
				"transfer-encoding: chunked", "content-length: 5", 1), nil},
		"python putMedia": {"POST /putMedia HTTP/1.1\r\nhost: 127.0.0.1:8480\r\ncontent-type: " +
			"application/json\r\nx-amz-date: 20261122T144159Z\r\n" +
			"transfer-encoding: chunked\r\nAuthorization: AWS4-HMAC-SHA256 Credential=" +
			testScope +
			", SignedHeaders=content-type;host;x-amz-date, " +
			"Signature=755813486c20e7f9ab79cae0ec4f369cab8ce4fba886bc1bb31d7f969d5eb780\r\n\r\n" +
			"0\r\n\r\n", nil},
		"kvssink describeStream": {"POST /describeStream HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: " +
			"*/*\r\nAuthorization: AWS4-HMAC-SHA256 Credential=" + testScope +
			", SignedHeaders=host;user-agent;x-amz-date, " +
			"Signature=9ae88935a6a93ea05266535b01694b0796ab132005aadb456c12860c9e7b8519\r\n" +
			"content-length: 32\r\ncontent-type: application/json\r\nuser-agent: " +
			"AWS-SDK-KVS-CPP-CLIENT/3.5.0/1.6.0 GCC/12.2.0 Linux/6.1 x86_64 CPPSDK\r\n" +
			"X-Amz-Date: 20261122T144159Z\r\n\r\n" + describe, []byte(describe)},
		"botocore": {"POST /describeStream HTTP/1.1\r\nHost: 127.0.0.1:8480\r\nContent-Type: " +
			"application/json\r\nX-Amz-Date: 20261122T144159Z\r\n" +
			"Authorization: AWS4-HMAC-SHA256 Credential=" + testScope +
			", SignedHeaders=content-type;host;x-amz-date, " +
			"Signature=bd53bb05c1df64e51fa3b626b6e22c9d4b001c598c4149a773ac0579befc16e7\r\n" +
			"Content-Length: 29\r\n\r\n" + botocoreBody, []byte(botocoreBody)},
		"botocore, odd path and query, blanks, token": {
			"POST /a%20b/%C3%A9//x/../~y?b=2&a=1&a=%20z%2F HTTP/1.1\r\nHost: 127.0.0.1:8480\r\n" +
				"x-amz-meta:   two   spaces \r\nX-Amz-Date: " +
				"20261122T144159Z\r\nX-Amz-Security-Token: " + testToken + "\r\n" +
				"Authorization: AWS4-HMAC-SHA256 Credential=" + testScope +
				", SignedHeaders=host;x-amz-date;x-amz-meta;x-amz-security-token, " +
				"Signature=c7baf32e425f9c7e4efc798c9968fb7f7b1a417ec052f6b73a3a93cdf6a32f7b\r\n" +
				"Content-Length: 2\r\n\r\n{}", []byte("{}")},
		"botocore presigned": {
			"GET /listStreams?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F" +
				"20261122%2Fus-west-2%2Fkinesisvideo%2Faws4_request&" +
				"X-Amz-Date=20261122T144159Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&" +
				"X-Amz-Signature=52e9e06b0738c0d8efe5bca9450b2d1c956aaaa963e7" +
				"ffbe96e8c2b4971f4fdd HTTP/1.1\r\n" +
				"Host: weir.example\r\n\r\n", []byte{}},
		"botocore presigned, own query, token": {
			"POST /getHLSStreamingSessionURL?x=y&X-Amz-Algorithm=AWS4-HMAC-SHA256&" +
				"X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Fus-west-2%2F" +
				"kinesisvideo%2Faws4_request&" +
				"X-Amz-Date=20261122T144159Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&" +
				"X-Amz-Security-Token=Session%2FToken%2B2%3D%3D&" +
				"X-Amz-Signature=754bb2ee47118d199bbb9f7006770633a7cd75e6ffd0" +
				"80769d6947a4adf5fc2a HTTP/1.1\r\nHost: weir.example\r\n\r\n", []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := testVerifier().Verify(request(t, c.raw), c.body)
			if err != nil {
				t.Fatal(err)
			}
			want := Identity[string]{testKey, "us-west-2", testTime,
				strings.Contains(name, "presigned"), "who has " + testKey}

			if id != want {
				t.Errorf("got %+v, want %+v", id, want)
			}
		})
	}
}

// HTTP/2 has neither a Connection nor a Transfer-Encoding header, but curl signs both.
func TestVerifyHTTP2(t *testing.T) {
	r := request(t, kvssinkPutMedia)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header.Del("Connection")
	r.TransferEncoding = nil
	if _, err := testVerifier().Verify(r, nil); err != nil {
		t.Error(err)
	}
}

// keysWithTokens are secrets by access key and token.
type keysWithTokens map[[2]string]string

func (k keysWithTokens) Find(id, token string) (secret, holder string, err error) {
	secret, ok := k[[2]string{id, token}]
	if !ok {
		return "", "", &Error{UnrecognizedClient, "the token is wrong"}
	}
	return secret, id, nil
}

// The token of a request reaches Keys, in either form, signed or not.
func TestSessionToken(t *testing.T) {
	v := &Verifier[string]{Keys: keysWithTokens{{"STATIC", ""}: "s", {"TEMPORARY", testToken}: "t"},
		Clock: func() time.Time { return testTime }}
	for _, c := range []struct {
		id, secret, token string
		good              bool
	}{
		{"STATIC", "s", "", true},
		{"STATIC", "s", "anything", false},
		{"TEMPORARY", "t", testToken, true},
		{"TEMPORARY", "t", "", false},
		{"TEMPORARY", "t", "other", false},
	} {
		s := Signer{Credentials: Credentials{c.id, c.secret, c.token}, Region: "r", Clock: v.Clock}
		header := httptest.NewRequest("POST", "http://weir.example/listStreams", nil)
		s.Sign(header, []byte{})
		put := httptest.NewRequest("POST", "http://weir.example/putMedia", nil)
		s.SignPutMedia(put)
		query := httptest.NewRequest("POST", "http://weir.example/listStreams", nil)
		u, err := s.Presign(query, nil, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		query.URL = u
		for form, r := range map[string]*http.Request{"header": header, "putMedia": put,
			"query": query} {
			body := []byte{}
			if form == "putMedia" {
				body = nil
			}
			_, err := v.Verify(r, body)
			var e *Error
			if (err == nil) != c.good || err != nil &&
				(!errors.As(err, &e) || e.Code != UnrecognizedClient) {
				t.Errorf("%s with token %q, %s: %v", c.id, c.token, form, err)
			}
		}
	}
}

// What Sign makes is valid after a real client has sent it and a real server has read it.
func TestOverTheWire(t *testing.T) {
	v := &Verifier[string]{Keys: mapKeys{testKey: testSecret}}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body []byte
		if r.URL.Path != "/putMedia" {
			body, _ = io.ReadAll(r.Body)
		}
		if _, err := v.Verify(r, body); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if body == nil {
			body, _ = io.ReadAll(r.Body)
		}
		_, _ = w.Write(body)
	})
	plain := httptest.NewServer(handler)
	defer plain.Close()
	second := httptest.NewUnstartedServer(handler)
	second.EnableHTTP2 = true
	second.StartTLS()
	defer second.Close()

	s := Signer{Credentials: Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret,
		SessionToken: testToken}, Region: "eu-west-1"}
	for _, server := range []*httptest.Server{plain, second} {
		payload := []byte(`{"StreamName":"cam"}`)
		post := func(path string, body io.Reader) *http.Request {
			r, err := http.NewRequest("POST", server.URL+path, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("x-amzn-stream-name", "cam")
			return r
		}
		signed := post("/describeStream?a=b&A=%2F+", bytes.NewReader(payload))
		s.Sign(signed, payload)
		put := post("/putMedia", io.MultiReader(bytes.NewReader(payload), bytes.NewReader(payload)))
		s.SignPutMedia(put)
		presigned := post("/x%20y/describeStream", bytes.NewReader(payload))
		u, err := s.Presign(presigned, payload, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		presigned.URL = u
		for name, r := range map[string]*http.Request{"signed": signed, "putMedia": put,
			"presigned": presigned} {
			if server == second && name == "putMedia" {
				// Go's HTTP/2 client refuses a Connection header, curl drops it.
				r.Header.Del("Connection")
			}
			res, err := server.Client().Do(r)
			if err != nil {
				t.Fatalf("%s over %s: %v", name, server.URL, err)
			}
			got, _ := io.ReadAll(res.Body)
			res.Body.Close()
			want := string(payload)
			if name == "putMedia" {
				want += want
			}
			if res.StatusCode != 200 || string(got) != want {
				t.Errorf("%s over %s: %d %s", name, res.Proto, res.StatusCode, got)
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(kvssinkPutMedia, []byte{})
	f.Add(javaPutMedia, []byte("{}"))
	f.Add(
		"GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE/20"+
			"261122/r/kinesisvideo/aws4_request&X-Amz-Date=20261122T144159Z&"+
			"X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=52 HTTP/1.1\r\nHost: "+
			"h\r\n\r\n", []byte("x"))
	f.Add("POST * HTTP/1.1\r\nHost:\r\nAuthorization: AWS4-HMAC-SHA256 "+
		"Credential=a/b/c/d/e,Signature=,SignedHeaders=;\r\n\r\n", []byte(nil))
	f.Fuzz(func(t *testing.T, raw string, body []byte) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		// With a secret that signed none of the corpus, nothing is valid and nothing panics.
		v := &Verifier[string]{Keys: mapKeys{testKey: "another secret"},
			Clock: func() time.Time { return testTime }}
		for _, b := range [][]byte{body, nil} {
			_, err := v.Verify(r, b)
			var e *Error
			if !errors.As(err, &e) || e.Code == "" || len(e.Message) > 2048 {
				t.Fatalf("got %v", err)
			}
		}
	})
}
