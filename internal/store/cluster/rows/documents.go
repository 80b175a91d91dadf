package rows

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
)

// PutDocument implements store.Documents. The row of the revision is locked first, so that changes
// come one after the other and readers see each revision complete.
func (db *DB) PutDocument(
	ctx context.Context, kind, name string, data []byte, revision int64,
) (next int64, err error) {
	err = store.CheckDocument(kind, name, data)
	if err == nil {
		next, err = db.changeDocument(ctx, kind, name, func(old int64) error {
			switch {
			case revision == store.AnyRevision:
			case revision == store.NewDocument && old > 0:
				return store.ErrExists
			case revision != old: // 0 when there is none
				return store.ErrVersion
			}
			return nil
		}, `INSERT INTO documents (kind, name, revision, data) VALUES ($1, $2, $3, $4)
			ON CONFLICT (kind, name) DO UPDATE SET revision = $3, data = $4`, notNull(data))
	}
	if err != nil {
		return 0, fmt.Errorf("put document %s/%s: %w", kind, name, err)
	}
	return next, nil
}

// DeleteDocument implements store.Documents.
func (db *DB) DeleteDocument(ctx context.Context, kind, name string, revision int64) error {
	_, err := db.changeDocument(ctx, kind, name, func(old int64) error {
		switch {
		case old == 0:
			return store.ErrNotFound
		case revision != store.AnyRevision && revision != old:
			return store.ErrVersion
		}
		return nil
	}, `DELETE FROM documents WHERE kind = $1 AND name = $2 AND revision < $3`)
	if err != nil {
		return fmt.Errorf("delete document %s/%s: %w", kind, name, err)
	}
	return nil
}

// changeDocument runs a statement for a document and its next revision ($1, $2, $3), unless check
// refuses the document's present revision, 0 if there is none.
func (db *DB) changeDocument(
	ctx context.Context, kind, name string, check func(old int64) error, query string, args ...any,
) (next int64, err error) {
	defer db.watch.Tell() // also after an error: it may have been applied
	err = db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `SELECT revision FROM document_revision WHERE one = 1
			FOR UPDATE`).Scan(&next)
		if err != nil {
			return err
		}
		var old int64
		err = tx.QueryRow(ctx, `SELECT revision FROM documents WHERE kind = $1 AND name = $2`,
			kind, name).Scan(&old)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := check(old); err != nil {
			return err
		}
		next++
		if _, err := tx.Exec(ctx, query, append([]any{kind, name, next}, args...)...); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE document_revision SET revision = $1 WHERE one = 1`, next)
		return err
	})
	return next, err
}

// ListDocuments implements store.Documents.
func (db *DB) ListDocuments(ctx context.Context, kind string) (all []store.Document, err error) {
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (d store.Document, err error) {
			err = rows.Scan(&d.Kind, &d.Name, &d.Revision, &d.Data)
			return d, err
		}, `SELECT kind, name, revision, data FROM documents WHERE $1 IN ('', kind)
			ORDER BY kind, name`, kind)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	return all, nil
}

// WaitDocuments implements store.Documents. It asks every Options.Fresh, and at once when a change
// was made here. While the database is out of reach it keeps asking.
func (db *DB) WaitDocuments(ctx context.Context, after int64) (int64, error) {
	tick := time.NewTicker(db.o.Fresh)
	defer tick.Stop()
	for {
		changed := db.watch.Next()
		revision, err := db.documentRevision(ctx)
		if err != nil || revision > after {
			return revision, err
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-db.watch.ended:
			return 0, errClosed
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (db *DB) documentRevision(ctx context.Context) (revision int64, err error) {
	err = db.row(ctx, []any{&revision}, `SELECT revision FROM document_revision WHERE one = 1`)
	if err != nil {
		return 0, fmt.Errorf("wait for documents: %w", err)
	}
	return revision, nil
}

var errClosed = errors.New("store is closed")

// documentWatch wakes those who wait for a change of documents, when one was made here.
type documentWatch struct {
	store.Wake
	ended chan struct{} // closed by Close
	once  sync.Once
}

func (w *documentWatch) end() { w.once.Do(func() { close(w.ended) }) }
