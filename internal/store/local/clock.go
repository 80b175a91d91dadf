package local

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"weir/internal/store/local/clock"
)

// clockInterval is how often Run compares the clocks.
const clockInterval = time.Second

// retentionClock is the clock of everything that deletes and of what is visible. It runs in this
// process only, because two that disagree about the time would each delete by their own. The index
// keeps its mark across restarts; CheckClock, which Run calls every second, moves the mark.
type retentionClock struct {
	limit atomic.Int64 // the clock is the wall clock, but no more than this
	mark  clock.Mark   // owned by CheckClock
}

// now is the time for retention and sessions.
func (s *Store) now() int64 { return min(s.wall(), s.retention.limit.Load()) }

// wall is the wall clock.
func (s *Store) wall() int64 { return s.o.Clock().UnixMilli() }

// startClock continues from the mark that was kept. If there is none, because of an earlier version
// or a lost index, the newest fragment shows when the store was last in use.
func (s *Store) startClock(ctx context.Context) error {
	s.retention.limit.Store(math.MaxInt64)
	if s.o.Uptime == nil {
		return nil
	}
	m, err := s.idx.ClockMark(ctx)
	if err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	if m.Boot == "" {
		volumes, err := s.idx.Volumes(ctx)
		if err != nil {
			return fmt.Errorf("clock: %w", err)
		}
		for _, b := range volumes {
			m.Retention = max(m.Retention, b.LastServerTimestamp)
		}
		if len(volumes) == 0 {
			m.Retention = s.wall()
		}
	}
	s.retention.mark = m
	if err := s.CheckClock(ctx); err != nil { // a full disk keeps no mark, but memory has it
		s.log.Error("clock cannot be watched", "error", err)
	}
	return nil
}

// CheckClock compares the wall clock with how long the machine has run. If they disagree, retention
// goes by the machine until the wall clock has been steady for ten minutes. Run calls it every
// second. Not for concurrent use.
func (s *Store) CheckClock(ctx context.Context) error {
	if s.o.Uptime == nil {
		return nil
	}
	boot, uptime := s.o.Uptime()
	up, wall := uptime.Milliseconds(), s.wall()
	was := s.retention.mark
	m := was.Next(boot, up, wall)
	s.retention.limit.Store(m.Limit(up))
	if m == was {
		return nil
	}
	s.retention.mark = m
	s.tellClock(was, m)
	if err := s.idx.SetClockMark(ctx, m); err != nil {
		return fmt.Errorf("keep the clock's mark: %w", err)
	}
	return nil
}

// tellClock logs a change of the clock.
func (s *Store) tellClock(was, m clock.Mark) {
	behind := time.Duration(m.Wall-m.Retention) * time.Millisecond
	s.metrics.RetentionBehind.Set(behind.Seconds())
	same := was.Before(m.Boot, m.Up)
	jump := time.Duration(m.Wall-was.Wall-(m.Up-was.Up)) * time.Millisecond
	switch {
	case !same && m.Waits():
		s.log.Info("time has passed since the store was last used, as it seems: "+
			"retention waits until the clock has been steady",
			"passed", behind, "steady_for", clock.Steady)
	case same && m.Waits():
		s.log.Warn("clock jumped, retention goes on as if it had not until the clock "+
			"has been steady",
			"jump", jump, "steady_for", clock.Steady)
	case same && was.Waits():
		s.log.Info("retention goes by the clock again")
	case same && jump < -clock.Slack:
		s.log.Warn("clock went back, retention goes by it", "jump", jump)
	}
}

// watchClock calls CheckClock until ctx ends.
func (s *Store) watchClock(ctx context.Context) {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	failed := false
	for {
		err := s.CheckClock(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			s.log.Error("clock cannot be watched", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
