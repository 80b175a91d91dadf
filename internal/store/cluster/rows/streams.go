package rows

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/record"
)

// Stream is a stream and what else is in its row.
type Stream struct {
	store.Stream
	Key         int64 // of fragments with rows of their own
	FloorMillis int64 // fragments with an earlier server timestamp stay hidden
}

// Edge is StoredEdge, but also hides what an earlier retention has hidden.
func (s *Stream) Edge(now time.Time) int64 {
	return max(s.StoredEdge(now), s.FloorMillis)
}

// streamIDs are IDs in the driver's form.
func streamIDs(streams []store.StreamID) []string {
	ids := make([]string, len(streams))
	for i, id := range streams {
		ids[i] = string(id)
	}
	return ids
}

const streamColumns = `key, floor_ms, record`

func scanStream(row pgx.Row) (st Stream, err error) {
	var b []byte
	if err := row.Scan(&st.Key, &st.FloorMillis, &b); err != nil {
		return st, err
	}
	decoded, err := record.DecodeStream(b)
	if err != nil {
		return st, err
	}
	st.Stream = *decoded
	return st, nil
}

// CreateStream implements store.Streams.
func (db *DB) CreateStream(ctx context.Context, st store.Stream) (store.Stream, error) {
	if st.Name == "" || st.RetentionHours < 0 {
		return store.Stream{}, errors.New("create stream: name missing or retention negative")
	}
	var random [24]byte
	rand.Read(random[:]) // never fails
	st.ID = store.StreamID(hex.EncodeToString(random[:16]))
	st.NumberTag = binary.LittleEndian.Uint64(random[16:])
	st.CreatedMillis = db.now()
	st.Version = newVersion()
	st.Tags = tags(st.Tags)
	b, err := record.EncodeStream(&st)
	if err != nil {
		return store.Stream{}, fmt.Errorf("create stream: %w", err)
	}
	err = db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var key int64
		err := tx.QueryRow(ctx, `INSERT INTO streams (id, name, retention_hours, floor_ms, record)
			VALUES ($1, $2, $3, 0, $4) ON CONFLICT (name) DO NOTHING RETURNING key`,
			string(st.ID), st.Name, st.RetentionHours, b).Scan(&key)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrExists
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO heads (id, stream, number, sequence, sets,
			retention_hours, sealed_number, sealed_sequence) VALUES ($1, $2, 0, 0, 0, $3, 0, 0)`,
			string(st.ID), key, st.RetentionHours)
		return err
	})
	if err != nil {
		return store.Stream{}, fmt.Errorf("create stream: %w", err)
	}
	return st, nil
}

// newVersion returns 20 random alphanumerics.
func newVersion() string { return rand.Text()[:20] }

// tags returns a copy that is not nil.
func tags(t map[string]string) map[string]string {
	all := make(map[string]string, len(t))
	maps.Copy(all, t)
	return all
}

// Stream implements store.Streams.
func (db *DB) Stream(ctx context.Context, name string) (st store.Stream, err error) {
	err = db.again(ctx, func(ctx context.Context) error {
		row, err := scanStream(db.pool.QueryRow(ctx,
			`SELECT `+streamColumns+` FROM streams WHERE name = $1`, name))
		st = row.Stream
		return err
	})
	if err != nil {
		return store.Stream{}, fmt.Errorf("stream %q: %w", name, err)
	}
	return st, nil
}

// StreamByID implements store.Streams. A change that another node made is seen within
// Options.Fresh.
func (db *DB) StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error) {
	st, err := db.Row(ctx, id)
	return st.Stream, err
}

// Row is StreamByID with all of the row.
func (db *DB) Row(ctx context.Context, id store.StreamID) (Stream, error) {
	st, changes, ok := db.streams.get(id)
	if ok {
		return st, nil
	}
	began := time.Now()
	err := db.again(ctx, func(ctx context.Context) (err error) {
		st, err = scanStream(db.pool.QueryRow(ctx,
			`SELECT `+streamColumns+` FROM streams WHERE id = $1 AND name IS NOT NULL`, string(id)))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		db.streams.forget(id)
	}
	if err != nil {
		return Stream{}, fmt.Errorf("stream %s: %w", id, err)
	}
	db.streams.put(st, began.Add(db.o.Fresh), changes)
	return st, nil
}

// LastRow is Row as the database last told it, for when the database is away. It is no older than a
// given time plus Options.Fresh.
func (db *DB) LastRow(id store.StreamID, within time.Duration) (Stream, bool) {
	return db.streams.last(id, within)
}

// ListStreams implements store.Streams.
func (db *DB) ListStreams(
	ctx context.Context, prefix, after string, limit int,
) (all []store.Stream, err error) {
	query := `SELECT ` + streamColumns + ` FROM streams WHERE name >= $1 AND name > $2
		AND left(name, char_length($1)) = $1 ORDER BY name`
	args := []any{prefix, after}
	if limit > 0 {
		query, args = query+` LIMIT $3`, append(args, limit)
	}
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (store.Stream, error) {
			st, err := scanStream(rows)
			return st.Stream, err
		}, query, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	return all, nil
}

// UpdateStream implements store.Streams.
func (db *DB) UpdateStream(
	ctx context.Context, id store.StreamID, version string, change func(*store.Stream) error,
) (store.Stream, error) {
	st, err := db.changeStream(ctx, id, func(st *store.Stream) error {
		return st.Update(version, newVersion(), change)
	})
	if err != nil {
		return store.Stream{}, fmt.Errorf("update stream %s: %w", id, err)
	}
	return st, nil
}

// TagStream implements store.Streams.
func (db *DB) TagStream(
	ctx context.Context, id store.StreamID, change func(tags map[string]string) error,
) error {
	_, err := db.changeStream(ctx, id, func(st *store.Stream) error { return change(st.Tags) })
	if err != nil {
		return fmt.Errorf("tag stream %s: %w", id, err)
	}
	return nil
}

func (db *DB) changeStream(
	ctx context.Context, id store.StreamID, change func(*store.Stream) error,
) (changed store.Stream, err error) {
	defer db.streams.forget(id)
	err = db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		was, err := lockStream(ctx, tx, id)
		if err != nil {
			return err
		}
		next := was
		next.Tags = tags(was.Tags)
		if err := change(&next.Stream); err != nil {
			return err
		}
		next.Tags = tags(next.Tags)
		if next.RetentionHours != was.RetentionHours {
			if err := db.changeRetention(ctx, tx, &was, &next); err != nil {
				return err
			}
		}
		b, err := record.EncodeStream(&next.Stream)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE streams SET retention_hours = $2, floor_ms = $3, record = $4
			WHERE key = $1`, was.Key, next.RetentionHours, next.FloorMillis, b)
		changed = next.Stream
		return err
	})
	return changed, err
}

// lockStream reads and locks the row of a stream until the transaction ends.
func lockStream(ctx context.Context, tx pgx.Tx, id store.StreamID) (Stream, error) {
	return scanStream(tx.QueryRow(ctx, `SELECT `+streamColumns+` FROM streams
		WHERE id = $1 AND name IS NOT NULL FOR UPDATE`, string(id)))
}

// changeRetention makes sure that a longer retention brings nothing back. When a stream gets a
// retention, earlier fragments must go at once, because later ones may have timestamps that are no
// later.
func (db *DB) changeRetention(ctx context.Context, tx pgx.Tx, was, next *Stream) error {
	if was.RetentionHours > 0 && next.RetentionHours > was.RetentionHours {
		next.FloorMillis = was.Edge(db.o.Clock())
	}
	if _, err := lockHeads(ctx, tx, []string{string(was.ID)}); err != nil {
		return err
	}
	if was.RetentionHours == 0 {
		for _, table := range []string{"fragments", "sealed", "gone"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE stream = $1`,
				was.Key); err != nil {
				return err
			}
		}
	}
	_, err := tx.Exec(ctx, `UPDATE heads SET retention_hours = $2 WHERE id = $1`, string(was.ID),
		next.RetentionHours)
	return err
}

// DeleteStream implements store.Streams. The stream's rows remain until PurgeStream.
func (db *DB) DeleteStream(ctx context.Context, id store.StreamID, version string) error {
	defer db.streams.forget(id)
	err := db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		st, err := lockStream(ctx, tx, id)
		if err != nil {
			return err
		}
		if version != "" && version != st.Version {
			return store.ErrVersion
		}
		_, err = tx.Exec(ctx, `UPDATE streams SET name = NULL WHERE key = $1`, st.Key)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM sessions WHERE stream = $1`, st.Key); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM heads WHERE id = $1`, string(id))
		return err
	})
	if err != nil {
		return fmt.Errorf("delete stream %s: %w", id, err)
	}
	return nil
}

// DeletedStreams returns the streams that are deleted but still have rows.
func (db *DB) DeletedStreams(ctx context.Context) (ids []store.StreamID, err error) {
	err = db.again(ctx, func(ctx context.Context) (err error) {
		ids, err = list(ctx, db.pool, scanOne[store.StreamID],
			`SELECT id FROM streams WHERE name IS NULL ORDER BY key`)
		return err
	})
	return ids, err
}

// PurgeStream drops at most limit rows of each kind of a deleted stream; done when the last one
// went, and for an unknown stream. ErrLease when another node holds the lease.
func (db *DB) PurgeStream(
	ctx context.Context, l Lease, id store.StreamID, limit int,
) (done bool, err error) {
	err = db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		var key int64
		err := tx.QueryRow(ctx, `SELECT key FROM streams WHERE id = $1 AND name IS NULL FOR UPDATE`,
			string(id)).Scan(&key)
		if errors.Is(err, pgx.ErrNoRows) {
			done = true
			return nil
		}
		if err != nil {
			return err
		}
		left := false
		for _, purge := range []string{
			`DELETE FROM fragments WHERE stream = $1 AND number IN
				(SELECT number FROM fragments WHERE stream = $1 ORDER BY number LIMIT $2)`,
			`DELETE FROM sealed WHERE object IN
				(SELECT object FROM sealed WHERE stream = $1 ORDER BY number_min LIMIT $2)`,
			`DELETE FROM gone WHERE stream = $1 AND number IN
				(SELECT number FROM gone WHERE stream = $1 ORDER BY number LIMIT $2)`,
			`DELETE FROM track_sets WHERE stream = $1 AND id IN
				(SELECT id FROM track_sets WHERE stream = $1 ORDER BY id LIMIT $2)`,
		} {
			tag, err := tx.Exec(ctx, purge, key, limit)
			if err != nil {
				return err
			}
			left = left || tag.RowsAffected() >= int64(limit)
		}
		if done = !left; done {
			_, err = tx.Exec(ctx, `DELETE FROM streams WHERE key = $1`, key)
		}
		return err
	})
	return done, err
}
