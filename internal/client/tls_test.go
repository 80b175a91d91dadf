package client

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/api"
)

// With a server, or a proxy before it, that prefers HTTP/2, calls may use it and PutMedia must
// not. The call before PutMedia makes a transport add h2 to its configuration.
func TestProducerOffersHTTP1Only(t *testing.T) {
	s := &putMediaServer{t: t}
	s.Server = httptest.NewUnstartedServer(s)
	s.EnableHTTP2 = true
	s.Config.ConnContext = keepConn
	s.StartTLS()
	t.Cleanup(s.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(bundle, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		environment Environment
		variable    string
	}{
		"AWS_CA_BUNDLE":   {variable: bundle},
		"--ca-bundle":     {environment: Environment{CABundle: bundle}},
		"--no-verify-ssl": {environment: Environment{NoVerify: true}},
	} {
		t.Run(name, func(t *testing.T) {
			awsFiles(t, "", "[default]"+pair("D"), map[string]string{"AWS_CA_BUNDLE": c.variable})
			s.mu.Lock()
			s.stored, s.protocols = nil, nil
			s.mu.Unlock()
			c.environment.EndpointURL = s.URL
			client, err := c.environment.Client(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Call(t.Context(), "GetDataEndpoint", &api.GetDataEndpointInput{},
				nil); err != nil {
				t.Fatal(err)
			}
			o := s.options()
			o.Client, o.GiveUp = client, 1 // a first failure is one too many
			if _, err := NewProducer(o).Run(t.Context(), camera(2)); err != nil {
				t.Fatal(err)
			}
			checkStored(t, s, want(2))
			if got := s.protocols["/getDataEndpoint"]; got != "HTTP/2.0" {
				t.Errorf("calls used %s: the server did not offer HTTP/2", got)
			}
			if got := s.protocols["/putMedia"]; got != "HTTP/1.1" {
				t.Errorf("PutMedia used %s", got)
			}
		})
	}
}
