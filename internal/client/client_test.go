package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/auth"
)

func TestCallSignsAndDecodes(t *testing.T) {
	var got *http.Request
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, body = r, string(text)
		io.WriteString(w,
			`{"StreamInfo":{"StreamName":"cam","DataRetentionInHours":3,"CreationTime":1.5}}`)
	}))
	defer s.Close()
	c := &Client{Endpoint: s.URL + "/", Region: "eu-west-1",
		Credentials: auth.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s",
			SessionToken: "tok"}}
	var out struct{ StreamInfo api.StreamInfo }
	if err := c.Call(t.Context(), "DescribeStream",
		&api.DescribeStreamInput{StreamRef: api.StreamRef{StreamName: "cam"}}, &out); err != nil {
		t.Fatal(err)
	}
	if out.StreamInfo.StreamName != "cam" || out.StreamInfo.DataRetentionInHours != 3 ||
		out.StreamInfo.CreationTime != 1500 {
		t.Errorf("answer %+v", out)
	}
	if got.URL.Path != "/describeStream" || body != `{"StreamName":"cam"}` {
		t.Errorf("request %s %s", got.URL.Path, body)
	}
	if a := got.Header.Get("Authorization"); !strings.Contains(a,
		"/eu-west-1/kinesisvideo/aws4_request") || got.Header.Get("X-Amz-Security-Token") != "tok" {
		t.Errorf("authorization %q, token %q", a, got.Header.Get("X-Amz-Security-Token"))
	}
	var raw json.RawMessage
	if err := c.Call(t.Context(), "ListStreams", struct{}{}, &raw); err != nil ||
		!strings.Contains(string(raw), "StreamInfo") {
		t.Errorf("raw answer %s, %v", raw, err)
	}
}

// A page of images may be as long as 25 of the longest images; no other answer may.
func TestLongAnswers(t *testing.T) {
	long := bytes.Repeat([]byte(" "), maxAnswer+1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "{}") // the client counts
		_, _ = w.Write(long)
	}))
	defer s.Close()
	c := &Client{Endpoint: s.URL, Region: "us-west-2"}
	if err := c.Call(t.Context(), "GetImages", nil, nil); err != nil {
		t.Errorf("GetImages: %v", err)
	}
	err := c.Call(t.Context(), "ListStreams", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("ListStreams: %v", err)
	}
}

func TestCallErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status             int
		header, kind, body string
		code, message      string
	}{
		"modelled": {404, "x-amzn-ErrorType",
			"ResourceNotFoundException:http://internal.amazon.com/", `{"Message":"gone"}`,
			"ResourceNotFoundException", "gone"},
		"gateway": {403, "x-amz-ErrorType", "InvalidSignatureException", `{"message":"no"}`,
			"InvalidSignatureException", "no"},
		"proxy": {502, "X-Other", "", "<html>", "Unknown", ""},
		"named": {413, "Server", "nginx", "<html>", "Unknown",
			`this is no answer of the API; it came from "nginx"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(c.header, c.kind)
				w.Header().Set("x-amzn-RequestId", "id-1")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer s.Close()
			err := (&Client{Endpoint: s.URL}).Call(t.Context(), "DescribeStream", struct{}{}, nil)
			var e *Error
			if !errors.As(err, &e) || string(e.Code) != c.code || e.Message != c.message ||
				e.Status != c.status || e.RequestID != "id-1" {
				t.Errorf("error %#v", err)
			}
		})
	}
	s := httptest.NewServer(nil)
	s.Close()
	err := (&Client{Endpoint: s.URL}).Call(t.Context(), "DescribeStream", struct{}{}, nil)
	var connect *ConnectError
	if !errors.As(err, &connect) || connect.URL != s.URL+"/describeStream" {
		t.Errorf("error %v", err)
	}
	for _, endpoint := range []string{"", "127.0.0.1:8480", "ftp://x", "http://", "http://a b"} {
		if err := (&Client{Endpoint: endpoint}).Call(t.Context(), "DescribeStream", struct{}{},
			nil); !errors.Is(err, ErrEndpoint) {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
}
