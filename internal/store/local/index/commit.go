package index

import (
	"context"
	"errors"

	"weir/internal/store"
	"weir/internal/store/record"
)

// tail is what Commit remembers of a stream from one transaction to the next: the volume that got
// its last rows. It caches what the tables say for the one connection that writes. A transaction
// that changes more of the stream drops it (tx.forgetTails).
type tail struct {
	key    int64 // of the stream
	volume struct {
		key  int64
		name string
	}
	mark mark // of the volume, as in the table
}

// mark is what is known of an open volume: where its records end, and their greatest server
// timestamp. It is written after at most markEvery rows; the true values are the greatest of the
// mark and the stream's last markEvery rows. Rows, marks and the closing of a volume are lost in
// one order, newest first, so that stays true for whatever is left.
type mark struct {
	indexed  int64
	last     int64
	unmarked int // rows since it was written
}

const markEvery = 32

func (m *mark) add(f *store.FragmentInfo) {
	m.indexed = max(m.indexed, f.Location.Offset+f.Location.Length)
	m.last = max(m.last, f.ServerTimestamp)
	m.unmarked++
}

// batchTail is a tail during a transaction of Commit.
type batchTail struct {
	tail
	gone     bool // the stream is deleted
	saveMark bool
	sequence int64 // of the stream's last row; -1: not read yet
}

// Commit implements local.Index.
func (x *SQLite) Commit(
	ctx context.Context, rows []NewFragment, promised bool,
) ([]Committed, error) {
	results := make([]Committed, len(rows))
	d := visible
	for i := range rows {
		if rows[i].Durable {
			d = durable
		}
	}
	write := x.add
	if promised {
		write = x.write
	}
	err := write(ctx, d, func(t *tx) error {
		tails := make(map[store.StreamID]*batchTail)
		for i := range rows {
			var err error
			if results[i], err = t.commit(&rows[i], tails); err != nil {
				return err
			}
		}
		for _, s := range tails {
			if err := t.mark(s); err != nil {
				return err
			}
		}
		t.onCommit(func() {
			for id, s := range tails {
				if !s.gone {
					x.tails[id] = &s.tail
				}
			}
		})
		return nil
	})
	if err != nil {
		return nil, err
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
	if f.Retried {
		if next, err := t.nextSequence(s); err != nil || info.Sequence < next {
			return Committed{Sequence: info.Sequence}, err
		}
	}
	if s.volume.name != info.Location.Volume {
		if err := t.turn(s, info.Location.Volume); err != nil {
			return Committed{}, err
		}
	}
	s.tail.mark.add(&info)
	if info.Sequence == 0 {
		if info.Sequence, err = t.nextSequence(s); err != nil {
			return Committed{}, err
		}
	}
	n, err := t.insert(s.key, s.volume.key, &info)
	if err != nil {
		return Committed{}, err
	}
	if n == 0 {
		s.saveMark = true // no row says that this record was given up
		return Committed{Err: store.ErrExists}, nil
	}
	s.sequence = info.Sequence
	if f.Replaces != 0 {
		if err := t.replaceBy(s, f.Replaces); err != nil {
			return Committed{}, err
		}
	}
	return Committed{Sequence: info.Sequence}, nil
}

// nextSequence returns the sequence after that of a stream's last row.
func (t *tx) nextSequence(s *batchTail) (int64, error) {
	if s.sequence < 0 {
		high, err := t.highWater(s.key)
		if err != nil {
			return 0, err
		}
		s.sequence = high.Sequence
	}
	return s.sequence + 1, nil
}

// replaceBy drops the fragment that a stream's last row replaces, and records that.
func (t *tx) replaceBy(s *batchTail, old store.Number) error {
	if err := t.keepHighWater(s.key); err != nil { // a row goes
		return err
	}
	_, err := t.exec(`INSERT INTO replaced (stream, blob, number) VALUES (?, ?, ?)
		ON CONFLICT DO NOTHING`, s.key, s.volume.key, int64(old))
	if err != nil {
		return err
	}
	return t.replace(s.key, int64(old))
}

func (t *tx) insert(stream, volume int64, f *store.FragmentInfo) (n int64, err error) {
	return t.exec(`INSERT INTO fragments (stream, number, sequence, producer_ts, server_ts,
		track_set, spans, payload_crc, partial,
		blob, position, length, meta_length) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (stream, number) DO NOTHING`,
		stream, int64(f.Number), f.Sequence, f.ProducerTimestamp, f.ServerTimestamp, f.TrackSet,
		record.AppendSpans(nil, f.Spans), int64(f.PayloadCRC), truth(f.Partial),
		volume, f.Location.Offset, f.Location.Length, f.Location.MetaLength)
}

// tail returns what is known of a stream of the batch. It is not in SQLite.tails until the
// transaction is committed.
func (t *tx) tail(id store.StreamID, tails map[store.StreamID]*batchTail) (*batchTail, error) {
	s := tails[id]
	if s != nil {
		return s, nil
	}
	s = &batchTail{sequence: -1}
	if known := t.x.tails[id]; known != nil {
		s.tail = *known
		delete(t.x.tails, id)
	} else {
		var err error
		if s.key, err = t.liveKey(id); errors.Is(err, store.ErrNotFound) {
			s.gone = true
		} else if err != nil {
			return nil, err
		}
	}
	tails[id] = s
	return s, nil
}

// forgetTails makes the next Commit read again what is known of streams.
func (t *tx) forgetTails(streams ...store.StreamID) {
	for _, id := range streams {
		delete(t.x.tails, id)
	}
}

// turn switches to another volume for new rows. A volume that is new closes the stream's others:
// their rows were committed before.
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
		if _, err := t.exec(`INSERT INTO blobs (stream, name, state, indexed, last_server_ts)
			VALUES (?, ?, 0, 0, 0)`, s.key, name); err != nil {
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
	s.saveMark = true // nobody knows how many rows are unmarked
	return nil
}

// mark writes down what is known of the volume that gets new rows, when it is time.
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
	_, err := t.exec(`UPDATE blobs SET indexed = ?, last_server_ts = ? WHERE key = ?`, m.indexed,
		m.last, volume)
	return err
}

// replace drops a fragment's row. If it has none, it may be in the table of a sealed volume, which
// does not change: then it is recorded as gone.
func (t *tx) replace(stream, number int64) error {
	n, err := t.exec(`DELETE FROM fragments WHERE stream = ? AND number = ?`, stream, number)
	if err != nil || n > 0 {
		return err
	}
	_, err = t.exec(`INSERT INTO gone (stream, number, blob) SELECT stream, ?, blob FROM sealed
		WHERE stream = ? AND number_min <= ? AND number_max >= ? ON CONFLICT DO NOTHING`, number,
		stream, number, number)
	return err
}
