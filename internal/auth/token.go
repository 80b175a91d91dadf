package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// Errors of TokenKeys.Open.
var (
	// not sealed by any key of the file, or damaged
	ErrTokenInvalid = errors.New("session token is invalid")
	ErrTokenExpired = errors.New("session token has expired") // genuine, but its time is over
)

// sessionIDSize is the length of Claims.SessionID in bytes.
const sessionIDSize = 16

// tokenLength is the length of every token in characters.
const tokenLength = 68

const (
	tokenVersion = 1
	tokenKeySize = 32
	nonceSize    = 12
	tagSize      = 16
	expirySize   = 5
	headerSize   = 2
	// bytes of a token besides its data: 35, so that a session's has 51
	tokenOverhead = headerSize + nonceSize + expirySize + tagSize

	// maxTokenKeys is how many keys a file may have; with more, Rotate would have no free ID.
	maxTokenKeys = 200
)

// Claims is what a token says.
type Claims struct {
	SessionID string    // sessionIDSize bytes, not text
	Expires   time.Time // to the second
}

// tokenKey is a line of the key file.
type tokenKey struct {
	id      byte
	created time.Time
	key     [tokenKeySize]byte
	aead    cipher.AEAD
}

// TokenKeys seals and opens session tokens. It is safe for concurrent use. Processes that serve the
// same sessions share the file, and each reads it again when it changes.
type TokenKeys struct {
	Clock  func() time.Time // nil means time.Now; set it before use
	path   string
	secret Secret // shared in place of the file; nil: the file is
	mu     sync.RWMutex
	keys   []tokenKey // newest first

	changing sync.Mutex  // held while the file is written or read again
	seen     os.FileInfo // the state of the file that keys were read from; guarded by changing
	revision int64       // likewise of the secret
	looked   time.Time   // when the file was last looked at; guarded by changing
}

// LoadOrCreateTokenKeys reads the token key file. If there is none, it makes one with a random key,
// readable only by its owner. Processes that serve the same sessions must have the same file.
func LoadOrCreateTokenKeys(path string) (*TokenKeys, error) {
	k, err := LoadTokenKeys(path)
	if errors.Is(err, fs.ErrNotExist) {
		k = &TokenKeys{path: path}
		if _, err := k.Rotate(false); err != nil {
			return nil, fmt.Errorf("create token key file: %w", err)
		}
		return k, nil
	}
	return k, err
}

// LoadTokenKeys reads the token key file. fs.ErrNotExist when there is none.
func LoadTokenKeys(path string) (*TokenKeys, error) {
	k := &TokenKeys{path: path}
	if err := k.read(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *TokenKeys) now() time.Time {
	if k.Clock == nil {
		return time.Now()
	}
	return k.Clock()
}

func newTokenKey(id byte, created time.Time, raw [tokenKeySize]byte) (tokenKey, error) {
	block, err := aes.NewCipher(raw[:])
	if err != nil {
		return tokenKey{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return tokenKey{}, err
	}
	return tokenKey{id: id, created: created, key: raw, aead: aead}, nil
}

func formatTokenKeys(keys []tokenKey) []byte {
	var b strings.Builder
	b.WriteString("# Keys of Weir's session tokens: ID CREATED KEY. The first line seals, all of " +
		"them open. Keep it secret.\n")
	for i := range keys {
		fmt.Fprintf(&b, "%02x %s %x\n", keys[i].id, keys[i].created.UTC().Format(time.RFC3339),
			keys[i].key)
	}
	return []byte(b.String())
}

func parseTokenKeys(text string) ([]tokenKey, error) {
	var keys []tokenKey
	seen := map[byte]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d has %d fields, not 3", number, len(fields))
		}
		id, err := hex.DecodeString(fields[0])
		if err != nil || len(id) != 1 {
			return nil, fmt.Errorf("line %d: the key id is not two hexadecimal digits", number)
		}
		if seen[id[0]] {
			return nil, fmt.Errorf("line %d: key id %s is there twice", number, fields[0])
		}
		seen[id[0]] = true
		created, err := time.Parse(time.RFC3339, fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		secret, err := hex.DecodeString(fields[2])
		if err != nil || len(secret) != tokenKeySize {
			return nil, fmt.Errorf("line %d: the key is not %d hexadecimal digits", number,
				2*tokenKeySize)
		}
		key, err := newTokenKey(id[0], created, [tokenKeySize]byte(secret))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxTokenKeys {
		return nil, fmt.Errorf("there are %d keys in it, not 1 to %d", len(keys), maxTokenKeys)
	}
	return keys, nil
}

// Seal makes the token of a session: tokenLength characters of A-Za-z0-9_-. It panics when the
// session ID does not have sessionIDSize bytes, which no caller's input can cause.
func (k *TokenKeys) Seal(c Claims) string {
	if len(c.SessionID) != sessionIDSize {
		panic(fmt.Sprintf("auth: session id of %d bytes", len(c.SessionID)))
	}
	return k.seal(tokenVersion, []byte(c.SessionID), c.Expires)
}

// Open returns the claims of a token. Its errors are ErrTokenInvalid, and ErrTokenExpired together
// with the claims: the expiry only counts once the token is known to be genuine.
func (k *TokenKeys) Open(token string) (Claims, error) {
	if len(token) != tokenLength {
		return Claims{}, ErrTokenInvalid
	}
	id, expires, err := k.open(tokenVersion, token)
	if err != nil {
		return Claims{}, err
	}
	c := Claims{SessionID: string(id), Expires: expires}
	if !k.now().Before(c.Expires) {
		return c, ErrTokenExpired
	}
	return c, nil
}

// Tokens of links: the same as those of sessions, but with data of any length up to a limit.
const (
	linkVersion = 2
	maxLinkData = 256
)

// SealLink makes a token that holds data, at most maxLinkData bytes, and an expiry. It consists of
// A-Za-z0-9_- and is 48 characters longer than the data in base64. Neither does Open open it, nor
// OpenLink a session's token.
func (k *TokenKeys) SealLink(data []byte, expires time.Time) (string, error) {
	if len(data) > maxLinkData {
		return "", fmt.Errorf("link of %d bytes, want %d at most", len(data), maxLinkData)
	}
	return k.seal(linkVersion, data, expires), nil
}

// OpenLink returns the data of a token that SealLink made. Its errors are ErrTokenInvalid and
// ErrTokenExpired.
func (k *TokenKeys) OpenLink(token string) ([]byte, error) {
	if len(token) > base64.RawURLEncoding.EncodedLen(tokenOverhead+maxLinkData) {
		return nil, ErrTokenInvalid
	}
	data, expires, err := k.open(linkVersion, token)
	if err != nil {
		return nil, err
	}
	if !k.now().Before(expires) {
		return nil, ErrTokenExpired
	}
	return data, nil
}

// seal makes a token with data and an expiry.
func (k *TokenKeys) seal(version byte, data []byte, expires time.Time) string {
	k.mu.RLock()
	key := &k.keys[0]
	k.mu.RUnlock()
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails: it ends the process instead
	return key.seal(version, nonce, data, expires)
}

func (key *tokenKey) seal(
	version byte, nonce [nonceSize]byte, data []byte, expires time.Time,
) string {
	token := make([]byte, 0, tokenOverhead+len(data))
	token = append(token, version, key.id)
	token = append(token, nonce[:]...)
	plain := make([]byte, 0, len(data)+expirySize)
	plain = appendExpiry(append(plain, data...), expires)
	token = key.aead.Seal(token, nonce[:], plain, token[:headerSize])
	return base64.RawURLEncoding.EncodeToString(token)
}

// open returns the data and the expiry of a token, which may have passed. ErrTokenInvalid.
func (k *TokenKeys) open(version byte, token string) ([]byte, time.Time, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < tokenOverhead || raw[0] != version {
		return nil, time.Time{}, ErrTokenInvalid
	}
	key := k.find(raw[1])
	if key == nil {
		return nil, time.Time{}, ErrTokenInvalid
	}
	header, nonce, sealed := raw[:headerSize], raw[headerSize:headerSize+nonceSize],
		raw[headerSize+nonceSize:]
	plain, err := key.aead.Open(nil, nonce, sealed, header)
	if err != nil {
		return nil, time.Time{}, ErrTokenInvalid
	}
	n := len(plain) - expirySize
	return plain[:n], readExpiry(plain[n:]), nil
}

// appendExpiry appends a time in seconds.
func appendExpiry(b []byte, t time.Time) []byte {
	expires := uint64(max(0, t.Unix()))
	for shift := 8 * (expirySize - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(expires>>shift))
	}
	return b
}

func readExpiry(b []byte) time.Time {
	var expires int64
	for _, v := range b {
		expires = expires<<8 | int64(v)
	}
	return time.Unix(expires, 0).UTC()
}

// find returns the key with an ID. If it does not know the ID, it looks whether another process has
// made the key.
func (k *TokenKeys) find(id byte) *tokenKey {
	key := k.known(id)
	if key == nil && k.refresh() {
		key = k.known(id)
	}
	return key
}

func (k *TokenKeys) known(id byte) *tokenKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for i := range k.keys {
		if k.keys[i].id == id {
			return &k.keys[i]
		}
	}
	return nil
}
