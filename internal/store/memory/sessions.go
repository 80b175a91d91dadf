package memory

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"weir/internal/store"
)

// OpenSession implements store.Sessions.
func (s *Store) OpenSession(
	ctx context.Context, session store.Session, limit int,
) (closed []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.stream(session.Stream); err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	if s.session(session.ID) >= 0 {
		return nil, fmt.Errorf("open session: %w", store.ErrExists)
	}
	for limit > 0 {
		earliest, count := -1, 0
		for i, o := range s.sessions {
			if o.Stream != session.Stream || o.Kind != session.Kind {
				continue
			}
			if count++; count == 1 || o.CreatedMillis < s.sessions[earliest].CreatedMillis {
				earliest = i
			}
		}
		if count < limit {
			break
		}
		closed = append(closed, s.sessions[earliest].ID)
		s.sessions = slices.Delete(s.sessions, earliest, earliest+1)
	}
	session.Parameters = bytes.Clone(session.Parameters)
	session.Checkpoint = bytes.Clone(session.Checkpoint)
	s.sessions = append(s.sessions, session)
	return closed, nil
}

// session returns the index of an open session, or -1, after it has removed those that have
// expired.
func (s *Store) session(id string) int {
	now := s.now().UnixMilli()
	over := func(p store.Session) bool { return p.ExpiresMillis <= now }
	s.sessions = slices.DeleteFunc(s.sessions, over)
	return slices.IndexFunc(s.sessions, func(p store.Session) bool { return p.ID == id })
}

// Session implements store.Sessions.
func (s *Store) Session(ctx context.Context, id string) (store.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.session(id)
	if i < 0 {
		return store.Session{}, fmt.Errorf("session: %w", store.ErrNotFound)
	}
	return s.sessions[i], nil
}

// Checkpoint implements store.Sessions.
func (s *Store) Checkpoint(ctx context.Context, id string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.session(id)
	if i < 0 {
		return fmt.Errorf("checkpoint session: %w", store.ErrNotFound)
	}
	s.sessions[i].Checkpoint = bytes.Clone(data)
	return nil
}

// BindSession implements store.Sessions.
func (s *Store) BindSession(ctx context.Context, id, address string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.session(id)
	if i < 0 {
		return "", fmt.Errorf("bind session: %w", store.ErrNotFound)
	}
	if s.sessions[i].Address == "" {
		s.sessions[i].Address = address
	}
	return s.sessions[i].Address, nil
}

// ListSessions implements store.Sessions.
func (s *Store) ListSessions(
	ctx context.Context, q store.SessionQuery,
) ([]store.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session("") // removes those that have expired
	var list []store.Session
	for _, p := range s.sessions {
		if q.Matches(&p) {
			p.Parameters, p.Checkpoint = nil, nil
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b store.Session) int { return strings.Compare(a.ID, b.ID) })
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	return list, nil
}

// CloseSession implements store.Sessions.
func (s *Store) CloseSession(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.session(id)
	if i < 0 {
		return fmt.Errorf("close session: %w", store.ErrNotFound)
	}
	s.sessions = slices.Delete(s.sessions, i, i+1)
	return nil
}
