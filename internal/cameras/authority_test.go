package cameras

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/certs"
	"weir/internal/store"
)

func decodePEM(t *testing.T, text []byte) []byte {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		t.Fatalf("not one certificate in PEM: %q", text)
	}
	return block.Bytes
}

// A camera's CA file verifies the server after a restart and under each of its names. The server's
// certificate is replaced long before it ends.
func TestServerCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cam := s.add("cam1")
	seen := func() *x509.Certificate {
		t.Helper()
		var leaf *x509.Certificate
		for _, name := range []string{"weir.example", "localhost", "127.0.0.1"} {
			cam.get(libcurl("camera", "cam1"), func(c *tls.Config) {
				c.ServerName = name
				c.VerifyConnection = func(state tls.ConnectionState) error {
					leaf = state.PeerCertificates[0]
					return nil
				}
			})
		}
		return leaf
	}
	first := seen()
	if again := seen(); !again.Equal(first) {
		t.Error("each handshake has a certificate of its own")
	}
	s.pass(certs.ServerLifetime*2/3 + time.Second)
	if next := seen(); next.Equal(first) || next.NotAfter.Before(s.clock().AddDate(0, 0, 89)) {
		t.Errorf("it ends at %v", next.NotAfter)
	}
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true} {
		conn, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: cam.ca, Time: s.clock,
			ServerName: "localhost", MinVersion: version, MaxVersion: version})
		if (err == nil) != want {
			t.Errorf("TLS %x: %v", version, err)
		}
		if err == nil {
			conn.Close()
		}
	}

	s.open() // a restart
	config, err := s.TLS(t.Context(), []string{"weir.example"})
	s.must(err)
	own, err := config.GetCertificate(cameTo(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 7)}))
	s.must(err)
	for _, name := range []string{"weir.example", "10.0.0.7"} {
		if _, err := own.Leaf.Verify(x509.VerifyOptions{Roots: cam.ca, DNSName: name,
			CurrentTime: s.clock()}); err != nil {
			t.Errorf("after a restart, as %s: %v", name, err)
		}
	}
}

// connection is a connection to an address.
type connection struct {
	net.Conn
	to net.Addr
}

func (c connection) LocalAddr() net.Addr { return c.to }

// cameTo is the handshake of a client that connected to an address.
func cameTo(address net.Addr) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{Conn: connection{to: address}}
}

// Processes that make the authority at the same time get the same one, and its key is stored
// nowhere in the clear.
func TestAuthorityIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, err := s.authority(t.Context())
	s.must(err)
	s.open()
	s.must(s.access.DeleteDocument(t.Context(), access.KindCameraCA, ownCA, store.AnyRevision))
	one, two := New(Options{Access: s.access}), New(Options{Access: s.access})
	made := make(chan *certs.Authority, 2)
	for _, s := range []*Service{one, two} {
		go func() {
			a, err := s.authority(t.Context())
			if err != nil {
				t.Error(err)
			}
			made <- a
		}()
	}
	a, b := <-made, <-made
	if !a.Certificate.Equal(b.Certificate) || a.Certificate.Equal(first.Certificate) {
		t.Error("they have authorities of their own")
	}
	der, err := x509.MarshalPKCS8PrivateKey(a.Key)
	s.must(err)
	secret, err := a.Key.(*ecdsa.PrivateKey).Bytes()
	s.must(err)
	for _, d := range s.access.Documents(access.KindCameraCA) {
		if bytes.Contains(d.Data, der) || bytes.Contains(d.Data, secret) {
			t.Error("the key is not sealed")
		}
	}
}

// A request with a wrong signature, or with a weak or enormous key, is refused.
func TestRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	s.must(err)
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	s.must(err)
	good := s.request("cam1", newKey(t))
	block, _ := pem.Decode(good)
	forged := bytes.Clone(block.Bytes)
	forged[len(forged)-1] ^= 1
	inPEM := func(der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der})
	}
	for name, c := range map[string]struct {
		request []byte
		says    string
	}{
		"no PEM":        {block.Bytes, "not in PEM"},
		"a certificate": {certificatePEM(s.own.Load().Certificate), "not in PEM"},
		"too large":     {bytes.Repeat(good, 100), "more than"},
		"damaged":       {inPEM(forged), ""},
		"cut off":       {inPEM(forged[:90]), ""},
		"a weak key":    {s.request("cam1", weak), "1024 bits"},
		"an old curve":  {s.request("cam1", small), "P-224"},
	} {
		_, err := s.Add(t.Context(), AddInput{Name: "cam1", Request: c.request})
		if !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, in := range []AddInput{{Name: "", Request: good}, {Name: "a b", Request: good},
		{Name: strings.Repeat("x", 129), Request: good},
		{Name: "cam1", Request: good, Lifetime: time.Hour},
		{Name: "cam1", Request: good, Lifetime: 11 * 365 * 24 * time.Hour}} {
		if _, err := s.Add(t.Context(), in); !errors.Is(err, access.ErrInvalid) {
			t.Errorf("%q for %s: %v", in.Name, in.Lifetime, err)
		}
	}
	s.add("cam1")
	if _, err := s.Add(t.Context(), AddInput{Name: "cam1",
		Request: good}); !errors.Is(err, access.ErrExists) {
		t.Errorf("a second cam1: %v", err)
	}
	if len(s.List()) != 1 {
		t.Errorf("%+v", s.List())
	}
}

// Any bytes as a request or a certificate are refused or understood, with bounded effort.
func FuzzCertificates(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	request, err := NewRequest("cam1", key)
	if err != nil {
		f.Fatal(err)
	}
	template := cameraTemplate("cam1")
	template.DNSNames = []string{"cam2", "a.b", ""}
	template.SerialNumber = certs.Serial()
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(request)
	f.Add(der)
	f.Fuzz(func(t *testing.T, data []byte) {
		if public, err := parseRequest(data); err == nil && checkPublic(public) != nil {
			t.Errorf("a key of type %T was accepted", public)
		}
		c, err := x509.ParseCertificate(data)
		if err != nil {
			return
		}
		for _, name := range thingsOf(c) {
			if !ValidName(name) {
				t.Errorf("%q is a thing", name)
			}
		}
		if c.SerialNumber.Sign() >= 0 && len(c.SerialNumber.Bytes()) <= 20 {
			text := serialText(c.SerialNumber)
			if !serialPattern.MatchString(text) || normalSerial(text) != text {
				t.Errorf("serial %q", text)
			}
		}
	})
}
