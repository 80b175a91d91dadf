package client

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
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
		io.WriteString(w, `{"StreamInfo":{"StreamName":"cam","DataRetentionInHours":3,"CreationTime":1.5}}`)
	}))
	defer s.Close()
	c := &Client{Endpoint: s.URL + "/", Region: "eu-west-1", Credentials: auth.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s", SessionToken: "tok"}}
	var out struct{ StreamInfo api.StreamInfo }
	if err := c.Call(t.Context(), "DescribeStream", &api.DescribeStreamInput{StreamRef: api.StreamRef{StreamName: "cam"}}, &out); err != nil {
		t.Fatal(err)
	}
	if out.StreamInfo.StreamName != "cam" || out.StreamInfo.DataRetentionInHours != 3 || out.StreamInfo.CreationTime != 1500 {
		t.Errorf("answer %+v", out)
	}
	if got.URL.Path != "/describeStream" || body != `{"StreamName":"cam"}` {
		t.Errorf("request %s %s", got.URL.Path, body)
	}
	if a := got.Header.Get("Authorization"); !strings.Contains(a, "/eu-west-1/kinesisvideo/aws4_request") || got.Header.Get("X-Amz-Security-Token") != "tok" {
		t.Errorf("authorization %q, token %q", a, got.Header.Get("X-Amz-Security-Token"))
	}
	var raw json.RawMessage
	if err := c.Call(t.Context(), "ListStreams", struct{}{}, &raw); err != nil || !strings.Contains(string(raw), "StreamInfo") {
		t.Errorf("raw answer %s, %v", raw, err)
	}
}

func TestCallErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status             int
		header, kind, body string
		code, message      string
	}{
		"modelled": {404, "x-amzn-ErrorType", "ResourceNotFoundException:http://internal.amazon.com/", `{"Message":"gone"}`, "ResourceNotFoundException", "gone"},
		"gateway":  {403, "x-amz-ErrorType", "InvalidSignatureException", `{"message":"no"}`, "InvalidSignatureException", "no"},
		"proxy":    {502, "X-Other", "", "<html>", "Unknown", ""},
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
			if !errors.As(err, &e) || string(e.Code) != c.code || e.Message != c.message || e.Status != c.status || e.RequestID != "id-1" {
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
		if err := (&Client{Endpoint: endpoint}).Call(t.Context(), "DescribeStream", struct{}{}, nil); !errors.Is(err, ErrEndpoint) {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	const file = "[default]\naws_access_key_id = D\naws_secret_access_key = DS\n[lab]\naws_access_key_id = L\naws_secret_access_key = LS\naws_session_token = LT\n"
	for name, c := range map[string]struct {
		flags     Environment
		vars      map[string]string
		config    string
		want      string // endpoint region key secret token
		wantError string
	}{
		"nothing set": {want: "http://127.0.0.1:8480 us-west-2 D DS "},
		"variables": {
			vars: map[string]string{"AWS_ENDPOINT_URL": "http://h:1/", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "ES", "AWS_SESSION_TOKEN": "ET", "AWS_PROFILE": "lab"},
			want: "http://h:1 eu-west-1 E ES ET",
		},
		"the service's endpoint before the general one, AWS_REGION before AWS_DEFAULT_REGION": {
			vars: map[string]string{"AWS_ENDPOINT_URL_KINESIS_VIDEO": "http://kvs", "AWS_ENDPOINT_URL": "http://all", "AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"},
			want: "http://kvs a D DS ",
		},
		"flags before variables": {
			flags: Environment{EndpointURL: "http://flag", Region: "f", Profile: "lab"},
			vars:  map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_REGION": "a", "AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "ES"},
			want:  "http://flag f L LS LT",
		},
		"profile": {vars: map[string]string{"AWS_PROFILE": "lab"}, want: "http://127.0.0.1:8480 us-west-2 L LS LT"},
		"config file": {
			config: "[default]\nregion=c\nendpoint_url = http://conf/\n", want: "http://conf c D DS ",
		},
		"config file's profile and its services": {
			flags:  Environment{Profile: "k"},
			config: "[default]\nregion=c\n[profile k]\nservices = s # here\nendpoint_url = http://conf\naws_access_key_id = C\naws_secret_access_key = CS\n[services s]\nkinesis_video =\n  endpoint_url = http://kv\nother =\n  endpoint_url = http://o\n",
			want:   "http://kv us-west-2 C CS ",
		},
		"variables before the config file": {
			vars: map[string]string{"AWS_ENDPOINT_URL": "http://v", "AWS_REGION": "v"}, config: "[default]\nregion=c\nendpoint_url = http://conf\n", want: "http://v v D DS ",
		},
		"configured endpoints ignored": {
			vars: map[string]string{"AWS_ENDPOINT_URL": "http://v", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, want: "http://127.0.0.1:8480 us-west-2 D DS ",
		},
		"broken config file": {config: "region", wantError: "line 1"},
		"no such services":   {config: "[default]\nservices=x\n", wantError: `services "x"`},
		"no certificates":    {vars: map[string]string{"AWS_CA_BUNDLE": "/home/u/.aws/credentials"}, wantError: "no certificate"},
		"half a pair":        {vars: map[string]string{"AWS_ACCESS_KEY_ID": "E"}, wantError: "must be set together"},
		"no such profile":    {vars: map[string]string{"AWS_PROFILE": "x"}, wantError: `no profile "x"`},
		"no file":            {vars: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": "/elsewhere"}, wantError: "unable to locate credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			e := c.flags
			e.Getenv = func(name string) string { return c.vars[name] }
			e.HomeDir = func() (string, error) { return "/home/u", nil }
			e.ReadFile = func(path string) ([]byte, error) {
				switch {
				case path == "/home/u/.aws/credentials":
					return []byte(file), nil
				case path == "/home/u/.aws/config" && c.config != "":
					return []byte(c.config), nil
				}
				return nil, fs.ErrNotExist
			}
			got, err := e.Client()
			if c.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantError) {
					t.Errorf("error %v, expected one with %q", err, c.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			k := got.Credentials
			if text := strings.Join([]string{got.Endpoint, got.Region, k.AccessKeyID, k.SecretAccessKey, k.SessionToken}, " "); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}
