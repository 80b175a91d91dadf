package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"weir/internal/handover"
	"weir/internal/server"
)

// playbackFlags are about the listener for players.
type playbackFlags struct {
	PlaybackListen  string `name:"playback-listen" group:"Addresses" env:"WEIR_PLAYBACK_LISTEN" placeholder:"ADDR" help:"Also listen here, for players alone: what session URLs, clip links and /player open, never signed calls. With TLS, HTTP/2 and HTTP/1.1 are spoken."`
	PlaybackURL     string `name:"playback-url" group:"Addresses" env:"WEIR_PLAYBACK_URL" placeholder:"URL" help:"What session URLs and clip links begin with; otherwise as other URLs, with the port of --playback-listen if that is set."`
	PlaybackTLSCert string `name:"playback-tls-cert" group:"Addresses" env:"WEIR_PLAYBACK_TLS_CERT" type:"path" placeholder:"FILE" help:"Certificate chain of --playback-listen in PEM; --tls-cert and --tls-key otherwise."`
	PlaybackTLSKey  string `name:"playback-tls-key" group:"Addresses" env:"WEIR_PLAYBACK_TLS_KEY" type:"path" placeholder:"FILE" help:"Private key of --playback-tls-cert in PEM."`
}

func (f *playbackFlags) check() error {
	if (f.PlaybackTLSCert == "") != (f.PlaybackTLSKey == "") {
		return errors.New("--playback-tls-cert and --playback-tls-key go together")
	}
	return server.CheckPlaybackURL(f.PlaybackURL)
}

// certificates are those of the main listener and of that for players, and of authorities that
// cameras may have theirs of.
type certificates struct {
	main, playback []tls.Certificate
	clients        []*x509.Certificate
}

func (c *serveCmd) certificates() (certificates, error) {
	main, err := loadCertificate("--tls-cert", c.TLSCert, "--tls-key", c.TLSKey)
	if err != nil {
		return certificates{}, err
	}
	playback, err := loadCertificate("--playback-tls-cert", c.PlaybackTLSCert,
		"--playback-tls-key", c.PlaybackTLSKey)
	if playback == nil {
		playback = main
	}
	if err != nil {
		return certificates{}, err
	}
	clients, err := c.clientCA()
	return certificates{main, playback, clients}, err
}

// loadCertificate returns none when no file is named.
func loadCertificate(certFlag, cert, keyFlag, key string) ([]tls.Certificate, error) {
	if cert == "" {
		return nil, nil
	}
	certificate, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, withHint(fmt.Errorf("load certificate: %w", err),
			"%s and %s name PEM files of one key", certFlag, keyFlag)
	}
	return []tls.Certificate{certificate}, nil
}

// listeners makes listeners of the sockets that clients come to.
func (c *serveCmd) listeners(ctx context.Context, s *serving) (on server.Listeners, err error) {
	on.Certificates, on.PlaybackCertificates = s.certificates.main, s.certificates.playback
	if on.Main, err = net.FileListener(s.sockets[handover.Main]); err != nil {
		return on, err
	}
	if socket := s.sockets[handover.Playback]; socket != nil {
		on.Playback, err = net.FileListener(socket)
	}
	if err == nil {
		err = c.listenForCameras(ctx, s, &on)
	}
	if err != nil {
		on.Close() // the error is told
	}
	return on, err
}

// playbackAddress is where players on this machine find the listener for them, "" without one.
func (c *serveCmd) playbackAddress(on server.Listeners) string {
	switch {
	case c.PlaybackURL != "":
		return strings.TrimRight(c.PlaybackURL, "/")
	case on.Playback == nil:
		return ""
	}
	return origin(on.Playback.Addr(), len(on.PlaybackCertificates) > 0)
}
