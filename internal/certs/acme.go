package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// letsEncrypt is the default directory.
const letsEncrypt = acme.LetsEncryptURL

// After a failed order a host has no other one for retryFirst, then for twice as long each time, up
// to retryMost. Authorities limit failures, Let's Encrypt to five an hour, and clients must not be
// able to use those up.
const (
	retryFirst = time.Minute
	retryMost  = time.Hour
	acmeTime   = time.Minute    // for one request to the authority
	lookEvery  = 12 * time.Hour // between checks whether a certificate was renewed
)

// ErrWaiting says that the last order for a host failed, and the next one is not due yet.
var ErrWaiting = errors.New("no certificate yet")

// ACMEOptions configure an ACME. Hosts and Dir are required.
type ACMEOptions struct {
	Hosts     []string // names, each with a dot; the first is for clients without SNI
	Directory string   // URL of the authority's directory; letsEncrypt when empty
	Contact   string   // mail address for the authority; may be empty
	CAs       *x509.CertPool
	Dir       string // for keys and certificates; made with mode 0700
	Logger    *slog.Logger
}

// ACME has certificates from an ACME authority (RFC 8555), which Run orders and renews. To check
// that the hosts are this server's, the authority makes a TLS handshake on port 443 (RFC 8737), or
// requests a file over http on port 80, which Challenges answers.
type ACME struct {
	hosts   []string
	log     *slog.Logger
	manager *autocert.Manager
	now     func() time.Time

	mu    sync.Mutex
	tries map[string]attempts
}

// attempts counts the orders for one host that failed in a row.
type attempts struct {
	pause time.Duration
	next  time.Time
}

// NewACME makes an ACME. It does not order anything yet.
func NewACME(o ACMEOptions) (*ACME, error) {
	if o.Directory == "" {
		o.Directory = letsEncrypt
	}
	u, err := url.Parse(o.Directory)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not the https URL of an ACME directory", o.Directory)
	}
	if err := CheckACMEHosts(o.Hosts); err != nil {
		return nil, err
	}
	// Certificates of one authority must not be used when another one is configured.
	dir := filepath.Join(o.Dir, strings.Map(func(c rune) rune {
		if strings.ContainsRune(`/\:`, c) {
			return '_'
		}
		return c
	}, u.Host+u.Path))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory for certificates: %w", err)
	}
	client := &acme.Client{DirectoryURL: o.Directory, UserAgent: "weir", HTTPClient: &http.Client{
		Timeout: acmeTime,
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   &tls.Config{RootCAs: o.CAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
			IdleConnTimeout:   acmeTime,
		}}}
	return &ACME{hosts: o.Hosts, log: o.Logger, now: time.Now, tries: map[string]attempts{},
		manager: &autocert.Manager{
			Prompt:     autocert.AcceptTOS,
			Cache:      autocert.DirCache(dir),
			HostPolicy: autocert.HostWhitelist(o.Hosts...),
			Client:     client,
			Email:      o.Contact,
		}}, nil
}

var acmeHost = regexp.MustCompile(`\A[a-z0-9_-]+(\.[a-z0-9_-]+)+\z`)

// CheckACMEHosts returns an error for the first host that cannot have a certificate: it must be a
// name with a dot, in lower case, with other scripts as xn--, and not an address.
func CheckACMEHosts(hosts []string) error {
	for _, host := range hosts {
		if net.ParseIP(host) != nil || !acmeHost.MatchString(host) {
			return fmt.Errorf("%q is not a host name that ACME has certificates for, such as "+
				"video.example.com", host)
		}
	}
	return nil
}

// protocols returns those that a listener adds for the challenge of RFC 8737.
func (a *ACME) protocols() []string { return []string{acme.ALPNProto} }

// Challenges answers the challenges of RFC 8555 section 8.3, and passes everything else on.
func (a *ACME) Challenges(next http.Handler) http.Handler {
	manager := a.manager.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err == nil && strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
			named := *r // the manager knows hosts without a port
			named.Host = host
			r = &named
		}
		manager.ServeHTTP(w, r)
	})
}

// GetCertificate implements Source. The first handshake for a host may wait for the order. All
// certificates have ECDSA keys: clients that want another kind of key must not cause a second
// order.
func (a *ACME) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Equal(hello.SupportedProtos, a.protocols()) { // a challenge
		return a.manager.GetCertificate(hello)
	}
	host := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if host == "" {
		host = a.hosts[0]
	}
	if !slices.Contains(a.hosts, host) {
		return nil, fmt.Errorf("no certificate is asked for for %q", host)
	}
	if wait := a.wait(host); wait > 0 {
		return nil, fmt.Errorf("%w: %s", ErrWaiting, host)
	}
	certificate, err := a.manager.GetCertificate(&tls.ClientHelloInfo{ServerName: host,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
	a.tried(host, err)
	return certificate, err
}

// wait returns how long to wait before the next order for a host.
func (a *ACME) wait(host string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tries[host].next.Sub(a.now())
}

// tried remembers whether an order failed, or that there was a certificate.
func (a *ACME) tried(host string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, t := a.now(), a.tries[host]
	switch {
	case err == nil:
		delete(a.tries, host)
		return
	case now.Before(t.next): // another handshake waited for the same order
		return
	}
	t.pause = min(max(2*t.pause, retryFirst), retryMost)
	t.next = now.Add(t.pause)
	a.tries[host] = t
	a.log.Error("no certificate was issued", "host", host, "again_in", t.pause, "error", err)
}

// Run orders a certificate for each host that has none, and logs overdue renewals, until ctx ends.
// Certificates are renewed when a third of their lifetime is left, at most 30 days. Call it once
// the challenges are answered.
func (a *ACME) Run(ctx context.Context) error {
	for _, host := range a.hosts {
		go a.keep(ctx, host) // may outlive Run: nothing ends an order that has begun
	}
	<-ctx.Done()
	return ctx.Err()
}

// keep orders the certificate of a host and watches its renewal.
func (a *ACME) keep(ctx context.Context, host string) {
	var known time.Time // end of the certificate that was logged last
	for ctx.Err() == nil {
		certificate, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
		next := lookEvery
		if err != nil {
			next = max(a.wait(host), time.Second)
		} else if leaf := certificate.Leaf; !leaf.NotAfter.Equal(known) {
			known = leaf.NotAfter
			a.log.Info("a certificate is used", "host", host, "until", known)
		} else if left := known.Sub(a.now()); left < known.Sub(leaf.NotBefore)/6 {
			a.log.Warn("the certificate should have been renewed by now", "host", host,
				"until", known)
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
		}
	}
}
