package index

import (
	"context"
	"database/sql"
	"errors"

	"weir/internal/store"
)

// PutDocument implements local.Index.
func (x *SQLite) PutDocument(
	ctx context.Context, d store.Document, revision int64,
) (next int64, err error) {
	transact := x.add
	if revision > 0 { // such as a key that is disabled, which must not wait for a larger disk
		transact = x.write
	}
	err = transact(ctx, durable, func(t *tx) error {
		old, err := t.documentRevision(d.Kind, d.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		switch {
		case revision == store.AnyRevision:
		case revision == store.NewDocument && old > 0:
			return store.ErrExists
		case revision != old: // 0 when there is none
			return store.ErrVersion
		}
		if next, err = t.nextDocumentRevision(); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO documents (kind, name, revision, data) VALUES (?, ?, ?, ?)
			ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision,
			data = excluded.data`, d.Kind, d.Name, next, notNull(d.Data))
		return err
	})
	return next, err
}

// documentRevision is the revision of a document. store.ErrNotFound when there is none.
func (t *tx) documentRevision(kind, name string) (revision int64, err error) {
	err = t.row([]any{&revision}, `SELECT revision FROM documents WHERE kind = ? AND name = ?`,
		kind, name)
	return revision, err
}

// nextDocumentRevision begins a new revision of all documents.
func (t *tx) nextDocumentRevision() (revision int64, err error) {
	err = t.row([]any{&revision},
		`UPDATE document_revision SET revision = revision + 1 RETURNING revision`)
	return revision, err
}

// DeleteDocument implements local.Index.
func (x *SQLite) DeleteDocument(ctx context.Context, kind, name string, revision int64) error {
	return x.write(ctx, durable, func(t *tx) error {
		old, err := t.documentRevision(kind, name)
		if err != nil {
			return err
		}
		if revision != store.AnyRevision && revision != old {
			return store.ErrVersion
		}
		if _, err := t.nextDocumentRevision(); err != nil {
			return err
		}
		_, err = t.exec(`DELETE FROM documents WHERE kind = ? AND name = ?`, kind, name)
		return err
	})
}

// ListDocuments implements local.Index.
func (x *Reader) ListDocuments(
	ctx context.Context, kind string,
) (list []store.Document, err error) {
	err = x.read(ctx, func(rows *sql.Rows) error {
		var d store.Document
		err := rows.Scan(&d.Kind, &d.Name, &d.Revision, &d.Data)
		list = append(list, d)
		return err
	}, `SELECT kind, name, revision, data FROM documents WHERE ? IN ('', kind)
		ORDER BY kind, name`, kind)
	return list, err
}

// DocumentRevision implements local.Index.
func (x *Reader) DocumentRevision(ctx context.Context) (revision int64, err error) {
	err = x.readRow(ctx, []any{&revision}, `SELECT revision FROM document_revision`)
	return revision, err
}
