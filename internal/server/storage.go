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

// newStorage returns the limits on stored bytes.
func (s *Server) newStorage(limits quota.Limits) error {
	from, ok := s.store.(quota.Stored)
	if !ok && (limits.StreamStored > 0 || limits.CreatorStored > 0) {
		return errors.New("the store cannot tell how much it stores")
	}
	s.storage = quota.NewStorage(limits, from, creatorOf, s.clock)
	return nil
}

// settingsBy are the settings of a stream that p creates. The machine is root's, so nothing limits
// what root stores.
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

// creatorOf returns the name against whose limit of stored bytes a stream counts; "" for none, also
// when its settings cannot be read.
func creatorOf(stream *store.Stream) string {
	set, _ := settingsOf(stream)
	return set.Creator
}

// roomFor asks whether a stream may store so many more bytes, and counts refusals.
func (s *Server) roomFor(ctx context.Context, stream *store.Stream, bytes int64) error {
	err := s.storage.Room(ctx, stream, bytes)
	if errors.Is(err, quota.ErrStorage) {
		s.metrics.storageRefused.Inc()
	}
	return err
}
