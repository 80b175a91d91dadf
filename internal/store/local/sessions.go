package local

import (
	"context"
	"errors"
	"fmt"

	"weir/internal/store"
	"weir/internal/store/local/index"
)

// What the sessions in the index may take. A session takes about 400 bytes, and 17 more for each
// fragment that its playlist may list: at most 90 kB, except where a camera's fragments are listed
// in slices.
const (
	maxStreamSessionBytes = 64 << 20  // of one stream: 700 of the largest, or 150,000 live ones
	maxIndexSessionBytes  = 512 << 20 // of all: half of what is kept free by default
)

// OpenSession implements store.Sessions. Sessions of any kind are closed as well when the stream's
// sessions take more than their share of the index. A session for which there is no space, on the
// disk or within the limits, is kept in memory, so that what is stored can still be watched.
func (s *Store) OpenSession(
	ctx context.Context, session store.Session, limit int,
) (closed []string, err error) {
	err = s.Room(ctx, session.Size())
	if err == nil {
		limits := index.SessionLimits{Count: limit, StreamBytes: maxStreamSessionBytes,
			Bytes: maxIndexSessionBytes}
		closed, err = s.idx.OpenSession(ctx, session, limits, s.now())
		for _, id := range closed {
			s.sessions.Forget(id)
		}
	}
	if full := err; errors.Is(err, store.ErrFull) {
		if _, err = s.state(ctx, session.Stream); err == nil {
			var first bool
			if closed, first = s.fleeting.Open(session, limit, s.now()); first {
				s.log.Warn("playback sessions are kept in memory only until there is space",
					"error", full)
			}
		}
	}
	if err != nil {
		s.sessions.ForgetAll() // some may still be closed
		return nil, fmt.Errorf("open session: %w", err)
	}
	return closed, nil
}

// Session implements store.Sessions.
func (s *Store) Session(ctx context.Context, id string) (store.Session, error) {
	row, ok := s.fleeting.Get(id)
	if !ok {
		var changes int
		if row, changes, ok = s.sessions.Get(id); !ok {
			var err error
			if row, err = s.idx.Session(ctx, id); err != nil {
				return store.Session{}, fmt.Errorf("session: %w", err)
			}
			s.sessions.Put(row, changes)
		}
	}
	if row.ExpiresMillis <= s.now() {
		return store.Session{}, fmt.Errorf("session: %w", store.ErrNotFound)
	}
	return row, nil
}

// Checkpoint implements store.Sessions.
func (s *Store) Checkpoint(ctx context.Context, id string, data []byte) error {
	if s.fleeting.Checkpoint(id, data) {
		return nil
	}
	err := s.Room(ctx, int64(len(data)))
	if err == nil {
		defer s.sessions.Forget(id)
		err = s.idx.Checkpoint(ctx, id, data, maxIndexSessionBytes)
	}
	if err != nil {
		return fmt.Errorf("checkpoint session: %w", err)
	}
	return nil
}
