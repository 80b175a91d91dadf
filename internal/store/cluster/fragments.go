package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/recent"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// NextNumber implements store.Fragments. The stream's row decides, for all nodes.
func (s *Store) NextNumber(ctx context.Context, id store.StreamID) (store.Number, error) {
	return s.db.NextNumber(ctx, id)
}

// Append implements store.Fragments. The record is put into one object with those of other streams;
// then the rows of all are committed. Other nodes see it within 300 ms. When ctx ends, Append
// returns at once and nobody knows whether the fragment is stored, unless ctx had ended before the
// call.
func (s *Store) Append(
	ctx context.Context, id store.StreamID, rec *store.Record,
) (store.FragmentInfo, error) {
	info, err := s.store(ctx, id, rec, 0)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("append fragment: %w", err)
	}
	return info, nil
}

// Replace implements store.Fragments.
func (s *Store) Replace(
	ctx context.Context, id store.StreamID, old store.Number, rec *store.Record,
) (store.FragmentInfo, error) {
	if old <= 0 || old == rec.Number {
		return store.FragmentInfo{}, errors.New("replace fragment: no fragment to replace")
	}
	info, err := s.store(ctx, id, rec, old)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("replace fragment: %w", err)
	}
	return info, nil
}

func (s *Store) append(
	ctx context.Context, id store.StreamID, rec *store.Record, replaces store.Number,
) (store.FragmentInfo, error) {
	st, err := s.db.Row(ctx, id)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	head, crc, err := record.EncodeFragment(rec, replaces)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	info := record.NewInfo(rec, crc, 0)
	info.Location.MetaLength = int64(len(head))
	info.Location.Length = int64(len(head)) + info.Size()
	if st.RetentionHours == 0 {
		info, err := s.appendMemory(ctx, id, rec, head, info, replaces)
		if !errors.Is(err, rows.ErrRetained) { // it has one by now
			return info, err
		}
	}
	described, err := record.EncodeStream(&st.Stream) // says whose the object is
	if err != nil {
		return store.FragmentInfo{}, err
	}
	row := rows.Row{Stream: id, Info: info, Tracks: rec.Tracks, Replaces: replaces,
		Timecode: rec.Timecode, Arrival: rec.Arrival}
	parts := append([][]byte{described, head}, rec.Payload...)
	info, err = s.add(ctx, row, parts)
	for errors.Is(err, rows.ErrMaybeSealed) {
		// Only a number that was given out long ago or is tried again gets here, or what arrived
		// while its stream was compacted.
		if row.Looked, err = s.lookSealed(ctx, id, rec); err == nil {
			info, err = s.add(ctx, row, parts)
		}
	}
	if err != nil {
		return store.FragmentInfo{}, err
	}
	s.watch.committed(id, info.Sequence)
	if replaces != 0 {
		s.inRing(id, func(ring *recent.Ring) { ring.Remove(replaces) })
	}
	return info, nil
}

// lookSealed looks in sealed objects for what forbids a record to be committed, and returns up to
// which sequence it has looked. store.ErrExists: its number; store.ErrRaced: a fragment at its
// place.
func (s *Store) lookSealed(
	ctx context.Context, id store.StreamID, rec *store.Record,
) (looked int64, err error) {
	high, err := s.db.HighWater(ctx, id)
	if err != nil {
		return 0, err
	}
	_, err = s.reader.SealedFragment(ctx, id, rec.Number)
	if err == nil {
		return 0, store.ErrExists
	}
	if !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	if a := rec.Arrival; a != nil && a.Document == "" {
		at := rec.ProducerTimestamp
		newer, err := s.reader.List(ctx, id, store.Query{AfterSequence: a.Seen, Limit: 1,
			Range: &store.TimeRange{Clock: store.ProducerTimestamp, Start: at, End: at},
		}, sealed.MinTime)
		if err != nil {
			return 0, err
		}
		if len(newer) > 0 {
			return 0, store.ErrRaced
		}
	}
	return high.SealedSequence, nil
}

// Arrived returns the fragments with relative timecodes that came to a place on other connections,
// on whichever node, newest first: see rows.DB.Arrived.
func (s *Store) Arrived(
	ctx context.Context, id store.StreamID, a store.Arrival, timecode int64, limit int,
) ([]store.Arrived, error) {
	return s.db.Arrived(ctx, id, a, timecode, limit)
}

// EndConnection forgets what a connection brought, because it has ended properly.
func (s *Store) EndConnection(ctx context.Context, id store.StreamID, connection string) error {
	return s.db.EndConnection(ctx, id, connection)
}

// add puts and commits a record together with others. The second return value is its head.
func (s *Store) add(
	ctx context.Context, row rows.Row, parts [][]byte,
) (store.FragmentInfo, error) {
	return s.gather.Add(ctx, func(offset int64) rows.Row {
		row.Info.Location.Offset = offset + int64(len(parts[0]))
		return row
	}, parts...)
}

// Times of a commit. While the database is away, producers wait for so long, and are then told to
// try again later. By then nobody knows whether the last try was applied.
const (
	commitTries = 4
	commitPause = 250 * time.Millisecond
)

// commit puts an object and then commits the rows of its records: bytes first, rows after. An
// object whose rows were not committed is collected later.
func (s *Store) commit(
	data []byte, list []rows.Row,
) ([]objects.Outcome[store.FragmentInfo], error) {
	ctx := context.Background() // one caller may leave, the others stay
	object := rows.Object{Name: s.batchKey(), Bytes: int64(len(data)), Node: *s.node.Load(),
		Known: s.mark.known(s.o.OrphanAge / 2)}
	began := time.Now()
	s.o.Metrics.CommitRows.Observe(float64(len(list)))
	if err := s.bucket.Put(ctx, object.Name, data); err != nil {
		s.refused.Store(&refusal{err, time.Now()})
		return nil, err
	}
	for i := range list {
		list[i].Info.Location.Volume = object.Name
	}
	var committed []rows.Committed
	var err error
	for try := range commitTries {
		time.Sleep(time.Duration(try) * commitPause)
		if time.Since(began) > s.o.OrphanAge/4 {
			err = errors.Join(err, rows.ErrLease) // others may soon take it for an orphan
			break
		}
		// Rows that an earlier try has added are recognised.
		tried := time.Now()
		committed, err = s.db.Commit(ctx, object, slices.Clone(list))
		s.o.Metrics.CommitSeconds.Observe(time.Since(tried).Seconds())
		if try > 0 {
			s.o.Metrics.CommitRetries.Inc()
		}
		if errors.Is(err, rows.ErrSetBack) && s.lostCommit(ctx) == nil {
			object.Known = nil
		}
		if err == nil || errors.Is(err, rows.ErrLease) || errors.Is(err, store.ErrFull) {
			break
		}
	}
	switch {
	case errors.Is(err, rows.ErrLease): // the object may be gone; the next has a new node ID
		return nil, errors.Join(err, s.rejoin(ctx, object.Node))
	case err != nil:
		s.refused.Store(&refusal{err, time.Now()})
		return nil, err
	}
	s.refused.Store(nil)
	outcomes := make([]objects.Outcome[store.FragmentInfo], len(committed))
	stored := false
	for i, c := range committed {
		outcomes[i].Result, outcomes[i].Err = c.Info, c.Err
		stored = stored || c.Err == nil
	}
	if stored { // else the object has no row
		s.mark.confirm(object.Name)
	}
	return outcomes, nil
}

// batchKey names an object with records of many streams by hour, minute and millisecond, so that a
// list is in the order of time. No key is used twice.
func (s *Store) batchKey() string {
	at := s.o.Clock().UTC()
	return fmt.Sprintf("%s%s/%s%03d-%s", contents.Batches, at.Format("2006010215"),
		at.Format("0405"), at.Nanosecond()/int(time.Millisecond), rand.Text())
}

// swept are the prefixes of objects that are collected.
var swept = []string{contents.Batches, contents.Streams}

// appendMemory keeps a fragment in this node's memory only. rows.ErrRetained when the stream has a
// retention by now.
func (s *Store) appendMemory(
	ctx context.Context, id store.StreamID, rec *store.Record, head []byte,
	info store.FragmentInfo, replaces store.Number,
) (store.FragmentInfo, error) {
	_, err := s.reader.Fragment(ctx, id, rec.Number)
	if err == nil {
		err = store.ErrExists
	}
	if !errors.Is(err, store.ErrNotFound) {
		return store.FragmentInfo{}, err
	}
	m, err := recent.NewMemoryFragment(rec, head, info, s.now())
	if err != nil {
		return store.FragmentInfo{}, err
	}
	s.inRing(id, func(ring *recent.Ring) {
		if ring.Find(rec.Number) != nil {
			err = store.ErrExists
		}
	})
	if err != nil {
		return store.FragmentInfo{}, err
	}
	m.Info.Sequence, m.Info.TrackSet, err = s.db.Next(ctx, id, rec.Tracks)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	s.mu.Lock()
	ring := s.rings[id]
	if ring == nil {
		ring = &recent.Ring{}
		s.rings[id] = ring
	}
	if replaces != 0 {
		ring.Remove(replaces)
	}
	ring.Push(m, m.Stored-recent.RingAge.Milliseconds(), s.o.MemoryBytes)
	s.mu.Unlock()
	s.watch.committed(id, m.Info.Sequence)
	return m.Info, nil
}

// inRing calls do with the fragments of a stream that are only in memory, if there are any.
func (s *Store) inRing(id store.StreamID, do func(*recent.Ring)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ring := s.rings[id]; ring != nil {
		do(ring)
	}
}

// remembered finds a fragment in memory; nil when there is none, or when it is too old.
func (s *Store) remembered(id store.StreamID, n store.Number) (m *recent.MemoryFragment) {
	s.inRing(id, func(ring *recent.Ring) { m = ring.Find(n) })
	if m != nil && m.Stored < s.now()-recent.RingAge.Milliseconds() {
		return nil
	}
	return m
}

// List implements store.Fragments.
func (s *Store) List(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	all, err := s.list(ctx, id, q)
	if err != nil {
		return nil, fmt.Errorf("list fragments: %w", unanswered(ctx, err))
	}
	return all, nil
}

func (s *Store) list(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	st, err := inTime(ctx, &s.memory, &q, func(ctx context.Context) (rows.Stream, error) {
		return s.db.Row(ctx, id)
	})
	if err != nil {
		return nil, err
	}
	now := s.o.Clock()
	var list []store.FragmentInfo
	s.inRing(id, func(ring *recent.Ring) {
		list = ring.List(q, now.UnixMilli()-recent.RingAge.Milliseconds())
	})
	if st.RetentionHours > 0 {
		stored, err := s.reader.List(ctx, id, q, st.Edge(now))
		if err != nil || len(list) == 0 {
			return stored, err
		}
		list = append(stored, list...)
	}
	slices.SortFunc(list, func(a, b store.FragmentInfo) int { return q.Compare(&a, &b) })
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	return list, nil
}

// Fragment implements store.Fragments.
func (s *Store) Fragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	st, err := s.row(ctx, id)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("fragment: %w", unanswered(ctx, err))
	}
	if m := s.remembered(id, n); m != nil {
		return m.Info, nil
	}
	f, err := s.fragment(ctx, id, n)
	if err == nil && f.ServerTimestamp < st.Edge(s.o.Clock()) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("fragment %d: %w", n, unanswered(ctx, err))
	}
	return f, nil
}
