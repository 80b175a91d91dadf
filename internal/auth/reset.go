package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// ResetDefault replaces the default key pair of a key file (KeyFile.Default) with a new random one,
// and leaves everything else in the file as it is. After a power cut there is the old file or the
// whole new one. If there is no file, it makes one. It returns the new pair. It does not touch a
// file that cannot be read as a key file.
func ResetDefault(path string) (Key, error) {
	f, err := LoadKeys(path)
	if errors.Is(err, fs.ErrNotExist) {
		if f, err = LoadOrCreateKeys(path); err != nil {
			return Key{}, err
		}
		return f.Default(), nil
	}
	if err != nil {
		return Key{}, err
	}
	data, err := ReadSecret(path)
	if err != nil {
		return Key{}, fmt.Errorf("read key file: %w", err)
	}
	data, key := resetDefault(f, data)
	if err := WriteSecret(path, data); err != nil {
		return Key{}, fmt.Errorf("write key file: %w", err)
	}
	return key, nil
}

// ResetShared is ResetDefault for the text of a key file that nodes share, which must exist.
// ErrChanged when another process changes it at the same time.
func ResetShared(secret Secret) (Key, error) {
	data, revision, err := secret.Load()
	if err != nil {
		return Key{}, fmt.Errorf("read keys: %w", err)
	}
	f, err := ParseKeys(data)
	if err != nil {
		return Key{}, err
	}
	data, key := resetDefault(f, data)
	if _, err := secret.Store(data, revision); err != nil {
		return Key{}, fmt.Errorf("write keys: %w", err)
	}
	return key, nil
}

// resetDefault returns the text of a key file with a new default pair.
func resetDefault(f *KeyFile, data []byte) ([]byte, Key) {
	key := NewKey()
	key.Profile = f.Default().Profile
	return replaceProfile(data, key), key
}

// replaceProfile returns a key file in which one of its profiles has a new pair. It removes a
// session token of the old pair.
func replaceProfile(data []byte, key Key) []byte {
	var out strings.Builder
	inside := false
	for line := range strings.Lines(string(data)) {
		text := strings.TrimSpace(strings.TrimPrefix(line, "\xef\xbb\xbf"))
		name, _, setting := strings.Cut(text, "=")
		switch {
		case strings.HasPrefix(text, "["):
			profile, err := sectionName(text)
			inside = err == nil && profile == key.Profile
			out.WriteString(strings.TrimRight(line, "\r\n") + "\n")
			if inside {
				fmt.Fprintf(&out, "aws_access_key_id = %s\naws_secret_access_key = %s\n",
					key.AccessKeyID, key.SecretAccessKey)
			}
		case inside && setting && isKeySetting(name):
		default:
			out.WriteString(line)
		}
	}
	return []byte(out.String())
}

// isKeySetting reports whether a setting of a profile is part of its key pair.
func isKeySetting(name string) bool {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "aws_access_key_id", "aws_secret_access_key", "aws_session_token":
		return true
	}
	return false
}
