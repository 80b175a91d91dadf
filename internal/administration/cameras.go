package administration

import (
	"context"
	"errors"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/cameras"
)

// AddCamera adds a camera. It also needs weir:AttachPolicy for anything that the camera gets
// besides the stream of its own name.
func (s *Service) AddCamera(ctx context.Context, call *Call,
	in *api.AddCameraInput) (*api.IssuedCertificate, error) {
	err := s.permitGrant(call, access.HolderCamera, in.ThingName, in.Policies)
	if err == nil && len(in.RoleAliases) > 0 {
		err = call.Permit(actionAttach, s.access.HolderARN(access.HolderCamera, in.ThingName))
	}
	for _, role := range in.RoleAliases {
		if err == nil {
			err = call.Permit(actionAttach, s.access.HolderARN(access.HolderRole, role))
		}
	}
	if err != nil {
		return nil, err
	}
	issued, err := s.cameras.Add(ctx, cameras.AddInput{Name: in.ThingName,
		Request: []byte(in.CertificateSigningRequest), Lifetime: in.Lifetime(),
		Policies: in.Policies, Roles: in.RoleAliases, Tags: in.Tags})
	return issuedCertificate(issued), cameraError(err)
}

// RenewCamera replaces a certificate.
func (s *Service) RenewCamera(ctx context.Context, _ *Call,
	in *api.RenewCameraInput) (*api.IssuedCertificate, error) {
	issued, err := s.cameras.Renew(ctx, in.ThingName, []byte(in.CertificateSigningRequest),
		in.Lifetime(), time.Duration(in.OverlapSeconds)*time.Second)
	return issuedCertificate(issued), cameraError(err)
}

// cameraError is accessError with the additional errors of package cameras.
func cameraError(err error) error {
	if errors.Is(err, cameras.ErrRequest) {
		return api.Errorf(api.InvalidArgumentException, "%v.", err)
	}
	return accessError(err)
}

func issuedCertificate(i cameras.Issued) *api.IssuedCertificate {
	return &api.IssuedCertificate{CameraInfo: cameraInfo(i.Camera),
		CertificatePem:   api.NullIfEmpty(string(i.Certificate)),
		CaCertificatePem: api.NullIfEmpty(string(i.CA))}
}

func cameraInfo(c cameras.Camera) api.CameraInfo {
	info := api.CameraInfo{ThingName: c.Name, CreationTime: timestampOf(c.Created),
		Status: api.KeyActive, Policies: orEmpty(c.Policies), RoleAliases: orEmpty(c.Roles),
		Tags: tagsOrEmpty(c.Tags), CertificateAuthority: api.AuthorityOwn,
		Certificates: []api.CameraCertificate{}, RevokedSerialNumbers: orEmpty(c.Revoked)}
	if c.Disabled {
		info.Status = api.KeyInactive
	}
	if c.External {
		info.CertificateAuthority = api.AuthorityClientCA
	}
	for _, have := range c.Certificates {
		info.Certificates = append(info.Certificates, api.CameraCertificate{
			SerialNumber: have.Serial, NotAfter: *timestampOf(have.NotAfter),
			AcceptedUntil: timestampOf(have.Until)})
	}
	return info
}

// ListCameras lists the cameras by name.
func (s *Service) ListCameras(_ context.Context, _ *Call,
	in *api.ListCamerasInput) (*api.ListCamerasOutput, error) {
	list, next, err := page(s.cameras.List(), &in.PageRef, func(c cameras.Camera) string {
		return c.Name
	})
	out := &api.ListCamerasOutput{CameraInfoList: []api.CameraInfo{}, NextToken: next}
	for _, c := range list {
		out.CameraInfoList = append(out.CameraInfoList, cameraInfo(c))
	}
	return out, err
}

// DescribeCamera describes a camera.
func (s *Service) DescribeCamera(_ context.Context, _ *Call,
	in *api.DescribeCameraInput) (*api.DescribeCameraOutput, error) {
	c, err := s.cameras.Get(in.ThingName)
	return &api.DescribeCameraOutput{CameraInfo: cameraInfo(c)}, accessError(err)
}

// DisableCamera makes the certificates and credentials of a camera useless until EnableCamera.
func (s *Service) DisableCamera(ctx context.Context, call *Call,
	in *api.DisableCameraInput) (*api.Done, error) {
	return s.changeCamera(ctx, call, in.ThingName, s.access.DisableCamera)
}

// EnableCamera undoes DisableCamera.
func (s *Service) EnableCamera(ctx context.Context, call *Call,
	in *api.EnableCameraInput) (*api.Done, error) {
	return s.changeCamera(ctx, call, in.ThingName, s.access.EnableCamera)
}

// DeleteCamera deletes a camera.
func (s *Service) DeleteCamera(ctx context.Context, call *Call,
	in *api.DeleteCameraInput) (*api.Done, error) {
	return s.changeCamera(ctx, call, in.ThingName, s.access.DeleteCamera)
}

// RevokeCameraCertificate refuses a certificate from now on.
func (s *Service) RevokeCameraCertificate(ctx context.Context, call *Call,
	in *api.RevokeCameraCertificateInput) (*api.Done, error) {
	return s.changeCamera(ctx, call, in.ThingName, func(ctx context.Context, name string) error {
		_, err := s.cameras.Revoke(ctx, name, in.SerialNumber)
		return err
	})
}

func (s *Service) changeCamera(ctx context.Context, call *Call, name string,
	change func(ctx context.Context, name string) error) (*api.Done, error) {
	return &api.Done{}, accessError(change(ctx, name))
}
