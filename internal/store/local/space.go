package local

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"weir/internal/store"
	"weir/internal/store/local/index"
)

// FullPolicy says what happens when the space that Options.MinFree keeps is reached.
type FullPolicy string

// The two policies.
const (
	// new data is refused with ErrFull until there is space again
	StopWhenFull FullPolicy = "stop"
	// before that happens, the oldest volumes of all streams are deleted
	DeleteOldest FullPolicy = "delete-oldest"
)

// spaceInterval is how often Run measures the free space. In that time 100 MB/s write no more than
// a tenth of the least sensible MinFree.
const spaceInterval = time.Second

// Marks, as multiples of MinFree: below lowSpace there is a warning; below oldestSpace the oldest
// volumes go (DeleteOldest), until there is enoughSpace.
const (
	lowSpace    = 2.0
	oldestSpace = 1.25
	enoughSpace = 1.5
)

// leastFree counts as nothing: a disk with less free space is full, even if none is to be kept
// free.
const leastFree = 64 << 10

// leastOpen is the size of the smallest volume that is ended early and deleted. Smaller ones would
// go as fast as they come.
const leastOpen = 1 << 20

// space watches the free space.
type space struct {
	left atomic.Int64  // bytes above MinFree at the last measurement, less what was appended since
	full atomic.Bool   // nothing new is stored: see Full
	wake chan struct{} // asks the watch to measure now

	low bool // there was a warning; owned by the watch once New has returned
}

// Full reports whether fragments are refused for want of space, as of the last second.
func (s *Store) Full() bool { return s.space.full.Load() }

// measure asks the volumes for the free space.
func (s *Store) measure(ctx context.Context) (free int64, err error) {
	free, total, err := s.volumes.Space(ctx)
	if err != nil {
		return 0, fmt.Errorf("measure free space: %w", err)
	}
	s.space.left.Store(free - s.o.MinFree)
	s.metrics.FreeBytes.Set(float64(free))
	s.metrics.TotalBytes.Set(float64(total))
	return free, nil
}

// Room returns ErrFull when so many bytes would use space that is to be kept free. It is asked
// before anything new is written, also by others that write beside the store, but not before what
// frees space. With plenty of space it is one addition; near the limit each call measures.
func (s *Store) Room(ctx context.Context, need int64) error {
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
	return fmt.Errorf("%w: %d bytes are free, %d of them are kept", store.ErrFull, free,
		s.o.MinFree)
}

// roomForRow refuses a new stream, or a longer row of one, when there is next to no space left.
// Rows are small, so they may use space that is kept free: a camera that meets a full disk for the
// first time gets its stream, and then waits like the others.
func (s *Store) roomForRow(ctx context.Context) error {
	free, err := s.measure(ctx)
	if err == nil && free < leastFree {
		err = fmt.Errorf("%w: %d bytes are free", store.ErrFull, free)
	}
	return err
}

// watchSpace measures the free space until ctx ends.
func (s *Store) watchSpace(ctx context.Context) {
	tick := time.NewTicker(spaceInterval)
	defer tick.Stop()
	failed := false
	for {
		err := s.CheckSpace(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			s.log.Error("free space is not known", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.space.wake:
			// Not again at once: refused producers come back immediately.
			select {
			case <-ctx.Done():
				return
			case <-time.After(spaceInterval / 10):
			}
		}
	}
}

// CheckSpace measures the free space, logs and counts when it runs short, and with DeleteOldest
// deletes the oldest volumes. While there is space, the index takes its reserve. Run calls it every
// second. Not for concurrent use.
func (s *Store) CheckSpace(ctx context.Context) error {
	free, err := s.measure(ctx)
	if err != nil {
		return err
	}
	if s.o.WhenFull == DeleteOldest && s.below(free, oldestSpace) {
		need := int64(enoughSpace*float64(s.o.MinFree)) - free
		if err := s.deleteOldest(ctx, need, s.below(free, 1)); err != nil {
			return err
		}
		if free, err = s.measure(ctx); err != nil {
			return err
		}
	}
	s.tellSpace(free)
	if !s.Full() {
		// Full: something else has taken the space in the meantime.
		if err := s.idx.Reserve(ctx); err != nil && !errors.Is(err, store.ErrFull) {
			return fmt.Errorf("reserve space for the index: %w", err)
		}
	}
	return nil
}

// below reports whether so many free bytes are less than a multiple of MinFree.
func (s *Store) below(free int64, mark float64) bool {
	return float64(free) < max(mark*float64(s.o.MinFree), leastFree)
}

// tellSpace logs what a measurement has found, if it is new.
func (s *Store) tellSpace(free int64) {
	switch full := s.below(free, 1); {
	case full && !s.Full():
		s.log.Error("disk is full, fragments are refused until there is space again", "free", free,
			"min_free", s.o.MinFree)
		s.metrics.Stopped.Set(1)
		s.space.full.Store(true)
		s.space.low = true
	case !full && s.Full() && !s.below(free, 1.01): // not at every fragment that retention frees
		s.log.Warn("there is space again, fragments are stored", "free", free)
		s.metrics.Stopped.Set(0)
		s.space.full.Store(false)
	}
	switch low := s.below(free, lowSpace); {
	case low && !s.space.low && s.o.WhenFull != DeleteOldest && s.o.MinFree > 0:
		s.log.Warn("disk is nearly full, fragments will be refused", "free", free, "min_free",
			s.o.MinFree)
		s.space.low = true
	case !low && !s.below(free, lowSpace*1.1):
		s.space.low = false
	}
}

// deleteOldest deletes the oldest volumes of all streams, with at least so many bytes. Volumes that
// are being written stay, unless fragments are refused already and there are no others. The next
// measurement shows how much space that has freed.
func (s *Store) deleteOldest(ctx context.Context, need int64, refusing bool) error {
	if err := acquire(ctx, s.sweep); err != nil {
		return err
	}
	defer release(s.sweep)
	if err := s.Intact(); err != nil {
		return err
	}
	for need > 0 {
		oldest, err := s.oldestVolume(ctx, index.VolumeClosed, index.VolumeSealed)
		if err == nil && oldest == nil && refusing {
			oldest, err = s.oldestVolume(ctx, index.VolumeOpen)
		}
		if err != nil {
			return err
		}
		if oldest == nil {
			break // nothing is left except what is being written
		}
		if err := s.deleteEarly(ctx, oldest); err != nil {
			return fmt.Errorf("delete oldest: %w", err)
		}
		need -= max(oldest.Indexed, 1)
	}
	if err := s.sweepDoomed(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// oldestVolume returns the volume, in one of the states, whose last fragment is the oldest; nil
// when there is none. Open ones need at least leastOpen bytes.
func (s *Store) oldestVolume(
	ctx context.Context, states ...index.VolumeState,
) (oldest *index.VolumeInfo, err error) {
	for _, state := range states {
		var volumes []index.VolumeInfo
		if state == index.VolumeOpen {
			volumes, err = s.openVolumes(ctx)
		} else {
			volumes, err = s.idx.VolumesInState(ctx, state)
		}
		if err != nil {
			return nil, err
		}
		for i := range volumes {
			b := &volumes[i]
			if state == index.VolumeOpen && b.Indexed < leastOpen {
				continue
			}
			if s.o.Remote != nil {
				stream, err := s.idx.StreamByID(ctx, b.Stream)
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return nil, err
				}
				if err != nil || stream.StorageTier == store.TierWarm {
					continue // it takes little space here, or goes where there is room
				}
			}
			if oldest == nil || b.LastServerTimestamp < oldest.LastServerTimestamp {
				oldest = b
			}
		}
	}
	return oldest, nil
}

// deleteEarly drops the rows of a stream up to the end of a volume, as if its retention ended
// there.
func (s *Store) deleteEarly(ctx context.Context, b *index.VolumeInfo) error {
	st, err := s.state(ctx, b.Stream)
	if err == nil && b.State == index.VolumeOpen {
		err = s.closeVolume(ctx, st, *b)
	}
	for n := sweepVolumes; err == nil && n == sweepVolumes; {
		n, err = s.expire(ctx, b.Stream, b.LastServerTimestamp+1)
	}
	if err != nil {
		return err
	}
	s.log.Warn("oldest volume is deleted for want of space", "volume", b.Name, "bytes", b.Indexed,
		"until", time.UnixMilli(b.LastServerTimestamp).UTC())
	s.metrics.OldestVolumes.Inc()
	return nil
}
