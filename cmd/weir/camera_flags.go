package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"weir/internal/access"
	"weir/internal/cameras"
	"weir/internal/handover"
	"weir/internal/oidc"
	"weir/internal/server"
	"weir/internal/sts"
)

// cameraFlags are about cameras with certificates.
type cameraFlags struct {
	CameraListen              string   `name:"camera-listen" group:"Addresses" env:"WEIR_CAMERA_LISTEN" placeholder:"ADDR" help:"Also listen here, with TLS, for cameras that have certificates: for their credentials and for signed calls."`
	CameraURL                 string   `name:"camera-url" group:"Addresses" env:"WEIR_CAMERA_URL" placeholder:"URL" help:"URL that cameras are told to use. By default, the address that they came to."`
	CameraHosts               []string `name:"camera-hosts" group:"Addresses" env:"WEIR_CAMERA_HOSTS" placeholder:"NAME" help:"More names and addresses for the certificate at --camera-listen, separated by commas. It always has the hosts of --camera-url and --advertise-url, the name of this machine, and its addresses that cameras come to."`
	ClientCA                  string   `name:"client-ca" group:"Access" env:"WEIR_CLIENT_CA" type:"path" placeholder:"FILE" help:"Certificates in PEM of authorities whose client certificates cameras may have, besides those of weir camera add."`
	AcceptUnregisteredCameras bool     `name:"accept-unregistered-cameras" group:"Access" env:"WEIR_ACCEPT_UNREGISTERED_CAMERAS" help:"Register a camera that nobody has added if it has a certificate of --client-ca. It may use the stream of its own name."`
}

func (f *cameraFlags) check() error {
	if f.AcceptUnregisteredCameras && f.ClientCA == "" {
		return errors.New("--accept-unregistered-cameras needs --client-ca")
	}
	for _, host := range f.CameraHosts {
		if host == "" || strings.ContainsAny(host, "/ ") || strings.Contains(host, "://") {
			return fmt.Errorf("--camera-hosts %q is neither a name nor an address", host)
		}
	}
	return server.CheckCameraURL(f.CameraURL)
}

// clientCA reads the certificates of --client-ca.
func (f *cameraFlags) clientCA() (list []*x509.Certificate, err error) {
	if f.ClientCA == "" {
		return nil, nil
	}
	rest, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("--client-ca: %w", err)
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("--client-ca %s: %w", f.ClientCA, err)
		}
		list = append(list, certificate)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("--client-ca %s: there is no certificate in PEM in it", f.ClientCA)
	}
	return list, nil
}

// giveCredentials makes the service that gives cameras their certificates and credentials, and lets
// the registry accept these.
func (c *serveCmd) giveCredentials(s *serving, who *access.Registry) *cameras.Service {
	minter := sts.NewMinter(who, c.TokenKeyAge, nil)
	who.SetTemporary(minter)
	s.temporary = sts.NewService(who, minter, oidc.NewVerifier(who, oidc.Options{Logger: s.log}),
		c.AccountID, nil)
	return cameras.New(cameras.Options{Access: who, Mint: minter.Mint,
		ClientCAs: s.certificates.clients, AcceptUnregistered: c.AcceptUnregisteredCameras,
		Logger: s.log})
}

// listenForCameras adds the listener for cameras, if there is to be one.
func (c *serveCmd) listenForCameras(
	ctx context.Context, s *serving, on *server.Listeners,
) (err error) {
	socket := s.sockets[handover.Camera]
	if socket == nil {
		return nil
	}
	if on.CamerasTLS, err = s.certified.TLS(ctx, c.cameraHosts(s.log)); err != nil {
		return err
	}
	if on.Cameras, err = net.FileListener(socket); err != nil {
		return err
	}
	s.log.Info("cameras", "url", c.cameraAddress(on.Cameras.Addr()))
	return nil
}

// cameraHosts are the names in the certificate of the listener for cameras from the start.
func (c *serveCmd) cameraHosts(logger *slog.Logger) []string {
	hosts := append([]string{"localhost"}, c.CameraHosts...)
	if host, _, err := net.SplitHostPort(c.CameraListen); err == nil {
		hosts = append(hosts, host)
	}
	return append(hosts, knownHosts(logger, c.CameraURL, c.AdvertiseURL)...)
}

// cameraAddress is where a camera on this machine finds its listener.
func (c *serveCmd) cameraAddress(listens net.Addr) string {
	if c.CameraURL != "" {
		return strings.TrimRight(c.CameraURL, "/")
	}
	return origin(listens, true)
}
