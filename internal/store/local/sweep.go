package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/store"
	"weir/internal/store/local/index"
	"weir/internal/store/recent"
)

// sweepRows limits the rows that one transaction of a sweep drops, so that fragments can be
// committed in between; sweepVolumes limits the volumes that lose their rows in it.
const (
	sweepRows    = 2000
	sweepVolumes = 8
)

// idleVolume is for how long a volume may get no fragment before it is closed.
const idleVolume = 2 * time.Hour

// Sweep does one pass of background work. Volumes that are entirely past retention lose their rows,
// then their bytes; deleted streams lose their bytes, then their rows; idle volumes are closed, and
// closed ones sealed; expired sessions are dropped. An interrupted pass is completed by the next
// one. A failure in one stream does not hold up the others.
func (s *Store) Sweep(ctx context.Context) error {
	if err := acquire(ctx, s.sweep); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	defer release(s.sweep)
	if err := s.Intact(); err != nil {
		return fmt.Errorf("sweep: %w", err) // what is there now is somebody else's
	}
	errs := []error{s.sweepDeleted(ctx)}
	errs = append(errs, s.sweepIdle(ctx), s.sweepRetention(ctx), s.sweepDoomed(ctx))
	errs = append(errs, s.sweepSessions(ctx))
	if !s.Full() { // a footer takes space
		errs = append(errs, s.sweepClosed(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// sweepDeleted frees deleted streams: all bytes, then all rows. So the rows are there as long as
// there are bytes that a recovery would take for a stream's.
func (s *Store) sweepDeleted(ctx context.Context) error {
	ids, err := s.idx.DeletedStreams(ctx)
	errs := []error{err}
	for _, id := range ids {
		errs = append(errs, s.purge(ctx, id))
	}
	return errors.Join(errs...)
}

func (s *Store) purge(ctx context.Context, id store.StreamID) error {
	if st := s.forget(id); st != nil {
		// A running append is waited for; a later one sees that the stream is deleted and writes
		// nothing.
		if err := acquire(ctx, st.appending); err != nil {
			return err
		}
		release(st.appending)
		if err := s.rows.flush(); err != nil {
			return fmt.Errorf("rows of stream %s: %w", id, err)
		}
	}
	if err := s.volumes.DeleteStream(ctx, id); err != nil {
		return fmt.Errorf("delete bytes of stream %s: %w", id, err)
	}
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if done, err = s.idx.PurgeStream(ctx, id, sweepRows); err != nil {
			return fmt.Errorf("drop rows of stream %s: %w", id, err)
		}
	}
	s.mu.Lock()
	delete(s.streams, id)
	s.mu.Unlock()
	return nil
}

// sweepIdle closes open volumes that got nothing for a while, or whose last fragment is past
// retention, so that they can be deleted and a start need not read them.
func (s *Store) sweepIdle(ctx context.Context) error {
	volumes, err := s.openVolumes(ctx)
	errs := []error{err}
	for _, b := range volumes {
		st, err := s.state(ctx, b.Stream)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		now := s.now()
		if b.LastServerTimestamp >= now-idleVolume.Milliseconds() &&
			b.LastServerTimestamp >= st.stream.Load().StoredEdge(time.UnixMilli(now)) {
			continue
		}
		errs = append(errs, s.closeVolume(ctx, st, b))
	}
	return errors.Join(errs...)
}

// openVolumes returns the open volumes as their newest rows have them.
func (s *Store) openVolumes(ctx context.Context) ([]index.VolumeInfo, error) {
	if err := s.rows.flush(); err != nil {
		return nil, err
	}
	return s.idx.VolumesInState(ctx, index.VolumeOpen)
}

func (s *Store) closeVolume(ctx context.Context, st *streamState, b index.VolumeInfo) error {
	if err := acquire(ctx, st.appending); err != nil {
		return err
	}
	err := s.volumes.Roll(ctx, b.Stream)
	release(st.appending)
	if err != nil {
		return fmt.Errorf("close volume %s: %w", b.Name, err)
	}
	// Every row of the volume was queued before. Once they are written, no more can come.
	if err := s.rows.flush(); err != nil {
		return fmt.Errorf("close volume %s: %w", b.Name, err)
	}
	if err := s.idx.CloseVolumes(ctx, []index.VolumeInfo{b}); err != nil {
		return fmt.Errorf("close volume %s: %w", b.Name, err)
	}
	return nil
}

// sweepRetention drops what is past retention, stream by stream.
func (s *Store) sweepRetention(ctx context.Context) error {
	var errs []error
	after := ""
	for {
		streams, err := s.idx.ListStreams(ctx, "", after, 100)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if len(streams) == 0 {
			return errors.Join(errs...)
		}
		after = streams[len(streams)-1].Name
		for _, stream := range streams {
			now := s.now()
			if st := s.known(stream.ID); st != nil {
				st.mu.Lock()
				st.ring.Trim(now-recent.RingAge.Milliseconds(), s.o.MemoryBytes)
				st.mu.Unlock()
			}
			before := stream.StoredEdge(time.UnixMilli(now))
			for n := sweepVolumes; n == sweepVolumes; {
				if err := ctx.Err(); err != nil {
					return err
				}
				if n, err = s.expire(ctx, stream.ID, before); err != nil {
					errs = append(errs, err)
				}
			}
		}
	}
}

// expire drops the rows of a stream's closed volumes that are entirely before a time
// (milliseconds), of at most sweepVolumes volumes, and returns how many volumes there were. It
// forgets what is remembered of fragments, also after an error, because the rows may be gone.
func (s *Store) expire(ctx context.Context, id store.StreamID, before int64) (int, error) {
	n, err := s.idx.Expire(ctx, id, before, sweepVolumes)
	if n > 0 || err != nil {
		s.recent.ForgetAll()
	}
	if err != nil {
		return n, fmt.Errorf("expire fragments of stream %s: %w", id, err)
	}
	return n, nil
}

// dropPast drops the rows of a stream's volumes that are now entirely past its retention, as a
// sweep would: the last sweep may be a while ago.
func (s *Store) dropPast(ctx context.Context, st *streamState, stream *store.Stream) error {
	before := stream.StoredEdge(time.UnixMilli(s.now()))
	volumes, err := s.openVolumes(ctx)
	if err != nil {
		return err
	}
	for _, b := range volumes {
		if b.Stream == stream.ID && b.LastServerTimestamp < before {
			if err := s.closeVolume(ctx, st, b); err != nil {
				return err
			}
		}
	}
	for n := sweepVolumes; n == sweepVolumes; {
		if n, err = s.expire(ctx, stream.ID, before); err != nil {
			return err
		}
	}
	s.sweepSoon()
	return nil
}

// sweepDoomed deletes the bytes of volumes without rows, then forgets the volumes.
func (s *Store) sweepDoomed(ctx context.Context) error {
	volumes, err := s.idx.VolumesInState(ctx, index.VolumeDoomed)
	if err != nil {
		return err
	}
	var names []string
	for _, b := range volumes {
		names = append(names, b.Name)
	}
	var errs []error
	for len(names) > 0 {
		chunk := names[:min(100, len(names))]
		names = names[len(chunk):]
		if err := s.volumes.Delete(ctx, chunk); err != nil {
			errs = append(errs, fmt.Errorf("delete volumes: %w", err))
			continue
		}
		if err := s.idx.ForgetVolumes(ctx, chunk); err != nil {
			return errors.Join(append(errs, fmt.Errorf("forget volumes: %w", err))...)
		}
		s.metrics.SweptVolumes.Add(float64(len(chunk)))
	}
	return errors.Join(errs...)
}

func (s *Store) sweepSessions(ctx context.Context) error {
	s.fleeting.Drop(func(f *store.Session) bool { return f.ExpiresMillis <= s.now() })
	for n := sweepRows; n == sweepRows; {
		var err error
		n, err = s.idx.ExpireSessions(ctx, s.now(), sweepRows)
		if n > 0 || err != nil {
			s.sessions.ForgetAll()
		}
		if err != nil {
			return fmt.Errorf("expire sessions: %w", err)
		}
	}
	return nil
}
