package status

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"weir/internal/api"
)

// How long codes wait when nothing else is said, how many there are of all callers, and how many
// bytes a code has before it is text.
const (
	usualCodeTime = time.Minute
	maxCodes      = 1000
	codeBytes     = 24
)

// Codes are one-time codes for temporary credentials. They are in memory: a restart forgets them.
// It is safe for concurrent use.
type Codes struct {
	mu    sync.Mutex
	codes map[[sha256.Size]byte]heldCredentials // by the hash of the code
}

// heldCredentials wait to be taken.
type heldCredentials struct {
	in   api.CreateSignInCodeInput
	by   string
	ends time.Time
}

// Put keeps credentials until they are taken, or their time is over, and returns their code. by is
// the ARN of whoever makes it.
func (c *Codes) Put(
	in *api.CreateSignInCodeInput, by string, now time.Time,
) (*api.CreateSignInCodeOutput, error) {
	ends := now.Add(usualCodeTime)
	if in.DurationSeconds > 0 {
		ends = now.Add(time.Duration(in.DurationSeconds) * time.Second)
	}
	if last := in.Expiration.Time(); last.Before(ends) {
		ends = last
	}
	code := make([]byte, codeBytes)
	rand.Read(code) // never fails
	text := base64.RawURLEncoding.EncodeToString(code)

	c.mu.Lock()
	defer c.mu.Unlock()
	for key, held := range c.codes {
		if !held.ends.After(now) {
			delete(c.codes, key)
		}
	}
	if len(c.codes) >= maxCodes {
		return nil, api.NewError(api.LimitExceededException,
			"Too many sign-in codes wait to be used.")
	}
	if c.codes == nil {
		c.codes = map[[sha256.Size]byte]heldCredentials{}
	}
	c.codes[sha256.Sum256([]byte(text))] = heldCredentials{*in, by, ends}
	return &api.CreateSignInCodeOutput{Code: text,
		ExpirationTime: api.Timestamp(ends.UnixMilli())}, nil
}

// Take returns the credentials of a code and who made it, once; false when there are none.
func (c *Codes) Take(
	code string, now time.Time,
) (in api.CreateSignInCodeInput, by string, ok bool) {
	key := sha256.Sum256([]byte(code))
	c.mu.Lock()
	defer c.mu.Unlock()
	held, ok := c.codes[key]
	delete(c.codes, key)
	return held.in, held.by, ok && held.ends.After(now)
}
