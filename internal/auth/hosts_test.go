package auth

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A proxy passes on a request with its own Host. The signature is valid if the client signed a name
// by which the server is known, and no other. The refusal names the Host that arrived.
func TestHostsBehindAProxy(t *testing.T) {
	for name, c := range map[string]struct {
		signed, arrived, forwarded string
		message                    string // a part of the message; "" when the request is accepted
		not                        string // what the message must not contain
	}{
		"passed on":           {signed: "a.example", arrived: "a.example"},
		"advertised":          {signed: "video.example:8443", arrived: "127.0.0.1:8480"},
		"advertised, no port": {signed: "video.example", arrived: "127.0.0.1:8480"},
		"port taken away":     {signed: "video.example:8443", arrived: "video.example"},
		"another server's": {signed: "other.example", arrived: "127.0.0.1:8480",
			message: "arrived with the Host '127.0.0.1:8480'"},
		"forwarded is not safe": {"other.example", "127.0.0.1:8480", "other.example",
			"signed for the Host 'other.example'", ""},
		"forwarded is wrong": {"other.example", "[::1]:80", "third.example",
			"arrived with the Host '[::1]:80'", "third"},
		"no host at all": {signed: "other.example", arrived: "<script>", message: mismatch,
			not: "script"},
		"forwarded is no host": {"other.example", "b", "<script>", "arrived with the Host 'b'",
			"script"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "http://"+c.signed+"/describeStream",
				strings.NewReader("{}"))
			s := Signer{Credentials: Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret},
				Region: "us-west-2"}
			s.Clock = func() time.Time { return testTime }
			s.Sign(r, []byte("{}"))
			r.Host = c.arrived
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-Host", c.forwarded)
			}
			v := testVerifier()
			v.Hosts = []string{"video.example:8443", "video.example"}
			_, err := v.Verify(r, []byte("{}"))
			if c.message == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Code != InvalidSignature ||
				!strings.Contains(e.Message, c.message) {
				t.Fatalf("got %v, want …%s…", err, c.message)
			}
			if c.not != "" && strings.Contains(e.Message, c.not) {
				t.Errorf("the message repeats %q: %s", c.not, e.Message)
			}
		})
	}
}
