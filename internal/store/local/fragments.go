package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/record"
)

// NextNumber gives out a fragment number, greater than every number that the stream gave out since
// the store was opened and than every number that it ever stored. ErrNotFound.
func (s *Store) NextNumber(ctx context.Context, id store.StreamID) (store.Number, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("next fragment number: %w", err)
	}
	now := s.o.Clock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.clock = store.NumberAt(now, st.clock) | store.Number(s.o.NodeSlot)
	return st.clock, nil
}

// Append stores a fragment. When it returns without an error the fragment would survive a power
// cut, and every later List sees it; when the stream's retention is 0 it is kept in memory only,
// for a while. The record's number must be one that NextNumber gave; one that is stored already is
// ErrExists. ErrFull when there is no room, ErrNotFound when the stream is deleted. After any other
// error, also that of ctx, the fragment may be stored or not.
//
// Appends to one stream are stored one after the other, those to different streams side by side.
// ctx is honoured while waiting for the stream, not once its bytes are being written. Nothing of
// rec is kept.
func (s *Store) Append(
	ctx context.Context, id store.StreamID, rec *store.Record,
) (store.FragmentInfo, error) {
	info, err := s.append(ctx, id, rec, 0)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("append fragment: %w", err)
	}
	return info, nil
}

// Replace is Append, and the fragment old (a partial one that came again whole) goes in the same
// commit: List never sees both or neither. An old one that is not there, or not any more, is no
// error.
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
	if st.deleted.Load() {
		release(st.appending)
		return info, store.ErrNotFound
	}
	if err := s.notSealed(st, rec.Number); err != nil {
		release(st.appending)
		return info, err
	}
	st.mu.Lock()
	st.producer = max(st.producer, rec.ProducerTimestamp) // before anybody can see it
	st.mu.Unlock()
	stream := st.stream.Load()
	if stream.RetentionHours == 0 {
		defer release(st.appending)
		return s.appendMemory(st, rec, head, info, replaces)
	}
	if err := s.room(ctx, int64(len(head))+info.Size()); err != nil {
		release(st.appending)
		return info, err
	}
	info.Location, err = s.volumes.Append(ctx, stream, volume.Entry{
		Number: rec.Number, ServerTimestamp: rec.ServerTimestamp, Head: head, Payload: rec.Payload,
	})
	if err != nil {
		release(st.appending)
		s.noteLost(stream, err)
		return info, err
	}
	// From here on ctx counts no more: the bytes are there, and the caller learns what became of
	// them.
	info, err = s.addRow(st, info, replaces)
	release(st.appending)
	if replaces != 0 {
		s.recent.forget(id, replaces)
	}
	if err != nil {
		return info, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.clock = max(st.clock, rec.Number)
	st.tell()
	if replaces != 0 {
		st.ring.remove(replaces)
	}
	return info, nil
}

// addRow gives the record of a fragment, which is durable, the stream's next sequence and a row.
// The caller holds st.appending.
func (s *Store) addRow(
	st *streamState, info store.FragmentInfo, replaces store.Number,
) (store.FragmentInfo, error) {
	info.Sequence = st.nextSequence()
	row := &index.NewFragment{Stream: st.id, Info: info, Replaces: replaces,
		Durable: info.Location.Volume != st.volume}
	var err error
	// A number that is not the greatest may be there already.
	if row.Durable || replaces != 0 || info.Number <= st.number || !s.rows.acknowledge(row) {
		err = s.rows.commit(row)
	}
	if errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) {
		return info, err // without a row: the sequence is free
	}
	st.given = info.Sequence
	st.volume, st.number = info.Location.Volume, max(st.number, info.Number)
	if err != nil {
		// The record may have no row. Recovery must not find it first and give it the sequence of
		// the next one, so that one is committed durably, with a mark beyond both.
		st.volume = ""
		return info, err
	}
	st.mu.Lock()
	st.sequence = info.Sequence
	st.mu.Unlock()
	return info, nil
}

// nextSequence returns the sequence that the stream's next fragment gets. The caller holds
// st.appending.
func (st *streamState) nextSequence() int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return max(st.sequence, st.given) + 1
}

// appendMemory keeps a fragment in memory only. The caller holds st.appending.
func (s *Store) appendMemory(
	st *streamState, rec *store.Record, head []byte, info store.FragmentInfo, replaces store.Number,
) (store.FragmentInfo, error) {
	if _, err := s.reader.fragment(context.Background(), st.id,
		rec.Number); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = store.ErrExists
		}
		return info, err
	}
	_, fragment, err := record.DecodeFragment(head) // a copy that shares nothing with rec
	if err != nil {
		return info, err
	}
	m := &memoryFragment{fragment: fragment, stored: s.now()}
	for _, p := range rec.Payload {
		m.payload = append(m.payload, bytes.Clone(p))
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.ring.find(rec.Number) != nil {
		return info, store.ErrExists
	}
	st.clock = max(st.clock, rec.Number)
	st.sequence = max(st.sequence, st.given) + 1
	info.Sequence = st.sequence
	info.Location = store.Location{Length: int64(len(head)) + info.Size(),
		MetaLength: int64(len(head))}
	m.info = info
	if replaces != 0 {
		st.ring.remove(replaces)
	}
	st.tell()
	st.ring.push(m, m.stored-s.o.MemoryAge.Milliseconds(), s.o.MemoryBytes)
	return info, nil
}

// trackSetID gives the id of a set of tracks.
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

// TrackSet gives the tracks of a set (FragmentInfo.TrackSet); the caller must not change them.
// ErrNotFound.
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

// List gives the fragments that q selects, without those past retention. It sees every fragment
// whose Append has returned. ErrNotFound when there is no such stream; no fragment is not an error.
func (s *Store) List(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list fragments: %w", err)
	}
	now := s.now()
	st.mu.Lock()
	memory := st.ring.list(q, now-s.o.MemoryAge.Milliseconds())
	st.mu.Unlock()
	stream := st.stream.Load()
	if stream.RetentionHours > 0 && !st.newer(&q) {
		stored, err := s.reader.list(ctx, id, q, retentionEdge(stream, now))
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

// fragmentsAhead is how many fragments behind one that is asked for are kept in memory, where they
// are found with it.
const fragmentsAhead = 32

// Fragment gives one fragment; the caller must not change its spans. ErrNotFound when there is
// none, or when it is past retention.
func (s *Store) Fragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	st, err := s.state(ctx, id)
	if err != nil {
		return store.FragmentInfo{}, fmt.Errorf("fragment: %w", err)
	}
	now := s.now()
	st.mu.Lock()
	m := st.ring.find(n)
	st.mu.Unlock()
	if m != nil && m.stored >= now-s.o.MemoryAge.Milliseconds() {
		return m.info, nil
	}
	kept, changes, ok := s.recent.get(id, n)
	f := kept.info
	if !ok {
		var next []store.FragmentInfo // who plays a recording asks for them next
		if f, next, err = s.reader.fragmentAndNext(ctx, id, n, fragmentsAhead); err != nil {
			return store.FragmentInfo{}, fmt.Errorf("fragment %d: %w", n, err)
		}
		s.recent.put(id, f, changes)
		for i := range next {
			s.recent.put(id, next[i], changes)
		}
	}
	if stream := st.stream.Load(); stream.RetentionHours == 0 ||
		f.ServerTimestamp < retentionEdge(stream, now) {
		return store.FragmentInfo{}, fmt.Errorf("fragment %d: %w", n, store.ErrNotFound)
	}
	return f, nil
}

// Open opens a fragment that List or Fragment gave: one read of its header and metadata, whose
// checksum is verified, or none when they are kept in memory. The payload is read and verified by
// the first Payload of a fragment, and again only when what is kept of it in memory
// (Options.FragmentBytes) had to go. ErrGone when it is past retention or deleted by now,
// ErrCorrupt when what is stored is damaged. What is open can be read to its end whatever happens
// to the fragment.
func (s *Store) Open(
	ctx context.Context, id store.StreamID, f store.FragmentInfo,
) (store.Media, error) {
	m, err := s.open(ctx, id, f)
	if err != nil {
		return nil, fmt.Errorf("open fragment %d: %w", f.Number, err)
	}
	return m, nil
}

func (s *Store) open(
	ctx context.Context, id store.StreamID, f store.FragmentInfo,
) (store.Media, error) {
	st, err := s.state(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, store.ErrGone
	}
	if err != nil {
		return nil, err
	}
	now := s.now()
	if f.Location.Volume == "" {
		st.mu.Lock()
		m := st.ring.find(f.Number)
		st.mu.Unlock()
		if m == nil || m.stored < now-s.o.MemoryAge.Milliseconds() {
			return nil, store.ErrGone
		}
		return &memoryMedia{m}, nil
	}
	if stream := st.stream.Load(); stream.RetentionHours == 0 ||
		f.ServerTimestamp < retentionEdge(stream, now) {
		return nil, store.ErrGone
	}
	if kept, _, ok := s.recent.get(id, f.Number); ok && kept.head != nil &&
		kept.info.Location == f.Location {
		body, err := s.volumes.Open(ctx, f.Location)
		if err != nil {
			return nil, err
		}
		m := &storedMedia{fragment: kept.head, body: body, payload: f.Location.MetaLength}
		if !kept.whole {
			m.unverified = s.verification(id, f)
		}
		return m, nil
	}
	m, err := openRecord(ctx, s.volumes, f)
	if errors.Is(err, store.ErrCorrupt) {
		s.metrics.CorruptReads.Inc()
	}
	if err != nil {
		return nil, err
	}
	m.unverified = s.verification(id, f)
	s.recent.opened(id, &f, m.Fragment())
	return m, nil
}

// verification gives what verifies the payload of a fragment and remembers that it is whole.
func (s *Store) verification(id store.StreamID, f store.FragmentInfo) func(*storedMedia) error {
	return func(m *storedMedia) error {
		err := m.verify(f.Location.Length, f.PayloadCRC)
		if err == nil {
			s.recent.verified(id, &f)
		} else if errors.Is(err, store.ErrCorrupt) {
			s.metrics.CorruptReads.Inc()
		}
		return err
	}
}

// openRecord opens the record of a fragment and verifies its header and metadata. ErrGone,
// ErrCorrupt.
func openRecord(
	ctx context.Context, volumes VolumeReader, f store.FragmentInfo,
) (*storedMedia, error) {
	loc := f.Location
	if loc.MetaLength < record.HeaderSize || loc.MetaLength > record.MaxMetaLength ||
		loc.Length < loc.MetaLength {
		return nil, fmt.Errorf("%w: location %+v", store.ErrCorrupt, loc)
	}
	body, err := volumes.Open(ctx, loc)
	if err != nil {
		return nil, err
	}
	head := make([]byte, loc.MetaLength)
	if _, err := body.ReadAt(head, 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: blob ends inside of the record", store.ErrCorrupt)
		}
		return nil, errors.Join(err, body.Close())
	}
	h, fragment, err := record.DecodeFragment(head)
	if err == nil && (h.Number != f.Number || h.Length != loc.Length) {
		err = fmt.Errorf("%w: another record lies here", store.ErrCorrupt)
	}
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return &storedMedia{fragment: fragment, body: body, payload: loc.MetaLength}, nil
}

// storedMedia is a Media over a record in a volume.
type storedMedia struct {
	fragment *media.Fragment
	body     volume.Body
	payload  int64 // offset of the payload within the record

	unverified func(*storedMedia) error // verifies the payload; nil when that was done
}

// verifyBuffers are what payloads are read into to be verified.
var verifyBuffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// verify holds the payload of a record of so many bytes to its checksum. What is read here is in
// the page cache when it is sent.
func (m *storedMedia) verify(length int64, want uint32) error {
	buf := verifyBuffers.Get().(*[]byte)
	defer verifyBuffers.Put(buf)
	crc := uint32(0)
	for off := m.payload; off < length; {
		b := (*buf)[:min(int64(len(*buf)), length-off)]
		if _, err := m.body.ReadAt(b, off); errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: blob ends inside of the record", store.ErrCorrupt)
		} else if err != nil {
			return err
		}
		crc = crc32.Update(crc, record.Castagnoli, b)
		off += int64(len(b))
	}
	if crc != want {
		return fmt.Errorf("%w: checksum of the payload", store.ErrCorrupt)
	}
	return nil
}

func (m *storedMedia) Fragment() *media.Fragment { return m.fragment }

func (m *storedMedia) Payload(run int) (store.Range, error) {
	if run < 0 || run >= len(m.fragment.Runs) {
		return nil, fmt.Errorf("fragment has no run %d", run)
	}
	if m.unverified != nil {
		if err := m.unverified(m); err != nil {
			return nil, err
		}
		m.unverified = nil
	}
	off := m.payload
	for i := range run {
		off += m.fragment.Runs[i].Size()
	}
	return m.body.Range(off, m.fragment.Runs[run].Size())
}

func (m *storedMedia) Close() error { return m.body.Close() }
