package rows

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Unused finds at most limit objects that no row refers to, marks them with the time, and returns
// how many it marked. The mark goes when a commit uses the object again.
func (db *DB) Unused(ctx context.Context, l Lease, limit int) (n int, err error) {
	err = db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE objects SET unused_ms = `+databaseTime+`
			WHERE key IN (SELECT o.key FROM objects o WHERE o.unused_ms = 0
			AND NOT EXISTS (SELECT 1 FROM fragments f WHERE f.object = o.key)
			AND NOT EXISTS (SELECT 1 FROM sealed s WHERE s.object = o.key)
			ORDER BY o.key LIMIT $1)`, limit)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}

// UnreferencedObjects returns at most limit objects that were found unused at least a given time
// ago.
func (db *DB) UnreferencedObjects(
	ctx context.Context, age time.Duration, limit int,
) (all []Object, err error) {
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (o Object, err error) {
			err = rows.Scan(&o.Name, &o.Bytes)
			return o, err
		}, `SELECT name, bytes FROM objects WHERE unused_ms > 0
			AND unused_ms <= `+databaseTime+` - $1 ORDER BY unused_ms LIMIT $2`,
			age.Milliseconds(), limit)
		return err
	})
	return all, err
}

// ForgetObjects drops the rows of objects whose bytes are deleted, except those that are in use.
func (db *DB) ForgetObjects(ctx context.Context, l Lease, names []string) error {
	return db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM objects WHERE name = ANY($1) AND unused_ms > 0`, names)
		return err
	})
}
