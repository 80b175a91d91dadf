package cameras

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/store"
)

// things matches names of cameras, as in package access.
var things = regexp.MustCompile(`\A[A-Za-z0-9_-]+\z`)

// ValidName reports whether a name is valid for a camera.
func ValidName(text string) bool {
	return len(text) <= api.MaxThingName && things.MatchString(text)
}

// shorten bounds what an error repeats.
func shorten(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// normalSerial returns a serial number in the form of serialText.
func normalSerial(text string) string {
	text = strings.ToLower(strings.ReplaceAll(text, ":", ""))
	for len(text) > 2 && strings.HasPrefix(text, "00") {
		text = text[2:]
	}
	return text
}

// refusal is the answer to a camera that gets no credentials.
type refusal struct {
	status  int
	message string
	known   string // the camera, once its certificate is known
}

func (r *refusal) Error() string { return r.message }

func forbidden(format string, args ...any) *refusal {
	return &refusal{status: http.StatusForbidden, message: fmt.Sprintf(format, args...)}
}

// identity is what a client certificate says.
type identity struct {
	leaf   *x509.Certificate
	own    bool     // issued by Weir's own authority
	things []string // that it may be used for; the first one unless the camera names another
}

func (id *identity) serial() string { return serialText(id.leaf.SerialNumber) }

// certificateID returns what AWS IoT calls certificateId: the SHA-256 of the certificate (AWS IoT
// API reference, "RegisterCertificate").
func (id *identity) certificateID() string {
	sum := sha256.Sum256(id.leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// identify verifies a client certificate. The handshake has shown that the client has its key. A
// *refusal says why it is not accepted.
func (s *Service) identify(ctx context.Context, state *tls.ConnectionState) (*identity, error) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil, forbidden("No client certificate was presented.")
	}
	if len(state.PeerCertificates) > api.MaxCertificateChain {
		return nil, forbidden("The client certificate came with more than %d others.",
			api.MaxCertificateChain-1)
	}
	own, err := s.authority(ctx)
	if err != nil {
		return nil, err
	}
	leaf := state.PeerCertificates[0]
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(own.Certificate)
	for _, c := range s.clientCAs {
		roots.AddCert(c)
	}
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between,
		CurrentTime: s.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, s.unverified(err, leaf)
	}
	id := &identity{leaf: leaf, things: thingsOf(leaf)}
	for _, chain := range chains {
		id.own = id.own || chain[len(chain)-1].Equal(own.Certificate)
	}
	if len(id.things) == 0 {
		return nil, forbidden("The client certificate names no thing: it needs one common name, "+
			"of 1 to %d letters, digits, - and _.", api.MaxThingName)
	}
	return id, nil
}

// unverified says what is wrong with a certificate.
func (s *Service) unverified(err error, leaf *x509.Certificate) *refusal {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired &&
		s.now().Before(leaf.NotBefore):
		return forbidden("The client certificate is not valid before %s.",
			leaf.NotBefore.UTC().Format(time.RFC3339))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return forbidden("The client certificate has expired at %s.",
			leaf.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return forbidden("The certificate is not one for clients.")
	}
	return forbidden("The client certificate is not of an authority that is accepted here.")
}

// commonName is the type of a common name (RFC 5280 appendix A.1, id-at-commonName).
var commonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// maxThings bounds how many names of a certificate are considered.
const maxThings = 16

// thingsOf returns the things that a certificate names: its common name, then its DNS names. If it
// has several common names, none counts, because nobody knows which one the authority has checked.
func thingsOf(c *x509.Certificate) (names []string) {
	common := 0
	for _, attribute := range c.Subject.Names {
		if attribute.Type.Equal(commonName) {
			common++
		}
	}
	all := c.DNSNames
	if common == 1 {
		all = append([]string{c.Subject.CommonName}, all...)
	}
	for _, name := range all {
		if ValidName(name) && !slices.Contains(names, name) && len(names) < maxThings {
			names = append(names, name)
		}
	}
	return names
}

// camera finds the camera of a certificate. thing is what it calls itself, "" if it does not. A
// *refusal says why there is none.
func (s *Service) camera(ctx context.Context, id *identity, thing string) (Camera, error) {
	if thing == "" {
		thing = id.things[0]
	}
	if !slices.Contains(id.things, thing) {
		return Camera{}, forbidden("The client certificate is of %s, not of %s. What asks for "+
			"credentials must call itself so (iot-thing-name of kvssink, which is the name of "+
			"the stream otherwise).", id.things[0], shorten(thing))
	}
	info, err := s.access.Camera(thing)
	if errors.Is(err, access.ErrNotFound) && !id.own && s.unknownToo {
		info, err = s.register(ctx, thing)
	}
	switch {
	case errors.Is(err, access.ErrNotFound):
		return Camera{}, forbidden("There is no camera %s.", thing)
	case errors.Is(err, access.ErrLimit):
		return Camera{}, forbidden("There are too many cameras already.")
	case err != nil:
		return Camera{}, err
	}
	c, err := cameraOf(info)
	if err != nil {
		return Camera{}, err
	}
	serial := id.serial()
	refuse := func(format string, args ...any) (Camera, error) {
		refused := forbidden(format, args...)
		refused.known = thing
		return Camera{}, refused
	}
	switch i := slices.IndexFunc(c.Certificates, func(c Certificate) bool {
		return c.Serial == serial
	}); {
	case slices.Contains(c.Revoked, serial):
		return refuse("The client certificate %s was revoked.", serial)
	case id.own && i < 0, id.own && !c.Certificates[i].Until.IsZero() &&
		!s.now().Before(c.Certificates[i].Until):
		return refuse("The client certificate %s was replaced.", serial)
	case !id.own && !c.External:
		return refuse("The camera %s has certificates of this server's own authority only.", thing)
	case c.Disabled:
		return refuse("The camera %s is disabled.", thing)
	}
	return c, nil
}

// register adds a camera that is known only by its certificate.
func (s *Service) register(ctx context.Context, thing string) (access.CameraInfo, error) {
	camera, err := s.put(ctx, access.CameraInfo{Name: thing, Policies: []string{cameraPolicy}},
		state{External: true}, store.NewDocument)
	if errors.Is(err, access.ErrExists) { // at the same moment
		return s.access.Camera(thing)
	}
	if err == nil {
		s.log.Info("a camera was registered by its certificate", "camera", thing)
	}
	return camera.CameraInfo, err
}
