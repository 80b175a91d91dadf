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
	// KindProvider is for the OIDC providers, and KindTokenKey for the keys that tokens are sealed
	// with; package sts knows what is in them.
	KindProvider = "provider"
	KindTokenKey = "token-key"
	KindSeal     = "seal" // one, which tells whether the seal key is the right one
	// KindCameraCA is for the authority that issues the certificates of cameras: package cameras.
	KindCameraCA = "camera-ca"
)

// userDocument is a user.
type userDocument struct {
	ID       string            `json:"id"` // AIDA…
	Created  int64             `json:"created"`
	Tags     map[string]string `json:"tags,omitempty"`
	Policies []string          `json:"policies,omitempty"` // that are attached, in their order
}

// keyDocument is a key of a user. It names the user's ID, so that it never opens another user of
// the same name.
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

// cameraDocument is a thing. Of what package cameras knows of it, in Data, nothing matters for what
// it may do.
type cameraDocument struct {
	ID       string            `json:"id"` // random
	Created  int64             `json:"created"`
	Disabled bool              `json:"disabled,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Policies []string          `json:"policies,omitempty"`
	Revoked  []string          `json:"revoked,omitempty"` // serial numbers of certificates
	Data     json.RawMessage   `json:"data,omitempty"`    // of package cameras
}

// decode reads a document. One with a member that this version does not know is refused: it may
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
