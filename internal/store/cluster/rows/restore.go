package rows

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/sealed"
)

// RestoreSequence is where commit sequences go on for a stream whose row was lost. It is greater
// than any that the stream can have had.
const RestoreSequence = sequenceLeap

// StreamDeleted reports whether a stream that Row does not find is deleted but still has rows.
func (db *DB) StreamDeleted(ctx context.Context, id store.StreamID) (deleted bool, err error) {
	err = db.row(ctx, []any{&deleted},
		`SELECT EXISTS (SELECT 1 FROM streams WHERE id = $1 AND name IS NULL)`, string(id))
	return deleted, err
}

// ReviseStream replaces the settings and the version of a stream, if its version is was.
// store.ErrVersion when it is another one; store.ErrNotFound.
func (db *DB) ReviseStream(ctx context.Context, was string, st *store.Stream) error {
	_, err := db.changeStream(ctx, st.ID, func(now *store.Stream) error {
		if now.Version != was {
			return store.ErrVersion
		}
		*now = *st
		return nil
	})
	if err != nil {
		return fmt.Errorf("revise stream %s: %w", st.ID, err)
	}
	return nil
}

// RestoreSealed adds the row of a sealed object, and drops the rows that its fragments have
// replaced. sealed.ErrUnsealable, and nothing is changed, when one of its numbers or sequences may
// belong to a fragment that has a row. tracks are its sets in the form of record.AppendTracks.
// store.ErrNotFound, ErrLease.
func (db *DB) RestoreSealed(
	ctx context.Context, l Lease, v sealed.Volume, bytes int64, tracks [][]byte,
) error {
	err := db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		h, err := lockHead(ctx, tx, v.Stream)
		if err != nil {
			return err
		}
		var taken bool
		err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM fragments WHERE stream = $1
				AND (number >= $2 AND number <= $3 OR sequence >= $4 AND sequence <= $5))
			OR EXISTS (SELECT 1 FROM sealed WHERE stream = $1
				AND number_min <= $3 AND number_max >= $2)`, h.key, v.Number.Min, v.Number.Max,
			v.Sequence.Min, v.Sequence.Max).Scan(&taken)
		if err != nil {
			return err
		}
		if taken {
			return fmt.Errorf("numbers or sequences in its range have rows: %w",
				sealed.ErrUnsealable)
		}
		if v.Sets, err = trackSets(ctx, tx, h, tracks...); err != nil {
			return err
		}
		if err := dropReplaced(ctx, tx, h.key, v.Replaced); err != nil {
			return err
		}
		object := Object{Name: v.Name, Bytes: bytes}
		if err := insertSealed(ctx, tx, h.key, &v, object); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE heads SET sets = $2, number = greatest(number, $3),
			sequence = greatest(sequence, $4) WHERE `+ofStream, h.key, h.sets, v.Number.Max,
			v.Sequence.Max)
		return err
	})
	if err != nil {
		return fmt.Errorf("restore object %s: %w", v.Name, err)
	}
	return nil
}

// dropReplaced drops the rows of fragments that others have replaced.
func dropReplaced(ctx context.Context, tx pgx.Tx, key int64, replaced []store.Number) error {
	if len(replaced) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `DELETE FROM fragments WHERE stream = $1 AND number = ANY($2)`, key,
		int64s(replaced))
	if err != nil {
		return err
	}
	return insertGone(ctx, tx, key, replaced)
}

// insertGone adds which fragments in the tables of a stream's sealed objects were replaced.
func insertGone(ctx context.Context, tx pgx.Tx, key int64, numbers []store.Number) error {
	_, err := tx.Exec(ctx, `INSERT INTO gone (stream, number, object)
		SELECT s.stream, u.number, s.object FROM unnest($2::bigint[]) AS u(number)
		JOIN sealed s ON s.stream = $1 AND s.number_min <= u.number AND s.number_max >= u.number
		ON CONFLICT DO NOTHING`, key, int64s(numbers))
	return err
}

func int64s(numbers []store.Number) []int64 {
	list := make([]int64, len(numbers))
	for i, n := range numbers {
		list[i] = int64(n)
	}
	return list
}

// Repoint makes the row of a fragment at one place point to another. store.ErrNotFound when that
// row is gone; ErrLease.
func (db *DB) Repoint(
	ctx context.Context, l Lease, id store.StreamID, n store.Number, from, to store.Location,
	bytes int64,
) error {
	return db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		h, err := lockHead(ctx, tx, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO objects (name, bytes) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET unused_ms = 0`, to.Volume, bytes)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE fragments SET position = $5, length = $6,
			meta_length = $7, object = (SELECT key FROM objects WHERE name = $4)
			WHERE stream = $1 AND number = $2
			AND object = (SELECT key FROM objects WHERE name = $3)`, h.key, int64(n), from.Volume,
			to.Volume, to.Offset, to.Length, to.MetaLength)
		if err == nil && tag.RowsAffected() == 0 {
			err = store.ErrNotFound
		}
		return err
	})
}

// DropObject drops the rows of the fragments of a lost object, and returns how many had their own
// row or were in its table. The object's own row goes later, as usual, when it was unused for long
// enough: the node that committed it still expects it (Object.Known). ErrLease.
func (db *DB) DropObject(ctx context.Context, l Lease, name string) (fragments int64, err error) {
	err = db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		var key int64
		err := tx.QueryRow(ctx, `SELECT key FROM objects WHERE name = $1`, name).Scan(&key)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT id FROM heads WHERE id IN (SELECT s.id
			FROM streams s JOIN (SELECT stream FROM fragments WHERE object = $1
			UNION SELECT stream FROM sealed WHERE object = $1) AS o ON s.key = o.stream)
			ORDER BY id FOR UPDATE`,
			key); err != nil {
			return err
		}
		var sealedFragments int64
		err = tx.QueryRow(ctx, `SELECT CAST(COALESCE(SUM(fragments), 0) AS bigint) FROM sealed
			WHERE object = $1`, key).Scan(&sealedFragments)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM fragments WHERE object = $1`, key)
		if err != nil {
			return err
		}
		fragments = tag.RowsAffected() + sealedFragments
		for _, statement := range []string{`DELETE FROM gone WHERE object = $1`,
			`DELETE FROM sealed WHERE object = $1`} {
			if _, err := tx.Exec(ctx, statement, key); err != nil {
				return err
			}
		}
		return nil
	})
	return fragments, err
}

// StoredObject is an object and what its rows say of it.
type StoredObject struct {
	Object
	Key       int64
	Fragments int64          // that have a row of their own
	End       int64          // of the last of them
	Sealed    *sealed.Volume // without its Stream; nil when it is not sealed
}

// InUse reports whether a row refers to the object.
func (o *StoredObject) InUse() bool { return o.Fragments > 0 || o.Sealed != nil }

// Objects returns at most limit objects with keys greater than after, by key.
func (db *DB) Objects(
	ctx context.Context, after int64, limit int,
) (all []StoredObject, err error) {
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (o StoredObject, err error) {
			err = rows.Scan(&o.Key, &o.Name, &o.Object.Bytes, &o.Fragments, &o.End)
			return o, err
		}, `SELECT o.key, o.name, o.bytes, COALESCE(f.n, 0), COALESCE(f.last, 0)
			FROM (SELECT key, name, bytes FROM objects WHERE key > $1 ORDER BY key LIMIT $2) AS o
			LEFT JOIN LATERAL (SELECT COUNT(*) AS n, MAX(position + length) AS last
				FROM fragments WHERE object = o.key) AS f ON true ORDER BY o.key`, after, limit)
		if err != nil || len(all) == 0 {
			return err
		}
		return db.addSealed(ctx, all)
	})
	return all, err
}

// addSealed fills in what the rows of sealed objects say.
func (db *DB) addSealed(ctx context.Context, all []StoredObject) error {
	byName := make(map[string]int, len(all))
	keys := make([]int64, len(all))
	for i := range all {
		byName[all[i].Name], keys[i] = i, all[i].Key
	}
	tables, err := list(ctx, db.pool, scanSealed, `SELECT `+sealedColumns+` FROM sealed s
		JOIN objects o ON o.key = s.object WHERE s.object = ANY($1)`, keys)
	if err != nil {
		return err
	}
	for i := range tables {
		if at, ok := byName[tables[i].Name]; ok {
			all[at].Sealed = &tables[i]
		}
	}
	return nil
}

// FindObjects returns, with key and size, those of the named objects that have a row.
func (db *DB) FindObjects(
	ctx context.Context, names []string,
) (map[string]StoredObject, error) {
	found := make(map[string]StoredObject, len(names))
	err := db.again(ctx, func(ctx context.Context) error {
		_, err := list(ctx, db.pool, func(rows pgx.Rows) (o StoredObject, err error) {
			err = rows.Scan(&o.Key, &o.Name, &o.Object.Bytes)
			found[o.Name] = o
			return o, err
		}, `SELECT key, name, bytes FROM objects WHERE name = ANY($1)`, names)
		return err
	})
	return found, err
}

// LastObject returns the greatest key of an object; 0: there is none.
func (db *DB) LastObject(ctx context.Context) (key int64, err error) {
	err = db.row(ctx, []any{&key}, `SELECT COALESCE(MAX(key), 0) FROM objects`)
	return key, err
}

// CountStreams returns how many streams there are.
func (db *DB) CountStreams(ctx context.Context) (n int, err error) {
	err = db.row(ctx, []any{&n}, `SELECT COUNT(*) FROM streams WHERE name IS NOT NULL`)
	return n, err
}

// ObjectFragments returns the fragments in an object that have rows of their own, by position.
func (db *DB) ObjectFragments(ctx context.Context, object int64) ([]store.FragmentInfo, error) {
	return db.fragments(ctx, `f.object = $1 ORDER BY f.position`, object)
}

// Around is what the rows of a stream say about a fragment. Rows of fragments are read before what
// tells of sealed objects, so one that is sealed meanwhile is in the one or in the other.
type Around struct {
	// fragments with rows of their own that have its number, its producer timestamp, or its payload
	// and nearly its server timestamp
	Fragments []store.FragmentInfo
	Gone      []store.Number // as Gone returns them
	HighWater sealed.HighWater
}

// Around returns the rows around a fragment: those with its payload have a server timestamp within
// window milliseconds of its own. store.ErrNotFound when the stream is deleted.
func (db *DB) Around(
	ctx context.Context, id store.StreamID, f *store.FragmentInfo, window int64,
) (a Around, err error) {
	st, err := db.Row(ctx, id)
	if err != nil {
		return a, err
	}
	err = db.again(ctx, func(ctx context.Context) error {
		a = Around{}
		var found keyed
		var batch pgx.Batch // one way to the database and back
		batch.Queue(`SELECT `+fragmentColumns+` FROM fragments f WHERE f.stream = $1
			AND (f.number = $2 OR f.producer_ts = $3 OR f.payload_crc = $4
			AND f.length - f.meta_length = $5 AND f.server_ts >= $6 AND f.server_ts <= $7)`,
			st.Key, int64(f.Number), f.ProducerTimestamp, int64(f.PayloadCRC), f.Size(),
			f.ServerTimestamp-window, f.ServerTimestamp+window).Query(found.read)
		batch.Queue(goneQuery, st.Key).Query(func(rows pgx.Rows) (err error) {
			a.Gone, err = collect(rows, scanOne[store.Number])
			return err
		})
		h := &a.HighWater
		batch.Queue(highWaterQuery, string(id)).QueryRow(func(row pgx.Row) error {
			return row.Scan(&h.Number, &h.Sequence, &h.SealedNumber, &h.SealedSequence)
		})
		if err := db.pool.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		err := db.name(ctx, &found)
		a.Fragments = found.fragments
		return err
	})
	return a, err
}
