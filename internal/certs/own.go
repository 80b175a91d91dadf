package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"weir/internal/auth"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	slowClock         = time.Hour // by which a client's clock may be behind

	authorityFile = "ca.pem"
	keyFile       = "ca-key.pem"
)

// Own is an authority of the server's own, for a quick start: clients that have the file of the
// authority trust the server.
type Own struct {
	*Server
	path string
}

// NewOwn reads the authority in a directory, and makes authority and directory if they do not
// exist. hosts are names and addresses of the server; localhost and addresses of this machine need
// not be among them. The error wraps ErrEnded if the authority has expired.
func NewOwn(dir string, hosts ...string) (*Own, error) {
	return newOwn(dir, time.Now, hosts)
}

func newOwn(dir string, now func() time.Time, hosts []string) (*Own, error) {
	path := filepath.Join(dir, authorityFile)
	pair, err := tls.LoadX509KeyPair(path, filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeOwn(dir, now()); err != nil {
			return nil, fmt.Errorf("make authority: %w", err)
		}
		pair, err = tls.LoadX509KeyPair(path, filepath.Join(dir, keyFile))
	}
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("load authority: %s is not the certificate of one", path)
	}
	if !now().Before(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("%w: %s", ErrEnded, path)
	}
	return &Own{NewServer(&Authority{pair.Leaf, signer, slowClock},
		append([]string{"localhost"}, hosts...), now), path}, nil
}

// CAFile returns the path of the PEM file that clients need.
func (o *Own) CAFile() string { return o.path }

// GetCertificate implements Source.
func (o *Own) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	certificate, err := o.Server.GetCertificate(hello)
	if errors.Is(err, ErrEnded) {
		return nil, fmt.Errorf("%w: %s", err, o.path)
	}
	return certificate, err
}

// makeOwn makes the files. It writes the certificate last, so that if it exists, both do.
func makeOwn(dir string, now time.Time) error {
	a, err := NewAuthority("Weir server", now, authorityLifetime, slowClock)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(a.Key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, keyFile), "PRIVATE KEY", secret),
		writePEM(filepath.Join(dir, authorityFile), "CERTIFICATE", a.Certificate.Raw))
}

// writePEM replaces a file durably, because clients are given copies of it.
func writePEM(path, kind string, der []byte) error {
	return auth.WriteSecret(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
