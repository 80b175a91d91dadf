package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"weir/internal/certs"
)

// Directories of certificates in the data directory.
const (
	acmeDirectory = "acme"
	ownDirectory  = "tls"
)

// tlsFlags are about certificates.
type tlsFlags struct {
	TLSCert       string        `name:"tls-cert" group:"TLS" env:"WEIR_TLS_CERT" type:"path" placeholder:"FILE" help:"Certificate chain in PEM; with --tls-key, only https is spoken. Both are read again when they change."`
	TLSKey        string        `name:"tls-key" group:"TLS" env:"WEIR_TLS_KEY" type:"path" placeholder:"FILE" help:"Private key in PEM."`
	TLSSelfSigned bool          `name:"tls-self-signed" group:"TLS" env:"WEIR_TLS_SELF_SIGNED" help:"For first steps: use a certificate of an authority in the data directory, made at the first start. Clients need its file, DATA/tls/ca.pem."`
	ACME          []string      `name:"acme" group:"TLS" env:"WEIR_ACME" placeholder:"HOST" help:"Get certificates for these host names, separated by commas, from an ACME authority, to whose terms of service you agree. It must reach port 443 of --listen or port 80 of --redirect-http."`
	ACMEDirectory string        `name:"acme-directory" group:"TLS" env:"WEIR_ACME_DIRECTORY" placeholder:"URL" help:"Directory of an ACME authority other than Let's Encrypt."`
	ACMECA        string        `name:"acme-ca" group:"TLS" env:"WEIR_ACME_CA" type:"path" placeholder:"FILE" help:"Certificates in PEM to trust at --acme-directory, instead of the system's."`
	ACMEContact   string        `name:"acme-contact" group:"TLS" env:"WEIR_ACME_CONTACT" placeholder:"MAIL" help:"Mail address that the ACME authority may write to."`
	RedirectHTTP  string        `name:"redirect-http" group:"TLS" env:"WEIR_REDIRECT_HTTP" placeholder:"ADDR" help:"Also listen here without TLS, send GET and HEAD on to https, and answer the challenges of --acme."`
	HSTS          time.Duration `name:"hsts" default:"0s" group:"TLS" env:"WEIR_HSTS" placeholder:"DURATION" help:"Tell browsers at /player to use only https for the whole host for so long (Strict-Transport-Security). 0s says nothing."`
}

func (f *tlsFlags) check() error {
	ways := 0
	for _, used := range []bool{f.TLSCert != "", f.TLSSelfSigned, len(f.ACME) > 0} {
		if used {
			ways++
		}
	}
	switch {
	case (f.TLSCert == "") != (f.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together")
	case ways > 1:
		return errors.New("only one of --tls-cert, --tls-self-signed and --acme can be used")
	case len(f.ACME) == 0 && f.ACMEDirectory+f.ACMECA+f.ACMEContact != "":
		return errors.New("--acme-directory, --acme-ca and --acme-contact need --acme")
	case ways == 0 && f.RedirectHTTP != "":
		return errors.New("--redirect-http needs --tls-cert, --tls-self-signed or --acme")
	case f.HSTS < 0:
		return fmt.Errorf("--hsts %s is negative", f.HSTS)
	}
	if err := certs.CheckACMEHosts(f.ACME); err != nil {
		return fmt.Errorf("--acme: %w", err)
	}
	return nil
}

// secure reports whether the main listener has TLS.
func (f *tlsFlags) secure() bool {
	return f.TLSCert != "" || f.TLSSelfSigned || len(f.ACME) > 0
}

// sources are where certificates come from: those of players, of the main listener, and of the
// authorities of cameras.
type sources struct {
	main, playback certs.Source        // nil: without TLS
	acme           *certs.ACME         // main, with --acme
	own            *certs.Own          // main, with --tls-self-signed
	clients        []*x509.Certificate // of authorities of cameras
}

// caFile is what clients need to trust the main listener; "" when their system trusts it.
func (from sources) caFile() string {
	if from.own == nil {
		return ""
	}
	return from.own.CAFile()
}

// readCertificates reads the files that the flags name.
func (c *serveCmd) readCertificates(logger *slog.Logger) (from sources, err error) {
	main, err := readCertificate("--tls-cert", c.TLSCert, "--tls-key", c.TLSKey, logger)
	if err != nil {
		return sources{}, err
	}
	playback, err := readCertificate("--playback-tls-cert", c.PlaybackTLSCert,
		"--playback-tls-key", c.PlaybackTLSKey, logger)
	if err != nil {
		return sources{}, err
	}
	from.main, from.playback = main, playback
	from.clients, err = c.clientCA()
	return from, err
}

// readCertificate returns nil when no file is named.
func readCertificate(certFlag, cert, keyFlag, key string, logger *slog.Logger,
) (certs.Source, error) {
	if cert == "" {
		return nil, nil
	}
	files, err := certs.NewFiles(cert, key, logger)
	if err != nil {
		return nil, withHint(err, "%s and %s name PEM files of one key", certFlag, keyFlag)
	}
	return files, nil
}

// makeCertificates prepares what is in the data directory, once this process has it.
func (c *serveCmd) makeCertificates(s *serving) (err error) {
	from := &s.certificates
	switch {
	case from.main != nil: // files, or made before
	case c.TLSSelfSigned:
		from.own, err = certs.NewOwn(filepath.Join(c.Data, ownDirectory), c.ownHosts(s.log)...)
		if errors.Is(err, certs.ErrEnded) {
			err = withHint(err, "move %s away, and give clients the new ca.pem",
				filepath.Join(c.Data, ownDirectory))
		}
		if err != nil {
			return err
		}
		from.main = from.own
	case len(c.ACME) > 0:
		if from.acme, err = c.newACME(s.log); err != nil {
			return err
		}
		from.main = from.acme
	}
	if from.playback == nil {
		from.playback = from.main
	}
	return nil
}

func (c *serveCmd) newACME(logger *slog.Logger) (*certs.ACME, error) {
	options := certs.ACMEOptions{Hosts: c.ACME, Directory: c.ACMEDirectory, Contact: c.ACMEContact,
		Dir: filepath.Join(c.Data, acmeDirectory), Logger: logger}
	if c.ACMECA != "" {
		text, err := os.ReadFile(c.ACMECA)
		if err != nil {
			return nil, fmt.Errorf("--acme-ca: %w", err)
		}
		options.CAs = x509.NewCertPool()
		if !options.CAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--acme-ca %s: there is no certificate in PEM in it", c.ACMECA)
		}
	}
	return certs.NewACME(options)
}

// orderCertificates renews certificates of --acme until ctx ends.
func (s *serving) orderCertificates(ctx context.Context) error {
	if s.certificates.acme == nil {
		return nil
	}
	return s.certificates.acme.Run(ctx)
}

// ownHosts are the names in a certificate of --tls-self-signed from the start.
func (c *serveCmd) ownHosts(logger *slog.Logger) []string {
	return knownHosts(logger, c.AdvertiseURL, c.PlaybackURL)
}

// knownHosts returns the hosts of URLs and the name of this machine.
func knownHosts(logger *slog.Logger, urls ...string) (hosts []string) {
	for _, known := range urls {
		if u, err := url.Parse(known); err == nil {
			hosts = append(hosts, u.Hostname())
		}
	}
	name, err := os.Hostname()
	if err != nil {
		logger.Warn("the name of this machine is not known", "error", err)
	}
	return append(hosts, name)
}

// warnExposed logs files of keys that every user of the machine can read or change. It ignores
// files that do not exist.
func warnExposed(logger *slog.Logger, files ...string) {
	const others = 0o006
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&others != 0 {
			logger.Warn("every user of this machine can get at the keys in this file; chmod 600 "+
				"keeps them out",
				"file", file, "mode", info.Mode().Perm())
		}
	}
}
