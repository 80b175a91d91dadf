package rows

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// MigrationKind is the kind of the one document that has a Migration.
const MigrationKind = "migration"

const migrationName = "state"

// Migration says how far an import has got, as JSON. No node starts before it is finished.
type Migration struct {
	Source   string     `json:"source"` // the ID of the store that is imported
	Began    time.Time  `json:"began"`
	Finished *time.Time `json:"finished,omitempty"`
}

// Migration returns how far an import has got, and the revision of its document; nil when there was
// none.
func (db *DB) Migration(ctx context.Context) (*Migration, int64, error) {
	list, err := db.ListDocuments(ctx, MigrationKind)
	if err != nil || len(list) == 0 {
		return nil, 0, err
	}
	m := &Migration{}
	if err := json.Unmarshal(list[0].Data, m); err != nil {
		return nil, 0, fmt.Errorf("state of the migration: %w", err)
	}
	return m, list[0].Revision, nil
}

// PutMigration writes it, like PutDocument.
func (db *DB) PutMigration(ctx context.Context, m *Migration, revision int64) (int64, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return 0, err
	}
	return db.PutDocument(ctx, MigrationKind, migrationName, b, revision)
}

// DeleteMigration deletes it, like DeleteDocument.
func (db *DB) DeleteMigration(ctx context.Context, revision int64) error {
	return db.DeleteDocument(ctx, MigrationKind, migrationName, revision)
}

// ImportStream adds a stream as another engine had it, with its ID and the state of its orders. If
// a stream with that ID exists, it is overwritten. store.ErrExists when another stream has the
// name; ErrLease when another process holds the lease.
func (db *DB) ImportStream(
	ctx context.Context, l Lease, st *store.Stream, at sealed.HighWater,
) error {
	b, err := record.EncodeStream(st)
	if err == nil {
		err = db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
			var key int64
			err := tx.QueryRow(ctx, `INSERT INTO streams (id, name, retention_hours, floor_ms,
				record) VALUES ($1, $2, $3, 0, $4) ON CONFLICT (id) DO UPDATE SET name = $2,
				retention_hours = $3, record = $4 RETURNING key`,
				string(st.ID), st.Name, st.RetentionHours, b).Scan(&key)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO heads (id, stream, number, sequence, sets,
				retention_hours, sealed_number, sealed_sequence)
				VALUES ($1, $2, $3, $4, 0, $5, 0, 0) ON CONFLICT (id) DO UPDATE
				SET number = greatest(heads.number, $3), sequence = greatest(heads.sequence, $4),
				retention_hours = $5`,
				string(st.ID), key, int64(at.Number), at.Sequence, st.RetentionHours)
			return err
		})
	}
	if isCode(err, uniqueViolation) {
		err = store.ErrExists
	}
	if err != nil {
		return fmt.Errorf("import stream %s: %w", st.Name, err)
	}
	return nil
}

// ImportSealed adds the row of a sealed object whose fragments have no rows, or only rows that an
// earlier try has imported; those go. tracks are its sets in the form of record.AppendTracks, at
// the places that they have in v.Sets. sealed.ErrUnsealable when the object cannot be put in order
// with the stream's other sealed objects; store.ErrNotFound, ErrLease.
func (db *DB) ImportSealed(
	ctx context.Context, l Lease, v *sealed.Volume, object Object, tracks [][]byte,
) error {
	err := db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		h, err := lockHead(ctx, tx, v.Stream)
		if err == nil {
			err = db.checkNode(ctx, tx, object.Node)
		}
		if err == nil {
			err = importSets(ctx, tx, h.key, v.Sets, tracks)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM fragments WHERE stream = $1 AND sequence >= $2
			AND sequence <= $3`, h.key, v.Sequence.Min, v.Sequence.Max); err != nil {
			return err
		}
		return insertSealed(ctx, tx, h.key, v, object)
	})
	if err != nil {
		return fmt.Errorf("import object %s: %w", v.Name, err)
	}
	return nil
}

// ImportFragments adds the rows of a stream's fragments in an object, with their sequences. tracks
// are their sets in the form of record.AppendTracks, by ID. store.ErrNotFound, ErrLease.
func (db *DB) ImportFragments(
	ctx context.Context, l Lease, id store.StreamID, object Object, list []store.FragmentInfo,
	tracks map[int64][]byte,
) error {
	err := db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		h, err := lockHead(ctx, tx, id)
		if err == nil {
			err = db.checkNode(ctx, tx, object.Node)
		}
		if err != nil {
			return err
		}
		var ids []int64
		var sets [][]byte
		for set, encoded := range tracks {
			ids, sets = append(ids, set), append(sets, encoded)
		}
		if err := importSets(ctx, tx, h.key, ids, sets); err != nil {
			return err
		}
		c := commit{heads: map[store.StreamID]*head{id: h}}
		for i := range list {
			c.rows = append(c.rows, Row{Stream: id, Info: list[i]})
			c.added = append(c.added, i)
			c.apart = append(c.apart, 1) // they come in any order
		}
		var batch pgx.Batch
		batch.Queue(`INSERT INTO objects (name, bytes) VALUES ($1, $2)`, object.Name, object.Bytes)
		c.queueFragments(&batch, object)
		return tx.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return fmt.Errorf("import %d fragments: %w", len(list), err)
	}
	return nil
}

// importSets adds the track sets that do not exist yet, under their IDs.
func importSets(ctx context.Context, tx pgx.Tx, key int64, ids []int64, tracks [][]byte) error {
	if len(ids) == 0 {
		return nil
	}
	var hashes [][]byte
	for _, encoded := range tracks {
		sum := sha256.Sum256(encoded)
		hashes = append(hashes, sum[:])
	}
	if _, err := tx.Exec(ctx, `INSERT INTO track_sets (stream, id, hash, tracks)
		SELECT $1, u.* FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) AS u
		ON CONFLICT (stream, id) DO NOTHING`, key, ids, hashes, tracks); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE heads SET sets = greatest(sets, $2) WHERE `+ofStream, key,
		slices.Max(ids))
	return err
}

// ImportGone adds which fragments of a stream's sealed objects were replaced. Call it after
// ImportSealed. ErrLease.
func (db *DB) ImportGone(
	ctx context.Context, l Lease, id store.StreamID, numbers []store.Number,
) error {
	return db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		h, err := lockHead(ctx, tx, id)
		if err != nil {
			return err
		}
		return insertGone(ctx, tx, h.key, numbers)
	})
}
