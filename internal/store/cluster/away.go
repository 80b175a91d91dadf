package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/sealed"
)

// While the database is away, a node answers from memory, so that its viewers go on with what is
// cached. It remembers the sessions, streams and fragments that it was asked for lately, as the
// database last told them. The database is always asked first, so that a session that is closed
// anywhere is closed at once wherever the database answers. Memory is believed for Options.Away.
const (
	// askTime is how long the database has to answer before memory answers, and askAgainTime how
	// long it has from then on until it has answered something. A request asks several times, and a
	// player waits for it.
	askTime, askAgainTime = 2 * time.Second, 100 * time.Millisecond
	// awayTime is for how long the database is not asked again when memory has an answer. A session
	// outlives its end by no more than that once the database is back.
	awayTime = 500 * time.Millisecond
	// maxKnownBytes bounds the memory for sessions, and that for track sets.
	maxKnownBytes = 16 << 20
)

// memory is what the database has told a node lately.
type memory struct {
	mu       sync.Mutex
	away     time.Time // until then the database is not asked; guarded by mu
	silent   bool      // it has not answered since it was away; guarded by mu
	sessions map[string]toldSession
	bytes    int64 // of sessions; guarded by mu, as they are
	sets     map[setOf][]media.Track
	setBytes int // of sets, about; likewise
}

type toldSession struct {
	row store.Session
	at  time.Time
}

type setOf struct {
	stream store.StreamID
	id     int64
}

func (m *memory) isAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.away)
}

// patience is how long the database has to answer.
func (m *memory) patience() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.silent {
		return askAgainTime
	}
	return askTime
}

// ask asks the database. When the database is away, it returns what known has, if anything.
func ask[T any](
	ctx context.Context, m *memory, known func() (T, bool), read func(context.Context) (T, error),
) (T, error) {
	old, ok := known()
	if !ok {
		return read(ctx)
	}
	v, err := soon(ctx, m, read)
	if errors.Is(err, store.ErrAway) {
		return old, nil
	}
	return v, err
}

// soon asks the database: store.ErrAway when it does not answer in time. A change may be made even
// then.
func soon[T any](
	ctx context.Context, m *memory, read func(context.Context) (T, error),
) (none T, _ error) {
	if m.isAway() {
		return none, store.ErrAway
	}
	type answer struct {
		value T
		err   error
	}
	var a *answer // nil: none yet; guarded by m.mu
	answered := make(chan struct{})
	go func() {
		v, err := read(ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		if err == nil || errors.Is(err, store.ErrNotFound) {
			m.away, m.silent = time.Time{}, false // however late it is
		}
		a = &answer{v, err}
		close(answered)
	}()
	late := time.NewTimer(m.patience())
	defer late.Stop()
	select {
	case <-answered:
	case <-late.C:
	case <-ctx.Done():
	}
	m.mu.Lock() // an answer comes before this, or is late
	defer m.mu.Unlock()
	switch {
	case a != nil && objects.IsAway(a.err): // which says nothing about the database
		return none, fmt.Errorf("%w: %w", store.ErrAway, a.err)
	case a != nil && !rows.IsAway(a.err):
		return a.value, a.err
	case ctx.Err() != nil:
		return none, ctx.Err()
	}
	m.away, m.silent = time.Now().Add(awayTime), true
	return none, store.ErrAway
}

// inTime is soon for those who follow, and read for others. What is read of the object store is not
// part of it: that may take longer, and says nothing about the database.
func inTime[T any](
	ctx context.Context, m *memory, q *store.Query, read func(context.Context) (T, error),
) (T, error) {
	if q.Order == store.BySequence && q.AfterSequence > 0 {
		return soon(ctx, m, read)
	}
	return read(ctx)
}

// rowsInTime are the rows for a sealed.Reader.
type rowsInTime struct {
	*rows.DB
	m *memory
}

// Hot implements sealed.Rows.
func (r rowsInTime) Hot(
	ctx context.Context, id store.StreamID, q store.Query, edge int64,
) (sealed.Hot, error) {
	return inTime(ctx, r.m, &q, func(ctx context.Context) (sealed.Hot, error) {
		return r.DB.Hot(ctx, id, q, edge)
	})
}

// Sealed implements sealed.Rows.
func (r rowsInTime) Sealed(
	ctx context.Context, id store.StreamID, q store.Query, edge, after int64, limit int,
) ([]sealed.Volume, error) {
	return inTime(ctx, r.m, &q, func(ctx context.Context) ([]sealed.Volume, error) {
		return r.DB.Sealed(ctx, id, q, edge, after, limit)
	})
}

// unanswered adds store.ErrAway to the error of a database or an object store that did not answer.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil || !isAway(err) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrAway, err)
}

// isAway says that the database or the object store did not answer, so an error says nothing about
// what was asked for.
func isAway(err error) bool { return rows.IsAway(err) || objects.IsAway(err) }

// told remembers a session's row.
func (m *memory) told(row store.Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked(row.ID)
	if m.sessions == nil || m.bytes+row.Size() > maxKnownBytes {
		m.sessions, m.bytes = make(map[string]toldSession), 0
	}
	m.sessions[row.ID] = toldSession{row, time.Now()}
	m.bytes += row.Size()
}

func (m *memory) forget(ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.forgetLocked(id)
	}
}

func (m *memory) forgetLocked(id string) {
	if s, ok := m.sessions[id]; ok {
		m.bytes -= s.row.Size()
		delete(m.sessions, id)
	}
}

// session returns a remembered session, if the database told it no longer than a given time ago.
func (m *memory) session(id string, within time.Duration) (store.Session, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[id]
	return s.row, ok && time.Since(s.at) < within
}

// Session implements store.Sessions. It also learns how far the stream had got when the database
// answered. What follows on this node sees at least that much, so a viewer who moves here from
// another node never sees a playlist go back.
func (s *Store) Session(ctx context.Context, id string) (store.Session, error) {
	known := func() (store.Session, bool) {
		row, ok := s.memory.session(id, s.o.Away)
		return row, ok && row.ExpiresMillis > s.now()
	}
	return ask(ctx, &s.memory, known, func(ctx context.Context) (store.Session, error) {
		row, sequence, err := s.db.SessionAt(ctx, id)
		switch {
		case err == nil:
			s.memory.told(row)
			s.watch.committed(row.Stream, sequence)
		case !rows.IsAway(err):
			s.memory.forget(id)
		}
		return row, err
	})
}

// OpenSession implements store.Sessions.
func (s *Store) OpenSession(
	ctx context.Context, row store.Session, limit int,
) (closed []string, err error) {
	closed, err = s.db.OpenSession(ctx, row, limit)
	s.memory.forget(closed...)
	return closed, err
}

// Checkpoint implements store.Sessions. It ends in time for those who wait for what follows it.
func (s *Store) Checkpoint(ctx context.Context, id string, data []byte) error {
	_, err := soon(ctx, &s.memory, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.db.Checkpoint(ctx, id, data)
	})
	return err
}

// CloseSession implements store.Sessions.
func (s *Store) CloseSession(ctx context.Context, id string) error {
	defer s.memory.forget(id) // also when it may not be closed
	return s.db.CloseSession(ctx, id)
}

// StreamByID implements store.Streams. A change that another node made is seen within
// Options.Fresh, or once the database is back.
func (s *Store) StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error) {
	st, err := s.row(ctx, id)
	return st.Stream, err
}

// row is the row of a stream, for reading.
func (s *Store) row(ctx context.Context, id store.StreamID) (rows.Stream, error) {
	known := func() (rows.Stream, bool) { return s.db.LastRow(id, s.o.Away) }
	return ask(ctx, &s.memory, known, func(ctx context.Context) (rows.Stream, error) {
		return s.db.Row(ctx, id)
	})
}

// fragment finds a fragment that has a row, past retention or not.
func (s *Store) fragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	last, changes, ok := s.recent.Get(id, n)
	known := func() (store.FragmentInfo, bool) { return last, ok }
	return ask(ctx, &s.memory, known, func(ctx context.Context) (store.FragmentInfo, error) {
		f, err := s.reader.Fragment(ctx, id, n)
		switch {
		case err == nil:
			s.recent.Put(id, f, changes)
		case !isAway(err):
			s.recent.Forget(id, n)
		}
		return f, err
	})
}

// TrackSet implements store.Fragments. A set never changes, so it is read only once.
func (s *Store) TrackSet(ctx context.Context, id store.StreamID, set int64) ([]media.Track, error) {
	if _, err := s.row(ctx, id); err != nil {
		return nil, err
	}
	key := setOf{id, set}
	s.memory.mu.Lock()
	tracks, ok := s.memory.sets[key]
	s.memory.mu.Unlock()
	if ok {
		return tracks, nil
	}
	tracks, err := s.db.TrackSet(ctx, id, set)
	if err != nil {
		return nil, err
	}
	s.memory.keep(key, tracks)
	return tracks, nil
}

// keep remembers a track set.
func (m *memory) keep(key setOf, tracks []media.Track) {
	size := 64
	for i := range tracks {
		size += 256 + len(tracks[i].CodecPrivate)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sets == nil || m.setBytes+size > maxKnownBytes {
		m.sets, m.setBytes = make(map[setOf][]media.Track), 0
	}
	m.sets[key] = tracks
	m.setBytes += size
}
