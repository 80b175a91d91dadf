package rows

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

const fragmentColumns = `f.number, f.sequence, f.producer_ts, f.server_ts, f.track_set, f.spans,
	f.payload_crc, f.partial, f.object, f.position, f.length, f.meta_length`

// scanFragment reads fragmentColumns. object is the key of the fragment's object; the caller fills
// in its name.
func scanFragment(rows pgx.Rows) (f store.FragmentInfo, object int64, err error) {
	var crc, partial int64
	l := &f.Location
	err = rows.Scan((*int64)(&f.Number), &f.Sequence, &f.ProducerTimestamp, &f.ServerTimestamp,
		&f.TrackSet, (*spans)(&f.Spans), &crc, &partial, &object, &l.Offset, &l.Length,
		&l.MetaLength)
	f.PayloadCRC, f.Partial = uint32(crc), partial != 0
	return f, object, err
}

// spans are decoded from the driver's own buffer.
type spans []store.Span

func (s *spans) ScanBytes(b []byte) (err error) {
	if *s, err = record.DecodeSpans(b); len(*s) == 0 {
		*s = nil
	}
	return err
}

// keyed are fragments and, at the same places, the keys of their objects.
type keyed struct {
	fragments []store.FragmentInfo
	objects   []int64
}

func (k *keyed) read(rows pgx.Rows) error {
	*k = keyed{}
	_, err := collect(rows, func(rows pgx.Rows) (struct{}, error) {
		f, object, err := scanFragment(rows)
		k.fragments, k.objects = append(k.fragments, f), append(k.objects, object)
		return struct{}{}, err
	})
	return err
}

// fragments returns the fragments whose rows, f, satisfy a condition.
func (db *DB) fragments(
	ctx context.Context, where string, args ...any,
) ([]store.FragmentInfo, error) {
	var found keyed
	err := db.again(ctx, func(ctx context.Context) error {
		rows, err := db.pool.Query(ctx, `SELECT `+fragmentColumns+` FROM fragments f WHERE `+where,
			args...)
		if err == nil {
			err = found.read(rows)
		}
		if err == nil {
			err = db.name(ctx, &found)
		}
		return err
	})
	return found.fragments, err
}

// Hot implements sealed.Rows. All that it reads is of one moment.
func (db *DB) Hot(
	ctx context.Context, id store.StreamID, q store.Query, edge int64,
) (hot sealed.Hot, err error) {
	st, err := db.Row(ctx, id)
	if err != nil {
		return hot, err
	}
	text, args := hotQuery(st.Key, q, edge)
	err = db.again(ctx, func(ctx context.Context) error {
		var found keyed
		hot = sealed.Hot{}
		h := &hot.HighWater
		var batch pgx.Batch
		batch.Queue(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
		batch.Queue(highWaterQuery, string(id)).QueryRow(func(row pgx.Row) error {
			return row.Scan(&h.Number, &h.Sequence, &h.SealedNumber, &h.SealedSequence)
		})
		batch.Queue(text, args...).Query(found.read)
		batch.Queue(goneQuery, st.Key).Query(func(rows pgx.Rows) (err error) {
			hot.Gone, err = collect(rows, scanOne[store.Number])
			return err
		})
		batch.Queue(`COMMIT`)
		if err := db.pool.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		hot.Fragments = found.fragments
		return db.name(ctx, &found)
	})
	return hot, err
}

// conditions is a WHERE clause that is being built.
type conditions struct {
	text string
	args []any
}

// add adds a condition, whose text ends where the value follows.
func (c *conditions) add(condition string, v int64) {
	c.args = append(c.args, v)
	c.text += " AND " + condition + "$" + strconv.Itoa(len(c.args))
}

// limit ends the statement.
func (c *conditions) limit(n int) {
	c.args = append(c.args, n)
	c.text += " LIMIT $" + strconv.Itoa(len(c.args))
}

// columnOf returns the column of a clock, with a prefix.
func columnOf(prefix string, clock store.TimestampKind) string {
	if clock == store.ProducerTimestamp {
		return prefix + "producer"
	}
	return prefix + "server"
}

const goneQuery = `SELECT DISTINCT number FROM gone WHERE stream = $1 ORDER BY number`

// Gone implements sealed.Rows.
func (db *DB) Gone(ctx context.Context, id store.StreamID) (gone []store.Number, err error) {
	st, err := db.Row(ctx, id)
	if err != nil {
		return nil, err
	}
	err = db.again(ctx, func(ctx context.Context) (err error) {
		gone, err = list(ctx, db.pool, scanOne[store.Number], goneQuery, st.Key)
		return err
	})
	return gone, err
}

const highWaterQuery = `SELECT number, sequence, sealed_number, sealed_sequence FROM heads
	WHERE id = $1`

// HighWater implements sealed.Rows.
func (db *DB) HighWater(ctx context.Context, id store.StreamID) (h sealed.HighWater, err error) {
	err = db.row(ctx, []any{&h.Number, &h.Sequence, &h.SealedNumber, &h.SealedSequence},
		highWaterQuery, string(id))
	return h, err
}

// HotFragment implements sealed.Rows.
func (db *DB) HotFragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	st, err := db.Row(ctx, id)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	found, err := db.fragments(ctx, `f.stream = $1 AND f.number = $2`, st.Key, int64(n))
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.FragmentInfo{}, err
	}
	return found[0], nil
}

// Sequences returns how far the commit order of each stream has got, without deleted streams. One
// query serves everything that a node waits for.
func (db *DB) Sequences(
	ctx context.Context, ids []store.StreamID,
) (map[store.StreamID]int64, error) {
	all := make(map[store.StreamID]int64, len(ids))
	err := db.again(ctx, func(ctx context.Context) error {
		_, err := list(ctx, db.pool, func(rows pgx.Rows) (sequence int64, err error) {
			var id store.StreamID
			err = rows.Scan(&id, &sequence)
			all[id] = sequence
			return sequence, err
		}, `SELECT id, sequence FROM heads WHERE id = ANY($1)`, streamIDs(ids))
		return err
	})
	return all, err
}

// TrackSet implements store.Fragments.
func (db *DB) TrackSet(ctx context.Context, id store.StreamID, set int64) ([]media.Track, error) {
	var data []byte
	st, err := db.Row(ctx, id)
	if err == nil {
		err = db.row(ctx, []any{&data},
			`SELECT tracks FROM track_sets WHERE stream = $1 AND id = $2`, st.Key, set)
	}
	var tracks []media.Track
	if err == nil {
		tracks, err = record.DecodeTracks(data)
	}
	if err != nil {
		return nil, fmt.Errorf("track set %d: %w", set, err)
	}
	return tracks, nil
}

// Expire deletes the rows of a stream's fragments with a server timestamp before edge
// (milliseconds), at most limit, and likewise those of sealed objects that have only such
// fragments. n is how many rows went. ErrLease when another node holds it. A deleted stream has
// nothing to expire.
func (db *DB) Expire(
	ctx context.Context, l Lease, id store.StreamID, edge int64, limit int,
) (n int, err error) {
	err = db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		h, err := lockHead(ctx, tx, id)
		if err != nil {
			return err
		}
		var batch pgx.Batch
		batch.Queue(`DELETE FROM fragments WHERE stream = $1 AND number IN (SELECT number
			FROM fragments WHERE stream = $1 AND server_ts < $2 ORDER BY server_ts LIMIT $3)`,
			h.key, edge, limit)
		batch.Queue(`DELETE FROM gone WHERE object IN (SELECT object FROM sealed
			WHERE stream = $1 AND server_max < $2 ORDER BY server_min LIMIT $3)`,
			h.key, edge, limit)
		batch.Queue(`DELETE FROM sealed WHERE object IN (SELECT object FROM sealed
			WHERE stream = $1 AND server_max < $2 ORDER BY server_min LIMIT $3)`,
			h.key, edge, limit)
		n = 0
		results := tx.SendBatch(ctx, &batch)
		for range batch.Len() {
			tag, err := results.Exec()
			if err != nil {
				return errors.Join(err, results.Close())
			}
			n += int(tag.RowsAffected())
		}
		return results.Close()
	})
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// Usage returns how many bytes a stream's fragments take, including those past retention that are
// not deleted yet.
func (db *DB) Usage(ctx context.Context, id store.StreamID) (bytes int64, err error) {
	st, err := db.Row(ctx, id)
	if err != nil {
		return 0, err
	}
	err = db.row(ctx, []any{&bytes}, `SELECT CAST(
		COALESCE((SELECT SUM(length) FROM fragments WHERE stream = $1), 0) +
		COALESCE((SELECT SUM(o.bytes) FROM sealed s JOIN objects o ON o.key = s.object
			WHERE s.stream = $1), 0) AS bigint)`, st.Key)
	return bytes, err
}
