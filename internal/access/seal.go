package access

import (
	"errors"
	"fmt"
	"io/fs"

	"weir/internal/sealing"
	"weir/internal/store"
)

// Sealer seals secrets before they are stored. In a document they are base64 strings of its JSON,
// or all of its content; RotateSeal finds them there.
type Sealer = sealing.Sealer

// ErrSeal says that something was not sealed with this key, or not for this document, or is
// damaged.
var ErrSeal = sealing.ErrSeal

// maxSealKeys limits the keys of a file: one, and those that are being replaced.
const maxSealKeys = 8

// sealFile is the file of the seal keys.
func sealFile(path string) *sealing.File {
	return &sealing.File{Path: path, What: "access key file", Most: maxSealKeys,
		Comment: "What secrets in the store of Weir are sealed with: the first key seals, " +
			"all open.\nWithout it, the keys of users are lost."}
}

// loadSealer makes a sealer from the file. fs.ErrNotExist when there is none.
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

// CheckKeyFile refuses what Open would refuse: a file of a seal key that is missing or unusable, or
// with a key that has not sealed seals, the documents of KindSeal. It changes nothing.
func CheckKeyFile(path string, seals []store.Document) error {
	s, err := loadSealer(path)
	check := sealCheckOf(seals)
	if check == nil && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		return nil
	}
	return checkSealer(s, err, path, check)
}

// sealCheckOf returns what the documents of KindSeal have to recognise the right key; nil when
// there is none yet.
func sealCheckOf(seals []store.Document) []byte {
	for _, d := range seals {
		if d.Name == sealCheckName {
			return d.Data
		}
	}
	return nil
}

// checkSealer checks that the key of a file seals what is in the store. err is that of reading it.
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

// sealCheck is the content of the document of KindSeal, sealed.
const sealCheck, sealCheckName = "weir", "check"

// openSealer finds the seal key, makes it at the first start, and checks it against check, which
// the store has of it; nil at first. put writes that to the store.
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
