// Package sealing seals secrets before they are stored, under keys in a file of their own.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"sync/atomic"
)

const version = 1

// Sealer seals with AES-256-GCM under the first key of a file. A secret that was sealed for one
// document does not open for another: kind and name are the additional data. It is safe for
// concurrent use.
type Sealer struct {
	keys atomic.Pointer[[]cipher.AEAD] // the first seals, all open
}

// ErrSeal says that something was not sealed with these keys for this document, or is damaged.
var ErrSeal = errors.New("sealed with another key, or damaged")

// New makes a Sealer. The first key seals, all keys open.
func New(keys []Key) (*Sealer, error) {
	s := &Sealer{}
	return s, s.Use(keys)
}

// Use makes the sealer use other keys.
func (s *Sealer) Use(keys []Key) error {
	var all []cipher.AEAD
	for _, key := range keys {
		block, err := aes.NewCipher(key.Secret)
		if err != nil {
			return err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return err
		}
		all = append(all, aead)
	}
	s.keys.Store(&all)
	return nil
}

// Seal seals a secret for a document: one byte of version, then nonce, ciphertext and tag as
// crypto/cipher puts them together.
func (s *Sealer) Seal(kind, name string, secret []byte) []byte {
	return (*s.keys.Load())[0].Seal([]byte{version}, nil, secret, sealedFor(kind, name))
}

// Open returns what was sealed for a document. The error is ErrSeal.
func (s *Sealer) Open(kind, name string, sealed []byte) ([]byte, error) {
	secret, _, err := s.OpenWith(kind, name, sealed)
	return secret, err
}

// OpenWith is Open, and returns which key it was: 0 is the one that seals.
func (s *Sealer) OpenWith(kind, name string, sealed []byte) (secret []byte, key int, err error) {
	if len(sealed) > 0 && sealed[0] == version {
		for i, aead := range *s.keys.Load() {
			secret, err = aead.Open(nil, nil, sealed[1:], sealedFor(kind, name))
			if err == nil {
				return secret, i, nil
			}
		}
	}
	return nil, 0, fmt.Errorf("%s %s: %w", kind, name, ErrSeal)
}

// sealedFor returns the additional data. No kind has a zero byte in it.
func sealedFor(kind, name string) []byte { return []byte("weir\x00" + kind + "\x00" + name) }
