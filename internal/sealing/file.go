package sealing

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"weir/internal/auth"
)

const keySize = 32 // AES-256

// Key is a key in a file.
type Key struct {
	Secret []byte // 32 bytes
	Name   string // what it is for; "": anything
}

// NewKey returns a random key.
func NewKey(name string) Key {
	key := Key{Secret: make([]byte, keySize), Name: name}
	_, _ = rand.Read(key.Secret) // never fails: it ends the process instead
	return key
}

// File is a file of keys: a line of 64 hexadecimal digits for each, and comments (#).
type File struct {
	Path    string
	What    string // "access key file", for errors
	Comment string // the first line of the file, without the #
	Most    int    // the most keys that it may have
	Named   bool   // a blank and a name may follow the digits
}

// Read returns the keys, at least one. The error is fs.ErrNotExist if there is no file.
func (f *File) Read() (keys []Key, err error) {
	data, err := auth.ReadSecret(f.Path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.What, err)
	}
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		var name string
		if f.Named {
			text, name, _ = strings.Cut(text, " ")
		}
		if len(text) != 2*keySize {
			return nil, fmt.Errorf("%s %s: a key is a line of %d digits", f.What, f.Path, 2*keySize)
		}
		secret, err := hex.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%s %s: a key is not hexadecimal", f.What, f.Path)
		}
		keys = append(keys, Key{Secret: secret, Name: strings.TrimSpace(name)})
	}
	switch {
	case len(keys) == 0:
		return nil, fmt.Errorf("%s %s: there is no key in it", f.What, f.Path)
	case len(keys) > f.Most:
		return nil, fmt.Errorf("%s %s: %d keys, more than %d", f.What, f.Path, len(keys), f.Most)
	}
	return keys, nil
}

// Write replaces the file atomically. Only its owner can read it.
func (f *File) Write(keys []Key) error {
	var text []byte
	for line := range strings.Lines(f.Comment) {
		text = append(text, "# "+line...)
	}
	text = append(text, '\n')
	for _, key := range keys {
		text = hex.AppendEncode(text, key.Secret)
		if key.Name != "" {
			text = append(text, " "+key.Name...)
		}
		text = append(text, '\n')
	}
	return auth.WriteSecret(f.Path, text)
}
