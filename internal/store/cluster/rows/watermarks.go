package rows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
)

// ErrSetBack says that a database has lost commits: it was restored to an earlier time, or failed
// over to a replica without the last commits.
var ErrSetBack = errors.New("the database has lost commits")

// sequenceLeap is how far commit sequences leap after commits were lost, so that no sequence that
// players may have seen is given out again. It is more than a stream can have had since. Its low
// bits are not zero because they count the fragments of a session (moof sequence numbers).
const sequenceLeap = 1<<32 + 1<<20

// Watermark says how often a node has written to the database.
type Watermark struct {
	Node string
	Beat int64         // rises with each write, from 1
	Age  time.Duration // since the last one
}

// Beat counts another write of a node that has seen the result of an earlier one, seen (0: none
// yet), and that has committed known objects. It returns the new count. ErrSetBack when the
// database lacks that earlier write, the node's row, or one of those objects.
func (db *DB) Beat(
	ctx context.Context, node string, seen int64, known []string,
) (beat int64, err error) {
	if seen == 0 {
		err = db.row(ctx, []any{&beat}, `INSERT INTO watermarks (node, beat, beat_ms)
			VALUES ($1, 1, `+databaseTime+`) ON CONFLICT (node) DO UPDATE
			SET beat = watermarks.beat + 1, beat_ms = `+databaseTime+` RETURNING beat`, node)
	} else {
		err = db.row(ctx, []any{&beat}, `UPDATE watermarks SET beat = beat + 1,
			beat_ms = `+databaseTime+` WHERE node = $1 AND beat >= $2
			AND (SELECT COUNT(*) FROM objects WHERE name = ANY($3)) >= $4 RETURNING beat`, node, seen,
			known, len(known))
	}
	if errors.Is(err, store.ErrNotFound) {
		err = ErrSetBack
	}
	if err != nil {
		return 0, fmt.Errorf("watermark: %w", err)
	}
	return beat, nil
}

// Watermarks returns those of all nodes that were not dropped by ForgetWatermarks.
func (db *DB) Watermarks(ctx context.Context) (all []Watermark, err error) {
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (w Watermark, err error) {
			var age int64
			err = rows.Scan(&w.Node, &w.Beat, &age)
			w.Age = time.Duration(age) * time.Millisecond
			return w, err
		}, `SELECT node, beat, `+databaseTime+` - beat_ms FROM watermarks ORDER BY node`)
		return err
	})
	return all, err
}

// ForgetWatermarks drops the watermarks of nodes. Drop them from the bucket first: a watermark that
// is only there says that commits were lost.
func (db *DB) ForgetWatermarks(ctx context.Context, l Lease, nodes []string) error {
	return db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM watermarks WHERE node = ANY($1)`, nodes)
		return err
	})
}

// SetBack notes that commits were lost, until ClearSetback. The first time, all commit sequences
// leap.
func (db *DB) SetBack(ctx context.Context, reason string) error {
	return db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO setback (one, noticed_ms, reason)
			VALUES (1, `+databaseTime+`, $1) ON CONFLICT (one) DO NOTHING`, reason)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		// In the order of the IDs, as commits lock them.
		if _, err := tx.Exec(ctx, `SELECT id FROM heads ORDER BY id FOR UPDATE`); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE heads SET sequence = sequence + $1`, int64(sequenceLeap))
		return err
	})
}

// Setback returns why commits are known to be lost and not repaired; "" when none are.
func (db *DB) Setback(ctx context.Context) (reason string, err error) {
	err = db.row(ctx, []any{&reason}, `SELECT reason FROM setback WHERE one = 1`)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("loss of commits: %w", err)
	}
	return reason, nil
}

// ClearSetback notes that what was lost is repaired.
func (db *DB) ClearSetback(ctx context.Context, l Lease) error {
	return db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM setback WHERE one = 1`)
		return err
	})
}
