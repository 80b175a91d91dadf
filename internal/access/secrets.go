package access

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"weir/internal/auth"
	"weir/internal/store"
)

// kindShared is for secrets that nodes share and that are files where there is only one process, by
// name.
const kindShared = "shared"

// secretTime is how long the store may take for a secret.
const secretTime = 10 * time.Second

// Secrets are files that nodes share, as sealed documents.
type Secrets struct {
	store  store.Documents
	sealer *Sealer
}

// OpenSecrets opens the key that seals them, like Open.
func OpenSecrets(
	ctx context.Context, st store.Documents, keyFile string, log *slog.Logger,
) (*Secrets, error) {
	r := &Registry{store: st, keyFile: keyFile, log: log}
	if err := r.openSeal(ctx); err != nil {
		return nil, fmt.Errorf("open shared secrets: %w", err)
	}
	if r.sealer == nil {
		return nil, fmt.Errorf("open shared secrets: %w", store.ErrFull)
	}
	return &Secrets{st, r.sealer}, nil
}

// Secret returns the secret with a name. It need not exist yet.
func (s *Secrets) Secret(name string) auth.Secret { return &secret{s, name} }

type secret struct {
	*Secrets
	name string
}

// Load implements auth.Secret.
func (s *secret) Load() ([]byte, int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), secretTime)
	defer cancel()
	list, err := s.store.ListDocuments(ctx, kindShared)
	if err != nil {
		return nil, 0, err
	}
	for _, d := range list {
		if d.Name == s.name {
			data, err := s.sealer.Open(kindShared, s.name, d.Data)
			return data, d.Revision, err
		}
	}
	return nil, 0, fmt.Errorf("shared secret %s: %w", s.name, fs.ErrNotExist)
}

// Store implements auth.Secret.
func (s *secret) Store(data []byte, revision int64) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), secretTime)
	defer cancel()
	if revision == 0 {
		revision = store.NewDocument
	}
	next, err := s.store.PutDocument(ctx, kindShared, s.name,
		s.sealer.Seal(kindShared, s.name, data), revision)
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrVersion) {
		err = auth.ErrChanged
	}
	return next, err
}
