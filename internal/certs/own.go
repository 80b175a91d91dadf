package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	ownLifetime       = 90 * 24 * time.Hour
	slowClock         = time.Hour // by which a client's clock may be behind
	// maxAddresses bounds the addresses of this machine that its certificate names.
	maxAddresses = 64

	authorityFile = "ca.pem"
	keyFile       = "ca-key.pem"
)

// ErrEnded is of an authority that no longer may sign.
var ErrEnded = errors.New("the authority has ended")

// Own is an authority of the server's own, for first steps: clients trust the server once they have
// the file of the authority. The certificate of the server is never stored: each start issues one,
// and a new one follows when a third of its life is left.
type Own struct {
	ca    *x509.Certificate
	key   crypto.Signer
	path  string
	hosts []string
	now   func() time.Time

	mu        sync.Mutex
	addresses []netip.Addr // that clients came to
	issued    *tls.Certificate
	renew     time.Time // of issued
}

// NewOwn reads the authority in a directory, and makes both when they are not there. hosts are the
// names and addresses of the server; localhost and each address of this machine that a client comes
// to need not be among them. ErrEnded is wrapped when the authority is past its end.
func NewOwn(dir string, hosts ...string) (*Own, error) {
	return newOwn(dir, time.Now, hosts)
}

func newOwn(dir string, now func() time.Time, hosts []string) (*Own, error) {
	o := &Own{path: filepath.Join(dir, authorityFile), now: now,
		hosts: append([]string{"localhost"}, hosts...)}
	pair, err := tls.LoadX509KeyPair(o.path, filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeAuthority(dir, now()); err != nil {
			return nil, fmt.Errorf("make authority: %w", err)
		}
		pair, err = tls.LoadX509KeyPair(o.path, filepath.Join(dir, keyFile))
	}
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("load authority: %s is not the certificate of one", o.path)
	}
	if !now().Before(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("%w: %s", ErrEnded, o.path)
	}
	o.ca, o.key = pair.Leaf, signer
	return o, nil
}

// CAFile is the PEM file that clients need.
func (o *Own) CAFile() string { return o.path }

// GetCertificate implements Source.
func (o *Own) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	fresh := o.issued != nil && now.Before(o.renew)
	if tcp, ok := hello.Conn.LocalAddr().(*net.TCPAddr); ok {
		address := tcp.AddrPort().Addr().Unmap().WithZone("")
		if !slices.Contains(o.addresses, address) && len(o.addresses) < maxAddresses {
			o.addresses = append(o.addresses, address)
			fresh = false
		}
	}
	if fresh {
		return o.issued, nil
	}
	if !now.Before(o.ca.NotAfter) {
		return nil, fmt.Errorf("%w: %s", ErrEnded, o.path)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := o.template(now)
	der, err := x509.CreateCertificate(rand.Reader, template, o.ca, key.Public(), o.key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	o.issued = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	o.renew = now.Add(leaf.NotAfter.Sub(now) * 2 / 3)
	return o.issued, nil
}

// template names everything that the server is known by. It ends with the authority at the latest.
func (o *Own) template(now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Weir"},
		NotBefore:             now.Add(-slowClock),
		NotAfter:              now.Add(ownLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if t.NotAfter.After(o.ca.NotAfter) {
		t.NotAfter = o.ca.NotAfter
	}
	addresses := slices.Clone(o.addresses)
	for _, host := range o.hosts {
		if address, err := netip.ParseAddr(host); err == nil {
			addresses = append(addresses, address.Unmap().WithZone(""))
		} else if host != "" && !slices.Contains(t.DNSNames, host) {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	for _, address := range addresses {
		if ip := net.IP(address.AsSlice()); !slices.ContainsFunc(t.IPAddresses, ip.Equal) {
			t.IPAddresses = append(t.IPAddresses, ip)
		}
	}
	return t
}

// makeAuthority makes the files. The certificate is written last: with it, both are there.
func makeAuthority(dir string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	number := serial()
	template := &x509.Certificate{
		SerialNumber: number,
		// Authorities of several servers in one file need names of their own: OpenSSL looks them up
		// by name.
		Subject: pkix.Name{
			CommonName: "Weir server " + hex.EncodeToString(number.Bytes()[:4])},
		NotBefore:             now.Add(-slowClock),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, keyFile), "PRIVATE KEY", secret),
		writePEM(filepath.Join(dir, authorityFile), "CERTIFICATE", der))
}

// writePEM replaces a file, durably: clients are given a copy of it.
func writePEM(path, kind string, der []byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, path)
}

// serial draws a serial number: positive, of 16 octets (RFC 5280 section 4.1.2.2 allows 20).
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}
