package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// maxTokenLife is how long a token can be valid: Expires of GetHLSStreamingSessionURL is at most
// 43,200 seconds, and that of links as well.
const maxTokenLife = 12 * time.Hour

// MinTokenKeyAge is the least age at which a key may be replaced automatically, so that the keys
// that still open something stay far fewer than a file may have.
const MinTokenKeyAge = time.Hour

// tokenKeyGrace is how much longer a key is kept, for clocks that differ and for processes that
// learn of the new key a little later.
const tokenKeyGrace = 10 * time.Minute

// How often a TokenKeys looks at its file: regularly, and at most for tokens with unknown keys,
// which anybody can make up.
const (
	tokenFileInterval = time.Minute
	tokenFileLook     = time.Second
)

// ErrTokenKeysBusy says that no ID is free for another key, because so many keys may have sealed
// tokens that are still valid.
var ErrTokenKeysBusy = fmt.Errorf("the last %d keys may have sealed sessions that are open",
	maxTokenKeys)

// Rotation is the result of Rotate.
type Rotation struct {
	ID      byte      // of the key that seals from now on
	Created time.Time // when it was made, UTC, to the second
	Opening int       // how many older keys still open tokens
}

// Rotate puts a new random key first, in the file and in memory: it seals from the next token on.
// Older keys are kept until all that they sealed has expired. With revoke they are removed at once,
// which ends every token. ErrTokenKeysBusy when there are too many.
func (k *TokenKeys) Rotate(revoke bool) (Rotation, error) {
	k.changing.Lock()
	defer k.changing.Unlock()
	if k.taken() { // another process may have rotated
		if _, err := k.readChanged(); err != nil {
			return Rotation{}, err
		}
	}
	now := k.now().UTC().Truncate(time.Second)
	keys := k.all()
	fresh := keys // with revoke, nothing but the new key
	if keys = opening(keys, now); revoke {
		keys = nil
	}
	if len(keys) >= maxTokenKeys {
		return Rotation{}, ErrTokenKeysBusy
	}
	var raw [tokenKeySize]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the process instead
	key, err := newTokenKey(unusedID(fresh), now, raw)
	if err != nil {
		return Rotation{}, err
	}
	if err := k.write(append([]tokenKey{key}, keys...)); err != nil {
		return Rotation{}, err
	}
	return Rotation{ID: key.id, Created: now, Opening: len(keys)}, nil
}

// opening returns the keys that seal, or may have sealed what is still valid, newest first. A key
// sealed until the key before it in the file was made.
func opening(keys []tokenKey, now time.Time) []tokenKey {
	for i := 1; i < len(keys); i++ {
		if now.Sub(keys[i-1].created) > maxTokenLife+tokenKeyGrace {
			return keys[:i:i]
		}
	}
	return keys
}

// unusedID returns the next ID after the newest key's that no key of the file has.
func unusedID(keys []tokenKey) byte {
	used := map[byte]bool{0: true}
	var id byte
	for i := range keys {
		used[keys[i].id] = true
	}
	if len(keys) > 0 {
		id = keys[0].id
	}
	for range 256 {
		if id++; !used[id] {
			break
		}
	}
	return id
}

// Run maintains the keys until ctx ends, and returns its error: it reads the file when it has
// changed, drops keys whose tokens have all expired, and makes a new key when the one that seals is
// older than maxAge (0: never).
func (k *TokenKeys) Run(ctx context.Context, maxAge time.Duration, log *slog.Logger) error {
	tick := time.NewTicker(tokenFileInterval)
	defer tick.Stop()
	for {
		if rotated, err := k.Maintain(maxAge); err != nil {
			log.Error("keys of session tokens", "error", err)
		} else if rotated != nil {
			log.Info("a new key seals session tokens", "key_id", fmt.Sprintf("%02x", rotated.ID))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Maintain does once what Run does repeatedly. It returns nil if it made no key.
func (k *TokenKeys) Maintain(maxAge time.Duration) (*Rotation, error) {
	if err := k.tidy(); err != nil {
		return nil, err
	}
	k.mu.RLock()
	created := k.keys[0].created
	k.mu.RUnlock()
	if maxAge <= 0 || k.now().Sub(created) < maxAge {
		return nil, nil
	}
	rotated, err := k.Rotate(false)
	return &rotated, err
}

// tidy reads the file if it has changed, and drops keys that no longer open anything.
func (k *TokenKeys) tidy() error {
	k.changing.Lock()
	defer k.changing.Unlock()
	if _, err := k.readChanged(); err != nil {
		return err
	}
	all := k.all()
	if keys := opening(all, k.now()); len(keys) < len(all) {
		return k.write(keys)
	}
	return nil
}

// refresh reads the file if it has changed and was not looked at just now. It reports whether the
// keys have changed. If the file cannot be read, the keys stay as they are, and Run reports the
// error.
func (k *TokenKeys) refresh() bool {
	k.changing.Lock()
	defer k.changing.Unlock()
	now := time.Now() // not the clock of tokens, which tests may stop
	if !k.taken() || now.Sub(k.looked) < tokenFileLook {
		return false
	}
	k.looked = now
	changed, err := k.readChanged()
	return err == nil && changed
}

// all returns the keys, newest first.
func (k *TokenKeys) all() []tokenKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys
}

// readChanged reads the file, unless the keys are from this version of it.
func (k *TokenKeys) readChanged() (changed bool, err error) {
	if k.secret != nil {
		return k.readSecret()
	}
	info, err := os.Stat(k.path)
	if err != nil {
		return false, fmt.Errorf("token key file: %w", err)
	}
	if s := k.seen; s != nil && os.SameFile(s, info) && s.ModTime().Equal(info.ModTime()) &&
		s.Size() == info.Size() {
		return false, nil
	}
	return true, k.read()
}

// read reads the file.
func (k *TokenKeys) read() error {
	info, err := os.Stat(k.path) // before reading: a change in between is read again
	if err != nil {
		return fmt.Errorf("read token key file: %w", err)
	}
	data, err := ReadSecret(k.path)
	if err != nil {
		return fmt.Errorf("read token key file: %w", err)
	}
	keys, err := parseTokenKeys(string(data))
	if err != nil {
		return fmt.Errorf("token key file %s: %w", k.path, err)
	}
	k.set(keys)
	k.seen = info
	return nil
}

// write writes keys to the file and then uses them.
func (k *TokenKeys) write(keys []tokenKey) error {
	if k.secret != nil {
		return k.writeSecret(keys)
	}
	if err := WriteSecret(k.path, formatTokenKeys(keys)); err != nil {
		return fmt.Errorf("write token key file: %w", err)
	}
	k.set(keys)
	info, err := os.Stat(k.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil // the next look tells
	}
	k.seen = info
	return err
}

func (k *TokenKeys) set(keys []tokenKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
}
