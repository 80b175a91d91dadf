package cameras

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	serverLifetime = 90 * 24 * time.Hour
	// maxServerAddresses bounds the addresses of this machine that its certificate names.
	maxServerAddresses = 64
)

// serverCertificate is what cameras know the server by.
type serverCertificate struct {
	mu        sync.Mutex
	hosts     []string     // names and addresses that the server is known by
	addresses []netip.Addr // that cameras came to
	issued    *tls.Certificate
	renew     time.Time // of issued
}

// TLS returns how the listener for cameras talks: it asks for a certificate and accepts a handshake
// without one or with any, because a refusal in HTTP says why (identify.go). Its own certificate is
// of Weir's authority, for hosts and for each address of this machine that a camera comes to; a new
// one is issued long before the old one ends.
func (s *Service) TLS(ctx context.Context, hosts []string) (*tls.Config, error) {
	own, err := s.authority(ctx)
	if err != nil {
		return nil, err
	}
	// Clients with several certificates choose one by this list.
	accepted := x509.NewCertPool()
	accepted.AddCert(own.certificate)
	for _, c := range s.clientCAs {
		accepted.AddCert(c)
	}
	s.server.mu.Lock()
	s.server.hosts = hosts
	s.server.mu.Unlock()
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequestClientCert,
		ClientCAs:  accepted,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.serverCertificate(own, hello.Conn.LocalAddr())
		},
	}, nil
}

// serverCertificate returns the present one for who came to an address.
func (s *Service) serverCertificate(own *authority, at net.Addr) (*tls.Certificate, error) {
	sc := &s.server
	sc.mu.Lock()
	defer sc.mu.Unlock()
	now := s.now()
	fresh := sc.issued != nil && now.Before(sc.renew)
	if tcp, ok := at.(*net.TCPAddr); ok {
		address := tcp.AddrPort().Addr().Unmap().WithZone("")
		if !slices.Contains(sc.addresses, address) && len(sc.addresses) < maxServerAddresses {
			sc.addresses = append(sc.addresses, address)
			fresh = false
		}
	}
	if fresh {
		return sc.issued, nil
	}
	template := serverTemplate(sc.hosts, sc.addresses)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	made, err := own.issue(template, key.Public(), now, serverLifetime)
	if err != nil {
		return nil, err
	}
	sc.issued = &tls.Certificate{Certificate: [][]byte{made.Raw}, PrivateKey: key, Leaf: made}
	sc.renew = now.Add(made.NotAfter.Sub(now) * 2 / 3)
	return sc.issued, nil
}

// serverTemplate names everything that the server is known by.
func serverTemplate(hosts []string, addresses []netip.Addr) *x509.Certificate {
	t := &x509.Certificate{Subject: pkix.Name{CommonName: "Weir"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, host := range hosts {
		if address, err := netip.ParseAddr(host); err == nil && address.IsUnspecified() {
			continue // all of this machine's, which are named as cameras come to them
		} else if err == nil {
			addresses = append(addresses[:len(addresses):len(addresses)], address)
		} else if host != "" && !slices.Contains(t.DNSNames, host) {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	for _, address := range addresses {
		ip := net.IP(address.WithZone("").AsSlice())
		if !slices.ContainsFunc(t.IPAddresses, ip.Equal) {
			t.IPAddresses = append(t.IPAddresses, ip)
		}
	}
	return t
}
