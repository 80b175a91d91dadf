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
	err := x.readRow(ctx, headDest(&h), headQuery+`s.id = ? AND s.deleted = 0`, string(id))
	return h, err
}

const headQuery = `SELECT h.number, h.sequence, (SELECT COALESCE(MAX(number_max), 0) FROM sealed WHERE stream = h.stream),
	(SELECT COALESCE(MAX(sequence_max), 0) FROM sealed WHERE stream = h.stream) FROM heads h JOIN streams s ON s.key = h.stream WHERE `

func headDest(h *store.Head) []any {
	return []any{&h.Number, &h.Sequence, &h.SealedNumber, &h.SealedSequence}
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
		if _, err := t.exec(`INSERT INTO replaced (stream, blob, number) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, s.key, b.key, int64(f.Replaces)); err != nil {
			return store.Committed{}, err
		}
		if err := t.replace(s.key, int64(f.Replaces)); err != nil {
			return store.Committed{}, err
		}
	}
	return store.Committed{Sequence: sequence}, nil
}

// replace drops a fragment: its row, or else a sealed blob may have it in its table, which does not change.
func (t *tx) replace(stream, number int64) error {
	n, err := t.exec(`DELETE FROM fragments WHERE stream = ? AND number = ?`, stream, number)
	if err != nil || n > 0 {
		return err
	}
	_, err = t.exec(`INSERT INTO gone (stream, number, blob) SELECT stream, ?, blob FROM sealed
		WHERE stream = ? AND number_min <= ? AND number_max >= ? ON CONFLICT DO NOTHING`, number, stream, number, number)
	return err
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
	f.blob, f.position, f.length, f.meta_length`

// fragmentRow scans fragmentColumns.
type fragmentRow struct {
	f       store.FragmentInfo
	spans   sql.RawBytes
	crc     int64
	partial int64
	blob    int64
}

func (r *fragmentRow) dest() []any {
	f := &r.f
	l := &f.Location
	return []any{&f.Number, &f.Sequence, &f.ProducerTimestamp, &f.ServerTimestamp, &f.TrackSet, &r.spans, &r.crc, &r.partial,
		&r.blob, &l.Offset, &l.Length, &l.MetaLength}
}

const blobNameQuery = `SELECT name FROM blobs WHERE key = ?`

// fragmentRows reads the fragments of a query; the blobs' names, of which there are few, are looked up with blobName.
func fragmentRows(ctx context.Context, query, blobName *sql.Stmt, args ...any) ([]store.FragmentInfo, error) {
	var list []store.FragmentInfo
	var blobs []int64 // of the fragments
	var r fragmentRow
	dest := r.dest()
	err := scan(func(rows *sql.Rows) error {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		f := r.f
		f.PayloadCRC, f.Partial = uint32(r.crc), r.partial != 0
		var err error
		f.Spans, err = store.DecodeSpans(r.spans)
		list, blobs = append(list, f), append(blobs, r.blob)
		return err
	})(query.QueryContext(ctx, args...))
	if err != nil {
		return nil, err
	}
	names := make(map[int64]string)
	for i, key := range blobs {
		name, ok := names[key]
		if !ok {
			if err := notFound(blobName.QueryRowContext(ctx, key).Scan(&name)); err != nil {
				return nil, err
			}
			names[key] = name
		}
		list[i].Location.Blob = name
	}
	return list, nil
}

// Hot implements store.Index. It is one transaction on a reading connection, which holds up nobody but the checkpoint.
func (x *SQLite) Hot(ctx context.Context, id store.StreamID, q store.Query, notBefore int64) (hot store.Hot, err error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return hot, err
	}
	text, args := hotQuery(key, q, notBefore)
	query, done, err := x.snapshot(ctx, headQuery+`h.stream = ? AND s.deleted = 0`, text, blobNameQuery, goneQuery)
	if err != nil {
		return hot, err
	}
	defer done()
	if err := notFound(query[0].QueryRowContext(ctx, key).Scan(headDest(&hot.Head)...)); err != nil {
		return hot, err
	}
	hot.Fragments, err = fragmentRows(ctx, query[1], query[2], args...)
	if err != nil || hot.Head.SealedNumber == 0 {
		return hot, err
	}
	hot.Gone, err = gone(query[3].QueryContext(ctx, key))
	return hot, err
}

// hotQuery writes the query so that one index serves it, in its order; the + before a column keeps the planner from using
// another: what follows a sequence by fragments_sequence, everything else by the primary key. There are the rows of one or
// two blobs, so a range of time reads them all.
func hotQuery(key int64, q store.Query, notBefore int64) (string, []any) {
	where := ` WHERE f.stream = ? AND f.server_ts >= ?`
	args := []any{key, notBefore}
	add := func(condition string, v int64) {
		where += " AND " + condition
		args = append(args, v)
	}
	stamp := "f.server_ts"
	if q.Timestamp == store.ProducerTimestamp {
		stamp = "f.producer_ts"
	}
	if q.Start != 0 {
		add(stamp+" >= ?", q.Start)
	}
	if q.End != 0 {
		add(stamp+" <= ?", q.End)
	}
	if q.AfterSequence > 0 {
		add("f.sequence > ?", q.AfterSequence)
	}
	number, order := "f.number", " ORDER BY f.number"
	if q.AfterSequence > 0 || q.Order == store.BySequence {
		number, order = "+f.number", " ORDER BY +f.number"
	}
	if q.After != 0 {
		sign := " > ?"
		if q.Order == store.ByNumberNewest {
			sign = " < ?"
		}
		add(number+sign, int64(q.After))
	}
	switch q.Order {
	case store.ByNumberNewest:
		order += " DESC"
	case store.BySequence:
		order = " ORDER BY f.sequence"
	}
	if q.Limit > 0 {
		order += " LIMIT ?"
		args = append(args, int64(q.Limit))
	}
	return `SELECT ` + fragmentColumns + ` FROM fragments f` + where + order, args
}

const goneQuery = `SELECT DISTINCT number FROM gone WHERE stream = ? ORDER BY number`

func gone(rows *sql.Rows, err error) (list []store.Number, _ error) {
	err = scan(func(rows *sql.Rows) error {
		var n store.Number
		err := rows.Scan(&n)
		list = append(list, n)
		return err
	})(rows, err)
	return list, err
}

// Gone implements store.Index.
func (x *SQLite) Gone(ctx context.Context, id store.StreamID) ([]store.Number, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return nil, err
	}
	return gone(x.readers.QueryContext(ctx, goneQuery, key))
}

// HotFragment implements store.Index.
func (x *SQLite) HotFragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	query, done, err := x.snapshot(ctx, `SELECT `+fragmentColumns+` FROM fragments f WHERE f.stream = ? AND f.number = ?`, blobNameQuery)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	defer done()
	list, err := fragmentRows(ctx, query[0], query[1], key, int64(n))
	if err != nil {
		return store.FragmentInfo{}, err
	}
	if len(list) == 0 {
		return store.FragmentInfo{}, store.ErrNotFound
	}
	return list[0], nil
}

// TrackSetID implements store.Index.
func (x *SQLite) TrackSetID(ctx context.Context, id store.StreamID, hash [32]byte, data []byte) (set int64, err error) {
	err = x.write(ctx, visible, func(t *tx) error {
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
	const past = ` FROM blobs WHERE stream = ? AND state IN (1, 3) AND last_server_ts < ?`
	var work int
	err = x.readRow(ctx, []any{&work}, `SELECT EXISTS (SELECT 1`+past+`)`, key, notBefore)
	if err != nil || work == 0 {
		return 0, err
	}
	err = x.write(ctx, durable, func(t *tx) error {
		var keys []int64
		err := t.rows(func(rows *sql.Rows) error {
			var key int64
			err := rows.Scan(&key)
			keys = append(keys, key)
			return err
		}, `SELECT key`+past+` LIMIT ?`, key, notBefore, limit)
		if err != nil {
			return err
		}
		n = len(keys)
		for _, blob := range keys {
			if err := t.dropRows(key, blob); err != nil {
				return err
			}
			if _, err := t.exec(`UPDATE blobs SET state = 2 WHERE key = ?`, blob); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// dropRows drops what stands of a blob's fragments.
func (t *tx) dropRows(stream, blob int64) error {
	for _, table := range []string{`DELETE FROM sealed WHERE stream = ? AND blob = ?`, `DELETE FROM gone WHERE stream = ? AND blob = ?`,
		`DELETE FROM replaced WHERE stream = ? AND blob = ?`, `DELETE FROM fragments WHERE stream = ? AND blob = ?`} {
		if _, err := t.exec(table, stream, blob); err != nil {
			return err
		}
	}
	return nil
}
