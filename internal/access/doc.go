// Package access knows who may do what: users and their keys, policies, roles and cameras. They are
// documents in a store. A Registry has all of them in memory, in a snapshot that never changes, so
// a call is decided without a lock and without the store. DESIGN.md states the rules.
package access

import "errors"

// Errors that callers distinguish with errors.Is. The text says which user, key, policy or role.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("already exists")
	// somebody else has changed it since it was read
	ErrVersion = errors.New("changed meanwhile")
	ErrInUse   = errors.New("is in use")      // such as a policy that is attached
	ErrLimit   = errors.New("limit exceeded") // of package api
	ErrInvalid = errors.New("invalid")        // a name, tag, duration or document
	// it comes with Weir, or is in the credentials file
	ErrFixed = errors.New("cannot be changed here")
	// the key that seals secrets could not be written yet, for want of space
	ErrNoSeal = errors.New("no key to seal secrets with")
	// the file of that key is gone, or has another key
	ErrKeyLost = errors.New("the key that secrets are sealed with is lost")
)
