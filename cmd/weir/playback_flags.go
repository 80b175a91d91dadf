package main

import (
	"context"
	"errors"
	"net"
	"strings"

	"weir/internal/certs"
	"weir/internal/handover"
	"weir/internal/server"
)

// playbackFlags are about the listener for players.
type playbackFlags struct {
	PlaybackListen  string `name:"playback-listen" group:"Addresses" env:"WEIR_PLAYBACK_LISTEN" placeholder:"ADDR" help:"Also listen here, only for players: for what session URLs, clip links and /player open, never for signed calls. With TLS, it speaks HTTP/2 and HTTP/1.1."`
	PlaybackURL     string `name:"playback-url" group:"Addresses" env:"WEIR_PLAYBACK_URL" placeholder:"URL" help:"What session URLs and clip links begin with. By default, what other URLs begin with, but with the port of --playback-listen if that is set."`
	PlaybackTLSCert string `name:"playback-tls-cert" group:"Addresses" env:"WEIR_PLAYBACK_TLS_CERT" type:"path" placeholder:"FILE" help:"Certificate chain of --playback-listen in PEM, read again when it changes. By default, that of --listen."`
	PlaybackTLSKey  string `name:"playback-tls-key" group:"Addresses" env:"WEIR_PLAYBACK_TLS_KEY" type:"path" placeholder:"FILE" help:"Private key of --playback-tls-cert in PEM."`
}

func (f *playbackFlags) check() error {
	if (f.PlaybackTLSCert == "") != (f.PlaybackTLSKey == "") {
		return errors.New("--playback-tls-cert and --playback-tls-key go together")
	}
	return server.CheckPlaybackURL(f.PlaybackURL)
}

// listeners makes listeners from the sockets for clients.
func (c *serveCmd) listeners(ctx context.Context, s *serving) (on server.Listeners, err error) {
	if err := c.makeCertificates(s); err != nil {
		return on, err
	}
	from := s.certificates
	on.TLS, on.PlaybackTLS = certs.Config(from.main), certs.Config(from.playback)
	if on.Main, err = net.FileListener(s.sockets[handover.Main]); err != nil {
		return on, err
	}
	if socket := s.sockets[handover.Playback]; socket != nil {
		on.Playback, err = net.FileListener(socket)
	}
	if socket := s.sockets[handover.Redirect]; socket != nil && err == nil {
		_, port, _ := net.SplitHostPort(on.Main.Addr().String()) // "" of a Unix socket
		on.RedirectHandler = certs.Redirect(strings.TrimRight(c.AdvertiseURL, "/"), port)
		if from.acme != nil {
			on.RedirectHandler = from.acme.Challenges(on.RedirectHandler)
		}
		on.Redirect, err = net.FileListener(socket)
	}
	if err == nil {
		err = c.listenForCameras(ctx, s, &on)
	}
	if err != nil {
		on.Close() // the error is told
	}
	return on, err
}

// playbackAddress is where players on this machine find their listener, "" without one.
func (c *serveCmd) playbackAddress(on server.Listeners) string {
	switch {
	case c.PlaybackURL != "":
		return strings.TrimRight(c.PlaybackURL, "/")
	case on.Playback == nil:
		return ""
	}
	return origin(on.Playback.Addr(), on.PlaybackTLS != nil)
}
