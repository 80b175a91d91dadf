package local

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	"weir/internal/store"
	"weir/internal/store/recent"
	"weir/internal/store/record"
)

// CreateStream implements store.Streams.
func (s *Store) CreateStream(ctx context.Context, st store.Stream) (store.Stream, error) {
	if st.Name == "" || st.RetentionHours < 0 {
		return store.Stream{}, errors.New("create stream: name missing or retention negative")
	}
	if err := s.Intact(); err != nil {
		return store.Stream{}, fmt.Errorf("create stream: %w", err)
	}
	var tag [8]byte
	rand.Read(tag[:]) // never fails
	st.ID = store.StreamID(randomText(hexDigits, 32))
	st.CreatedMillis = s.wall()
	st.Version = randomText(alphanumerics, 20)
	st.NumberTag = binary.LittleEndian.Uint64(tag[:])
	st.Tags = maps.Clone(st.Tags)
	if st.Tags == nil {
		st.Tags = map[string]string{}
	}
	err := s.roomForRow(ctx)
	if err == nil {
		err = s.idx.CreateStream(ctx, st)
	}
	if err != nil {
		return store.Stream{}, fmt.Errorf("create stream: %w", err)
	}
	return st, nil
}

// Stream implements store.Streams.
func (s *Store) Stream(ctx context.Context, name string) (store.Stream, error) {
	st, err := s.idx.Stream(ctx, name)
	if err != nil {
		return store.Stream{}, fmt.Errorf("stream %q: %w", name, err)
	}
	return st, nil
}

// StreamByID implements store.Streams. It does not ask the index about a stream that was used
// before.
func (s *Store) StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return store.Stream{}, err
	}
	return *st.stream.Load(), nil
}

// ListStreams implements store.Streams.
func (s *Store) ListStreams(
	ctx context.Context, prefix, after string, limit int,
) ([]store.Stream, error) {
	list, err := s.idx.ListStreams(ctx, prefix, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	return list, nil
}

// UpdateStream implements store.Streams. A shorter retention frees its space soon. A volume that
// was entirely past the retention before does not come back, even if it still exists. ErrFull when
// there is no room and the change lengthens the retention or the stream's row; any other change
// works on a full disk, too.
func (s *Store) UpdateStream(
	ctx context.Context, id store.StreamID, version string, change func(*store.Stream) error,
) (store.Stream, error) {
	next := randomText(alphanumerics, 20)
	shorter := false
	row, err := s.changeStream(ctx, id, func(st *store.Stream) error {
		was := st.RetentionHours
		err := st.Update(version, next, change)
		shorter = st.RetentionHours < was
		return err
	})
	if err != nil {
		return store.Stream{}, fmt.Errorf("update stream %s: %w", id, err)
	}
	if shorter {
		s.sweepSoon()
	}
	return row, nil
}

// TagStream implements store.Streams.
func (s *Store) TagStream(
	ctx context.Context, id store.StreamID, change func(tags map[string]string) error,
) error {
	_, err := s.changeStream(ctx, id, func(st *store.Stream) error { return change(st.Tags) })
	if err != nil {
		return fmt.Errorf("tag stream %s: %w", id, err)
	}
	return nil
}

func (s *Store) changeStream(
	ctx context.Context, id store.StreamID, change func(*store.Stream) error,
) (store.Stream, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return store.Stream{}, err
	}
	if err := acquire(ctx, st.changing); err != nil {
		return store.Stream{}, err
	}
	defer release(st.changing)
	if err := s.Intact(); err != nil {
		return store.Stream{}, err
	}
	was := st.stream.Load()
	next := *was
	next.Tags = maps.Clone(was.Tags)
	if err := change(&next); err == nil { // an error of change comes again below
		if takesMore(&next, was) {
			if err := s.roomForRow(ctx); err != nil {
				return store.Stream{}, err
			}
		}
		if next.RetentionHours > was.RetentionHours {
			if err := s.dropPast(ctx, st, was); err != nil {
				return store.Stream{}, err
			}
		}
	}
	row, err := s.idx.UpdateStream(ctx, id, func(row *store.Stream) error {
		err := change(row)
		if row.Tags == nil {
			row.Tags = map[string]string{}
		}
		return err
	})
	if err != nil {
		// It may have been applied after all: read it again and drop what is remembered.
		if again, readErr := s.idx.StreamByID(ctx, id); readErr == nil {
			st.stream.Store(&again)
		}
		return store.Stream{}, err
	}
	kept := row
	kept.Tags = maps.Clone(row.Tags)
	st.stream.Store(&kept)
	if row.StorageTier != was.StorageTier {
		s.moveSoon()
	}
	return row, nil
}

// DeleteStream implements store.Streams. Run frees the space soon after.
func (s *Store) DeleteStream(ctx context.Context, id store.StreamID, version string) error {
	if err := s.Intact(); err != nil {
		return fmt.Errorf("delete stream %s: %w", id, err)
	}
	defer s.sessions.ForgetAll()
	defer s.recent.ForgetAll()
	err := s.idx.DeleteStream(ctx, id, func(row *store.Stream) error {
		if version != "" && version != row.Version {
			return store.ErrVersion
		}
		return nil
	})
	if err != nil {
		// It may have been applied after all, and then what is remembered must go, too.
		if _, readErr := s.idx.StreamByID(ctx, id); errors.Is(readErr, store.ErrNotFound) {
			s.forget(id)
			s.destroyKeys(id)
		}
		return fmt.Errorf("delete stream %s: %w", id, err)
	}
	s.forget(id)
	s.destroyKeys(id)
	s.sweepSoon()
	return nil
}

// sweepSoon asks Run for a sweep now.
func (s *Store) sweepSoon() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// drop marks the state as that of a deleted stream and frees the memory.
func (st *streamState) drop() {
	st.deleted.Store(true)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.ring = recent.Ring{}
	st.tell()
}

// takesMore reports whether the stream takes more space than was did.
func takesMore(st, was *store.Stream) bool {
	now, _ := record.EncodeStream(st) // strings and numbers: it cannot fail
	then, _ := record.EncodeStream(was)
	return st.RetentionHours > was.RetentionHours || len(now) > len(then)
}
