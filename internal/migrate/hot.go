package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"weir/internal/store"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// batchBytes is about the size of the objects for fragments that are in no sealed volume.
const batchBytes = 8 << 20

// copyHot copies the fragments that have rows of their own, because their volumes could not be
// sealed.
func (m *migration) copyHot(ctx context.Context, st *store.Stream) error {
	q := store.Query{Order: store.BySequence, Limit: pageSize}
	b := batch{m: m, stream: st, tracks: make(map[int64][]byte)}
	for {
		hot, err := m.from.rows.Hot(ctx, st.ID, q, sealed.MinTime)
		if err != nil {
			return err
		}
		there := make(map[store.Number]bool)
		if len(hot.Fragments) > 0 {
			have, err := m.to.Hot(ctx, st.ID, q)
			if err != nil {
				return err
			}
			for i := range have {
				there[have[i].Number] = true
			}
		}
		for i := range hot.Fragments {
			f := hot.Fragments[i]
			q.AfterSequence = f.Sequence
			if there[f.Number] {
				m.tell(f.Location.Length)
				continue
			}
			if err := b.add(ctx, f); err != nil {
				return err
			}
		}
		if len(hot.Fragments) < pageSize {
			return b.flush(ctx)
		}
	}
}

// batch is an object that is being filled.
type batch struct {
	m       *migration
	stream  *store.Stream
	list    []store.FragmentInfo
	records [][]byte
	bytes   int64
	tracks  map[int64][]byte // of the stream
}

func (b *batch) add(ctx context.Context, f store.FragmentInfo) error {
	data, err := b.read(ctx, &f)
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrGone) {
		return nil // compare reports it
	}
	if err != nil {
		return err
	}
	if b.tracks[f.TrackSet] == nil {
		if b.tracks[f.TrackSet], err = b.m.from.rows.TrackSet(ctx, b.stream.ID,
			f.TrackSet); err != nil {
			return err
		}
	}
	b.list, b.records = append(b.list, f), append(b.records, data)
	if b.bytes += int64(len(data)); b.bytes >= batchBytes {
		return b.flush(ctx)
	}
	return nil
}

// read returns a record, verified and, if Options.Decrypt is set, decrypted.
func (b *batch) read(ctx context.Context, f *store.FragmentInfo) ([]byte, error) {
	body, err := b.m.from.volumes.Open(ctx, f.Location)
	if err != nil {
		return nil, err
	}
	if f.Location.Length < record.HeaderSize || f.Location.Length > record.MaxLength {
		return nil, errors.Join(fmt.Errorf("%w: record of %d bytes", store.ErrCorrupt,
			f.Location.Length), body.Close())
	}
	data := make([]byte, f.Location.Length)
	n, err := body.ReadAt(data, 0)
	if n == len(data) {
		err = nil
	} else if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: the volume ends before it", store.ErrCorrupt)
	}
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	here := *f
	here.Location.Offset = 0
	if err := checkRecord(data, &here); err != nil {
		return nil, err
	}
	h, err := record.DecodeHeader(data)
	if err == nil && h.Encrypted {
		data, err = b.m.plain(b.stream.ID, data, f)
	}
	return data, err
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.list) == 0 {
		return nil
	}
	err := b.m.to.Fragments(ctx, b.stream, b.list, b.records, b.tracks)
	if err != nil {
		return err
	}
	b.m.sum.Batches++
	b.m.tell(b.bytes)
	b.list, b.records, b.bytes = nil, nil, 0
	return nil
}
