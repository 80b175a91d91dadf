package cameras

import (
	"context"
	"crypto/tls"
	"crypto/x509"

	"weir/internal/certs"
)

// TLS returns the TLS configuration of the listener for cameras. It asks for a certificate but
// accepts a handshake without one or with any, because a refusal in HTTP can say why (identify.go).
// The server's certificate comes from Weir's authority, for hosts and for each address of this
// machine that a camera connects to. A new one is issued long before the old one expires.
func (s *Service) TLS(ctx context.Context, hosts []string) (*tls.Config, error) {
	own, err := s.authority(ctx)
	if err != nil {
		return nil, err
	}
	// Clients with several certificates choose by this list.
	accepted := x509.NewCertPool()
	accepted.AddCert(own.Certificate)
	for _, c := range s.clientCAs {
		accepted.AddCert(c)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		ClientAuth:     tls.RequestClientCert,
		ClientCAs:      accepted,
		GetCertificate: certs.NewServer(own, hosts, s.now).GetCertificate,
	}, nil
}
