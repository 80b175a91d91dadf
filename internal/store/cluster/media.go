package cluster

import (
	"context"
	"errors"
	"fmt"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/objects"
	"weir/internal/store/record"
)

// Open implements store.Fragments. One range read brings the whole record into the cache, unless it
// is there. The record is verified as a whole once, and again only if the cache had to fetch it
// again. What is open can be read to its end without the object store.
func (s *Store) Open(
	ctx context.Context, id store.StreamID, f store.FragmentInfo,
) (store.Media, error) {
	m, err := s.open(ctx, id, f)
	if err != nil {
		return nil, fmt.Errorf("open fragment %d: %w", f.Number, unanswered(ctx, err))
	}
	return m, nil
}

func (s *Store) open(
	ctx context.Context, id store.StreamID, f store.FragmentInfo,
) (store.Media, error) {
	st, err := s.row(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, store.ErrGone
	}
	if err != nil {
		return nil, err
	}
	if f.Location.Volume == "" {
		if m := s.remembered(id, f.Number); m != nil {
			return m.Open(), nil
		}
		return nil, store.ErrGone
	}
	if f.ServerTimestamp < st.Edge(s.o.Clock()) {
		return nil, store.ErrGone
	}
	m, err := s.openRecord(ctx, id, &f)
	if errors.Is(err, store.ErrCorrupt) { // damaged on the local disk or on the way, or for good
		s.cache.Drop(f.Location.Volume)
		if m, err = s.openRecord(ctx, id, &f); errors.Is(err, store.ErrCorrupt) {
			s.o.Metrics.CorruptReads.Inc()
		}
	}
	if errors.Is(err, store.ErrGone) {
		return s.openMoved(ctx, id, f)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// openMoved opens a fragment whose object is gone: it may have been compacted into another one
// since its row was read.
func (s *Store) openMoved(
	ctx context.Context, id store.StreamID, f store.FragmentInfo,
) (store.Media, error) {
	now, err := s.fragment(ctx, id, f.Number)
	if errors.Is(err, store.ErrNotFound) || err == nil && now.Location == f.Location {
		return nil, store.ErrGone
	}
	if err != nil {
		return nil, err
	}
	m, err := s.openRecord(ctx, id, &now)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// openRecord opens the record of a fragment and verifies it. ErrGone, ErrCorrupt.
func (s *Store) openRecord(
	ctx context.Context, id store.StreamID, f *store.FragmentInfo,
) (*storedMedia, error) {
	loc := f.Location
	if err := record.CheckLocation(loc); err != nil {
		return nil, err
	}
	body, err := s.cache.Open(ctx, loc.Volume, loc.Offset, loc.Length)
	if err != nil {
		return nil, err
	}
	m := &storedMedia{body: body, payload: loc.MetaLength}
	if m.fragment, _, _ = s.recent.Head(id, f); m.fragment == nil {
		if m.fragment, err = readHead(body, f); err != nil {
			return nil, errors.Join(err, body.Close())
		}
		s.recent.Opened(id, f, m.fragment, nil)
	}
	if !body.Verified() {
		err := record.VerifyPayload(body, loc.MetaLength, loc.Length, f.PayloadCRC)
		if err != nil {
			return nil, errors.Join(err, body.Close())
		}
		body.SetVerified()
	}
	return m, nil
}

// readHead reads and verifies header and metadata of a record.
func readHead(body *objects.Body, f *store.FragmentInfo) (*media.Fragment, error) {
	head := make([]byte, f.Location.MetaLength)
	if err := record.Read(body, head, 0); err != nil {
		return nil, err
	}
	_, fragment, err := contents.DecodeHead(head, f)
	return fragment, err
}

// storedMedia is a Media of a record in the cache.
type storedMedia struct {
	fragment *media.Fragment
	body     *objects.Body
	payload  int64 // offset of the payload within the record
}

func (m *storedMedia) Fragment() *media.Fragment { return m.fragment }

func (m *storedMedia) Payload(run int) (store.Range, error) {
	if run < 0 || run >= len(m.fragment.Runs) {
		return nil, fmt.Errorf("fragment has no run %d", run)
	}
	off := m.payload
	for i := range run {
		off += m.fragment.Runs[i].Size()
	}
	return m.body.Range(off, m.fragment.Runs[run].Size()), nil
}

func (m *storedMedia) Close() error { return m.body.Close() }
