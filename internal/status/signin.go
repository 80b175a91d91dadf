package status

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"weir/internal/api"
)

// How long codes wait when nothing else is said, how many there are of all callers and of one, and
// how many bytes a code has before it is text.
const (
	usualCodeTime = time.Minute
	maxCodes      = 1000
	maxOwnCodes   = 20
	codeBytes     = 24
)

// Codes are one-time codes for temporary credentials. They are in memory: a restart forgets them.
// It is safe for concurrent use.
type Codes struct {
	mu    sync.Mutex
	codes map[[sha256.Size]byte]heldCredentials // by the hash of the code
	made  int64                                 // codes so far
}

// heldCredentials wait to be taken.
type heldCredentials struct {
	in     api.CreateSignInCodeInput
	by     string
	share  string
	number int64 // counts up
	ends   time.Time
}

// Put keeps credentials until they are taken, or their time is over, and returns their code. by is
// the ARN of whoever makes it, and share the name of its share: of one that has too many codes the
// oldest goes.
func (c *Codes) Put(
	in *api.CreateSignInCodeInput, by, share string, now time.Time,
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
	own, oldest := 0, [sha256.Size]byte{}
	for key, held := range c.codes {
		switch {
		case !held.ends.After(now):
			delete(c.codes, key)
		case held.share == share:
			if own++; own == 1 || held.number < c.codes[oldest].number {
				oldest = key
			}
		}
	}
	if own >= maxOwnCodes {
		delete(c.codes, oldest)
	}
	if len(c.codes) >= maxCodes {
		return nil, api.NewError(api.LimitExceededException,
			"Too many sign-in codes wait to be used.")
	}
	if c.codes == nil {
		c.codes = map[[sha256.Size]byte]heldCredentials{}
	}
	c.made++
	c.codes[sha256.Sum256([]byte(text))] = heldCredentials{*in, by, share, c.made, ends}
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
