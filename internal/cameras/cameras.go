// Package cameras gives cameras certificates, and temporary credentials in exchange for them: as
// the credentials provider of AWS IoT does, in the form that the producers' libraries use (PROD-C
// IotCredentialProvider.c, EMB iot_credential_provider.c).
//
// The certificates come from an authority of Weir's own (authority.go), or from the operator's
// (Options.ClientCAs). Package access decides who may do what. This package only finds out which
// camera a certificate belongs to (identify.go).
package cameras

import (
	"context"
	"crypto/x509"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/certs"
)

// Options of a Service. Access and Mint are required.
type Options struct {
	Access *access.Registry
	// Mint makes temporary credentials with these claims, and draws key and secret.
	Mint func(context.Context, access.Claims) (auth.Credentials, error)
	// ClientCAs are authorities whose certificates are accepted besides those of Weir's own.
	ClientCAs []*x509.Certificate
	// AcceptUnregistered registers a camera that nobody has added if it has a certificate of
	// ClientCAs.
	AcceptUnregistered bool
	Logger             *slog.Logger     // nil: none
	Clock              func() time.Time // nil: time.Now
}

// Service gives cameras certificates and credentials. It is safe for concurrent use.
type Service struct {
	access     *access.Registry
	mint       func(context.Context, access.Claims) (auth.Credentials, error)
	clientCAs  []*x509.Certificate
	unknownToo bool // Options.AcceptUnregistered
	log        *slog.Logger
	now        func() time.Time

	making sync.Mutex // held while own is made
	own    atomic.Pointer[certs.Authority]

	told told
}

// New makes a Service. It does not read or write anything yet.
func New(o Options) *Service {
	s := &Service{access: o.Access, mint: o.Mint, clientCAs: o.ClientCAs,
		unknownToo: o.AcceptUnregistered, log: o.Logger, now: o.Clock}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// told remembers what was logged recently, so that a camera that asks again and again does not fill
// the disk.
type told struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const (
	tellAgain = time.Hour
	maxTold   = 1024
)

// once reports whether something was not logged within the last hour, and remembers it.
func (t *told) once(what string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.last[what]; ok && now.Sub(last) < tellAgain {
		return false
	}
	if t.last == nil || len(t.last) >= maxTold {
		t.last = map[string]time.Time{}
	}
	t.last[what] = now
	return true
}
