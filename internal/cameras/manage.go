package cameras

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/store"
)

// Camera is a thing that may have credentials.
type Camera struct {
	access.CameraInfo
	// Accepted certificates of Weir's own authority, the newest first.
	Certificates []Certificate
	External     bool     // certificates of Options.ClientCAs are accepted
	Roles        []string // roles whose credentials it may also have
}

// Certificate is one that was issued.
type Certificate struct {
	Serial   string    // hexadecimal
	NotAfter time.Time // its end
	Until    time.Time // if it was replaced: accepted until then; zero: until NotAfter
}

// Issued is a new certificate.
type Issued struct {
	Camera      Camera
	Certificate []byte // PEM; none if the camera's come from Options.ClientCAs
	// CA is the authority's certificate in PEM. It also verifies the server.
	CA       []byte
	Serial   string
	NotAfter time.Time
}

// state is this package's part of a camera's document.
type state struct {
	Certificates []certificate `json:"certificates,omitempty"`
	External     bool          `json:"external,omitempty"`
	Roles        []string      `json:"roles,omitempty"`
}

// certificate is the stored form of a Certificate; times are Unix milliseconds.
type certificate struct {
	Serial   string `json:"serial"`
	NotAfter int64  `json:"not_after"`
	Until    int64  `json:"until,omitempty"`
}

// accepted reports whether a certificate may be used now.
func (c certificate) accepted(now time.Time) bool {
	ms := now.UnixMilli()
	return ms < c.NotAfter && (c.Until == 0 || ms < c.Until)
}

func stateOf(c access.CameraInfo) (st state, err error) {
	if len(c.Data) == 0 {
		return st, nil
	}
	if err := json.Unmarshal(c.Data, &st); err != nil {
		return st, fmt.Errorf("camera %q: damaged, or of a newer version: %w", c.Name, err)
	}
	return st, nil
}

func cameraOf(c access.CameraInfo) (Camera, error) {
	st, err := stateOf(c)
	out := Camera{CameraInfo: c, External: st.External, Roles: st.Roles}
	for _, have := range st.Certificates {
		shown := Certificate{Serial: have.Serial, NotAfter: time.UnixMilli(have.NotAfter).UTC()}
		if have.Until != 0 {
			shown.Until = time.UnixMilli(have.Until).UTC()
		}
		out.Certificates = append(out.Certificates, shown)
	}
	return out, err
}

// AddInput describes a new camera.
type AddInput struct {
	Name string // thing name: letters, digits, - and _
	// Request is a certificate signing request in PEM; empty: the camera's certificates come from
	// Options.ClientCAs.
	Request  []byte
	Lifetime time.Duration // of the certificate; 0: api.DefaultCertificateLifetime
	Policies []string      // empty: "camera", which allows its own stream
	Roles    []string      // roles whose credentials it may also have
	Tags     map[string]string
}

const cameraPolicy = "camera"

// Add registers a camera and issues its certificate. Errors are those of access.PutCamera,
// ErrRequest and access.ErrInvalid.
func (s *Service) Add(ctx context.Context, in AddInput) (Issued, error) {
	if len(in.Policies) == 0 {
		in.Policies = []string{cameraPolicy}
	}
	if err := s.checkRoles(in.Roles); err != nil {
		return Issued{}, err
	}
	st := state{Roles: in.Roles}
	info := access.CameraInfo{Name: in.Name, Tags: in.Tags, Policies: in.Policies}
	if len(in.Request) == 0 {
		if len(s.clientCAs) == 0 {
			return Issued{}, fmt.Errorf("camera %q: %w: without a certificate signing request it "+
				"needs an authority of its own, and the server has none", in.Name,
				access.ErrInvalid)
		}
		own, err := s.authority(ctx)
		if err != nil {
			return Issued{}, err
		}
		st.External = true
		camera, err := s.put(ctx, info, st, store.NewDocument)
		return Issued{Camera: camera, CA: certificatePEM(own.Certificate)}, err
	}
	issued, err := s.issue(ctx, in.Name, in.Request, in.Lifetime)
	if err != nil {
		return Issued{}, err
	}
	st.Certificates = []certificate{{Serial: issued.Serial,
		NotAfter: issued.NotAfter.UnixMilli()}}
	issued.Camera, err = s.put(ctx, info, st, store.NewDocument)
	return issued, err
}

func (s *Service) checkRoles(roles []string) error {
	if len(roles) > api.MaxCameraRoles {
		return fmt.Errorf("%d roles: %w: %d at most", len(roles), access.ErrLimit,
			api.MaxCameraRoles)
	}
	for _, name := range roles {
		if _, err := s.access.Role(name); err != nil {
			return err
		}
	}
	return nil
}

// put writes a camera.
func (s *Service) put(
	ctx context.Context, info access.CameraInfo, st state, revision int64,
) (Camera, error) {
	data, err := json.Marshal(st)
	if err != nil {
		return Camera{}, err
	}
	info.Data = data
	if info, err = s.access.PutCamera(ctx, info, revision); err != nil {
		return Camera{}, err
	}
	return cameraOf(info)
}

// maxTries is how often a change is tried if other writers are faster.
const maxTries = 10

// change lets edit change a camera.
func (s *Service) change(
	ctx context.Context, name string, edit func(*access.CameraInfo, *state) error,
) (camera Camera, err error) {
	for range maxTries {
		info, err := s.access.Camera(name)
		if err != nil {
			return Camera{}, err
		}
		st, err := stateOf(info)
		if err != nil {
			return Camera{}, err
		}
		if err := edit(&info, &st); err != nil {
			return Camera{}, err
		}
		if camera, err = s.put(ctx, info, st, info.Revision); !errors.Is(err, access.ErrVersion) {
			return camera, err
		}
	}
	return Camera{}, fmt.Errorf("camera %q: %w", name, access.ErrVersion)
}

// issue makes a certificate without storing anything.
func (s *Service) issue(
	ctx context.Context, name string, request []byte, lifetime time.Duration,
) (Issued, error) {
	switch {
	case lifetime == 0:
		lifetime = api.DefaultCertificateLifetime
	case lifetime < api.MinCertificateLifetime || lifetime > api.MaxCertificateLifetime:
		return Issued{}, fmt.Errorf("camera %q: %w: certificates last from %d to %d days", name,
			access.ErrInvalid, api.MinCertificateLifetime/(24*time.Hour),
			api.MaxCertificateLifetime/(24*time.Hour))
	}
	if !ValidName(name) {
		return Issued{}, fmt.Errorf("camera %q: %w: a name has 1 to %d letters, digits, - and _",
			shorten(name), access.ErrInvalid, api.MaxThingName)
	}
	public, err := parseRequest(request)
	if err != nil {
		return Issued{}, fmt.Errorf("camera %q: %w", name, err)
	}
	own, err := s.authority(ctx)
	if err != nil {
		return Issued{}, err
	}
	made, err := own.Issue(cameraTemplate(name), public, s.now(), lifetime)
	if err != nil {
		return Issued{}, err
	}
	return Issued{Certificate: certificatePEM(made), CA: certificatePEM(own.Certificate),
		Serial: serialText(made.SerialNumber), NotAfter: made.NotAfter}, nil
}

// cameraTemplate has the name only as common name: a DNS name could be that of a server.
func cameraTemplate(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// Renew issues another certificate. The one before is accepted for overlap longer, or not at all
// without overlap. Credentials that were issued for the old one stay valid to their end, an hour at
// most. Errors are ErrRequest, access.ErrNotFound and access.ErrInvalid.
func (s *Service) Renew(
	ctx context.Context, name string, request []byte, lifetime, overlap time.Duration,
) (Issued, error) {
	if _, err := s.access.Camera(name); err != nil {
		return Issued{}, err
	}
	if overlap < 0 || overlap > api.MaxCertificateLifetime {
		return Issued{}, fmt.Errorf("camera %q: %w: an overlap lasts from 0 to %d days", name,
			access.ErrInvalid, api.MaxCertificateLifetime/(24*time.Hour))
	}
	issued, err := s.issue(ctx, name, request, lifetime)
	if err != nil {
		return Issued{}, err
	}
	issued.Camera, err = s.change(ctx, name, func(_ *access.CameraInfo, st *state) error {
		now := s.now()
		until := now.Add(overlap)
		list := []certificate{{Serial: issued.Serial, NotAfter: issued.NotAfter.UnixMilli()}}
		for _, old := range st.Certificates {
			if old.Until == 0 || old.Until > until.UnixMilli() {
				old.Until = until.UnixMilli()
			}
			if old.accepted(now) {
				list = append(list, old)
			}
		}
		if len(list) > api.MaxCameraCertificates {
			return fmt.Errorf("camera %q: %w: %d certificates are accepted already; renew it "+
				"without an overlap", name, access.ErrLimit, len(list)-1)
		}
		st.Certificates = list
		return nil
	})
	return issued, err
}

// serialPattern matches a serial number in hexadecimal, as serialText and OpenSSL write it.
var serialPattern = regexp.MustCompile(`\A(?:[0-9A-Fa-f]{2}:?){1,20}\z`)

// Revoke makes a certificate of a camera, from Weir's own authority or another one, invalid from
// now on, and credentials that were issued for it. Errors are access.ErrNotFound, access.ErrInvalid
// and access.ErrLimit.
func (s *Service) Revoke(ctx context.Context, name, serial string) (Camera, error) {
	if !serialPattern.MatchString(serial) {
		return Camera{}, fmt.Errorf("camera %q: %w: %q is no serial number in hexadecimal", name,
			access.ErrInvalid, shorten(serial))
	}
	serial = normalSerial(serial)
	return s.change(ctx, name, func(info *access.CameraInfo, st *state) error {
		known := len(st.Certificates)
		st.Certificates = slices.DeleteFunc(st.Certificates, func(c certificate) bool {
			return c.Serial == serial
		})
		switch {
		case slices.Contains(info.Revoked, serial):
			return nil
		case known == len(st.Certificates) && !st.External:
			return fmt.Errorf("camera %q has no certificate %s: %w", name, serial,
				access.ErrNotFound)
		case len(info.Revoked) >= api.MaxRevoked:
			return fmt.Errorf("camera %q: %w: %d certificates are revoked; delete it and add it "+
				"again", name, access.ErrLimit, len(info.Revoked))
		}
		info.Revoked = append(info.Revoked, serial)
		return nil
	})
}

// List lists the cameras by name.
func (s *Service) List() []Camera {
	infos := s.access.Cameras()
	list := make([]Camera, 0, len(infos))
	for _, info := range infos {
		c, err := cameraOf(info)
		if err != nil && s.told.once(err.Error(), s.now()) {
			s.log.Error("a camera cannot be understood: it gets no credentials", "error", err)
		}
		list = append(list, c)
	}
	return list
}

// Get returns a camera. The error is access.ErrNotFound.
func (s *Service) Get(name string) (Camera, error) {
	info, err := s.access.Camera(name)
	if err != nil {
		return Camera{}, err
	}
	return cameraOf(info)
}
