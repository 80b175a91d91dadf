package access

import (
	"sync"
	"sync/atomic"
)

// openedClaims is what a token said when it was opened, and its principal under the last snapshot.
type openedClaims struct {
	Claims
	tokenKeys int64 // snapshot.tokenKeys at that time
	principal atomic.Pointer[Principal]
}

// maxOpened limits the tokens that are remembered; a token has at most 2,048 characters.
const maxOpened = 4096

// tokenCache remembers opened tokens, so that a camera that calls with the same credentials for an
// hour costs no more than one with a key. Only genuine tokens get into it. When it is full, it
// drops all of them.
type tokenCache struct {
	tokens sync.Map // string to *openedClaims
	count  atomic.Int64
}

// claims opens a token. The error is an *auth.Error.
func (r *Registry) claims(s *snapshot, token string) (*openedClaims, error) {
	if have, ok := r.opened.tokens.Load(token); ok {
		if c := have.(*openedClaims); c.tokenKeys == s.tokenKeys {
			return c, nil
		}
	}
	c, err := r.temporary.Open(token, r.now())
	if err != nil {
		return nil, err
	}
	opened := &openedClaims{Claims: c, tokenKeys: s.tokenKeys}
	if r.opened.count.Add(1) > maxOpened {
		r.opened.tokens.Clear()
		r.opened.count.Store(1)
	}
	r.opened.tokens.Store(token, opened)
	return opened, nil
}
