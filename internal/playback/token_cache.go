package playback

import (
	"sync"
	"time"
)

// maxKnownTokens bounds how many tokens are remembered at a time: some hundred bytes each.
const maxKnownTokens = 16_384

// knownToken has the content of a token and what never changes about its session. It does not say
// whether the session is still open. Nor does it say whether the key that sealed the token still
// exists: a key is deleted long after the last of its tokens has expired.
type knownToken struct {
	// a copy, because the token of a request keeps the whole request in memory
	token   string
	id      string    // of the session
	expires time.Time // of the token
	p       *parameters
}

// tokenCache remembers the tokens that players use. Each comes again with every segment, and
// opening one costs as much as finding the fragment.
type tokenCache struct {
	mu     sync.RWMutex
	tokens map[string]*knownToken
}

func (t *tokenCache) get(token string) *knownToken {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.tokens[token]
}

// put keeps a token. If there are too many, it forgets all others: those in use come again.
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
