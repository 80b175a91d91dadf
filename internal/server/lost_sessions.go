package server

import (
	"context"
	"errors"
	"time"

	"weir/internal/api"
	"weir/internal/playback"
	"weir/internal/policy"
	"weir/internal/store"
)

// sessionsPage is how many sessions are read at a time.
const sessionsPage = 1000

// closeLostSessions closes the sessions whose openers may no longer open them: now, and after each
// change of keys, policies and roles.
func (s *Server) closeLostSessions(ctx context.Context) {
	for {
		changed := s.access.Changed()
		if err := s.closeLost(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sessions of those who may no longer open them stay open", logError, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// closeLost checks all open sessions once. The result depends only on opener and stream, so each
// such pair is decided once.
func (s *Server) closeLost(ctx context.Context) error {
	type opened struct {
		principal string
		stream    store.StreamID
		kind      uint8
	}
	lost := map[opened]bool{}
	for q := (store.SessionQuery{Limit: sessionsPage}); ; {
		list, err := s.store.ListSessions(ctx, q)
		if err != nil {
			return err
		}
		for i := range list {
			p := &list[i]
			by := opened{p.Principal, p.Stream, p.Kind}
			gone, known := lost[by]
			if !known {
				if gone, err = s.isLost(ctx, p); err != nil {
					return err
				}
				lost[by] = gone
			}
			if !gone {
				continue
			}
			if err := s.store.CloseSession(ctx, p.ID); err != nil &&
				!errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		if len(list) < q.Limit {
			return nil
		}
		q.After = list[len(list)-1].ID
	}
}

// isLost reports whether a session's opener could no longer open it. It never is if the opener is
// not known, as for sessions of earlier versions. Conditions about the request count as not met,
// because nobody knows where it would come from.
func (s *Server) isLost(ctx context.Context, p *store.Session) (bool, error) {
	if p.Principal == "" {
		return false, nil
	}
	who, err := s.access.Principal(p.Principal)
	if err != nil {
		return true, nil
	}
	stream, err := s.store.StreamByID(ctx, p.Stream)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil // and the session with it
	} else if err != nil {
		return false, err
	}
	operation := "GetHLSStreamingSessionURL"
	if playback.Protocol(p.Kind) == api.ProtocolDASH {
		operation = "GetDASHStreamingSessionURL"
	}
	c := policy.Context{}
	c.Set("aws:CurrentTime", s.clock().UTC().Format(time.RFC3339))
	c.SetTags("aws:ResourceTag/", stream.Tags)
	return !s.access.Decide(who, api.Find(operation).Action(), s.arn(&stream), c).Allowed, nil
}
