package sts

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/store"
)

// maxSealingKeys limits the sealing keys: a key that no longer seals still opens, for as long as
// credentials can last.
const maxSealingKeys = 16

// rotateTries is how often a rotation is tried while other processes change the keys.
const rotateTries = 5

// Rotate makes a key that seals session tokens from now on. Older keys are kept until everything
// that they sealed has expired. With revoke they are removed at once, which ends all temporary
// credentials. auth.ErrTokenKeysBusy when there are too many.
func (m *Minter) Rotate(ctx context.Context, revoke bool) error {
	_, err := m.rotate(ctx, func(have []storedKey) ([]storedKey, error) {
		if revoke {
			return nil, nil
		}
		if have = m.opening(have); len(have) >= maxSealingKeys {
			return nil, auth.ErrTokenKeysBusy
		}
		return have, nil
	})
	return err
}

// opening returns the keys that may have sealed credentials which are still valid: the newest key,
// and each key whose successor is younger than credentials can last.
func (m *Minter) opening(keys []storedKey) []storedKey {
	before := m.now().Add(-api.MaxUserSession).UnixMilli()
	for i := 1; i < len(keys); i++ {
		if keys[i-1].Created < before {
			return keys[:i]
		}
	}
	return keys
}

// fresh returns the keys after it has made sure that the first one may seal: it exists, and is not
// too old.
func (m *Minter) fresh(ctx context.Context) (*sealingKeys, error) {
	keys, err := m.load()
	if err != nil {
		return nil, err
	}
	old := len(keys.list) > 0 && m.maxAge > 0 && m.now().Sub(keys.list[0].created) >= m.maxAge
	if len(keys.list) > 0 && !old {
		return keys, nil
	}
	made, err := m.rotate(ctx, func(have []storedKey) ([]storedKey, error) {
		// Another process may have been faster.
		if len(have) > 0 && (m.maxAge <= 0 ||
			m.now().Sub(time.UnixMilli(have[0].Created)) < m.maxAge) {
			return nil, errFresh
		}
		return m.opening(have), nil
	})
	switch {
	case errors.Is(err, errFresh):
		return m.load()
	case err != nil && old: // such as a full disk: the old one still serves
		return keys, nil
	}
	return made, err
}

// errFresh says that no new key is needed.
var errFresh = errors.New("the newest sealing key is young")

// rotate adds a new key before those of the present ones that keep returns.
func (m *Minter) rotate(
	ctx context.Context, keep func([]storedKey) ([]storedKey, error),
) (*sealingKeys, error) {
	for try := 1; ; try++ {
		d, revision, err := m.stored()
		if err != nil {
			return nil, err
		}
		if d.Keys, err = keep(d.Keys); err != nil {
			return nil, err
		}
		made, err := m.newKey()
		if err != nil {
			return nil, err
		}
		d.Keys = append([]storedKey{made}, d.Keys...)
		data, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		_, err = m.access.PutDocument(ctx, access.KindTokenKey, sealingDocument, data, revision)
		changed := errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrVersion)
		switch {
		case err == nil:
			return m.load()
		case !changed || try == rotateTries:
			return nil, fmt.Errorf("sealing key of tokens: %w", err)
		}
	}
}

func (m *Minter) newKey() (storedKey, error) {
	sealer, err := m.access.Sealer()
	if err != nil {
		return storedKey{}, err
	}
	id, key := make([]byte, keyIDSize), make([]byte, keySize)
	_, _ = rand.Read(id) // never fails: it ends the process instead
	_, _ = rand.Read(key)
	return storedKey{ID: id, Created: m.now().UnixMilli(),
		Key: sealer.Seal(access.KindTokenKey, sealingDocument, key)}, nil
}
