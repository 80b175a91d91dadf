package rows

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/sealed"
)

// Seal replaces all rows of a stream with a sequence in an object's range by the one row of the
// object. An error changes nothing: sealed.ErrUnsealable when the number of these rows is not the
// object's Count, or when the object cannot be put in order with the stream's other sealed objects;
// store.ErrNotFound when the stream is deleted; ErrLease when another node holds the lease, or when
// the object's node was forgotten.
func (db *DB) Seal(ctx context.Context, l Lease, v sealed.Volume, object Object) error {
	err := db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		h, err := lockHead(ctx, tx, v.Stream)
		if err != nil {
			return err
		}
		if err := db.checkNode(ctx, tx, object.Node); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM fragments WHERE stream = $1 AND sequence >= $2
			AND sequence <= $3`, h.key, v.Sequence.Min, v.Sequence.Max)
		if err != nil {
			return err
		}
		if n := tag.RowsAffected(); n != int64(v.Count) {
			return fmt.Errorf("there are %d fragments, the table has %d: %w", n, v.Count,
				sealed.ErrUnsealable)
		}
		if err := insertSealed(ctx, tx, h.key, &v, object); err != nil {
			return err
		}
		return reorder(ctx, tx, v.Stream, h.key)
	})
	if err != nil {
		return fmt.Errorf("seal object %s: %w", v.Name, err)
	}
	return nil
}

// insertSealed adds an object and its row. Sequences of sealed objects do not overlap, so the order
// of objects is also that of their fragments. sealed.ErrUnsealable.
func insertSealed(
	ctx context.Context, tx pgx.Tx, stream int64, v *sealed.Volume, object Object,
) error {
	var overlap int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT sequence_min FROM sealed
		WHERE stream = $1 AND sequence_max >= $2 ORDER BY sequence_max LIMIT 1) AS next
		WHERE sequence_min <= $3`, stream, v.Sequence.Min, v.Sequence.Max).Scan(&overlap)
	if err != nil {
		return err
	}
	if overlap > 0 {
		return fmt.Errorf("its sequences overlap those of another: %w", sealed.ErrUnsealable)
	}
	apart, err := isApart(ctx, tx, stream, v)
	if err != nil {
		return err
	}
	var key int64
	err = tx.QueryRow(ctx, `INSERT INTO objects (name, bytes) VALUES ($1, $2) RETURNING key`,
		object.Name, object.Bytes).Scan(&key)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO sealed (object, stream, position, length, meta_length,
		fragments, number_min, number_max, sequence_min, sequence_max, server_min, server_max,
		producer_min, producer_max, wide, sets)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		key, stream, v.Footer.Offset, v.Footer.Length, v.Footer.MetaLength, v.Count,
		v.Number.Min, v.Number.Max, v.Sequence.Min, v.Sequence.Max, v.Server.Min, v.Server.Max,
		v.Producer.Min, v.Producer.Max, truth(apart), v.EncodeSets())
	if isCode(err, uniqueViolation) {
		err = fmt.Errorf("it has the first or last number of another: %w", sealed.ErrUnsealable)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE heads SET sealed_number = greatest(sealed_number, $2),
		sealed_sequence = greatest(sealed_sequence, $3) WHERE `+ofStream, stream, v.Number.Max,
		v.Sequence.Max)
	return err
}

// isApart reports whether an object is wide or out of order. All other objects are in the same
// order by number, by sequence and by either clock, so any index leads a query to the first ones
// that it wants. Objects that are apart are looked at one by one. They are few, unless a producer's
// clock leaps or old media is sent late.
func isApart(ctx context.Context, tx pgx.Tx, stream int64, v *sealed.Volume) (bool, error) {
	if v.Wide() {
		return true, nil
	}
	var batch pgx.Batch
	apart := false
	compare := func(inOrder func(next *sealed.Volume) bool) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			_, err := collect(rows, func(rows pgx.Rows) (next sealed.Volume, err error) {
				err = rows.Scan(&next.Number.Min, &next.Number.Max, &next.Sequence.Min,
					&next.Sequence.Max, &next.Server.Min, &next.Server.Max, &next.Producer.Min,
					&next.Producer.Max)
				apart = apart || !inOrder(&next)
				return next, err
			})
			return err
		}
	}
	const ranges = `SELECT number_min, number_max, sequence_min, sequence_max, server_min,
		server_max, producer_min, producer_max FROM sealed WHERE stream = $1 AND wide = 0
		AND number_min `
	batch.Queue(ranges+`< $2 ORDER BY number_min DESC LIMIT 1`, stream, v.Number.Min).
		Query(compare(v.Follows))
	batch.Queue(ranges+`> $2 ORDER BY number_min LIMIT 1`, stream, v.Number.Min).
		Query(compare(func(next *sealed.Volume) bool { return next.Follows(v) }))
	err := tx.SendBatch(ctx, &batch).Close()
	return apart, err
}

const sealedColumns = `o.name, s.position, s.length, s.meta_length, s.fragments, s.number_min,
	s.number_max, s.sequence_min, s.sequence_max, s.server_min, s.server_max, s.producer_min,
	s.producer_max, s.sets`

func scanSealed(rows pgx.Rows) (v sealed.Volume, err error) {
	var sets []byte
	err = rows.Scan(&v.Name, &v.Footer.Offset, &v.Footer.Length, &v.Footer.MetaLength, &v.Count,
		&v.Number.Min, &v.Number.Max, &v.Sequence.Min, &v.Sequence.Max, &v.Server.Min,
		&v.Server.Max, &v.Producer.Min, &v.Producer.Max, &sets)
	if err != nil {
		return v, err
	}
	v.Footer.Volume = v.Name
	return v, v.DecodeSets(sets)
}

// Sealed implements sealed.Rows.
func (db *DB) Sealed(
	ctx context.Context, id store.StreamID, q store.Query, edge, after int64, limit int,
) (all []sealed.Volume, err error) {
	st, err := db.Row(ctx, id)
	if err != nil {
		return nil, err
	}
	err = db.again(ctx, func(ctx context.Context) error {
		all = nil
		var batch pgx.Batch
		for _, wide := range []bool{false, true} {
			text, args := sealedQuery(st.Key, q, edge, after, limit, wide)
			batch.Queue(text, args...).Query(func(rows pgx.Rows) error {
				some, err := collect(rows, scanSealed)
				all = append(all, some...)
				return err
			})
		}
		return db.pool.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Stream = id
	}
	sealed.Sort(all, q.Order)
	return all[:min(len(all), limit)], nil
}

// sealedQuery writes the query for the objects that are apart (isApart), or for the others, whose
// ranges are bounded at both ends. Those come in the order of the range's clock, which is also that
// of numbers: with the index on numbers the database would look at every object before the range.
func sealedQuery(
	key int64, q store.Query, edge, after int64, limit int, wide bool,
) (string, []any) {
	c := conditions{` WHERE s.stream = $1 AND s.wide = 0`, []any{key}}
	if wide {
		c.text = ` WHERE s.stream = $1 AND s.wide = 1`
	}
	c.add("s.server_max >= ", edge)
	if q.Range != nil {
		stamp := columnOf("s.", q.Range.Clock)
		c.add(stamp+"_max >= ", q.Range.Start)
		c.add(stamp+"_min <= ", q.Range.End)
		if !wide && q.Range.Start > -1<<62 {
			c.add(stamp+"_min >= ", q.Range.Start-sealed.WideMillis)
		}
	}
	if q.AfterSequence > 0 {
		c.add("s.sequence_max > ", q.AfterSequence)
	}
	if q.After != 0 && q.Order == store.ByNumberNewest {
		c.add("s.number_min < ", int64(q.After))
		if !wide && int64(q.After) < 1<<62 {
			c.add("s.number_max < ", int64(q.After)+sealed.WideNumber)
		}
	} else if q.After != 0 {
		c.add("s.number_max > ", int64(q.After))
		if !wide {
			c.add("s.number_min > ", int64(q.After)-sealed.WideNumber)
		}
	}
	column, order := "s.number_min", " ORDER BY s.number_min"
	sign := " > "
	switch q.Order {
	case store.ByNumberNewest:
		column, order, sign = "s.number_max", " ORDER BY s.number_max DESC", " < "
	case store.BySequence: // they do not overlap, so least and greatest are in one order
		column, order = "s.sequence_min", " ORDER BY s.sequence_max"
	}
	if after != 0 {
		c.add(column+sign, after)
	}
	if q.Range != nil && !wide {
		switch q.Order {
		case store.ByNumber:
			order = " ORDER BY " + columnOf("s.", q.Range.Clock) + "_min, s.number_min"
		case store.ByNumberNewest:
			order = " ORDER BY " + columnOf("s.", q.Range.Clock) + "_min DESC, s.number_max DESC"
		}
	}
	c.text += order
	c.limit(limit)
	return `SELECT ` + sealedColumns + ` FROM sealed s JOIN objects o ON o.key = s.object` +
		c.text, c.args
}

// Backlog is what a stream has in rows that are not compacted yet.
type Backlog struct {
	Stream    store.StreamID
	Fragments int64
	Bytes     int64
	Oldest    int64 // least server timestamp, milliseconds since the Unix epoch
}

// Backlogs returns at most limit streams with fragments that are not compacted yet, those with the
// most bytes first.
func (db *DB) Backlogs(ctx context.Context, limit int) (all []Backlog, err error) {
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (b Backlog, err error) {
			err = rows.Scan(&b.Stream, &b.Fragments, &b.Bytes, &b.Oldest)
			return b, err
		}, `SELECT h.id, f.fragments, f.bytes, f.oldest FROM (SELECT stream,
			COUNT(*) AS fragments, CAST(SUM(length) AS bigint) AS bytes, MIN(server_ts) AS oldest
			FROM fragments GROUP BY stream) AS f JOIN heads h ON h.stream = f.stream
			ORDER BY f.bytes DESC LIMIT $1`, limit)
		return err
	})
	return all, err
}
