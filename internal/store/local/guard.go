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
	unreadyAfter  = time.Minute // how long Ready tells of a volume that an append found deleted
)

// CheckFiles asks Options.Check. While it fails nothing is appended, changed or swept, and Ready
// says why; when the files are back everything goes on. Run calls it every second. Each change of
// the answer is a line in the log. Not for concurrent use.
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

// Ready is ErrLost when fragments cannot be kept safe: the last look at the files found others than
// those that were opened, or an append of the last minute found its volume deleted.
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

// lastCheck is what the last CheckFiles found.
func (s *Store) lastCheck() error {
	if err := s.lost.Load(); err != nil {
		return *err
	}
	return nil
}

// Intact is ErrLost when the files are not those that were opened, now or when CheckFiles last
// looked: for what is done seldom, and would be done to what is another's.
func (s *Store) Intact() error {
	if err := s.lastCheck(); err != nil {
		return err
	}
	return s.o.Check()
}

// noteLost remembers and says that an append found its volume deleted.
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
