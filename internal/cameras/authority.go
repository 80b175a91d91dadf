package cameras

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/certs"
	"weir/internal/store"
)

const (
	// ownCA is the name of the one document of access.KindCameraCA.
	ownCA = "own"
	// caLifetime is longer than cameras last: to replace the authority, somebody must visit each of
	// them.
	caLifetime = 25 * 365 * 24 * time.Hour
	// slowClock is how far a camera's clock may be behind. Many have no clock while they are off,
	// and set it from the network later.
	slowClock = 24 * time.Hour
)

// authorityDocument is the stored form of the authority. The seal binds the key to the document.
type authorityDocument struct {
	Certificate []byte `json:"certificate"` // DER
	Key         []byte `json:"key"`         // PKCS #8, sealed
}

// authority returns Weir's own authority, which the first call makes. Errors are access.ErrNoSeal
// if there is no key to seal its key with, and store.ErrFull.
func (s *Service) authority(ctx context.Context) (*certs.Authority, error) {
	if a := s.own.Load(); a != nil {
		return a, nil
	}
	s.making.Lock()
	defer s.making.Unlock()
	a, err := s.loadAuthority()
	if a == nil && err == nil {
		err = s.makeAuthority(ctx)
		if err == nil || errors.Is(err, access.ErrExists) { // another process was faster
			a, err = s.loadAuthority()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("authority of cameras: %w", err)
	}
	s.own.Store(a)
	return a, nil
}

// loadAuthority loads the authority. It returns nil if none was made yet.
func (s *Service) loadAuthority() (*certs.Authority, error) {
	if a := s.own.Load(); a != nil {
		return a, nil
	}
	var data []byte
	for _, d := range s.access.Documents(access.KindCameraCA) {
		if d.Name == ownCA {
			data = d.Data
		}
	}
	if data == nil {
		return nil, nil
	}
	sealer, err := s.access.Sealer()
	if err != nil {
		return nil, err
	}
	var d authorityDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("its document is damaged: %w", err)
	}
	der, err := sealer.Open(access.KindCameraCA, ownCA, d.Key)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("its document is damaged: %w", err)
	}
	certificate, err := x509.ParseCertificate(d.Certificate)
	if err != nil {
		return nil, fmt.Errorf("its document is damaged: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its key is a %T", key)
	}
	return &certs.Authority{Certificate: certificate, Key: signer, SlowClock: slowClock}, nil
}

// makeAuthority makes and stores an authority. The error is access.ErrExists if there is one.
func (s *Service) makeAuthority(ctx context.Context) error {
	sealer, err := s.access.Sealer()
	if err != nil {
		return err
	}
	made, err := certs.NewAuthority("Weir cameras", s.now(), caLifetime, slowClock)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(made.Key)
	if err != nil {
		return err
	}
	data, err := json.Marshal(authorityDocument{made.Certificate.Raw,
		sealer.Seal(access.KindCameraCA, ownCA, der)})
	if err != nil {
		return err
	}
	if _, err = s.access.PutDocument(ctx, access.KindCameraCA, ownCA, data,
		store.NewDocument); err == nil {
		s.log.Info("an authority for the certificates of cameras was made",
			"name", made.Certificate.Subject.CommonName)
	}
	return err
}

// serialText returns the form in which serial numbers are shown, listed and compared: as OpenSSL
// prints them, in lower case.
func serialText(n *big.Int) string {
	b := n.Bytes()
	if len(b) == 0 {
		b = []byte{0}
	}
	return hex.EncodeToString(b)
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// ErrRequest says that a certificate signing request cannot be accepted.
var ErrRequest = errors.New("certificate signing request")

// parseRequest reads a certificate signing request (RFC 2986) in PEM and returns its public key.
// Nothing else in it is used. The error is ErrRequest.
func parseRequest(text []byte) (crypto.PublicKey, error) {
	if len(text) > api.MaxCertificateRequest {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrRequest,
			api.MaxCertificateRequest)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" &&
		block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("%w: it is not in PEM (-----BEGIN CERTIFICATE REQUEST-----)",
			ErrRequest)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	// Check the key before the signature, which takes long with an enormous key.
	if err := checkPublic(request.PublicKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: its signature is wrong: %w", ErrRequest, err)
	}
	return request.PublicKey, nil
}

// NewRequest makes a certificate signing request for a key, in PEM, as AddInput.Request has it.
func NewRequest(name string, key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate signing request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// checkPublic refuses keys that are too weak, or too large for a handshake.
func checkPublic(key crypto.PublicKey) error {
	const least, most = 2048, 4096 // bits
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			return errors.New("its curve is P-224; P-256, P-384 and P-521 will do")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < least || n > most {
			return fmt.Errorf("its RSA key has %d bits; %d to %d will do", n, least, most)
		}
		return nil
	}
	return errors.New("its key is neither ECDSA nor RSA nor Ed25519")
}
