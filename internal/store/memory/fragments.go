package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// fragment is a stored fragment. It never changes.
type fragment struct {
	info     store.FragmentInfo
	media    *media.Fragment
	payload  [][]byte
	fleeting bool  // stored while the stream had no retention: kept for fleetingAge
	stored   int64 // when it was stored, in milliseconds since the Unix epoch
}

// fleetingAge is how long a fragment without retention is kept.
const fleetingAge = 5 * time.Minute

// until returns the last moment at which f is within retention, in milliseconds since the Unix
// epoch.
func (st *stream) until(f *fragment) int64 {
	switch {
	case f.fleeting:
		return f.stored + fleetingAge.Milliseconds()
	case st.RetentionHours == 0:
		return math.MinInt64
	}
	return f.info.ServerTimestamp + int64(st.RetentionHours)*time.Hour.Milliseconds()
}

// expire deletes what is past retention at a time in milliseconds since the Unix epoch.
func (st *stream) expire(now int64) {
	if now <= st.allUntil {
		return
	}
	st.allUntil = math.MaxInt64
	st.remove(func(f *fragment) bool {
		until := st.until(f)
		if until >= now {
			st.allUntil = min(st.allUntil, until)
		}
		return until < now
	})
}

// remove deletes the fragments that which selects.
func (st *stream) remove(which func(*fragment) bool) {
	st.fragments = slices.DeleteFunc(st.fragments, func(f *fragment) bool {
		gone := which(f)
		if gone {
			delete(st.byNumber, f.info.Number)
		}
		return gone
	})
}

// NextNumber implements store.Fragments: the time, or one more than the last number if that is
// greater.
func (s *Store) NextNumber(ctx context.Context, id store.StreamID) (store.Number, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(id)
	if err != nil {
		return 0, fmt.Errorf("next fragment number: %w", err)
	}
	st.number = store.NumberAt(s.now(), st.number)
	return st.number, nil
}

// Append implements store.Fragments.
func (s *Store) Append(
	ctx context.Context, id store.StreamID, rec *store.Record,
) (store.FragmentInfo, error) {
	info, err := s.commit(ctx, id, 0, rec)
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
	info, err := s.commit(ctx, id, old, rec)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("replace fragment: %w", err)
	}
	return info, nil
}

// commit adds a fragment as the newest of its stream, and removes old, if that exists.
func (s *Store) commit(
	ctx context.Context, id store.StreamID, old store.Number, rec *store.Record,
) (store.FragmentInfo, error) {
	head, crc, err := record.EncodeFragment(rec, old) // refuses an inconsistent record
	if err != nil {
		return store.FragmentInfo{}, err
	}
	_, copied, err := record.DecodeFragment(head) // nothing of rec is kept
	if err != nil {
		return store.FragmentInfo{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.FragmentInfo{}, err
	}
	st, err := s.stream(id)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	if st.byNumber[rec.Number] != nil {
		return store.FragmentInfo{}, store.ErrExists
	}
	if st.raced(rec) {
		return store.FragmentInfo{}, store.ErrRaced
	}
	st.sequence++
	st.number = max(st.number, rec.Number)
	f := &fragment{
		info: record.NewInfo(rec, crc, st.trackSet(copied.Tracks)), media: copied,
		fleeting: st.RetentionHours == 0, stored: s.now().UnixMilli(),
	}
	f.info.Sequence = st.sequence
	f.info.Location = store.Location{
		Length: int64(len(head)) + f.info.Size(), MetaLength: int64(len(head)),
	}
	if !f.fleeting {
		f.info.Location.Volume = "memory"
	}
	for _, p := range rec.Payload {
		f.payload = append(f.payload, bytes.Clone(p))
	}
	if old != 0 {
		st.remove(func(f *fragment) bool { return f.info.Number == old })
	}
	st.fragments = append(st.fragments, f)
	st.byNumber[rec.Number] = f
	st.allUntil = min(st.allUntil, st.until(f))
	close(st.changed)
	st.changed = make(chan struct{})
	return f.info, nil
}

// raced reports whether a fragment was committed at the record's place that the caller has not
// seen.
func (st *stream) raced(rec *store.Record) bool {
	a := rec.Arrival
	return a != nil && a.Document == "" && slices.ContainsFunc(st.fragments,
		func(f *fragment) bool {
			return f.info.Sequence > a.Seen && f.info.ProducerTimestamp == rec.ProducerTimestamp
		})
}

// trackSet returns the ID of a set of tracks, which is 1 for a stream's first.
func (st *stream) trackSet(tracks []media.Track) int64 {
	for i, set := range st.trackSets {
		if reflect.DeepEqual(set, tracks) {
			return int64(i + 1)
		}
	}
	st.trackSets = append(st.trackSets, tracks)
	return int64(len(st.trackSets))
}

// TrackSet implements store.Fragments.
func (s *Store) TrackSet(
	ctx context.Context, id store.StreamID, set int64,
) ([]media.Track, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(id)
	if err != nil {
		return nil, fmt.Errorf("track set: %w", err)
	}
	if set < 1 || set > int64(len(st.trackSets)) {
		return nil, fmt.Errorf("track set %d: %w", set, store.ErrNotFound)
	}
	return st.trackSets[set-1], nil
}

// List implements store.Fragments.
func (s *Store) List(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(id)
	if err != nil {
		return nil, fmt.Errorf("list fragments: %w", err)
	}
	first, _ := slices.BinarySearchFunc(st.fragments, q.AfterSequence+1,
		func(f *fragment, sequence int64) int { return cmp.Compare(f.info.Sequence, sequence) })
	var list []store.FragmentInfo
	for _, f := range st.fragments[first:] {
		if q.Selects(&f.info) {
			list = append(list, f.info)
		}
	}
	slices.SortFunc(list, func(a, b store.FragmentInfo) int { return q.Compare(&a, &b) })
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	return list, nil
}

// Wait implements store.Fragments.
func (s *Store) Wait(ctx context.Context, id store.StreamID, after int64) (int64, error) {
	for {
		s.mu.Lock()
		st, err := s.stream(id)
		if err != nil {
			s.mu.Unlock()
			return 0, fmt.Errorf("wait for fragments: %w", err)
		}
		sequence, changed := st.sequence, st.changed
		s.mu.Unlock()
		if sequence > after {
			return sequence, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Fragment implements store.Fragments.
func (s *Store) Fragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(id)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("fragment: %w", err)
	}
	f := st.byNumber[n]
	if f == nil {
		return store.FragmentInfo{}, fmt.Errorf("fragment %d: %w", n, store.ErrNotFound)
	}
	return f.info, nil
}

// Open implements store.Fragments. The result keeps the fragment, whatever happens to the stream.
func (s *Store) Open(
	ctx context.Context, id store.StreamID, info store.FragmentInfo,
) (store.Media, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, err := s.stream(id); err == nil {
		if f := st.byNumber[info.Number]; f != nil {
			return opened{f}, nil
		}
	}
	return nil, fmt.Errorf("open fragment %d: %w", info.Number, store.ErrGone)
}

// opened is a store.Media.
type opened struct{ f *fragment }

func (o opened) Fragment() *media.Fragment { return o.f.media }

func (o opened) Payload(run int) (store.Range, error) {
	if run < 0 || run >= len(o.f.payload) {
		return nil, fmt.Errorf("fragment has no run %d", run)
	}
	return store.Bytes(o.f.payload[run]), nil
}

func (o opened) Close() error { return nil }
