package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
)

// refusal is of the last object: it was not stored, or its rows were not committed.
type refusal struct {
	err error
	at  time.Time
}

// How long a refusal says something, when nobody sends fragments by which to find out. Who is told
// that a node is not ready sends it none.
const (
	refusedFor = 10 * time.Second
	fullFor    = time.Minute
)

// Ready tells whether fragments can be stored and read: the database takes changes, the bucket
// answers, and the last object was not refused just now, unless for want of space: see Full.
func (s *Store) Ready(ctx context.Context) error {
	err := errors.Join(s.db.Ping(ctx), s.bucket.Check(ctx))
	r := s.refused.Load()
	if err == nil && r != nil && time.Since(r.at) < refusedFor && !errors.Is(r.err, store.ErrFull) {
		err = fmt.Errorf("the last fragments were not stored: %w", r.err)
	}
	return err
}

// Full reports that the last object was refused for want of space, in the object store or the
// database. What is stored can be read and deleted.
func (s *Store) Full() bool {
	r := s.refused.Load()
	return r != nil && errors.Is(r.err, store.ErrFull) && time.Since(r.at) < fullFor
}
