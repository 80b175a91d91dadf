package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
)

// refusal says why the last object was not stored, or its rows were not committed.
type refusal struct {
	err error
	at  time.Time
}

// How long a refusal counts when no fragment comes that could show whether it still holds. A node
// that says that it is not ready gets none.
const (
	refusedFor = 10 * time.Second
	fullFor    = time.Minute
)

// Ready returns nil when fragments can be stored and read: the database accepts changes, the bucket
// answers, and the last object was not refused lately, unless for want of space: see Full.
func (s *Store) Ready(ctx context.Context) error {
	err := errors.Join(s.db.Ping(ctx), s.bucket.Check(ctx))
	r := s.refused.Load()
	if err == nil && r != nil && time.Since(r.at) < refusedFor && !errors.Is(r.err, store.ErrFull) {
		err = fmt.Errorf("the last fragments were not stored: %w", r.err)
	}
	return err
}

// Full reports whether the last object was refused for want of space, in the object store or the
// database. What is stored can be read and deleted.
func (s *Store) Full() bool {
	r := s.refused.Load()
	return r != nil && errors.Is(r.err, store.ErrFull) && time.Since(r.at) < fullFor
}
