package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local/volume"
	"weir/internal/store/recent"
	"weir/internal/store/record"
)

// Open implements store.Fragments. One read gets header and metadata, whose checksum is verified;
// none, if they are in memory. The first Payload of a fragment reads and verifies the payload. That
// happens again only if the fragment had to leave memory (Options.FragmentBytes).
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
		m := st.ring.Find(f.Number)
		st.mu.Unlock()
		if m == nil || m.Stored < now-recent.RingAge.Milliseconds() {
			return nil, store.ErrGone
		}
		return m.Open(), nil
	}
	if f.ServerTimestamp < st.stream.Load().StoredEdge(time.UnixMilli(now)) {
		return nil, store.ErrGone
	}
	if head, cipher, whole := s.recent.Head(id, &f); head != nil {
		body, err := s.volumes.Open(ctx, f.Location)
		if err != nil {
			return nil, err
		}
		m := &storedMedia{fragment: head, cipher: cipher, body: body,
			payload: f.Location.MetaLength, length: f.Location.Length}
		if !whole {
			m.unverified = s.verification(id, f)
		}
		return m, nil
	}
	m, err := openRecord(ctx, s.volumes, s.o.Keys, id, f)
	if errors.Is(err, store.ErrCorrupt) {
		s.metrics.CorruptReads.Inc()
	}
	if err != nil {
		return nil, err
	}
	m.unverified = s.verification(id, f)
	s.recent.Opened(id, &f, m.fragment, m.cipher)
	return m, nil
}

// verification returns a function that verifies the payload of a fragment and remembers that it is
// intact.
func (s *Store) verification(id store.StreamID, f store.FragmentInfo) func(*storedMedia) error {
	return func(m *storedMedia) error {
		err := record.VerifyPayload(m.body, m.payload, m.length, f.PayloadCRC)
		if err == nil {
			s.recent.Verified(id, &f)
		} else if errors.Is(err, store.ErrCorrupt) {
			m.body.Forget(m.length) // only a copy may be damaged
			s.metrics.CorruptReads.Inc()
		}
		return err
	}
}

// openRecord opens the record of a fragment and verifies its header and metadata. ErrGone,
// ErrCorrupt, ErrKey.
func openRecord(ctx context.Context, volumes VolumeReader, keys *encryption.Keys,
	id store.StreamID, f store.FragmentInfo,
) (*storedMedia, error) {
	loc := f.Location
	body, err := openBody(ctx, volumes, loc)
	if err != nil {
		return nil, err
	}
	head := make([]byte, loc.MetaLength)
	m := &storedMedia{body: body, payload: loc.MetaLength, length: loc.Length}
	if err = record.Read(body, head, 0); err == nil {
		var h record.Header
		h, m.fragment, m.cipher, err = keys.DecodeFragment(id, head)
		if err == nil && (h.Number != f.Number || h.Length != loc.Length) {
			err = fmt.Errorf("%w: another record lies here", store.ErrCorrupt)
		}
	}
	if errors.Is(err, store.ErrCorrupt) {
		body.Forget(loc.Length) // only a copy may be damaged
	}
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	return m, nil
}

// openBody opens the record of a row, which may be damaged. ErrGone, ErrCorrupt.
func openBody(
	ctx context.Context, volumes VolumeReader, loc store.Location,
) (volume.Body, error) {
	if err := record.CheckLocation(loc); err != nil {
		return nil, err
	}
	return volumes.Open(ctx, loc)
}

// storedMedia is a Media of a record in a volume.
type storedMedia struct {
	fragment *media.Fragment
	body     volume.Body
	payload  int64 // offset of the payload within the record
	length   int64 // of the record

	cipher *encryption.Payload // decrypts the payload; nil when it is plain
	opened []*encryption.Range // what is decrypted

	unverified func(*storedMedia) error // verifies the payload; nil when that is done
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
	size := m.fragment.Runs[run].Size()
	if m.cipher == nil {
		return m.body.Range(off, size)
	}
	stored, err := m.body.Range(m.payload, m.length-m.payload)
	if err != nil {
		return nil, err
	}
	whole := m.cipher.Range(stored)
	m.opened = append(m.opened, whole)
	return whole.Slice(off-m.payload, size), nil
}

func (m *storedMedia) Close() error {
	for _, r := range m.opened {
		r.Close()
	}
	return m.body.Close()
}
