// Package cameras gives cameras certificates, and temporary credentials in exchange for them: what
// the credentials provider of AWS IoT does, in the form that the producers' libraries call it
// (PROD-C IotCredentialProvider.c, EMB iot_credential_provider.c).
//
// The certificates are of an authority of Weir's own (authority.go), or of the operator's
// (Options.ClientCAs). Who may do what is decided by package access; this package only finds out
// which camera a certificate is of (identify.go).
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
	// Mint makes temporary credentials that say what the claims do; it draws key and secret.
	Mint func(context.Context, access.Claims) (auth.Credentials, error)
	// ClientCAs are authorities whose certificates are accepted beside those of Weir's own.
	ClientCAs []*x509.Certificate
	// AcceptUnregistered registers a camera that nobody has added when it comes with a certificate
	// of ClientCAs.
	AcceptUnregistered bool
	Logger             *slog.Logger     // discards when nil
	Clock              func() time.Time // time.Now when nil
}

// Service is safe for use by many goroutines.
type Service struct {
	access     *access.Registry
	mint       func(context.Context, access.Claims) (auth.Credentials, error)
	clientCAs  []*x509.Certificate
	unknownToo bool // Options.AcceptUnregistered
	log        *slog.Logger
	now        func() time.Time

	making sync.Mutex // of own
	own    atomic.Pointer[certs.Authority]

	told told
}

// New makes a service. It reads and writes nothing yet.
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

// told says what the log has said of late: a camera that asks again and again must fill no disk.
type told struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const (
	tellAgain = time.Hour
	maxTold   = 1024
)

// once reports whether something was not said within the last hour.
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
