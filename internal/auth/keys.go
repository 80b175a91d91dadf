package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Key is a key pair of a key file.
type Key struct {
	Profile         string // its section in the file, such as "default"
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // "" for most; a key that has one is only valid together with it
}

// Credentials returns the key for a Signer.
func (k Key) Credentials() Credentials {
	return Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretAccessKey,
		SessionToken: k.SessionToken}
}

// KeyFile has the key pairs of a file in the format of the AWS shared credentials file, so that
// AWS_SHARED_CREDENTIALS_FILE can name it. It does not change after loading.
type KeyFile struct {
	keys    []Key
	created bool
}

// LoadOrCreateKeys reads the key file. If there is none, it makes one with a random key pair in the
// profile "default", readable only by its owner.
func LoadOrCreateKeys(path string) (*KeyFile, error) {
	f, err := LoadKeys(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := NewKey()
		text := fmt.Sprintf("# Key pairs of Weir. Each section is one; clients use the file as "+
			"AWS_SHARED_CREDENTIALS_FILE.\n"+
			"[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", key.Profile,
			key.AccessKeyID, key.SecretAccessKey)
		if err := WriteSecret(path, []byte(text)); err != nil {
			return nil, fmt.Errorf("create key file: %w", err)
		}
		if f, err = newKeyFile([]Key{key}); err != nil {
			return nil, err
		}
		f.created = true
	}
	return f, err
}

// LoadKeys reads the key file. fs.ErrNotExist when there is none.
func LoadKeys(path string) (*KeyFile, error) {
	data, err := ReadSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	f, err := ParseKeys(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return f, nil
}

// ParseKeys reads the text of a key file.
func ParseKeys(data []byte) (*KeyFile, error) {
	keys, err := ParseCredentials(data)
	if err != nil {
		return nil, err
	}
	return newKeyFile(keys)
}

func newKeyFile(keys []Key) (*KeyFile, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key pair in it")
	}
	byID := make(map[string]int, len(keys))
	for i, k := range keys {
		if j, ok := byID[k.AccessKeyID]; ok && (keys[j].SecretAccessKey != k.SecretAccessKey ||
			keys[j].SessionToken != k.SessionToken) {
			return nil, fmt.Errorf("profiles %q and %q give access key %s different secrets",
				keys[j].Profile, k.Profile, k.AccessKeyID)
		}
		byID[k.AccessKeyID] = i
	}
	return &KeyFile{keys: keys}, nil
}

// Keys lists the key pairs in the order of the file; there is at least one.
func (f *KeyFile) Keys() []Key { return append([]Key(nil), f.keys...) }

// Default returns the key pair of the profile "default", or else the first one.
func (f *KeyFile) Default() Key {
	for _, k := range f.keys {
		if k.Profile == "default" {
			return k
		}
	}
	return f.keys[0]
}

// Created reports whether LoadOrCreateKeys made the file.
func (f *KeyFile) Created() bool { return f.created }

// NewKey makes a random key pair like one of AWS's. The access key has 20 characters and begins
// with WEIR, so that nobody takes it for one of AWS. The secret has 40 characters with 238 bits of
// randomness; a double click selects all of it.
func NewKey() Key {
	return Key{
		Profile:     "default",
		AccessKeyID: "WEIR" + RandomText(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
		SecretAccessKey: RandomText(40,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
	}
}

// RandomText returns n characters of the alphabet, each equally likely.
func RandomText(n int, alphabet string) string {
	out := make([]byte, 0, n)
	limit := 256 - 256%len(alphabet)
	buf := make([]byte, n)
	for len(out) < n {
		_, _ = rand.Read(buf) // never fails: it ends the process instead
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// ParseCredentials reads the format of the AWS shared credentials file. It accepts what editors
// make of it (a byte order mark, CRLF, comments with # or ; also after a value) and ignores unknown
// settings. A profile with only half of a key pair is an error.
func ParseCredentials(data []byte) ([]Key, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var keys []Key
	var current *Key
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		if text[0] == '[' {
			name, err := sectionName(text)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			if seen[name] {
				return nil, fmt.Errorf("line %d: profile %q is there twice", number, name)
			}
			seen[name] = true
			keys = append(keys, Key{Profile: name})
			current = &keys[len(keys)-1]
			continue
		}
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("line %d: neither a [profile] nor a name = value", number)
		}
		if current == nil {
			return nil, fmt.Errorf("line %d: there is no [profile] before this line", number)
		}
		value = withoutComment(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "aws_access_key_id":
			current.AccessKeyID = value
		case "aws_secret_access_key":
			current.SecretAccessKey = value
		case "aws_session_token":
			current.SessionToken = value
		}
	}
	return completeKeys(keys)
}

func sectionName(text string) (string, error) {
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return "", errors.New("a [profile] does not end in ]")
	}
	name := strings.TrimSpace(text[1:end])
	if name == "" {
		return "", errors.New("a [profile] without a name")
	}
	if rest := strings.TrimSpace(text[end+1:]); rest != "" && rest[0] != '#' && rest[0] != ';' {
		return "", errors.New("text after a [profile]")
	}
	return name, nil
}

// withoutComment cuts off a comment that follows a value after a blank. Keys and secrets contain no
// blanks.
func withoutComment(value string) string {
	for _, mark := range []string{" #", " ;", "\t#", "\t;"} {
		value, _, _ = strings.Cut(value, mark)
	}
	return strings.TrimSpace(value)
}

// completeKeys drops the profiles without a key pair, and refuses those with half of one.
func completeKeys(all []Key) ([]Key, error) {
	var keys []Key
	for _, k := range all {
		switch {
		case k.AccessKeyID == "" && k.SecretAccessKey == "":
			continue
		case k.AccessKeyID == "":
			return nil, fmt.Errorf("profile %q has no aws_access_key_id", k.Profile)
		case k.SecretAccessKey == "":
			return nil, fmt.Errorf("profile %q has no aws_secret_access_key", k.Profile)
		case strings.ContainsAny(k.AccessKeyID, "/, \t"):
			return nil, fmt.Errorf(
				"profile %q: the access key has a character that signatures cannot carry",
				k.Profile)
		}
		keys = append(keys, k)
	}
	return keys, nil
}
