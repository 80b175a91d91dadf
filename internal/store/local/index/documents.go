package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"weir/internal/store"
)

// PutDocument implements local.Index.
func (x *SQLite) PutDocument(
	ctx context.Context, d store.Document, revision int64,
) (next int64, err error) {
	transact := x.add
	if revision > 0 { // such as a key to be disabled, which must not wait for a larger disk
		transact = x.write
	}
	var logged error
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
		t.onCommit(func() {
			logged = x.logChange(t, documentLine{Revision: next, Kind: d.Kind, Name: d.Name,
				Data: d.Data})
		})
		return err
	})
	return next, errors.Join(err, logged, x.distrust(err))
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
	var logged error
	err := x.write(ctx, durable, func(t *tx) error {
		old, err := t.documentRevision(kind, name)
		if err != nil {
			return err
		}
		if revision != store.AnyRevision && revision != old {
			return store.ErrVersion
		}
		next, err := t.nextDocumentRevision()
		if err != nil {
			return err
		}
		_, err = t.exec(`DELETE FROM documents WHERE kind = ? AND name = ?`, kind, name)
		t.onCommit(func() {
			logged = x.logChange(t, documentLine{Revision: next, Kind: kind, Name: name,
				Gone: true})
		})
		return err
	})
	return errors.Join(err, logged, x.distrust(err))
}

// distrust removes the log after a change that may or may not have been made.
func (x *SQLite) distrust(err error) error {
	for _, known := range []error{nil, store.ErrExists, store.ErrVersion, store.ErrNotFound,
		store.ErrFull, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return nil
		}
	}
	x.writing <- struct{}{}
	defer func() { <-x.writing }()
	return x.documents.remove()
}

// openDocuments makes the documents and their log agree.
func (x *SQLite) openDocuments(ctx context.Context) error {
	x.documents.index = x.file
	x.documents.path = filepath.Join(filepath.Dir(x.path), documentsFile)
	revision, err := x.DocumentRevision(ctx)
	if err != nil {
		return err
	}
	list, logged, err := readDocumentLog(x.documents.path)
	if err != nil {
		return fmt.Errorf("log of documents: %w", err)
	}
	if logged > revision {
		err = x.write(ctx, durable, func(t *tx) error { return t.reconcile(list, logged) })
	}
	if err == nil {
		err = x.logAgain(ctx)
	}
	return err
}

// logAgain makes a log that was removed, if there are documents.
func (x *SQLite) logAgain(ctx context.Context) error {
	revision, err := x.DocumentRevision(ctx)
	if err != nil || revision == 0 {
		return err
	}
	return x.remakeLog(ctx)
}

// remakeLog makes the log when there is none. If there is no space, there is still none afterwards.
func (x *SQLite) remakeLog(ctx context.Context) error {
	x.writing <- struct{}{}
	defer func() { <-x.writing }()
	if x.documents.file != nil {
		return nil
	}
	if err := x.makeLog(&tx{x: x, ctx: context.WithoutCancel(ctx)}); err != nil {
		return x.documents.remove()
	}
	return nil
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
