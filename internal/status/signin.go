package status

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"weir/internal/api"
)

// How long codes are valid by default, how many there may be in all and for one caller, and how
// many bytes a code has before it is encoded.
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

// Put keeps credentials until they are taken or their time is over, and returns their code. by is
// the ARN of the caller, and share the name of its share. If a share has too many codes, its oldest
// one is dropped. If there are too many in all, the oldest one of the share with the most is.
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
	shares := map[string]int{}
	greedy := share // the share with the most codes; this one if equal
	for key, held := range c.codes {
		if !held.ends.After(now) {
			delete(c.codes, key)
			continue
		}
		if shares[held.share]++; shares[held.share] > shares[greedy] {
			greedy = held.share
		}
	}
	switch own, full := shares[share], len(c.codes) >= maxCodes; {
	case full && shares[greedy] > own+1:
		c.dropOldest(greedy)
	case full && own == 0: // every share has one code
		return nil, api.NewError(api.LimitExceededException,
			"Too many sign-in codes wait to be used.")
	case full || own >= maxOwnCodes:
		c.dropOldest(share)
	}
	if c.codes == nil {
		c.codes = map[[sha256.Size]byte]heldCredentials{}
	}
	c.made++
	c.codes[sha256.Sum256([]byte(text))] = heldCredentials{*in, by, share, c.made, ends}
	return &api.CreateSignInCodeOutput{Code: text,
		ExpirationTime: api.Timestamp(ends.UnixMilli())}, nil
}

// dropOldest forgets the oldest code of a share, which has one. The caller holds c.mu.
func (c *Codes) dropOldest(share string) {
	var oldest [sha256.Size]byte
	for key, held := range c.codes {
		first, ok := c.codes[oldest]
		if held.share == share && (!ok || held.number < first.number) {
			oldest = key
		}
	}
	delete(c.codes, oldest)
}

// Take returns the credentials of a code and who made it. It works once; ok is false if the code is
// unknown.
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
