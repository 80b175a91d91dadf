package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
	"weir/internal/store/local/index"
)

// tierPause is how long moves wait after one has failed, for example because the object store is
// away.
const tierPause = 10 * time.Second

// movesFailed is how many moves of a pass may fail before it ends. The object store may be away, or
// a single volume unreadable.
const movesFailed = 3

// tiers is what the moves between the tiers remember from one pass to the next: where each sealed
// volume is. Nobody else moves them, because this process has the directory; the next pass forgets
// volumes that were deleted. Owned by moveForever.
type tiers struct{ away map[string]bool }

// moveForever moves sealed volumes to the tier of their streams until ctx ends, one after the
// other.
func (s *Store) moveForever(ctx context.Context) {
	var t tiers
	for tidy := true; ; {
		var err error
		if tidy {
			err = s.volumes.Tidy(ctx)
		}
		if err == nil {
			err = s.moveVolumes(ctx, &t)
		}
		if tidy = err != nil; tidy && ctx.Err() == nil {
			s.log.Error("volumes cannot be moved between disk and object store", "error", err)
			s.metrics.FailedMoves.Inc()
			select {
			case <-ctx.Done():
			case <-time.After(tierPause):
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.moves:
		}
	}
}

// moveSoon asks for moves between the tiers, as each sweep and each change of a stream do.
func (s *Store) moveSoon() {
	select {
	case s.moves <- struct{}{}:
	default:
	}
}

// MoveVolumes does one pass of what Run keeps doing when there is an object store. It completes
// interrupted moves, moves the sealed volumes of WARM streams there, once their last fragment is as
// old as Options.WarmAfter or the disk is nearly full, and moves those of other streams back. Not
// for concurrent use.
func (s *Store) MoveVolumes(ctx context.Context) error {
	if err := s.volumes.Tidy(ctx); err != nil {
		return err
	}
	return s.moveVolumes(ctx, &tiers{})
}

// short reports whether the disk is so full that moves to the object store do not wait.
func (s *Store) short() bool {
	return s.o.MinFree > 0 && float64(s.space.left.Load()) < (lowSpace-1)*float64(s.o.MinFree)
}

func (s *Store) moveVolumes(ctx context.Context, t *tiers) error {
	volumes, err := s.idx.VolumesInState(ctx, index.VolumeSealed)
	if err != nil {
		return err
	}
	now, known := s.now(), t.away
	t.away = make(map[string]bool, len(volumes))
	streams := make(map[store.StreamID]store.Stream)
	var errs, failed []error
	full := false // nothing can be brought back
	for i := range volumes {
		b := &volumes[i]
		stream, ok := streams[b.Stream]
		if !ok {
			if stream, err = s.idx.StreamByID(ctx, b.Stream); errors.Is(err, store.ErrNotFound) {
				continue // deleted
			} else if err != nil {
				return err
			}
			streams[b.Stream] = stream
		}
		away, ok := known[b.Name]
		if !ok {
			if away, err = s.volumes.Away(ctx, b.Name); errors.Is(err, store.ErrNotFound) {
				continue // past retention
			} else if err != nil {
				return err
			}
		}
		if len(failed) == movesFailed {
			break
		}
		old := b.LastServerTimestamp <= now-s.o.WarmAfter.Milliseconds() || s.short()
		switch warm := stream.StorageTier == store.TierWarm; {
		case warm && !away && old:
			err = s.volumes.MoveOut(ctx, b.Name)
		case !warm && away && full:
			t.away[b.Name] = away
			continue
		case !warm && away:
			if err = s.Room(ctx, b.Indexed); err == nil {
				err = s.volumes.MoveIn(ctx, b.Name)
			}
		default:
			t.away[b.Name] = away
			continue
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, store.ErrFull): // what goes out makes room
			full = true
			errs = append(errs, fmt.Errorf("volume %s: %w", b.Name, err))
		case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrGone): // this one alone
			errs = append(errs, fmt.Errorf("volume %s: %w", b.Name, err))
		case err != nil:
			failed = append(failed, fmt.Errorf("volume %s: %w", b.Name, err))
		default:
			t.away[b.Name] = !away
			direction := "out"
			if away {
				direction = "in"
			}
			s.metrics.Moves.WithLabelValues(direction).Inc()
		}
	}
	there := 0
	for _, away := range t.away {
		if away {
			there++
		}
	}
	s.metrics.AwayVolumes.Set(float64(there))
	return errors.Join(append(errs, failed...)...)
}
