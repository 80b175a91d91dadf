package api

import "time"

// Values of CameraInfo.CertificateAuthority: the authority of a camera's certificates.
const (
	AuthorityOwn      = "WEIR"      // those that Weir issues
	AuthorityClientCA = "CLIENT_CA" // the authorities that the operator has named
)

// CameraCertificate is a certificate from Weir's own authority that is accepted.
type CameraCertificate struct {
	SerialNumber  string     `json:"SerialNumber"` // hexadecimal
	NotAfter      Timestamp  `json:"NotAfter"`
	AcceptedUntil *Timestamp `json:"AcceptedUntil"` // null unless it was replaced
}

// CameraInfo is a camera that can get credentials with a certificate.
type CameraInfo struct {
	ThingName            string              `json:"ThingName"`
	CreationTime         *Timestamp          `json:"CreationTime"`
	Status               string              `json:"Status"` // KeyActive or KeyInactive
	Policies             []string            `json:"Policies"`
	RoleAliases          []string            `json:"RoleAliases"`
	Tags                 map[string]string   `json:"Tags"`
	CertificateAuthority string              `json:"CertificateAuthority"` // AuthorityOwn …
	Certificates         []CameraCertificate `json:"Certificates"`         // the newest first
	RevokedSerialNumbers []string            `json:"RevokedSerialNumbers"`
}

// AddCameraInput is the body of /weir/addCamera.
type AddCameraInput struct {
	given
	CameraRef
	CertificateSigningRequest string            `json:"CertificateSigningRequest,omitempty"` // PEM
	CertificateDays           int               `json:"CertificateDays,omitempty"`
	Policies                  []string          `json:"Policies,omitempty"`
	RoleAliases               []string          `json:"RoleAliases,omitempty"`
	Tags                      map[string]string `json:"Tags,omitempty"`
}

// RenewCameraInput is the body of /weir/renewCamera.
type RenewCameraInput struct {
	given
	CameraRef
	CertificateSigningRequest string `json:"CertificateSigningRequest,omitempty"` // required
	CertificateDays           int    `json:"CertificateDays,omitempty"`
	OverlapSeconds            int    `json:"OverlapSeconds,omitempty"`
}

// Requested lifetime of the certificate; 0: the default.
func (in *AddCameraInput) Lifetime() time.Duration {
	return time.Duration(in.CertificateDays) * day
}

// Requested lifetime of the certificate; 0: the default.
func (in *RenewCameraInput) Lifetime() time.Duration {
	return time.Duration(in.CertificateDays) * day
}

// IssuedCertificate answers /weir/addCamera and /weir/renewCamera. CertificatePem is null when the
// camera has certificates of another authority.
type IssuedCertificate struct {
	CameraInfo       CameraInfo `json:"CameraInfo"`
	CertificatePem   *string    `json:"CertificatePem"`
	CaCertificatePem *string    `json:"CaCertificatePem"` // also verifies the server
	CameraURL        *string    `json:"CameraURL"`        // null without a listener for cameras
}

// ListCamerasInput is the body of /weir/listCameras.
type ListCamerasInput struct {
	given
	PageRef
}

// ListCamerasOutput answers /weir/listCameras.
type ListCamerasOutput struct {
	CameraInfoList []CameraInfo `json:"CameraInfoList"`
	NextToken      *string      `json:"NextToken"`
}

// CameraRef names a camera.
type CameraRef struct {
	ThingName string `json:"ThingName,omitempty"` // required
}

// DescribeCameraInput is the body of /weir/describeCamera.
type DescribeCameraInput struct {
	given
	CameraRef
}

// DescribeCameraOutput answers /weir/describeCamera.
type DescribeCameraOutput struct {
	CameraInfo CameraInfo `json:"CameraInfo"`
}

// DisableCameraInput is the body of /weir/disableCamera.
type DisableCameraInput struct {
	given
	CameraRef
}

// EnableCameraInput is the body of /weir/enableCamera.
type EnableCameraInput struct {
	given
	CameraRef
}

// DeleteCameraInput is the body of /weir/deleteCamera.
type DeleteCameraInput struct {
	given
	CameraRef
}

// RevokeCameraCertificateInput is the body of /weir/revokeCameraCertificate.
type RevokeCameraCertificateInput struct {
	given
	CameraRef
	SerialNumber string `json:"SerialNumber,omitempty"` // required
}
