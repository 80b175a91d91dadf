package local

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/local/index"
	"weir/internal/store/recent"
	"weir/internal/store/record"
)

// NextNumber implements store.Fragments.
func (s *Store) NextNumber(ctx context.Context, id store.StreamID) (store.Number, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("next fragment number: %w", err)
	}
	now := s.o.Clock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.clock = store.NumberAt(now, st.clock)
	return st.clock, nil
}

// Append implements store.Fragments.
//
// Appends to one stream are stored one after the other, those to different streams side by side.
// ctx counts while waiting for the stream, but not once the record is being written.
func (s *Store) Append(
	ctx context.Context, id store.StreamID, rec *store.Record,
) (store.FragmentInfo, error) {
	info, err := s.append(ctx, id, rec, 0)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("append fragment: %w", err)
	}
	return info, nil
}

// Replace implements store.Fragments. The old fragment is usually a partial one that has now come
// whole.
func (s *Store) Replace(
	ctx context.Context, id store.StreamID, old store.Number, rec *store.Record,
) (store.FragmentInfo, error) {
	if old <= 0 || old == rec.Number {
		return store.FragmentInfo{}, errors.New("replace fragment: no fragment to replace")
	}
	info, err := s.append(ctx, id, rec, old)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("replace fragment: %w", err)
	}
	return info, nil
}

func (s *Store) append(
	ctx context.Context, id store.StreamID, rec *store.Record, replaces store.Number,
) (info store.FragmentInfo, err error) {
	began := time.Now()
	defer func() { s.metrics.append(time.Since(began), info, err) }()
	if err := s.lastCheck(); err != nil {
		return info, err
	}
	st, err := s.state(ctx, id)
	if err != nil {
		return info, err
	}
	head, crc, err := record.EncodeFragment(rec, replaces)
	if err != nil {
		return info, err
	}
	set, err := s.trackSetID(ctx, st, rec.Tracks)
	if err != nil {
		return info, err
	}
	info = record.NewInfo(rec, crc, set)

	if err := acquire(ctx, st.appending); err != nil {
		return info, err
	}
	defer release(st.appending)
	if st.deleted.Load() {
		return info, store.ErrNotFound
	}
	if err := s.notSealed(st, rec.Number); err != nil {
		return info, err
	}
	if err := s.notRaced(ctx, st, rec); err != nil {
		return info, err
	}
	st.mu.Lock()
	st.producer = max(st.producer, rec.ProducerTimestamp) // before anybody can see it
	st.mu.Unlock()
	stream := st.stream.Load()
	if stream.RetentionHours == 0 {
		return s.appendMemory(st, rec, head, info, replaces)
	}
	if err := s.Room(ctx, int64(len(head))+info.Size()); err != nil {
		return info, err
	}
	entry, free, err := s.entry(ctx, stream, rec, head, &info)
	if err == nil {
		info.Location, err = s.volumes.Append(ctx, stream, entry)
		free()
	}
	if err != nil {
		s.noteLost(stream, err)
		return info, err
	}
	// From here on ctx no longer counts: the bytes are there, and the caller learns what became of
	// them.
	info, err = s.addRow(st, info, replaces)
	if replaces != 0 {
		s.recent.Forget(id, replaces)
	}
	if err != nil {
		return info, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.clock = max(st.clock, rec.Number)
	st.tell()
	if replaces != 0 {
		st.ring.Remove(replaces)
	}
	return info, nil
}

// notRaced returns store.ErrRaced when a fragment was committed at the record's place that the
// caller has not seen. The caller holds st.appending.
func (s *Store) notRaced(ctx context.Context, st *streamState, rec *store.Record) error {
	a := rec.Arrival
	if a == nil || a.Document != "" || st.nextSequence()-1 <= a.Seen {
		return nil
	}
	at := rec.ProducerTimestamp
	newer, err := s.List(ctx, st.id, store.Query{AfterSequence: a.Seen, Limit: 1,
		Range: &store.TimeRange{Clock: store.ProducerTimestamp, Start: at, End: at}})
	if err == nil && len(newer) > 0 {
		err = store.ErrRaced
	}
	return err
}

// addRow gives a record, which is durable, the stream's next sequence and a row. The caller holds
// st.appending.
func (s *Store) addRow(
	st *streamState, info store.FragmentInfo, replaces store.Number,
) (store.FragmentInfo, error) {
	info.Sequence = st.nextSequence()
	row := &index.NewFragment{Stream: st.id, Info: info, Replaces: replaces,
		Durable: info.Location.Volume != st.volume}
	var err error
	// A number that is not the greatest may exist already.
	if row.Durable || replaces != 0 || info.Number <= st.number || !s.rows.acknowledge(row) {
		err = s.rows.commit(row)
	}
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) {
		return info, err // it got no row: the sequence is free
	}
	st.given = info.Sequence
	st.volume, st.number = info.Location.Volume, max(st.number, info.Number)
	if err != nil {
		// The record may have no row. Recovery must not find it before the next record and give it
		// that one's sequence. So the next record is committed durably, with a mark beyond both.
		st.volume = ""
		return info, err
	}
	st.mu.Lock()
	st.sequence = info.Sequence
	st.mu.Unlock()
	return info, nil
}

// nextSequence returns the sequence for the stream's next fragment. The caller holds st.appending.
func (st *streamState) nextSequence() int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return max(st.sequence, st.given) + 1
}

// appendMemory keeps a fragment only in memory. The caller holds st.appending.
func (s *Store) appendMemory(
	st *streamState, rec *store.Record, head []byte, info store.FragmentInfo, replaces store.Number,
) (store.FragmentInfo, error) {
	if _, err := s.reader.Fragment(context.Background(), st.id,
		rec.Number); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = store.ErrExists
		}
		return info, err
	}
	m, err := recent.NewMemoryFragment(rec, head, info, s.now())
	if err != nil {
		return info, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ring.Find(rec.Number) != nil {
		return info, store.ErrExists
	}
	st.clock = max(st.clock, rec.Number)
	st.sequence = max(st.sequence, st.given) + 1
	info.Sequence = st.sequence
	info.Location = store.Location{Length: int64(len(head)) + info.Size(),
		MetaLength: int64(len(head))}
	m.Info = info
	if replaces != 0 {
		st.ring.Remove(replaces)
	}
	st.tell()
	st.ring.Push(m, m.Stored-recent.RingAge.Milliseconds(), s.o.MemoryBytes)
	return info, nil
}

// trackSetID returns the id of a set of tracks.
func (s *Store) trackSetID(
	ctx context.Context, st *streamState, tracks []media.Track,
) (int64, error) {
	data := record.AppendTracks(nil, tracks)
	hash := sha256.Sum256(data)
	st.mu.Lock()
	id, ok := st.setIDs[hash]
	st.mu.Unlock()
	if ok {
		return id, nil
	}
	id, err := s.idx.TrackSetID(ctx, st.id, hash, data)
	if err != nil {
		return 0, fmt.Errorf("track set: %w", err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.setIDs) >= setsCached {
		clear(st.setIDs)
	}
	st.setIDs[hash] = id
	return id, nil
}

// Usage returns the bytes that a stream takes on the disk, without rows that wait in memory and
// bytes that are about to be deleted. ErrNotFound.
func (s *Store) Usage(ctx context.Context, id store.StreamID) (int64, error) {
	return s.idx.Usage(ctx, id)
}

// TrackSet implements store.Fragments.
func (s *Store) TrackSet(ctx context.Context, id store.StreamID, set int64) ([]media.Track, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("track set: %w", err)
	}
	st.mu.Lock()
	tracks, ok := st.sets[set]
	st.mu.Unlock()
	if ok {
		return tracks, nil
	}
	data, err := s.idx.TrackSet(ctx, id, set)
	if err != nil {
		return nil, fmt.Errorf("track set %d: %w", set, err)
	}
	if tracks, err = record.DecodeTracks(data); err != nil {
		return nil, fmt.Errorf("track set %d: %w", set, err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.sets) >= setsCached {
		clear(st.sets)
	}
	st.sets[set] = tracks
	return tracks, nil
}

// List implements store.Fragments.
func (s *Store) List(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list fragments: %w", err)
	}
	now := s.now()
	st.mu.Lock()
	memory := st.ring.List(q, now-recent.RingAge.Milliseconds())
	st.mu.Unlock()
	stream := st.stream.Load()
	if stream.RetentionHours > 0 && !st.newer(&q) {
		stored, err := s.reader.List(ctx, id, q, stream.StoredEdge(time.UnixMilli(now)))
		if err != nil {
			return nil, fmt.Errorf("list fragments: %w", err)
		}
		if len(memory) == 0 {
			return stored, nil
		}
		memory = append(stored, memory...)
	}
	slices.SortFunc(memory, func(a, b store.FragmentInfo) int { return q.Compare(&a, &b) })
	if q.Limit > 0 && len(memory) > q.Limit {
		memory = memory[:q.Limit]
	}
	return memory, nil
}

// fragmentsAhead is how many fragments after the one that is asked for are remembered, because the
// same table has them.
const fragmentsAhead = 32

// Fragment implements store.Fragments.
func (s *Store) Fragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("fragment: %w", err)
	}
	now := s.now()
	st.mu.Lock()
	m := st.ring.Find(n)
	st.mu.Unlock()
	if m != nil && m.Stored >= now-recent.RingAge.Milliseconds() {
		return m.Info, nil
	}
	f, changes, ok := s.recent.Get(id, n)
	if !ok {
		var next []store.FragmentInfo // a player of a recording asks for them next
		if f, next, err = s.reader.FragmentAndNext(ctx, id, n, fragmentsAhead); err != nil {
			return store.FragmentInfo{}, fmt.Errorf("fragment %d: %w", n, err)
		}
		s.recent.Put(id, f, changes)
		for i := range next {
			s.recent.Put(id, next[i], changes)
		}
	}
	if f.ServerTimestamp < st.stream.Load().StoredEdge(time.UnixMilli(now)) {
		return store.FragmentInfo{}, fmt.Errorf("fragment %d: %w", n, store.ErrNotFound)
	}
	return f, nil
}
