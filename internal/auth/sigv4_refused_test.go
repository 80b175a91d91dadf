package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestVerifyRefuses(t *testing.T) {
	const body = `{"StreamName": "demo-stream"}`
	sign := func(change func(*Signer, *http.Request)) *http.Request {
		r := httptest.NewRequest("POST", "http://weir.example/describeStream",
			strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		s := Signer{Credentials: Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
			Region: "us-west-2", Clock: func() time.Time { return testTime }}
		if change != nil {
			change(&s, r)
		}
		s.Sign(r, []byte(body))
		return r
	}
	at := func(d time.Duration) *http.Request {
		return sign(func(s *Signer, _ *http.Request) {
			s.Clock = func() time.Time { return testTime.Add(d) }
		})
	}
	edit := func(f func(*http.Request)) *http.Request { r := sign(nil); f(r); return r }
	authorization := func(old, now string) *http.Request {
		return edit(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, now,
				1))
		})
	}
	query := func(change func(url.Values)) *http.Request {
		r := httptest.NewRequest("POST", "http://weir.example/describeStream", nil)
		s := Signer{Credentials: Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
			Region: "us-west-2", Clock: func() time.Time { return testTime }}
		u, err := s.Presign(r, []byte(body), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		v := u.Query()
		change(v)
		u.RawQuery = v.Encode()
		r.URL = u
		return r
	}
	const token = "The security token included in the request is invalid."
	for name, c := range map[string]struct {
		r             *http.Request
		code, message string // message is a part; "" only when err must be nil
	}{
		"good":            {sign(nil), "", ""},
		"5 minutes old":   {at(-5 * time.Minute), "", ""},
		"5 minutes early": {at(5 * time.Minute), "", ""},
		"any region":      {sign(func(s *Signer, _ *http.Request) { s.Region = "0" }), "", ""},
		"commas without space": {edit(func(r *http.Request) {
			r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), ", ",
				","))
		}), "", ""},
		"unsigned header": {edit(func(r *http.Request) { r.Header.Set("X-Amzn-Trace-Id", "1") }),
			"", ""},
		"declared hash": {edit(func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", hashHex([]byte(body)))
		}), "", ""},

		"none": {
			edit(func(r *http.Request) { r.Header.Del("Authorization") }),
			MissingAuthenticationToken, "Missing Authentication Token"},
		"too old": {at(-301 * time.Second), InvalidSignature,
			"Signature expired: 20261122T143658Z is now earlier than 20261122T143659Z " +
				"(20261122T144159Z - 5 min.)"},
		"too early": {at(301 * time.Second), InvalidSignature,
			"Signature not yet current: 20261122T144700Z is still later than 20261122T144659Z " +
				"(20261122T144159Z + 5 min.)"},
		"unknown key": {
			sign(func(s *Signer, _ *http.Request) { s.AccessKeyID = "AKIDOTHER" }),
			UnrecognizedClient, token},
		"wrong secret": {
			sign(func(s *Signer, _ *http.Request) { s.SecretAccessKey = "x" }), InvalidSignature,
			mismatch},
		"wrong service": {
			sign(func(s *Signer, _ *http.Request) { s.Service = "s3" }), InvalidSignature,
			"Credential should be scoped to correct service: 'kinesisvideo'."},
		"other path": {
			edit(func(r *http.Request) { r.URL.Path = "/deleteStream" }), InvalidSignature,
			mismatch},
		"other query": {
			edit(func(r *http.Request) { r.URL.RawQuery = "a=1" }), InvalidSignature, mismatch},
		"other method": {edit(func(r *http.Request) { r.Method = "GET" }),
			InvalidSignature, mismatch},
		"other host": {
			edit(func(r *http.Request) { r.Host = "weir.example:80" }), InvalidSignature, mismatch},
		"other header": {
			edit(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }),
			InvalidSignature, mismatch},
		"header removed": {
			edit(func(r *http.Request) { r.Header.Del("Content-Type") }), InvalidSignature,
			mismatch},
		"wrong hash": {
			edit(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", emptyHash) }),
			InvalidSignature, "does not match what was computed"},
		"unsigned payload of a signed body": {
			edit(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", unsignedPayload) }),
			InvalidSignature, mismatch},
		"not AWS4": {
			edit(func(r *http.Request) { r.Header.Set("Authorization", "Bearer abc") }),
			IncompleteSignature, "Unsupported AWS 'algorithm': 'Bearer'."},
		"nothing in it": {
			edit(func(r *http.Request) { r.Header.Set("Authorization", algorithm) }),
			IncompleteSignature, "requires 'Credential' parameter. Authorization header requires " +
				"'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."},
		"two of them": {edit(func(r *http.Request) { r.Header.Add("Authorization", "x") }),
			IncompleteSignature, "more than once"},
		"huge": {edit(func(r *http.Request) {
			r.Header.Set("Authorization", algorithm+" "+strings.Repeat("a", 1<<17))
		}), IncompleteSignature, "too long"},
		"field twice": {authorization("SignedHeaders=", "Signature=1, SignedHeaders="),
			IncompleteSignature, "'Signature' more than once"},
		"no equal sign": {authorization("SignedHeaders=", "SignedHeaders"), IncompleteSignature,
			"missing equal-sign"},
		"short credential": {authorization("/aws4_request", ""), IncompleteSignature,
			"exactly 5 slash-delimited elements"},
		"long credential": {authorization("Credential=", "Credential="+strings.Repeat("a/", 20)),
			IncompleteSignature, "got 'a/a/…/20261122/us-west-2/kinesisvideo/aws4_request'"},
		"bad terminator": {authorization("aws4_request", "aws5_request"), InvalidSignature,
			"valid terminator: 'aws4_request', not 'aws5_request'."},
		"other day": {authorization("20261122", "20261121"), InvalidSignature,
			"'20261121' != '20261122', from '20261122T144159Z'."},
		"no region": {authorization("us-west-2", ""), InvalidSignature, "valid region"},
		"host not signed": {authorization("host;", ""), InvalidSignature,
			"must be a 'SignedHeader'"},
		"no date": {edit(func(r *http.Request) { r.Header.Del("X-Amz-Date") }),
			IncompleteSignature, "requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		"bad date": {edit(func(r *http.Request) { r.Header.Set("X-Amz-Date", "yesterday") }),
			IncompleteSignature, "'X-Amz-Date'"},
		"many headers": {authorization("SignedHeaders=", "SignedHeaders="+
			strings.Repeat("a;", 101)), IncompleteSignature, "more than 100"},
		"header listed twice": {authorization("SignedHeaders=", "SignedHeaders=host;"),
			IncompleteSignature, "lists a header more than once"},
		"signature cut": {edit(func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1])
		}), InvalidSignature, mismatch},
		"signature of zeros": {edit(func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-64]+strings.Repeat("0", 64))
		}), InvalidSignature, mismatch},

		"presigned": {query(func(url.Values) {}), "", ""},
		"presigned, changed": {query(func(v url.Values) { v.Set("X-Amz-Expires", "61") }),
			InvalidSignature, mismatch},
		"presigned, no expiry": {query(func(v url.Values) { v.Del("X-Amz-Expires") }),
			IncompleteSignature, "must include 'X-Amz-Expires'"},
		"presigned, eight days": {
			query(func(v url.Values) { v.Set("X-Amz-Expires", "604801") }), IncompleteSignature,
			"between 1 and 604800"},
		"presigned, negative expiry": {query(func(v url.Values) { v.Set("X-Amz-Expires", "-1") }),
			IncompleteSignature, "between 1 and 604800"},
		"presigned, bad date": {query(func(v url.Values) { v.Set("X-Amz-Date", "x") }),
			IncompleteSignature, "'basic format'"},
		"presigned, other algorithm": {
			query(func(v url.Values) { v.Set("X-Amz-Algorithm", "HMAC") }), IncompleteSignature,
			"'HMAC'"},
		"presigned, given twice": {query(func(v url.Values) { v.Add("X-Amz-Date", "x") }),
			IncompleteSignature, "'X-Amz-Date' more than once"},
		"presigned, only a parameter": {
			query(func(v url.Values) { clear(v); v.Set("X-Amz-Other", "1") }),
			MissingAuthenticationToken, "Missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := testVerifier().Verify(c.r, []byte(body))
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.message) {
				t.Errorf("got %v, want %s: …%s…", err, c.code, c.message)
			}
		})
	}
}

// A captured signature of PutMedia must not open a JSON call, whose hash is that of its body.
func TestEmptyHashIsNotEnoughForABody(t *testing.T) {
	r := httptest.NewRequest("POST", "http://weir.example/deleteStream", nil)
	s := Signer{Credentials: Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
		Region: "r", Clock: func() time.Time { return testTime }}
	s.SignPutMedia(r)
	if _, err := testVerifier().Verify(r, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := testVerifier().Verify(r, []byte(`{}`)); err == nil {
		t.Error("a body that was not signed is accepted")
	}
	r.Header.Set("X-Amz-Content-Sha256", hashHex([]byte("body")))
	if _, err := testVerifier().Verify(r, nil); err == nil {
		t.Error("a hash is taken for a body that was not read")
	}
}

func TestPresignedExpiry(t *testing.T) {
	s := Signer{Credentials: Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
		Region: "r", Clock: func() time.Time { return testTime }}
	r := httptest.NewRequest("GET", "http://weir.example/listStreams?a=b%20c", nil)
	u, err := s.Presign(r, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = u
	v := testVerifier()
	for after, good := range map[time.Duration]bool{0: true, time.Hour: true,
		time.Hour + time.Second: false, -5 * time.Minute: true, -301 * time.Second: false} {
		v.Clock = func() time.Time { return testTime.Add(after) }
		id, err := v.Verify(r, []byte{})
		if (err == nil) != good || good && !id.Presigned {
			t.Errorf("%v after signing: %+v, %v", after, id, err)
		}
	}
	for _, d := range []time.Duration{0, time.Millisecond, 8 * 24 * time.Hour} {
		if _, err := s.Presign(r, nil, d); err == nil {
			t.Errorf("presigned for %v", d)
		}
	}
}

func TestStrictRegion(t *testing.T) {
	s := Signer{Credentials: Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
		Region: "us-east-1", Clock: func() time.Time { return testTime }}
	r := httptest.NewRequest("POST", "http://weir.example/listStreams", nil)
	s.Sign(r, []byte{})
	v := testVerifier()
	v.StrictRegion = true
	if _, err := v.Verify(r, []byte{}); err == nil ||
		!strings.Contains(err.Error(), "valid region, not 'us-east-1'") {
		t.Errorf("another region: %v", err)
	}
	v.Region = "us-east-1"
	if _, err := v.Verify(r, []byte{}); err != nil {
		t.Error(err)
	}
}
