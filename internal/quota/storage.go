package quota

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/internal/store"
)

// Stored is what Storage needs of a store.
type Stored interface {
	ListStreams(ctx context.Context, prefix, after string, limit int) ([]store.Stream, error)
	// Usage returns the bytes that a stream takes; store.ErrNotFound.
	Usage(ctx context.Context, id store.StreamID) (bytes int64, err error)
}

// How old a count of everything stored may be.
const (
	recountStored = 30 * time.Second
	recountFull   = time.Second // before a fragment is refused
	countingShare = 20          // counting takes at most one part in so many of the time
)

// streamsCounted is how many streams a count reads at once.
const streamsCounted = 1000

// ErrStorage refuses a fragment beyond what a stream, or all streams of its creator, may store. It
// is store.ErrFull too: nothing is stored until retention, or somebody, makes room.
var ErrStorage = fmt.Errorf("limit of stored bytes: %w", store.ErrFull)

// Storage limits the bytes that a stream, and all streams of one creator, may store. Now and then
// it counts what a store holds; in between it adds what is stored. Where other processes store as
// well, a limit may be exceeded by what they have stored since the last count. It is safe for
// concurrent use.
type Storage struct {
	perStream, perCreator int64
	from                  Stored
	creator               func(*store.Stream) string
	clock                 func() time.Time

	mu       sync.Mutex
	streams  map[store.StreamID]*usage
	creators map[string]int64
	counted  time.Time     // when the last count began; zero: never
	took     time.Duration // and how long it took
	counting chan struct{} // closed when the running count ends; nil: none is running
}

// usage is what a stream stores.
type usage struct {
	creator string
	bytes   int64
	since   int64 // part of stored: what was stored since the last count began
	full    bool  // the last fragment was refused
}

// NewStorage returns a Storage. creator returns the name whose limit a stream counts against; ""
// for none. A nil clock is time.Now.
func NewStorage(limits Limits, from Stored, creator func(*store.Stream) string,
	clock func() time.Time) *Storage {
	if clock == nil {
		clock = time.Now
	}
	return &Storage{perStream: int64(limits.StreamStored), perCreator: int64(limits.CreatorStored),
		from: from, creator: creator, clock: clock, streams: map[store.StreamID]*usage{},
		creators: map[string]int64{}}
}

// Room reserves so many bytes for a fragment of a stream before it is stored. The error is
// ErrStorage when the stream or its creator already stores too much.
func (s *Storage) Room(ctx context.Context, stream *store.Stream, bytes int64) error {
	if s.perStream == 0 && s.perCreator == 0 || stream.RetentionHours == 0 {
		return nil // kept in memory, which has its own limits
	}
	if _, err := s.count(ctx, recountStored); err != nil {
		return err
	}
	err := s.take(stream, bytes)
	if errors.Is(err, ErrStorage) {
		// retention may have made room
		again, failed := s.count(ctx, recountFull)
		if failed != nil {
			return failed
		}
		if again {
			err = s.take(stream, bytes)
		}
	}
	return err
}

// take adds bytes, unless that would exceed a limit.
func (s *Storage) take(stream *store.Stream, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.streams[stream.ID]
	if u == nil { // made since the last count
		u = &usage{creator: s.creator(stream)}
		s.streams[stream.ID] = u
	}
	u.full = true
	switch all := s.creators[u.creator]; {
	case s.perStream > 0 && u.bytes+bytes > s.perStream:
		return fmt.Errorf("%w: the stream has stored %d bytes of %d", ErrStorage, u.bytes,
			s.perStream)
	case s.perCreator > 0 && u.creator != "" && all+bytes > s.perCreator:
		return fmt.Errorf("%w: the streams of %s have stored %d bytes of %d", ErrStorage, u.creator,
			all, s.perCreator)
	}
	u.full = false
	u.bytes += bytes
	u.since += bytes
	s.creators[u.creator] += bytes
	return nil
}

// count counts what is stored, unless the last count is younger than age, and reports whether there
// is a new one. While another call is counting, it waits only if there is no count yet or a newer
// one is needed.
func (s *Storage) count(ctx context.Context, age time.Duration) (again bool, err error) {
	s.mu.Lock()
	began := s.counted
	for s.counting != nil && (began.IsZero() || age < recountStored) {
		ended := s.counting
		s.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		s.mu.Lock()
	}
	now := s.clock()
	if s.counted != began { // by another
		s.mu.Unlock()
		return true, nil
	}
	if s.counting != nil || !began.IsZero() && now.Sub(began) < max(age, countingShare*s.took) {
		s.mu.Unlock()
		return false, nil
	}
	ended := make(chan struct{})
	s.counting = ended
	for _, u := range s.streams {
		u.since = 0
	}
	s.mu.Unlock()

	streams, err := s.read(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counting = nil
	close(ended)
	if err != nil {
		return false, fmt.Errorf("count what is stored: %w", err)
	}
	s.replace(streams)
	s.counted, s.took = now, s.clock().Sub(now)
	return true, nil
}

// read returns what each stream stores.
func (s *Storage) read(ctx context.Context) (map[store.StreamID]*usage, error) {
	all := map[store.StreamID]*usage{}
	for after := ""; ; {
		list, err := s.from.ListStreams(ctx, "", after, streamsCounted)
		if err != nil {
			return nil, err
		}
		for i := range list {
			bytes, err := s.from.Usage(ctx, list[i].ID)
			if errors.Is(err, store.ErrNotFound) { // deleted meanwhile
				continue
			} else if err != nil {
				return nil, err
			}
			all[list[i].ID] = &usage{creator: s.creator(&list[i]), bytes: bytes}
		}
		if len(list) < streamsCounted {
			return all, nil
		}
		after = list[len(list)-1].Name
	}
}

// replace replaces the old count. It adds what was stored during the count, because nobody knows
// whether the count has seen it: rather count a byte twice than not at all.
func (s *Storage) replace(streams map[store.StreamID]*usage) {
	for id, old := range s.streams {
		switch u := streams[id]; {
		case u != nil:
			u.bytes, u.since, u.full = u.bytes+old.since, old.since, old.full
		case old.since > 0:
			streams[id] = &usage{creator: old.creator, bytes: old.since, since: old.since}
		}
	}
	clear(s.creators)
	for _, u := range streams {
		s.creators[u.creator] += u.bytes
	}
	s.streams = streams
}

// Limit returns how many bytes a stream may store, nil for no limit, and whether its last fragment
// was refused here, by that limit or its creator's.
func (s *Storage) Limit(id store.StreamID) (bytes *int64, full bool) {
	if s.perStream > 0 {
		bytes = &s.perStream
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.streams[id]; u != nil {
		full = u.full
	}
	return bytes, full
}
