package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// FullPolicy says what happens when the space that Options.MinFree keeps is reached.
type FullPolicy string

// What happens then.
const (
	StopWhenFull FullPolicy = "stop"          // appends fail with ErrFull until there is space again
	DeleteOldest FullPolicy = "delete-oldest" // the oldest volumes of all streams are deleted before it comes to that
)

// spaceInterval is how often Run measures the free space. At 100 MB/s no more than a tenth of the least sensible MinFree is
// written in between.
const spaceInterval = time.Second

// Marks, as multiples of MinFree: below lowSpace there is a warning, below oldestSpace the oldest goes (DeleteOldest), until
// there is enoughSpace.
const (
	lowSpace    = 2.0
	oldestSpace = 1.25
	enoughSpace = 1.5
)

// space watches the free space.
type space struct {
	left atomic.Int64  // bytes above MinFree when last measured, less what was appended since
	wake chan struct{} // asks the watch for a measurement now

	// Owned by the watch.
	low  bool // warned
	full bool // said that appends stopped
}

// measure asks the blobs for the free space.
func (s *Store) measure(ctx context.Context) (free int64, err error) {
	free, total, err := s.blobs.Space(ctx)
	if err != nil {
		return 0, fmt.Errorf("measure free space: %w", err)
	}
	s.space.left.Store(free - s.o.MinFree)
	s.metrics.FreeBytes.Set(float64(free))
	s.metrics.TotalBytes.Set(float64(total))
	return free, nil
}

// room refuses a record that would take of the space that is kept. While there is plenty it is one addition; near the mark
// each append measures.
func (s *Store) room(ctx context.Context, need int64) error {
	if s.o.MinFree <= 0 || s.space.left.Add(-need) >= 0 {
		return nil
	}
	free, err := s.measure(ctx)
	if err != nil {
		return err
	}
	if s.space.left.Add(-need) >= 0 {
		return nil
	}
	select {
	case s.space.wake <- struct{}{}:
	default:
	}
	return fmt.Errorf("%w: %d bytes are free, %d of them are kept", ErrFull, free, s.o.MinFree)
}

// watchSpace measures the free space until ctx ends.
func (s *Store) watchSpace(ctx context.Context) {
	tick := time.NewTicker(spaceInterval)
	defer tick.Stop()
	failed := false
	for {
		err := s.CheckSpace(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			s.log.Error("free space is not known", "err", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.space.wake:
			// Once more only after a while: producers come back at once when they are refused.
			select {
			case <-ctx.Done():
				return
			case <-time.After(spaceInterval / 10):
			}
		}
	}
}

// CheckSpace measures the free space, says in the log and the metrics when it runs short, and with DeleteOldest deletes the
// oldest volumes. Run calls it every second. Not for concurrent use.
func (s *Store) CheckSpace(ctx context.Context) error {
	free, err := s.measure(ctx)
	if err != nil || s.o.MinFree <= 0 {
		return err
	}
	below := func(mark float64) bool { return float64(free) < mark*float64(s.o.MinFree) }
	if s.o.WhenFull == DeleteOldest && below(oldestSpace) {
		if err := s.deleteOldest(ctx, int64(enoughSpace*float64(s.o.MinFree))-free); err != nil {
			return err
		}
		if free, err = s.measure(ctx); err != nil {
			return err
		}
	}
	switch full := below(1); {
	case full && !s.space.full:
		s.log.Error("disk is full, fragments are refused until there is space again", "free", free, "min_free", s.o.MinFree)
		s.metrics.Stopped.Set(1)
		s.space.full, s.space.low = true, true
	case !full && s.space.full && !below(1.01): // not at every fragment that retention frees
		s.log.Warn("there is space again, fragments are stored", "free", free)
		s.metrics.Stopped.Set(0)
		s.space.full = false
	}
	switch low := below(lowSpace); {
	case low && !s.space.low && s.o.WhenFull != DeleteOldest:
		s.log.Warn("disk is nearly full, fragments will be refused", "free", free, "min_free", s.o.MinFree)
		s.space.low = true
	case !low && !below(lowSpace*1.1):
		s.space.low = false
	}
	return nil
}

// deleteOldest deletes the oldest volumes of all streams that hold so many bytes; those that are being written stay. How much
// space that gave is for the next measurement to tell.
func (s *Store) deleteOldest(ctx context.Context, need int64) error {
	if err := acquire(ctx, s.sweep); err != nil {
		return err
	}
	defer release(s.sweep)
	if err := s.intact(); err != nil {
		return err
	}
	for need > 0 {
		blobs, err := s.idx.Blobs(ctx)
		if err != nil {
			return err
		}
		var oldest *BlobInfo
		for i := range blobs {
			b := &blobs[i]
			if b.State != BlobOpen && b.State != BlobDoomed && (oldest == nil || b.LastServerTimestamp < oldest.LastServerTimestamp) {
				oldest = b
			}
		}
		if oldest == nil {
			break // what is there is being written
		}
		// As if the stream's retention ended here.
		const limit = 1000
		for n := limit; n == limit; {
			n, err = s.idx.Expire(ctx, oldest.Stream, oldest.LastServerTimestamp+1, limit)
			s.recent.forgetAll()
			if err != nil {
				return fmt.Errorf("delete oldest: %w", err)
			}
		}
		s.log.Warn("oldest volume is deleted for want of space", "blob", oldest.Name, "bytes", oldest.Indexed,
			"until", time.UnixMilli(oldest.LastServerTimestamp).UTC())
		s.metrics.OldestBlobs.Inc()
		need -= max(oldest.Indexed, 1)
	}
	if err := s.sweepDoomed(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
