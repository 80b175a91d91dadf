package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Kinds of documents.
const (
	kindUser   = "user"   // by name
	kindKey    = "key"    // by access key ID
	kindPolicy = "policy" // by name
	kindRole   = "role"   // by name
	kindCamera = "camera" // by thing name
	// KindProvider is for OIDC providers, and KindTokenKey for the keys that seal tokens; package
	// sts knows their content.
	KindProvider = "provider"
	KindTokenKey = "token-key"
	KindSeal     = "seal" // the only one; it shows whether the seal key is the right one
	// KindCameraCA is for the authority that issues cameras' certificates: package cameras.
	KindCameraCA = "camera-ca"
)

// userDocument is a user.
type userDocument struct {
	ID       string            `json:"id"` // AIDA…
	Created  int64             `json:"created"`
	Tags     map[string]string `json:"tags,omitempty"`
	Policies []string          `json:"policies,omitempty"` // attached policies, in order
}

// keyDocument is a key of a user. It has the user's ID, so that it never opens another user of the
// same name.
type keyDocument struct {
	User     string `json:"user"`
	UserID   string `json:"user_id"`
	Created  int64  `json:"created"`
	Disabled bool   `json:"disabled,omitempty"`
	Secret   []byte `json:"secret"` // sealed
}

// policyDocument is a policy.
type policyDocument struct {
	Created     int64           `json:"created"`
	Updated     int64           `json:"updated"`
	Description string          `json:"description,omitempty"`
	Policy      json.RawMessage `json:"policy"`
}

// roleDocument is a role.
type roleDocument struct {
	ID          string            `json:"id"` // AROA…
	Created     int64             `json:"created"`
	Description string            `json:"description,omitempty"`
	MaxSession  int64             `json:"max_session"` // seconds
	Trust       json.RawMessage   `json:"trust"`
	Tags        map[string]string `json:"tags,omitempty"`
	Policies    []string          `json:"policies,omitempty"`
}

// cameraDocument is a thing. Data, which belongs to package cameras, has no effect on what the
// thing may do.
type cameraDocument struct {
	ID       string            `json:"id"` // random
	Created  int64             `json:"created"`
	Disabled bool              `json:"disabled,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Policies []string          `json:"policies,omitempty"`
	Revoked  []string          `json:"revoked,omitempty"` // serial numbers of certificates
	Data     json.RawMessage   `json:"data,omitempty"`    // of package cameras
}

// decode reads a document. It refuses a member that this version does not know, because that might
// take away a right.
func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("damaged, or of a newer version: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("damaged: there is more than one document in it")
	}
	return nil
}
