package store

import "fmt"

// Document is a small named document.
type Document struct {
	Kind, Name string
	Revision   int64 // the role's revision when the document was last written, from 1
	Data       []byte
}

// Revisions that a document to be written may have.
const (
	NewDocument int64 = 0  // it must not exist
	AnyRevision int64 = -1 // whatever is there, or nothing
)

// MaxDocument bounds a document, in bytes: the largest is a policy, whose text has 6,144 characters
// at most, in an envelope.
const MaxDocument = 64 << 10

// CheckDocument refuses documents that no engine keeps: those without kind or name, and those that
// are too large.
func CheckDocument(kind, name string, data []byte) error {
	if kind == "" || name == "" {
		return fmt.Errorf("document %s/%s: kind or name is missing", kind, name)
	}
	if len(data) > MaxDocument {
		return fmt.Errorf("document %s/%s: %d bytes, more than %d", kind, name, len(data),
			MaxDocument)
	}
	return nil
}
