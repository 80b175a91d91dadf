package playback

import (
	"sync"
	"time"
)

// maxKnownTokens bounds how many tokens are remembered at a time: some hundred bytes each.
const maxKnownTokens = 16_384

// knownToken is what a token says and what never changes about its session. Whether the session is
// still open is not in it, nor whether the key that sealed the token is still there: a key goes
// long after the last of its tokens has expired.
type knownToken struct {
	// a copy: the one that is asked for is a piece of a request, which may be long
	token   string
	id      string    // of the session
	expires time.Time // of the token
	p       *parameters
}

// tokenCache remembers the tokens that players use: each of them comes again with every segment,
// and opening one costs as much as finding the fragment.
type tokenCache struct {
	mu     sync.RWMutex
	tokens map[string]*knownToken
}

func (t *tokenCache) get(token string) *knownToken {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.tokens[token]
}

// put keeps a token, and forgets the others when they have become too many: those in use come
// again.
func (t *tokenCache) put(k *knownToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tokens == nil || len(t.tokens) >= maxKnownTokens {
		t.tokens = make(map[string]*knownToken)
	}
	t.tokens[k.token] = k
}

func (t *tokenCache) drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tokens, token)
}
