package index

import (
	"context"
	"database/sql"
	"errors"

	"weir/internal/store"
)

// Head implements store.Index.
func (x *SQLite) Head(ctx context.Context, id store.StreamID) (store.Head, error) {
	var h store.Head
	err := x.readRow(ctx, []any{&h.Number, &h.Sequence},
		`SELECT h.number, h.sequence FROM heads h JOIN streams s ON s.key = h.stream WHERE s.id = ? AND s.deleted = 0`, string(id))
	return h, err
}

// batchStream is one stream within a Commit.
type batchStream struct {
	key  int64
	gone bool
	head store.Head
}

// batchBlob is one blob within a Commit.
type batchBlob struct {
	key     int64
	indexed int64
	last    int64
}

// Commit implements store.Index.
func (x *SQLite) Commit(ctx context.Context, fragments []store.NewFragment) ([]store.Committed, error) {
	d := visible
	for i := range fragments {
		if known, _ := x.blobs.Load(fragments[i].Stream); known != fragments[i].Info.Location.Blob {
			d = durable
		}
	}
	results := make([]store.Committed, len(fragments))
	err := x.write(ctx, d, func(t *tx) error {
		streams := make(map[store.StreamID]*batchStream)
		blobs := make(map[string]*batchBlob)
		for i := range fragments {
			var err error
			if results[i], err = t.commit(&fragments[i], streams, blobs); err != nil {
				return err
			}
		}
		for _, s := range streams {
			if s.gone {
				continue
			}
			if _, err := t.exec(`UPDATE heads SET number = ?, sequence = ? WHERE stream = ?`, int64(s.head.Number), s.head.Sequence, s.key); err != nil {
				return err
			}
		}
		for _, b := range blobs {
			if _, err := t.exec(`UPDATE blobs SET indexed = ?, last_server_ts = ? WHERE key = ?`, b.indexed, b.last, b.key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range fragments {
		if results[i].Err == nil {
			x.blobs.Store(fragments[i].Stream, fragments[i].Info.Location.Blob)
		}
	}
	return results, nil
}

func (t *tx) commit(f *store.NewFragment, streams map[store.StreamID]*batchStream, blobs map[string]*batchBlob) (store.Committed, error) {
	s := streams[f.Stream]
	if s == nil {
		s = &batchStream{}
		err := t.row([]any{&s.key, &s.head.Number, &s.head.Sequence},
			`SELECT s.key, h.number, h.sequence FROM streams s JOIN heads h ON h.stream = s.key WHERE s.id = ? AND s.deleted = 0`, string(f.Stream))
		if errors.Is(err, store.ErrNotFound) {
			s.gone, err = true, nil
		}
		if err != nil {
			return store.Committed{}, err
		}
		streams[f.Stream] = s
	}
	if s.gone {
		return store.Committed{Err: store.ErrNotFound}, nil
	}
	info := &f.Info
	b, err := t.blob(s.key, info.Location.Blob, blobs)
	if err != nil {
		return store.Committed{}, err
	}
	b.indexed = max(b.indexed, info.Location.Offset+info.Location.Length)
	b.last = max(b.last, info.ServerTimestamp)

	sequence := max(s.head.Sequence, f.AfterSequence) + 1
	n, err := t.exec(`INSERT INTO fragments (stream, number, sequence, producer_ts, server_ts, track_set, spans, payload_crc, partial,
		blob, position, length, meta_length) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stream, number) DO NOTHING`,
		s.key, int64(info.Number), sequence, info.ProducerTimestamp, info.ServerTimestamp, info.TrackSet,
		store.AppendSpans(nil, info.Spans), int64(info.PayloadCRC), truth(info.Partial),
		b.key, info.Location.Offset, info.Location.Length, info.Location.MetaLength)
	if err != nil {
		return store.Committed{}, err
	}
	if n == 0 {
		return store.Committed{Err: store.ErrExists}, nil
	}
	s.head.Sequence = sequence
	s.head.Number = max(s.head.Number, info.Number)
	if f.Replaces != 0 {
		if _, err := t.exec(`DELETE FROM fragments WHERE stream = ? AND number = ?`, s.key, int64(f.Replaces)); err != nil {
			return store.Committed{}, err
		}
	}
	return store.Committed{Sequence: sequence}, nil
}

// blob gives a blob of the batch. One that is new closes the stream's others: their rows were committed before.
func (t *tx) blob(stream int64, name string, blobs map[string]*batchBlob) (*batchBlob, error) {
	b := blobs[name]
	if b != nil {
		return b, nil
	}
	b = &batchBlob{}
	const find = `SELECT key, indexed, last_server_ts FROM blobs WHERE name = ?`
	err := t.row([]any{&b.key, &b.indexed, &b.last}, find, name)
	if errors.Is(err, store.ErrNotFound) {
		if _, err := t.exec(`UPDATE blobs SET state = 1 WHERE stream = ? AND state = 0`, stream); err != nil {
			return nil, err
		}
		if _, err := t.exec(`INSERT INTO blobs (stream, name, state, indexed, last_server_ts) VALUES (?, ?, 0, 0, 0)`, stream, name); err != nil {
			return nil, err
		}
		err = t.row([]any{&b.key, &b.indexed, &b.last}, find, name)
	}
	if err != nil {
		return nil, err
	}
	blobs[name] = b
	return b, nil
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

const fragmentColumns = `f.number, f.sequence, f.producer_ts, f.server_ts, f.track_set, f.spans, f.payload_crc, f.partial,
	b.name, f.position, f.length, f.meta_length`

const fragmentTables = ` FROM fragments f JOIN blobs b ON b.key = f.blob `

// fragmentRow scans fragmentColumns.
type fragmentRow struct {
	f       store.FragmentInfo
	spans   []byte
	crc     int64
	partial int64
}

func (r *fragmentRow) dest() []any {
	f := &r.f
	l := &f.Location
	return []any{&f.Number, &f.Sequence, &f.ProducerTimestamp, &f.ServerTimestamp, &f.TrackSet, &r.spans, &r.crc, &r.partial,
		&l.Blob, &l.Offset, &l.Length, &l.MetaLength}
}

func (r *fragmentRow) info() (store.FragmentInfo, error) {
	f := r.f
	f.PayloadCRC, f.Partial = uint32(r.crc), r.partial != 0
	var err error
	f.Spans, err = store.DecodeSpans(r.spans)
	return f, err
}

// List implements store.Index. It is one query on a reading connection, which holds up nobody but the checkpoint.
func (x *SQLite) List(ctx context.Context, id store.StreamID, q store.Query, notBefore int64) ([]store.FragmentInfo, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return nil, err
	}
	text, args := listQuery(key, q, notBefore)
	var list []store.FragmentInfo
	if q.Limit > 0 {
		list = make([]store.FragmentInfo, 0, min(q.Limit, 1000))
	}
	err = x.read(ctx, func(rows *sql.Rows) error {
		var r fragmentRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		f, err := r.info()
		list = append(list, f)
		return err
	}, text, args...)
	return list, err
}

// listQuery writes the query so that one index serves it; the + before a column keeps the planner from using another:
//
//   - by sequence: fragments_sequence, in its order;
//   - a range of time: the numbers come from that timestamp's index, which holds all that is asked, and are sorted; the
//     rows are looked up after the limit;
//   - fragments after a sequence, by number: fragments_sequence, sorted;
//   - else by number: the primary key, in its order.
func listQuery(key int64, q store.Query, notBefore int64) (string, []any) {
	stamp := "server_ts"
	if q.Timestamp == store.ProducerTimestamp {
		stamp = "producer_ts"
	}
	bySequence := q.Order == store.BySequence
	byTime := !bySequence && (q.Start > 0 || q.End != 0) && q.AfterSequence == 0
	byTail := !bySequence && !byTime && q.AfterSequence > 0

	plus := func(free bool) string { // a column that another index would like to serve
		if free {
			return ""
		}
		return "+"
	}
	where := ` WHERE f.stream = ?`
	args := []any{key}
	add := func(condition string, v int64) {
		where += " AND " + condition
		args = append(args, v)
	}
	add(plus(byTime && stamp == "server_ts")+"f.server_ts >= ?", notBefore)
	if q.Start != 0 {
		add(plus(byTime)+"f."+stamp+" >= ?", q.Start)
	}
	if q.End != 0 {
		add(plus(byTime)+"f."+stamp+" <= ?", q.End)
	}
	if q.AfterSequence > 0 {
		add(plus(bySequence || byTail)+"f.sequence > ?", q.AfterSequence)
	}
	byNumber := !bySequence && !byTime && !byTail
	if q.After != 0 {
		sign := " > ?"
		if q.Order == store.ByNumberNewest {
			sign = " < ?"
		}
		add(plus(byNumber)+"f.number"+sign, int64(q.After))
	}
	order := " ORDER BY " + plus(byNumber) + "f.number"
	switch q.Order {
	case store.ByNumberNewest:
		order += " DESC"
	case store.BySequence:
		order = " ORDER BY f.sequence"
	}
	limit := ""
	if q.Limit > 0 {
		limit = " LIMIT ?"
		args = append(args, q.Limit)
	}
	if !byTime {
		return `SELECT ` + fragmentColumns + fragmentTables + where + order + limit, args
	}
	args = append([]any{key}, args...)
	final := " ORDER BY f.number"
	if q.Order == store.ByNumberNewest {
		final += " DESC"
	}
	return `SELECT ` + fragmentColumns + fragmentTables + ` WHERE f.stream = ? AND f.number IN (SELECT f.number FROM fragments f` +
		where + order + limit + `)` + final, args
}

// Fragment implements store.Index.
func (x *SQLite) Fragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	var r fragmentRow
	if err := x.readRow(ctx, r.dest(), `SELECT `+fragmentColumns+fragmentTables+`WHERE f.stream = ? AND f.number = ?`, key, int64(n)); err != nil {
		return store.FragmentInfo{}, err
	}
	return r.info()
}

// TrackSetID implements store.Index.
func (x *SQLite) TrackSetID(ctx context.Context, id store.StreamID, hash [32]byte, data []byte) (set int64, err error) {
	err = x.write(ctx, durable, func(t *tx) error {
		key, err := t.liveKey(id)
		if err != nil {
			return err
		}
		const find = `SELECT id FROM track_sets WHERE stream = ? AND hash = ?`
		if err = t.row([]any{&set}, find, key, hash[:]); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		_, err = t.exec(`INSERT INTO track_sets (stream, id, hash, tracks)
			SELECT ?, COALESCE(MAX(id), 0) + 1, ?, ? FROM track_sets WHERE stream = ?`, key, hash[:], data, key)
		if err != nil {
			return err
		}
		return t.row([]any{&set}, find, key, hash[:])
	})
	return set, err
}

// TrackSet implements store.Index.
func (x *SQLite) TrackSet(ctx context.Context, id store.StreamID, set int64) ([]byte, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return nil, err
	}
	var data []byte
	err = x.readRow(ctx, []any{&data}, `SELECT tracks FROM track_sets WHERE stream = ? AND id = ?`, key, set)
	return data, err
}

// Expire implements store.Index.
func (x *SQLite) Expire(ctx context.Context, id store.StreamID, notBefore int64, limit int) (n int, err error) {
	key, err := x.key(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	// A look without the writer first: most streams have nothing to expire most of the time.
	var work int
	err = x.readRow(ctx, []any{&work}, `SELECT EXISTS (SELECT 1 FROM fragments WHERE stream = ? AND server_ts < ?)
		OR EXISTS (SELECT 1 FROM blobs WHERE stream = ? AND state = 1 AND last_server_ts < ?)`, key, notBefore, key, notBefore)
	if err != nil || work == 0 {
		return 0, err
	}
	err = x.write(ctx, durable, func(t *tx) error {
		changed, err := t.exec(`DELETE FROM fragments WHERE stream = ? AND number IN
			(SELECT number FROM fragments WHERE stream = ? AND server_ts < ? LIMIT ?)`, key, key, notBefore, limit)
		if err != nil {
			return err
		}
		n = int(changed)
		if n == limit {
			return nil
		}
		_, err = t.exec(`UPDATE blobs SET state = 2 WHERE stream = ? AND state = 1 AND last_server_ts < ?`, key, notBefore)
		return err
	})
	return n, err
}
