// Package certs has the certificates of listeners. They come from one of three sources: files that
// are read again when they change, an ACME authority (RFC 8555), or an authority of the server's
// own.
package certs

import (
	"crypto/tls"
)

// Source has the certificate for each TLS handshake.
type Source interface {
	// GetCertificate is what tls.Config calls for each handshake.
	GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// suites are those of TLS 1.2 with forward secrecy and authenticated encryption, which RFC 9325
// section 4.2 recommends. TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Config returns the configuration of a listener: TLS 1.2 or 1.3, with the certificates of a
// source. Without a source it returns nil.
func Config(from Source) *tls.Config {
	if from == nil {
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites,
		GetCertificate: from.GetCertificate}
	if a, ok := from.(*ACME); ok {
		c.NextProtos = a.protocols()
	}
	return c
}
