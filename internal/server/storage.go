package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"weir/internal/access"
	"weir/internal/quota"
	"weir/internal/store"
)

// newStorage makes what bounds the bytes that are stored.
func (s *Server) newStorage(limits quota.Limits) error {
	from, ok := s.store.(quota.Stored)
	if !ok && (limits.StreamStored > 0 || limits.CreatorStored > 0) {
		return errors.New("the store cannot tell how much it stores")
	}
	s.storage = quota.NewStorage(limits, from, creatorOf, s.clock)
	return nil
}

// settingsBy are the settings of a stream that somebody creates. The machine is root's: nothing
// bounds what root stores of it.
func settingsBy(p *access.Principal) (string, error) {
	if p.IsRoot() {
		return "", nil
	}
	text, err := json.Marshal(settings{Creator: p.Share()})
	if err != nil {
		return "", fmt.Errorf("settings: %w", err)
	}
	return string(text), nil
}

// creatorOf names whose limit of stored bytes a stream counts for; "": nobody's, also when its
// settings cannot be read.
func creatorOf(stream *store.Stream) string {
	set, _ := settingsOf(stream)
	return set.Creator
}

// roomFor asks whether a stream may store so many bytes more, and counts refusals.
func (s *Server) roomFor(ctx context.Context, stream *store.Stream, bytes int64) error {
	err := s.storage.Room(ctx, stream, bytes)
	if errors.Is(err, quota.ErrStorage) {
		s.metrics.storageRefused.Inc()
	}
	return err
}
