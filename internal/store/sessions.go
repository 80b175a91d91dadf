package store

import (
	"context"
	"fmt"
)

// OpenSession registers a session; durable on return. When its stream has more than limit open sessions then (0: no
// limit), the earliest created ones are closed in the same transaction and returned. ErrNotFound when there is no such
// stream, ErrExists when the ID is taken.
func (s *Store) OpenSession(ctx context.Context, session Session, limit int) (closed []Session, err error) {
	closed, err = s.idx.OpenSession(ctx, session, limit, s.now())
	if len(closed) > 0 || err != nil {
		s.sessions.forgetAll()
	}
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	return closed, nil
}

// Session gives a session; the caller must not change its bytes. ErrNotFound when it was never known or is forgotten; ErrClosed, with the session, when a newer one
// closed it or its time is over.
func (s *Store) Session(ctx context.Context, id string) (Session, error) {
	row, changes, ok := s.sessions.get(id)
	if !ok {
		var err error
		row.session, row.closed, err = s.idx.Session(ctx, id)
		if err != nil {
			return Session{}, fmt.Errorf("session: %w", err)
		}
		s.sessions.put(row, changes)
	}
	if row.closed || row.session.ExpiresMillis <= s.now() {
		return row.session, fmt.Errorf("session: %w", ErrClosed)
	}
	return row.session, nil
}

// Checkpoint replaces the checkpoint of a session. The newest one may be lost in a power cut. ErrNotFound, and ErrClosed
// when a newer session closed it.
func (s *Store) Checkpoint(ctx context.Context, id string, data []byte) error {
	defer s.sessions.forget(id)
	if err := s.idx.Checkpoint(ctx, id, data); err != nil {
		return fmt.Errorf("checkpoint session: %w", err)
	}
	return nil
}
