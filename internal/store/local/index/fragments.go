package index

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"weir/internal/store"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// HighWater implements local.Index.
func (x *Reader) HighWater(ctx context.Context, id store.StreamID) (sealed.HighWater, error) {
	var r highWaterRow
	err := x.readRow(ctx, r.dest(), highWaterQuery+`s.id = ? AND s.deleted = 0`, string(id))
	return r.highWater(), err
}

// LastProducer implements local.Index.
func (x *Reader) LastProducer(ctx context.Context, id store.StreamID) (int64, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return 0, err
	}
	var hot, usual, wide int64
	err = x.readRow(ctx, []any{&hot, &usual, &wide}, lastProducerQuery, int64(math.MinInt64), key,
		sealed.WideMillis)
	return max(hot, usual, wide), err
}

// Of sealed volumes it looks at those that begin late enough (sealed.WideMillis) and at the wide
// ones.
const lastProducerQuery = `SELECT COALESCE((SELECT MAX(producer_ts) FROM fragments WHERE stream =
	?2), ?1),
	COALESCE((SELECT MAX(producer_max) FROM sealed WHERE stream = ?2 AND wide = 0 AND producer_min
	>=
		(SELECT MAX(producer_min) FROM sealed WHERE stream = ?2) - ?3), ?1),
	COALESCE((SELECT MAX(producer_max) FROM sealed WHERE stream = ?2 AND wide = 1), ?1)`

// The row in heads is written when rows of fragments go, not when they come: the high-water mark is
// the greatest of both.
const highWaterQuery = `SELECT h.number, h.sequence, (SELECT COALESCE(MAX(number), 0) FROM
	fragments WHERE stream = h.stream),
	(SELECT COALESCE(MAX(sequence), 0) FROM fragments WHERE stream = h.stream),
	(SELECT COALESCE(MAX(number_max), 0) FROM sealed WHERE stream = h.stream),
	(SELECT COALESCE(MAX(sequence_max), 0) FROM sealed WHERE stream = h.stream) FROM heads h JOIN
	streams s ON s.key = h.stream WHERE `

// highWaterRow scans the columns of highWaterQuery.
type highWaterRow struct {
	h        sealed.HighWater
	number   store.Number
	sequence int64
}

func (r *highWaterRow) dest() []any {
	return []any{&r.h.Number, &r.h.Sequence, &r.number, &r.sequence, &r.h.SealedNumber,
		&r.h.SealedSequence}
}

func (r *highWaterRow) highWater() sealed.HighWater {
	h := r.h
	h.Number, h.Sequence = max(h.Number, r.number), max(h.Sequence, r.sequence)
	return h
}

// highWater returns how far a stream's orders have got.
func (t *tx) highWater(stream int64) (sealed.HighWater, error) {
	var r highWaterRow
	err := t.row(r.dest(), highWaterQuery+`h.stream = ?`, stream)
	return r.highWater(), err
}

// keepHighWater stores a stream's high-water mark before rows go that may have the greatest number
// or sequence.
func (t *tx) keepHighWater(stream int64) error {
	h, err := t.highWater(stream)
	if err != nil {
		return err
	}
	return t.setHighWater(stream, h)
}

func (t *tx) setHighWater(stream int64, h sealed.HighWater) error {
	_, err := t.exec(`UPDATE heads SET number = ?, sequence = ? WHERE stream = ?`, int64(h.Number),
		h.Sequence, stream)
	return err
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

const fragmentColumns = `f.number, f.sequence, f.producer_ts, f.server_ts, f.track_set, f.spans,
	f.payload_crc, f.partial,
	f.blob, f.position, f.length, f.meta_length`

// fragmentRow scans fragmentColumns.
type fragmentRow struct {
	f       store.FragmentInfo
	spans   sql.RawBytes
	crc     int64
	partial int64
	volume  int64
}

func (r *fragmentRow) dest() []any {
	f := &r.f
	l := &f.Location
	return []any{&f.Number, &f.Sequence, &f.ProducerTimestamp, &f.ServerTimestamp, &f.TrackSet,
		&r.spans, &r.crc, &r.partial,
		&r.volume, &l.Offset, &l.Length, &l.MetaLength}
}

const volumeNameQuery = `SELECT name FROM blobs WHERE key = ?`

// decode completes f from what was scanned.
func (r *fragmentRow) decode() (err error) {
	r.f.PayloadCRC, r.f.Partial = uint32(r.crc), r.partial != 0
	r.f.Spans, err = record.DecodeSpans(r.spans)
	return err
}

// fragmentRows reads the fragments of a query. volumeName finds the names of their volumes, which
// are few.
func fragmentRows(
	ctx context.Context, query, volumeName *sql.Stmt, args ...any,
) ([]store.FragmentInfo, error) {
	var list []store.FragmentInfo
	var volumes []int64 // of the fragments
	var r fragmentRow
	dest := r.dest()
	err := scan(func(rows *sql.Rows) error {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		err := r.decode()
		list, volumes = append(list, r.f), append(volumes, r.volume)
		return err
	})(query.QueryContext(ctx, args...))
	if err != nil {
		return nil, err
	}
	names := make(map[int64]string)
	for i, key := range volumes {
		name, ok := names[key]
		if !ok {
			if err := notFound(volumeName.QueryRowContext(ctx, key).Scan(&name)); err != nil {
				return nil, err
			}
			names[key] = name
		}
		list[i].Location.Volume = name
	}
	return list, nil
}

// Hot implements local.Index. It is one transaction on a reading connection, and delays only the
// checkpoint.
func (x *Reader) Hot(
	ctx context.Context, id store.StreamID, q store.Query, edge int64,
) (hot sealed.Hot, err error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return hot, err
	}
	text, args := hotQuery(key, q, edge)
	query, done, err := x.snapshot(ctx, highWaterQuery+`h.stream = ? AND s.deleted = 0`, text,
		volumeNameQuery, goneQuery)
	if err != nil {
		return hot, err
	}
	defer done()
	var high highWaterRow
	if err := notFound(query[0].QueryRowContext(ctx, key).Scan(high.dest()...)); err != nil {
		return hot, err
	}
	hot.HighWater = high.highWater()
	hot.Fragments, err = fragmentRows(ctx, query[1], query[2], args...)
	if err != nil || hot.HighWater.SealedNumber == 0 {
		return hot, err
	}
	hot.Gone, err = gone(query[3].QueryContext(ctx, key))
	return hot, err
}

// limitClause is LIMIT with an expression, not a bare parameter. SQLite plans by the value of a
// bare one, and so prepares the statement again for each value.
const limitClause = " LIMIT ? + 0"

// hotQuery writes the query so that one index serves it, in its order: fragments_sequence for what
// follows a sequence, the primary key for everything else. A + before a column keeps SQLite from
// using another index. There are only the rows of one or two volumes, so a range of time reads all
// of them.
func hotQuery(key int64, q store.Query, edge int64) (string, []any) {
	where := ` WHERE f.stream = ? AND f.server_ts >= ?`
	args := []any{key, edge}
	add := func(condition string, v int64) {
		where += " AND " + condition
		args = append(args, v)
	}
	if q.Range != nil {
		stamp := "f.server_ts"
		if q.Range.Clock == store.ProducerTimestamp {
			stamp = "f.producer_ts"
		}
		add(stamp+" >= ?", q.Range.Start)
		add(stamp+" <= ?", q.Range.End)
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
		order += limitClause
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

// Gone implements local.Index.
func (x *Reader) Gone(ctx context.Context, id store.StreamID) ([]store.Number, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return nil, err
	}
	return gone(x.readers.QueryContext(ctx, goneQuery, key))
}

// HotFragment implements local.Index.
func (x *Reader) HotFragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	var r fragmentRow
	err = x.read(ctx, func(rows *sql.Rows) error {
		if err := rows.Scan(append(r.dest(), &r.f.Location.Volume)...); err != nil {
			return err
		}
		return r.decode()
	}, `SELECT `+fragmentColumns+`, b.name FROM fragments f JOIN blobs b ON b.key = f.blob WHERE
		f.stream = ? AND f.number = ?`, key, int64(n))
	if err == nil && r.f.Number == 0 {
		err = store.ErrNotFound
	}
	return r.f, err
}

// TrackSetID implements local.Index.
func (x *SQLite) TrackSetID(
	ctx context.Context, id store.StreamID, hash [32]byte, data []byte,
) (set int64, err error) {
	err = x.add(ctx, visible, func(t *tx) error {
		key, err := t.liveKey(id)
		if err != nil {
			return err
		}
		const find = `SELECT id FROM track_sets WHERE stream = ? AND hash = ?`
		if err = t.row([]any{&set}, find, key, hash[:]); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		_, err = t.exec(`INSERT INTO track_sets (stream, id, hash, tracks)
			SELECT ?, COALESCE(MAX(id), 0) + 1, ?, ? FROM track_sets WHERE stream = ?`, key,
			hash[:], data, key)
		if err != nil {
			return err
		}
		return t.row([]any{&set}, find, key, hash[:])
	})
	return set, err
}

// TrackSet implements local.Index.
func (x *Reader) TrackSet(ctx context.Context, id store.StreamID, set int64) ([]byte, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return nil, err
	}
	var data []byte
	err = x.readRow(ctx, []any{&data}, `SELECT tracks FROM track_sets WHERE stream = ? AND id = ?`,
		key, set)
	return data, err
}

// Expire implements local.Index.
func (x *SQLite) Expire(
	ctx context.Context, id store.StreamID, edge int64, limit int,
) (n int, err error) {
	key, err := x.key(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	// A look without the writer first: most streams usually have nothing to expire.
	const past = ` FROM blobs WHERE stream = ? AND state IN (1, 3) AND last_server_ts < ?`
	var work int
	err = x.readRow(ctx, []any{&work}, `SELECT EXISTS (SELECT 1`+past+`)`, key, edge)
	if err != nil || work == 0 {
		return 0, err
	}
	err = x.write(ctx, durable, func(t *tx) error {
		t.forgetTails(id)
		var keys []int64
		err := t.rows(func(rows *sql.Rows) error {
			var key int64
			err := rows.Scan(&key)
			keys = append(keys, key)
			return err
		}, `SELECT key`+past+` LIMIT ?`, key, edge, limit)
		if err != nil {
			return err
		}
		n = len(keys)
		for _, volume := range keys {
			if err := t.dropRows(key, volume); err != nil {
				return err
			}
			if _, err := t.exec(`UPDATE blobs SET state = 2 WHERE key = ?`, volume); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// dropRows drops the rows of a volume's fragments.
func (t *tx) dropRows(stream, volume int64) error {
	if err := t.keepHighWater(stream); err != nil {
		return err
	}
	for _, table := range []string{`DELETE FROM sealed WHERE stream = ? AND blob = ?`,
		`DELETE FROM gone WHERE stream = ? AND blob = ?`,
		`DELETE FROM replaced WHERE stream = ? AND blob = ?`,
		`DELETE FROM fragments WHERE stream = ? AND blob = ?`} {
		if _, err := t.exec(table, stream, volume); err != nil {
			return err
		}
	}
	return nil
}
