package access

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"weir/internal/auth"
	"weir/internal/store"
)

const (
	sealVersion = 1
	sealKeySize = 32 // AES-256
)

// Sealer seals secrets before they are stored, with AES-256-GCM under the key of a file. What is
// sealed for one document does not open as another's: kind and name are the additional data. It is
// safe for use by many goroutines.
type Sealer struct{ aead cipher.AEAD }

// ErrSeal is of what was not sealed with this key, for this document, or is damaged.
var ErrSeal = errors.New("sealed with another key, or damaged")

func newSealer(key []byte) (*Sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead}, nil
}

// Seal seals what a document is to hold: one byte of version, then nonce, ciphertext and tag as
// crypto/cipher puts them together.
func (s *Sealer) Seal(kind, name string, secret []byte) []byte {
	return s.aead.Seal([]byte{sealVersion}, nil, secret, sealedFor(kind, name))
}

// Open returns what was sealed for a document. ErrSeal.
func (s *Sealer) Open(kind, name string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, fmt.Errorf("%s %s: %w", kind, name, ErrSeal)
	}
	secret, err := s.aead.Open(nil, nil, sealed[1:], sealedFor(kind, name))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, name, ErrSeal)
	}
	return secret, nil
}

// sealedFor is the additional data. No kind has a zero byte in it.
func sealedFor(kind, name string) []byte { return []byte("weir\x00" + kind + "\x00" + name) }

// loadSealer reads the file of the seal key: a line of 64 hexadecimal digits beside comments (#).
// fs.ErrNotExist when there is none.
func loadSealer(path string) (*Sealer, error) {
	data, err := auth.ReadSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read access key file: %w", err)
	}
	var key []byte
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		if key != nil || len(text) != 2*sealKeySize {
			return nil, fmt.Errorf("access key file %s: it has more than one line of %d digits",
				path, 2*sealKeySize)
		}
		if key, err = hex.DecodeString(text); err != nil {
			return nil, fmt.Errorf("access key file %s: the key is not hexadecimal", path)
		}
	}
	if key == nil {
		return nil, fmt.Errorf("access key file %s: there is no key in it", path)
	}
	return newSealer(key)
}

// CheckKeyFile refuses what Open would: a file of a seal key that cannot be used, is not there any
// more, or is not the one that seals, the documents of KindSeal, were sealed with. It changes
// nothing.
func CheckKeyFile(path string, seals []store.Document) error {
	s, err := loadSealer(path)
	check := sealCheckOf(seals)
	if check == nil && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		return nil
	}
	return checkSealer(s, err, path, check)
}

// sealCheckOf is what documents of KindSeal tell the right key by; nil: there was none yet.
func sealCheckOf(seals []store.Document) []byte {
	for _, d := range seals {
		if d.Name == sealCheckName {
			return d.Data
		}
	}
	return nil
}

// checkSealer holds the key of a file, or the error of reading it, to what the store was sealed
// with.
func checkSealer(s *Sealer, err error, path string, check []byte) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the file %s with the key that secrets are sealed with is not there: "+
			"put it back from a backup; nothing was changed", path)
	}
	if err != nil {
		return err
	}
	if _, err := s.Open(KindSeal, sealCheckName, check); err != nil {
		return fmt.Errorf("the key in %s is not the one that the secrets in this data directory "+
			"are sealed with: put the right file back; nothing was changed", path)
	}
	return nil
}

// createSealer makes a random key and its file, readable by its owner only.
func createSealer(path string) (*Sealer, error) {
	key := make([]byte, sealKeySize)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	text := fmt.Sprintf("# The key that secrets in the store of Weir are sealed with. Without it, "+
		"keys of users are lost.\n%x\n", key)
	if err := auth.WriteSecret(path, []byte(text)); err != nil {
		return nil, fmt.Errorf("create access key file: %w", err)
	}
	return newSealer(key)
}

// sealCheck is what the document of KindSeal holds, sealed.
const sealCheck, sealCheckName = "weir", "check"

// openSealer finds the seal key, makes it at the first start, and holds it to what the store was
// sealed with. check is what the store has of it, nil at first; put writes it.
func openSealer(path string, check []byte, put func(sealed []byte) error) (*Sealer, error) {
	s, err := loadSealer(path)
	if check != nil {
		return s, checkSealer(s, err, path, check)
	}
	if errors.Is(err, fs.ErrNotExist) {
		s, err = createSealer(path)
	}
	if err != nil {
		return nil, err
	}
	return s, put(s.Seal(KindSeal, sealCheckName, []byte(sealCheck)))
}
