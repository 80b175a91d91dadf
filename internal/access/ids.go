package access

import (
	"crypto/sha256"
	"encoding/base32"

	"weir/internal/auth"
)

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// newID makes the unique ID of a user (AIDA) or a role (AROA) in the form of AWS: 20 characters
// (IAM user guide, "IAM identifiers", "Unique identifiers").
func newID(prefix string) string { return prefix + auth.RandomText(16, idAlphabet) }

// fixedID is the ID of something that is not stored: the same at each start.
func fixedID(prefix, name string) string {
	sum := sha256.Sum256([]byte(name))
	return prefix + base32.StdEncoding.EncodeToString(sum[:10])
}
