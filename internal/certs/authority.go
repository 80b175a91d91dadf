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
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ErrEnded says that an authority has expired and may no longer sign.
var ErrEnded = errors.New("the authority has ended")

// Authority issues certificates.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	// SlowClock is how far the clocks of verifiers may be behind.
	SlowClock time.Duration
}

// NewAuthority makes an authority with a new key, ECDSA on P-256. Its name ends with the first
// digits of its serial number: OpenSSL looks authorities up by name, and those of several servers
// may be in one file.
func NewAuthority(name string, now time.Time, lifetime, slowClock time.Duration) (
	*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	number := Serial()
	template := &x509.Certificate{
		SerialNumber: number,
		Subject: pkix.Name{
			CommonName: name + " " + hex.EncodeToString(number.Bytes()[:4])},
		NotBefore:             now.Add(-slowClock),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate, key, slowClock}, nil
}

// Issue completes and signs a template: a certificate for a public key, which ends no later than
// the authority. The error is ErrEnded.
func (a *Authority) Issue(template *x509.Certificate, public crypto.PublicKey, now time.Time,
	lifetime time.Duration) (*x509.Certificate, error) {
	end := a.Certificate.NotAfter
	if !now.Before(end) {
		return nil, ErrEnded
	}
	template.SerialNumber = Serial()
	template.NotBefore, template.NotAfter = now.Add(-a.SlowClock), now.Add(lifetime)
	if template.NotAfter.After(end) {
		template.NotAfter = end
	}
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, public, a.Key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// Serial draws a positive serial number of 16 octets (RFC 5280 section 4.1.2.2 allows 20).
func Serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

const (
	// ServerLifetime is how long the certificate of a Server lasts. It is replaced when a third of
	// that is left.
	ServerLifetime = 90 * 24 * time.Hour
	// maxAddresses bounds the addresses of this machine that its certificate names.
	maxAddresses = 64
)

// Server has the certificate of a server for clients that trust an authority. It is never stored,
// because each start issues one. A Server is a Source.
type Server struct {
	authority *Authority
	hosts     []string
	now       func() time.Time

	mu        sync.Mutex
	addresses []netip.Addr // that clients connected to
	issued    *tls.Certificate
	renew     time.Time // of issued
}

// NewServer makes the certificate of a server with these names and addresses. Addresses of this
// machine need not be among them: they are added when clients connect to them.
func NewServer(of *Authority, hosts []string, now func() time.Time) *Server {
	return &Server{authority: of, hosts: hosts, now: now}
}

// GetCertificate implements Source. The error is ErrEnded.
func (s *Server) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.at(hello.Conn.LocalAddr())
}

// at returns the current certificate for a client that connected to an address.
func (s *Server) at(address net.Addr) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	fresh := s.issued != nil && now.Before(s.renew)
	if tcp, ok := address.(*net.TCPAddr); ok {
		address := tcp.AddrPort().Addr().Unmap().WithZone("")
		if !slices.Contains(s.addresses, address) && len(s.addresses) < maxAddresses {
			s.addresses = append(s.addresses, address)
			fresh = false
		}
	}
	if fresh {
		return s.issued, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := s.authority.Issue(s.template(), key.Public(), now, ServerLifetime)
	if err != nil {
		return nil, err
	}
	s.issued = &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	s.renew = now.Add(leaf.NotAfter.Sub(now) * 2 / 3)
	return s.issued, nil
}

// template has all names and addresses of the server.
func (s *Server) template() *x509.Certificate {
	t := &x509.Certificate{Subject: pkix.Name{CommonName: "Weir"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	addresses := slices.Clone(s.addresses)
	for _, host := range s.hosts {
		if address, err := netip.ParseAddr(host); err == nil && address.IsUnspecified() {
			continue // all addresses of this machine, which are added when clients connect
		} else if err == nil {
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
