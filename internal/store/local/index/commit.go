package index

import (
	"context"
	"errors"

	"weir/internal/store"
	"weir/internal/store/record"
)

// tail is what Commit must know of a stream to add a row to the last of its volumes.
type tail struct {
	key    int64
	high   HighWater // of all that was committed, the rows that wait included
	volume struct {
		key  int64
		name string
	}
	mark mark // of the volume, as it is in the table; guarded by SQLite.writing
}

// mark is what is known of an open volume: where its records end, and their greatest server timestamp. It is written down after
// markEvery rows at most; what holds is the greatest of that and of the stream's last markEvery rows. Rows, marks and the closing of
// a volume are lost in one order, the newest first, so that holds of whatever is left.
type mark struct {
	indexed  int64
	last     int64
	unmarked int // rows since it was written down
}

const markEvery = 32

func (m *mark) add(f *store.FragmentInfo) {
	m.indexed = max(m.indexed, f.Location.Offset+f.Location.Length)
	m.last = max(m.last, f.ServerTimestamp)
	m.unmarked++
}

// batchTail is a tail within a transaction of Commit.
type batchTail struct {
	tail
	gone     bool
	saveHead bool
	saveMark bool
}

// Commit implements local.Index. A row behind the others of a volume that is known needs no transaction: it is committed when
// it is among those that wait, where every read finds it.
func (x *SQLite) Commit(ctx context.Context, fragments []NewFragment) ([]Committed, error) {
	results := make([]Committed, len(fragments))
	rest := x.wait(fragments, results)
	if len(rest) == 0 {
		return results, nil
	}
	d := visible
	for _, i := range rest {
		if known, _ := x.volumes.Load(fragments[i].Stream); known != fragments[i].Info.Location.Volume {
			d = durable
		}
	}
	tails := make(map[store.StreamID]*batchTail)
	err := x.add(ctx, d, func(t *tx) error {
		clear(tails)
		var streams []store.StreamID
		for _, i := range rest {
			streams = append(streams, fragments[i].Stream)
		}
		if err := t.alone(streams...); err != nil {
			return err
		}
		for _, i := range rest {
			var err error
			if results[i], err = t.commit(&fragments[i], tails); err != nil {
				return err
			}
		}
		for _, b := range tails {
			if b.saveHead {
				if err := t.setHighWater(b.key, b.high); err != nil {
					return err
				}
			}
			if err := t.mark(b); err != nil {
				return err
			}
		}
		t.onCommit(func() {
			x.waiting.mu.Lock()
			defer x.waiting.mu.Unlock()
			for id, b := range tails {
				if !b.gone {
					x.waiting.tails[id] = &b.tail
				}
			}
		})
		return nil
	})
	for _, i := range rest {
		id := fragments[i].Stream
		switch {
		case err != nil:
			// The record has no row and the next one would get its sequence. So that one is committed durably, with a mark
			// behind both: recovery must not find this record first.
			results[i] = Committed{Err: err}
			x.volumes.Delete(id)
		case results[i].Err == nil:
			x.volumes.Store(id, fragments[i].Info.Location.Volume)
		}
	}
	return results, nil
}

func (t *tx) commit(f *NewFragment, tails map[store.StreamID]*batchTail) (Committed, error) {
	s, err := t.tail(f.Stream, tails)
	if err != nil {
		return Committed{}, err
	}
	if s.gone {
		return Committed{Err: store.ErrNotFound}, nil
	}
	info := f.Info
	if s.volume.name != info.Location.Volume {
		if err := t.turn(s, info.Location.Volume); err != nil {
			return Committed{}, err
		}
	}
	s.tail.mark.add(&info)
	info.Sequence = max(s.high.Sequence, f.AfterSequence) + 1
	n, err := t.insert(s.key, s.volume.key, &info)
	if err != nil {
		return Committed{}, err
	}
	if n == 0 {
		s.saveMark = true // no row tells that this record was given up
		return Committed{Err: store.ErrExists}, nil
	}
	s.high.Sequence = info.Sequence
	s.high.Number = max(s.high.Number, info.Number)
	if f.Replaces != 0 {
		s.saveHead = true // a row goes
		if _, err := t.exec(`INSERT INTO replaced (stream, blob, number) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, s.key, s.volume.key, int64(f.Replaces)); err != nil {
			return Committed{}, err
		}
		if err := t.replace(s.key, int64(f.Replaces)); err != nil {
			return Committed{}, err
		}
	}
	return Committed{Sequence: info.Sequence}, nil
}

func (t *tx) insert(stream, volume int64, f *store.FragmentInfo) (n int64, err error) {
	return t.exec(`INSERT INTO fragments (stream, number, sequence, producer_ts, server_ts, track_set, spans, payload_crc, partial,
		blob, position, length, meta_length) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stream, number) DO NOTHING`,
		stream, int64(f.Number), f.Sequence, f.ProducerTimestamp, f.ServerTimestamp, f.TrackSet,
		record.AppendSpans(nil, f.Spans), int64(f.PayloadCRC), truth(f.Partial),
		volume, f.Location.Offset, f.Location.Length, f.Location.MetaLength)
}

// tail reads what is known of a stream of the batch, once.
func (t *tx) tail(id store.StreamID, tails map[store.StreamID]*batchTail) (*batchTail, error) {
	s := tails[id]
	if s != nil {
		return s, nil
	}
	s = &batchTail{}
	var err error
	if s.key, err = t.liveKey(id); err == nil {
		s.high, err = t.highWater(s.key)
	}
	if errors.Is(err, store.ErrNotFound) {
		s.gone, err = true, nil
	}
	if err != nil {
		return nil, err
	}
	tails[id] = s
	return s, nil
}

// turn makes another volume the one that rows are added to. One that is new closes the stream's others: their rows were
// committed before.
func (t *tx) turn(s *batchTail, name string) error {
	if err := t.mark(s); err != nil { // of the volume so far
		return err
	}
	var b volumeRow
	err := t.row(b.dest(), volumeQuery+`WHERE b.name = ?`, name)
	if errors.Is(err, store.ErrNotFound) {
		if err := t.closeVolumes(0, `WHERE b.stream = ? AND b.state = 0`, s.key); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO blobs (stream, name, state, indexed, last_server_ts) VALUES (?, ?, 0, 0, 0)`, s.key, name); err != nil {
			return err
		}
		err = t.row(b.dest(), volumeQuery+`WHERE b.name = ?`, name)
	}
	if err != nil {
		return err
	}
	info := b.info()
	s.volume.key, s.volume.name = b.key, name
	s.tail.mark = mark{indexed: info.Indexed, last: info.LastServerTimestamp}
	s.saveMark = true // how many rows are unmarked is not known
	return nil
}

// mark writes down what is known of the volume that rows are added to, when it is time.
func (t *tx) mark(s *batchTail) error {
	m := &s.tail.mark
	if m.unmarked == 0 || m.unmarked < markEvery && !s.saveMark {
		return nil
	}
	s.saveMark = false
	return t.setMark(s.volume.key, m)
}

func (t *tx) setMark(volume int64, m *mark) error {
	m.unmarked = 0
	_, err := t.exec(`UPDATE blobs SET indexed = ?, last_server_ts = ? WHERE key = ?`, m.indexed, m.last, volume)
	return err
}

// replace drops a fragment: its row, or else a sealed volume may have it in its table, which does not change.
func (t *tx) replace(stream, number int64) error {
	n, err := t.exec(`DELETE FROM fragments WHERE stream = ? AND number = ?`, stream, number)
	if err != nil || n > 0 {
		return err
	}
	_, err = t.exec(`INSERT INTO gone (stream, number, blob) SELECT stream, ?, blob FROM sealed
		WHERE stream = ? AND number_min <= ? AND number_max >= ? ON CONFLICT DO NOTHING`, number, stream, number, number)
	return err
}
