package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
)

const (
	checkInterval = time.Second // how often Run looks whether the files are still there
	unreadyAfter  = time.Minute // for how long Ready reports a volume that an append found deleted
)

// CheckFiles asks Options.Check. While that fails, nothing is appended, changed or swept, and Ready
// says why; when the files are back, everything goes on. Run calls it every second. It logs each
// change of the answer. Not for concurrent use.
func (s *Store) CheckFiles() error {
	err := s.o.Check()
	was := s.lost.Load()
	switch {
	case err != nil && was == nil:
		s.log.Error("data directory was deleted or replaced, nothing is stored until it is back",
			"error", err)
		s.metrics.Lost.Set(1)
		s.lost.Store(&err)
	case err == nil && was != nil:
		s.log.Warn("data directory is back, fragments are stored")
		s.metrics.Lost.Set(0)
		s.lost.Store(nil)
	}
	return err
}

// Ready returns ErrLost when fragments cannot be stored safely: the last check found other files
// than those that were opened, or an append of the last minute found its volume deleted.
func (s *Store) Ready(context.Context) error {
	if err := s.lastCheck(); err != nil {
		return err
	}
	if at := s.volumeLost.Load(); at != nil && time.Since(*at) < unreadyAfter {
		return fmt.Errorf("%w: a volume was deleted or replaced while it was written",
			store.ErrLost)
	}
	return nil
}

// lastCheck is the result of the last CheckFiles.
func (s *Store) lastCheck() error {
	if err := s.lost.Load(); err != nil {
		return *err
	}
	return nil
}

// Intact returns ErrLost when the files are not those that were opened, now or at the last
// CheckFiles. It is for rare actions that must not touch somebody else's files.
func (s *Store) Intact() error {
	if err := s.lastCheck(); err != nil {
		return err
	}
	return s.o.Check()
}

// noteLost remembers and logs that an append found its volume deleted.
func (s *Store) noteLost(stream *store.Stream, err error) {
	if !errors.Is(err, store.ErrLost) {
		return
	}
	now := time.Now()
	s.volumeLost.Store(&now)
	s.log.Error("volume was deleted or replaced while it was written, what it held is lost",
		"stream", stream.Name, "error", err)
}

// watchFiles calls CheckFiles until ctx ends.
func (s *Store) watchFiles(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		_ = s.CheckFiles() // it has said so
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
