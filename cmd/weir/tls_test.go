package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/test/output"
)

// With --tls-self-signed the server says which file clients need, and that file is enough; `weir
// env` prints it, too.
func TestServeSelfSigned(t *testing.T) {
	data := t.TempDir()
	r := serveHere(t, serveCmd{Data: data, tlsFlags: tlsFlags{TLSSelfSigned: true,
		HSTS: time.Hour}})
	ca := filepath.Join(data, "tls", "ca.pem")
	if !strings.Contains(r.out.String(), ca) || !strings.HasPrefix(r.url, "https://") {
		t.Errorf("at %s it says:\n%s", r.url, r.out.String())
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get(r.url + "/player")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK ||
		res.Header.Get("Strict-Transport-Security") != "max-age=3600" {
		t.Errorf("%v, %s, %v", err, res.Status, res.Header)
	}
	var env output.Buffer
	if err := (&envCmd{Data: data}).Run(stdio{Out: &env}); err != nil ||
		!strings.Contains(env.String(), "export AWS_CA_BUNDLE="+quote(ca)) {
		t.Errorf("%v\n%s", err, env.String())
	}
}

// Flags of certificates that exclude each other.
func TestTLSFlags(t *testing.T) {
	for want, f := range map[string]tlsFlags{
		"go together":     {TLSCert: "c"},
		"only one of":     {TLSSelfSigned: true, ACME: []string{"a.example"}},
		"need --acme":     {ACMEDirectory: "https://ca.example"},
		"needs --tls":     {RedirectHTTP: ":80"},
		"negative":        {HSTS: -1},
		"not a host name": {ACME: []string{"192.0.2.1"}},
	} {
		if err := f.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, not %q", f, err, want)
		}
	}
}
