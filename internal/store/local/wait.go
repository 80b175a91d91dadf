package local

import (
	"context"
	"fmt"

	"weir/internal/store"
)

// Wait implements store.Fragments with a channel that the commits of this process close.
func (s *Store) Wait(ctx context.Context, id store.StreamID, after int64) (int64, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("wait for fragments: %w", err)
	}
	for {
		sequence, changed := st.awaited(after)
		switch {
		case st.deleted.Load():
			return 0, fmt.Errorf("wait for fragments: %w", store.ErrNotFound)
		case changed == nil:
			return sequence, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// awaited returns the greatest sequence, or a channel that is closed when there may be one beyond
// after.
func (st *streamState) awaited(after int64) (int64, <-chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.sequence > after {
		return st.sequence, nil
	}
	if st.changed == nil {
		st.changed = make(chan struct{})
	}
	return 0, st.changed
}

// tell wakes those who wait. The caller holds mu.
func (st *streamState) tell() {
	if st.changed != nil {
		close(st.changed)
		st.changed = nil
	}
}
