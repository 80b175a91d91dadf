package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shake makes a handshake with a source and returns what the client sees.
func shake(t *testing.T, from Source, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", Config(from))
	must(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if c.(*tls.Conn).Handshake() == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer c.Close()
	return c.ConnectionState(), nil
}

func trust(t *testing.T, o *Own) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(o.CAFile())
	must(t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("no certificate in %s", text)
	}
	return pool
}

// The file of the authority suffices to trust the server under each of its names and addresses,
// even after a restart. A new certificate replaces the old one before that ends.
func TestOwnAuthority(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "tls"), time.Now()
	clock := func() time.Time { return now }
	first, err := newOwn(dir, clock, []string{"video.example.com", "192.0.2.7"})
	must(t, err)
	info, err := os.Stat(filepath.Join(dir, keyFile))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v", info.Mode())
	}
	again, err := newOwn(dir, clock, []string{"video.example.com", "192.0.2.7"})
	must(t, err)
	for _, name := range []string{"localhost", "127.0.0.1", "video.example.com", "192.0.2.7"} {
		if _, err := shake(t, again, &tls.Config{ServerName: name,
			RootCAs: trust(t, first)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := shake(t, again, &tls.Config{ServerName: "other.example.com",
		RootCAs: trust(t, first)}); err == nil {
		t.Error("the certificate is good for any name")
	}
	now = now.Add(ServerLifetime * 3 / 4)
	state, err := shake(t, again, &tls.Config{ServerName: "localhost", Time: clock,
		RootCAs: trust(t, first)})
	must(t, err)
	if left := state.PeerCertificates[0].NotAfter.Sub(now); left < ServerLifetime/2 {
		t.Errorf("with a quarter of its life left the certificate is not renewed: %v", left)
	}
	now = now.Add(authorityLifetime)
	if _, err := newOwn(dir, clock, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("an authority past its end: %v", err)
	}
}

// TLS 1.2 clients without forward secrecy or authenticated encryption, and older ones, are refused.
func TestVersionsAndSuites(t *testing.T) {
	own, err := NewOwn(t.TempDir())
	must(t, err)
	pool := trust(t, own)
	for name, client := range map[string]*tls.Config{
		"TLS 1.1": {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"CBC": {MaxVersion: tls.VersionTLS12,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
	} {
		client.ServerName, client.RootCAs = "localhost", pool
		if _, err := shake(t, own, client); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		state, err := shake(t, own, &tls.Config{ServerName: "localhost", RootCAs: pool,
			MaxVersion: version})
		if err != nil || state.Version != version {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// pair writes a certificate of an authority and its key to files.
func pair(t *testing.T, o *Own, cert, key string) {
	t.Helper()
	server, client := net.Pipe()
	defer server.Close()
	defer client.Close()
	made, err := o.GetCertificate(&tls.ClientHelloInfo{Conn: server})
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	must(t, err)
	must(t, writePEM(cert, "CERTIFICATE", made.Certificate[0]))
	must(t, writePEM(key, "PRIVATE KEY", secret))
}

// A running server uses files that have changed. A missing or broken one changes nothing and is
// logged once.
func TestFilesAreReadAgain(t *testing.T) {
	var log strings.Builder
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := NewFiles(cert, key, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("files that are not there")
	}
	var owns [2]*Own
	for i := range owns {
		var err error
		owns[i], err = NewOwn(filepath.Join(dir, string(rune('a'+i))))
		must(t, err)
	}
	pair(t, owns[0], cert, key)
	f, err := NewFiles(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	must(t, err)
	now := time.Now()
	f.now = func() time.Time { return now }
	shows := func(o *Own, when string) {
		t.Helper()
		for range 3 {
			now = now.Add(checkEvery)
			if _, err := shake(t, f, &tls.Config{ServerName: "localhost",
				RootCAs: trust(t, o)}); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
		}
	}
	told := func() int { return strings.Count(log.String(), "the old certificate stays") }

	shows(owns[0], "at the start")
	must(t, os.WriteFile(cert, []byte("half a certif"), 0o600))
	shows(owns[0], "a broken file")
	if told() != 1 {
		t.Errorf("the log tells %d times of a broken file", told())
	}
	must(t, os.Remove(cert))
	shows(owns[0], "no file")
	if told() != 2 {
		t.Errorf("the log tells %d times of a broken and of a missing file", told())
	}
	pair(t, owns[1], cert, key)
	shows(owns[1], "a new pair")
	// as links that a renewal points to other files, which may be older
	pair(t, owns[0], filepath.Join(dir, "cert1"), filepath.Join(dir, "key1"))
	must(t, os.Remove(cert))
	must(t, os.Remove(key))
	must(t, os.Symlink("cert1", cert))
	must(t, os.Symlink("key1", key))
	shows(owns[0], "links to other files")
	if told() != 2 {
		t.Errorf("the log tells of good files, too: %s", log.String())
	}
}

func TestACMEHosts(t *testing.T) {
	must(t, CheckACMEHosts([]string{"video.example.com", "xn--bcher-kva.example"}))
	for _, bad := range []string{"localhost", "192.0.2.1", "2001:db8::1", "*.example.com",
		"Video.example.com", "bücher.example", "video.example.com:443", ""} {
		if CheckACMEHosts([]string{bad}) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
