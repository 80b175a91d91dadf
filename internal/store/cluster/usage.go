package cluster

import (
	"context"
	"fmt"

	"weir/internal/store"
)

// Usage returns how many bytes a stream's fragments take, including those past retention that are
// not deleted yet. ErrNotFound.
func (s *Store) Usage(ctx context.Context, id store.StreamID) (int64, error) {
	n, err := s.db.Usage(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("usage: %w", err)
	}
	return n, nil
}
