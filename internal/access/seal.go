package access

import (
	"errors"
	"fmt"
	"io/fs"

	"weir/internal/sealing"
	"weir/internal/store"
)

// Sealer seals secrets before they are stored. A document holds what is sealed in base64 in its
// JSON, or as all that it has; RotateSeal finds it there.
type Sealer = sealing.Sealer

// ErrSeal is of what was not sealed with this key, for this document, or is damaged.
var ErrSeal = sealing.ErrSeal

// maxSealKeys bounds the keys of a file: one, and those that are being replaced.
const maxSealKeys = 8

// sealFile is the file of the seal keys.
func sealFile(path string) *sealing.File {
	return &sealing.File{Path: path, What: "access key file", Most: maxSealKeys,
		Comment: "What secrets in the store of Weir are sealed with: the first key seals, " +
			"all open.\nWithout it, the keys of users are lost."}
}

// loadSealer makes a sealer of the file. fs.ErrNotExist when there is none.
func loadSealer(path string) (*Sealer, error) {
	keys, err := sealFile(path).Read()
	if err != nil {
		return nil, err
	}
	return sealing.New(keys)
}

// createSealer makes a random key and its file.
func createSealer(path string) (*Sealer, error) {
	keys := []sealing.Key{sealing.NewKey("")}
	if err := sealFile(path).Write(keys); err != nil {
		return nil, fmt.Errorf("create access key file: %w", err)
	}
	return sealing.New(keys)
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

// checkSealer checks that the key of a file seals what is in the store. err is of reading the file.
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

// openSealer finds the seal key, makes it at the first start, and checks it against what the store
// was sealed with. check is what the store has of it, nil at first; put writes it.
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
