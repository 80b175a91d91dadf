package local

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"weir/internal/store"
)

// BindSession implements store.Sessions.
func (s *Store) BindSession(ctx context.Context, id, address string) (bound string, err error) {
	if bound, ok := s.fleeting.Bind(id, address); ok {
		return bound, nil
	}
	defer s.sessions.Forget(id)
	if bound, err = s.idx.BindSession(ctx, id, address); err != nil {
		return "", fmt.Errorf("bind session: %w", err)
	}
	return bound, nil
}

// ListSessions implements store.Sessions.
func (s *Store) ListSessions(
	ctx context.Context, q store.SessionQuery,
) ([]store.Session, error) {
	now := s.now()
	list, err := s.idx.ListSessions(ctx, q, now)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	if more := s.fleeting.List(&q, now); len(more) > 0 {
		list = append(list, more...)
		slices.SortFunc(list, func(a, b store.Session) int { return strings.Compare(a.ID, b.ID) })
		if q.Limit > 0 && len(list) > q.Limit {
			list = list[:q.Limit]
		}
	}
	return list, nil
}

// CloseSession implements store.Sessions.
func (s *Store) CloseSession(ctx context.Context, id string) error {
	now := s.now()
	closed := false
	s.fleeting.Drop(func(f *store.Session) bool {
		closed = closed || f.ID == id && f.ExpiresMillis > now
		return f.ID == id
	})
	if closed {
		return nil
	}
	defer s.sessions.Forget(id)
	if err := s.idx.CloseSession(ctx, id, now); err != nil {
		return fmt.Errorf("close session: %w", err)
	}
	return nil
}
