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
	"sync/atomic"

	"weir/internal/auth"
	"weir/internal/store"
)

const (
	sealVersion = 1
	sealKeySize = 32 // AES-256
)

// Sealer seals secrets before they are stored, with AES-256-GCM under the first key of a file. What
// is sealed for one document does not open as another's: kind and name are the additional data. It
// is safe for use by many goroutines.
type Sealer struct {
	keys atomic.Pointer[[]cipher.AEAD] // the first seals, all open
}

// ErrSeal is of what was not sealed with this key, for this document, or is damaged.
var ErrSeal = errors.New("sealed with another key, or damaged")

// use makes the sealer use keys.
func (s *Sealer) use(keys []sealKey) error {
	var all []cipher.AEAD
	for _, key := range keys {
		block, err := aes.NewCipher(key)
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

// Seal seals what a document is to hold: one byte of version, then nonce, ciphertext and tag as
// crypto/cipher puts them together. The document holds it in base64 in its JSON, or as all that it
// has; RotateSeal finds it there.
func (s *Sealer) Seal(kind, name string, secret []byte) []byte {
	return (*s.keys.Load())[0].Seal([]byte{sealVersion}, nil, secret, sealedFor(kind, name))
}

// Open returns what was sealed for a document. ErrSeal.
func (s *Sealer) Open(kind, name string, sealed []byte) ([]byte, error) {
	secret, _, err := s.open(kind, name, sealed)
	return secret, err
}

// open is Open, and tells which key it was.
func (s *Sealer) open(kind, name string, sealed []byte) (secret []byte, key int, err error) {
	if len(sealed) > 0 && sealed[0] == sealVersion {
		for i, aead := range *s.keys.Load() {
			secret, err = aead.Open(nil, nil, sealed[1:], sealedFor(kind, name))
			if err == nil {
				return secret, i, nil
			}
		}
	}
	return nil, 0, fmt.Errorf("%s %s: %w", kind, name, ErrSeal)
}

// sealedFor is the additional data. No kind has a zero byte in it.
func sealedFor(kind, name string) []byte { return []byte("weir\x00" + kind + "\x00" + name) }

// sealKey is a key of the file.
type sealKey []byte

// maxSealKeys bounds the keys of a file: one, and those that are being replaced.
const maxSealKeys = 8

// readSealKeys reads the file of the seal keys: a line of 64 hexadecimal digits for each, beside
// comments (#). fs.ErrNotExist when there is none.
func readSealKeys(path string) (keys []sealKey, err error) {
	data, err := auth.ReadSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read access key file: %w", err)
	}
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		if len(text) != 2*sealKeySize {
			return nil, fmt.Errorf("access key file %s: a key is a line of %d digits", path,
				2*sealKeySize)
		}
		key, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("access key file %s: a key is not hexadecimal", path)
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) == 0:
		return nil, fmt.Errorf("access key file %s: there is no key in it", path)
	case len(keys) > maxSealKeys:
		return nil, fmt.Errorf("access key file %s: %d keys, more than %d", path, len(keys),
			maxSealKeys)
	}
	return keys, nil
}

// writeSealKeys writes the file, readable by its owner only.
func writeSealKeys(path string, keys []sealKey) error {
	text := []byte("# What secrets in the store of Weir are sealed with: the first key seals, " +
		"all open.\n# Without it, the keys of users are lost.\n")
	for _, key := range keys {
		text = fmt.Appendf(text, "%x\n", key)
	}
	return auth.WriteSecret(path, text)
}

func newSealKey() sealKey {
	key := make(sealKey, sealKeySize)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	return key
}

// loadSealer makes a sealer of the file. fs.ErrNotExist when there is none.
func loadSealer(path string) (*Sealer, error) {
	keys, err := readSealKeys(path)
	if err != nil {
		return nil, err
	}
	s := &Sealer{}
	return s, s.use(keys)
}

// createSealer makes a random key and its file.
func createSealer(path string) (*Sealer, error) {
	keys := []sealKey{newSealKey()}
	if err := writeSealKeys(path, keys); err != nil {
		return nil, fmt.Errorf("create access key file: %w", err)
	}
	s := &Sealer{}
	return s, s.use(keys)
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
		return fmt.Errorf("%w: %s is not there; put it back from a backup; nothing was changed",
			ErrKeyLost, path)
	}
	if err != nil {
		return err
	}
	if _, err := s.Open(KindSeal, sealCheckName, check); err != nil {
		return fmt.Errorf("%w: the one in %s has not sealed what is in this data directory; "+
			"put the right file back; nothing was changed", ErrKeyLost, path)
	}
	return nil
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
