package index

import (
	"context"
	"database/sql"
	"errors"

	"weir/internal/store"
)

// Head implements store.Index.
func (x *SQLite) Head(ctx context.Context, id store.StreamID) (store.Head, error) {
	var r headRow
	err := x.readRow(ctx, r.dest(), headQuery+`s.id = ? AND s.deleted = 0`, string(id))
	return r.head(), err
}

// The row of heads is written when rows of fragments go, not when they come: the greatest of both is the head.
const headQuery = `SELECT h.number, h.sequence, (SELECT COALESCE(MAX(number), 0) FROM fragments WHERE stream = h.stream),
	(SELECT COALESCE(MAX(sequence), 0) FROM fragments WHERE stream = h.stream),
	(SELECT COALESCE(MAX(number_max), 0) FROM sealed WHERE stream = h.stream),
	(SELECT COALESCE(MAX(sequence_max), 0) FROM sealed WHERE stream = h.stream) FROM heads h JOIN streams s ON s.key = h.stream WHERE `

// headRow scans the columns of headQuery.
type headRow struct {
	h        store.Head
	number   store.Number
	sequence int64
}

func (r *headRow) dest() []any {
	return []any{&r.h.Number, &r.h.Sequence, &r.number, &r.sequence, &r.h.SealedNumber, &r.h.SealedSequence}
}

func (r *headRow) head() store.Head {
	h := r.h
	h.Number, h.Sequence = max(h.Number, r.number), max(h.Sequence, r.sequence)
	return h
}

// head gives where a stream's orders stand.
func (t *tx) head(stream int64) (store.Head, error) {
	var r headRow
	err := t.row(r.dest(), headQuery+`h.stream = ?`, stream)
	return r.head(), err
}

// keepHead writes a stream's head down, before rows go that may hold the greatest number or sequence.
func (t *tx) keepHead(stream int64) error {
	h, err := t.head(stream)
	if err != nil {
		return err
	}
	return t.setHead(stream, h)
}

func (t *tx) setHead(stream int64, h store.Head) error {
	_, err := t.exec(`UPDATE heads SET number = ?, sequence = ? WHERE stream = ?`, int64(h.Number), h.Sequence, stream)
	return err
}

// tail is what Commit must know of a stream to add a row to the last of its blobs. The only writer remembers it from one
// transaction to the next; so a fragment costs one INSERT, and head and mark are found in its rows.
type tail struct {
	key  int64
	head store.Head
	blob struct {
		key      int64
		name     string
		indexed  int64
		last     int64 // server timestamp
		unmarked int   // rows since indexed and last were written down
	}
}

// markEvery is after how many rows at most an open blob's indexed and last_server_ts are written down. What they are is the
// greatest of that and of the stream's last markEvery rows. Rows, marks and the closing of a blob are lost in one order in a
// power cut, the newest first, so that holds of whatever is left.
const markEvery = 32

// batchTail is a tail within a Commit.
type batchTail struct {
	tail
	gone     bool
	saveHead bool
	saveMark bool
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
	tails := make(map[store.StreamID]*batchTail)
	err := x.write(ctx, d, func(t *tx) error {
		for i := range fragments {
			var err error
			if results[i], err = t.commit(&fragments[i], tails); err != nil {
				return err
			}
		}
		for _, b := range tails {
			if b.saveHead {
				if err := t.setHead(b.key, b.head); err != nil {
					return err
				}
			}
			if err := t.mark(b); err != nil {
				return err
			}
		}
		t.committed = func() {
			for id, b := range tails {
				if !b.gone {
					x.tails[id] = b.tail
				}
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

func (t *tx) commit(f *store.NewFragment, tails map[store.StreamID]*batchTail) (store.Committed, error) {
	s, err := t.tail(f.Stream, tails)
	if err != nil {
		return store.Committed{}, err
	}
	if s.gone {
		return store.Committed{Err: store.ErrNotFound}, nil
	}
	info := &f.Info
	b := &s.blob
	if b.name != info.Location.Blob {
		if err := t.turn(s, info.Location.Blob); err != nil {
			return store.Committed{}, err
		}
	}
	b.indexed = max(b.indexed, info.Location.Offset+info.Location.Length)
	b.last = max(b.last, info.ServerTimestamp)
	b.unmarked++

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
		s.saveMark = true // no row tells that this record was given up
		return store.Committed{Err: store.ErrExists}, nil
	}
	s.head.Sequence = sequence
	s.head.Number = max(s.head.Number, info.Number)
	if f.Replaces != 0 {
		s.saveHead = true // a row goes
		if _, err := t.exec(`INSERT INTO replaced (stream, blob, number) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, s.key, b.key, int64(f.Replaces)); err != nil {
			return store.Committed{}, err
		}
		if err := t.replace(s.key, int64(f.Replaces)); err != nil {
			return store.Committed{}, err
		}
	}
	return store.Committed{Sequence: sequence}, nil
}

// tail gives a stream of the batch, as it was remembered or else read.
func (t *tx) tail(id store.StreamID, tails map[store.StreamID]*batchTail) (*batchTail, error) {
	s := tails[id]
	if s != nil {
		return s, nil
	}
	s = &batchTail{}
	var known bool
	if s.tail, known = t.x.tails[id]; !known {
		var err error
		if s.key, err = t.liveKey(id); err == nil {
			s.head, err = t.head(s.key)
		}
		if errors.Is(err, store.ErrNotFound) {
			s.gone, err = true, nil
		}
		if err != nil {
			return nil, err
		}
	}
	tails[id] = s
	return s, nil
}

// turn makes another blob the one that rows are added to. One that is new closes the stream's others: their rows were
// committed before.
func (t *tx) turn(s *batchTail, name string) error {
	if err := t.mark(s); err != nil { // of the blob so far
		return err
	}
	var b blobRow
	err := t.row(b.dest(), blobQuery+`WHERE b.name = ?`, name)
	if errors.Is(err, store.ErrNotFound) {
		if err := t.closeBlobs(0, `WHERE b.stream = ? AND b.state = 0`, s.key); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO blobs (stream, name, state, indexed, last_server_ts) VALUES (?, ?, 0, 0, 0)`, s.key, name); err != nil {
			return err
		}
		err = t.row(b.dest(), blobQuery+`WHERE b.name = ?`, name)
	}
	if err != nil {
		return err
	}
	info := b.info()
	s.blob.key, s.blob.name, s.blob.indexed, s.blob.last = b.key, name, info.Indexed, info.LastServerTimestamp
	s.saveMark = true // how many rows are unmarked is not known
	return nil
}

// mark writes down what is known of the blob that rows are added to, when it is time.
func (t *tx) mark(s *batchTail) error {
	b := &s.blob
	if b.unmarked == 0 || b.unmarked < markEvery && !s.saveMark {
		return nil
	}
	b.unmarked, s.saveMark = 0, false
	_, err := t.exec(`UPDATE blobs SET indexed = ?, last_server_ts = ? WHERE key = ?`, b.indexed, b.last, b.key)
	return err
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

// decode completes f with what was scanned.
func (r *fragmentRow) decode() (err error) {
	r.f.PayloadCRC, r.f.Partial = uint32(r.crc), r.partial != 0
	r.f.Spans, err = store.DecodeSpans(r.spans)
	return err
}

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
		err := r.decode()
		list, blobs = append(list, r.f), append(blobs, r.blob)
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
	var head headRow
	if err := notFound(query[0].QueryRowContext(ctx, key).Scan(head.dest()...)); err != nil {
		return hot, err
	}
	hot.Head = head.head()
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
	var r fragmentRow
	err = x.read(ctx, func(rows *sql.Rows) error {
		if err := rows.Scan(append(r.dest(), &r.f.Location.Blob)...); err != nil {
			return err
		}
		return r.decode()
	}, `SELECT `+fragmentColumns+`, b.name FROM fragments f JOIN blobs b ON b.key = f.blob WHERE f.stream = ? AND f.number = ?`, key, int64(n))
	if err == nil && r.f.Number == 0 {
		err = store.ErrNotFound
	}
	return r.f, err
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
		delete(x.tails, id)
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
	if err := t.keepHead(stream); err != nil {
		return err
	}
	for _, table := range []string{`DELETE FROM sealed WHERE stream = ? AND blob = ?`, `DELETE FROM gone WHERE stream = ? AND blob = ?`,
		`DELETE FROM replaced WHERE stream = ? AND blob = ?`, `DELETE FROM fragments WHERE stream = ? AND blob = ?`} {
		if _, err := t.exec(table, stream, blob); err != nil {
			return err
		}
	}
	return nil
}
