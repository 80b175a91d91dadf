package auth

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrChanged says that another process has changed the secret in the meantime.
var ErrChanged = errors.New("the secret was changed meanwhile")

// Secret is a secret that the nodes of a cluster share.
type Secret interface {
	// Load returns the secret and its revision, which rises with each change. fs.ErrNotExist when
	// there is none yet.
	Load() (data []byte, revision int64, err error)
	// Store replaces the secret with a given revision, 0 for none yet, and returns the next one.
	// ErrChanged when its revision is another one.
	Store(data []byte, revision int64) (int64, error)
}

// maxSecretTries is how often a change of a secret is tried while other nodes change it.
const maxSecretTries = 10

// ShareTokenKeys reads the keys that nodes share, or makes the first one. Each node reads them
// again when another one has changed them.
func ShareTokenKeys(secret Secret) (*TokenKeys, error) {
	k := &TokenKeys{secret: secret}
	for range maxSecretTries {
		_, err := k.readChanged()
		if errors.Is(err, fs.ErrNotExist) {
			_, err = k.Rotate(false)
		}
		if !errors.Is(err, ErrChanged) {
			return k, err
		}
	}
	return nil, ErrChanged
}

// ShareKeys returns the text of the key file that nodes share, which at first is the first node's
// own.
func ShareKeys(secret Secret, own func() ([]byte, error)) ([]byte, error) {
	for range maxSecretTries {
		data, _, err := secret.Load()
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
		if data, err = own(); err != nil {
			return nil, err
		}
		if _, err = secret.Store(data, 0); !errors.Is(err, ErrChanged) {
			return data, err
		}
	}
	return nil, ErrChanged
}

// taken reports whether keys have been read from the file or the secret. The caller holds changing.
func (k *TokenKeys) taken() bool { return k.seen != nil || k.revision > 0 }

// readSecret is readChanged for a secret.
func (k *TokenKeys) readSecret() (changed bool, err error) {
	data, revision, err := k.secret.Load()
	if err != nil {
		return false, fmt.Errorf("token keys: %w", err)
	}
	if revision == k.revision {
		return false, nil
	}
	keys, err := parseTokenKeys(string(data))
	if err != nil {
		return false, fmt.Errorf("token keys: %w", err)
	}
	k.set(keys)
	k.revision = revision
	return true, nil
}

// writeSecret writes keys to the secret and then uses them. ErrChanged when another node has
// changed it: the next read gets its keys.
func (k *TokenKeys) writeSecret(keys []tokenKey) error {
	revision, err := k.secret.Store(formatTokenKeys(keys), k.revision)
	if err != nil {
		return fmt.Errorf("token keys: %w", err)
	}
	k.set(keys)
	k.revision = revision
	return nil
}
