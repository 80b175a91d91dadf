package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"weir/internal/store"
)

// Reader reads an index as of its last commit. It has no method that writes.
type Reader struct {
	readers *sql.DB

	// What only one process remembers, and may since it never changes while the stream is there;
	// PurgeStream takes the key away.
	// text to *sql.Stmt of readers; the texts are constants and the few forms of hotQuery
	queries sync.Map
	keys    sync.Map // store.StreamID to its int64 key, one of each stream that was used
}

// Close closes the reader. No call may be running.
func (x *Reader) Close() error {
	var errs []error
	x.queries.Range(func(_, s any) bool {
		errs = append(errs, s.(*sql.Stmt).Close())
		return true
	})
	if x.readers != nil {
		errs = append(errs, x.readers.Close())
	}
	return errors.Join(errs...)
}

// OpenReadOnly opens the index in a file for reading. With live it belongs to a running server, and
// every call sees its last commit. Otherwise nobody may be writing, and nothing in the directory is
// changed, except that SQLite makes a -shm file when a killed server has left a log. fs.ErrNotExist
// when there is no index. An index with an older schema is refused.
func OpenReadOnly(ctx context.Context, path string, live bool) (*Reader, error) {
	x, have, err := openReadOnly(ctx, path, live)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", path, err)
	}
	missing, err := migrationsBehind(have)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("schema %d is that of an older version; a start brings it up to date",
			have)
	}
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", path, errors.Join(err, x.Close()))
	}
	return x, nil
}

// openReadOnly opens an index with any schema, and returns the schema's version.
func openReadOnly(ctx context.Context, path string, live bool) (x *Reader, schema int, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, 0, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, 0, err
	}
	q := url.Values{"_pragma": {"busy_timeout(10000)", "query_only(1)", "cache_size(-8000)"},
		"mode": {"ro"}}
	empty, err := emptyLog(path + "-wal")
	if err != nil {
		return nil, 0, err
	}
	if empty && !live {
		q.Set("immutable", "1")
	}
	u := url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}
	x = &Reader{}
	if x.readers, err = sql.Open("sqlite", u.String()); err != nil {
		return nil, 0, err
	}
	x.readers.SetMaxOpenConns(2)
	err = x.readers.QueryRowContext(ctx, "PRAGMA user_version").Scan(&schema)
	if err != nil {
		return nil, 0, errors.Join(err, x.Close())
	}
	return x, schema, nil
}

// CheckSchema refuses the index in a file whose schema is newer than this version knows, even while
// a server has it open. An index that cannot be read passes: Open has ways to deal with it.
func CheckSchema(ctx context.Context, path string) error {
	x, have, err := openReadOnly(ctx, path, true)
	if err != nil {
		return nil
	}
	_ = x.Close() // only read
	if _, err := migrationsBehind(have); err != nil {
		return fmt.Errorf("index %s: %w", path, err)
	}
	return nil
}

// Verify lets SQLite check the whole file, and returns what it finds wrong as texts.
func (x *Reader) Verify(ctx context.Context) (wrong []string, err error) {
	err = x.read(ctx, func(rows *sql.Rows) error {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		if text != "ok" {
			wrong = append(wrong, text)
		}
		return nil
	}, "PRAGMA quick_check(20)")
	return wrong, err
}

// read runs a query on the pool and calls each for every row.
func (x *Reader) read(
	ctx context.Context, each func(*sql.Rows) error, text string, args ...any,
) error {
	s, err := x.query(ctx, text)
	if err != nil {
		return err
	}
	return scan(each)(s.QueryContext(ctx, args...))
}

// readRow runs a query for one row on the pool; store.ErrNotFound when there is none.
func (x *Reader) readRow(ctx context.Context, dest []any, text string, args ...any) error {
	s, err := x.query(ctx, text)
	if err != nil {
		return err
	}
	return notFound(s.QueryRowContext(ctx, args...).Scan(dest...))
}

// query returns the prepared statement of a text for the pool, since preparing one costs more than
// reading a row. Do not call it while holding one of the pool's connections: it may need one.
func (x *Reader) query(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := x.queries.Load(text); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := x.readers.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if other, ok := x.queries.LoadOrStore(text, s); ok {
		return other.(*sql.Stmt), s.Close()
	}
	return s, nil
}

// snapshot begins a transaction on the pool and returns the statements of the texts in it; done
// ends it.
func (x *Reader) snapshot(
	ctx context.Context, texts ...string,
) (queries []*sql.Stmt, done func(), err error) {
	for _, text := range texts {
		s, err := x.query(ctx, text)
		if err != nil {
			return nil, nil, err
		}
		queries = append(queries, s)
	}
	t, err := x.readers.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	for i, s := range queries {
		queries[i] = t.StmtContext(ctx, s)
	}
	return queries, func() { _ = t.Rollback() }, nil // it changed nothing
}

func scan(each func(*sql.Rows) error) func(*sql.Rows, error) error {
	return func(rows *sql.Rows, err error) error {
		if err != nil {
			return err
		}
		for err == nil && rows.Next() {
			err = each(rows)
		}
		return errors.Join(err, rows.Err(), rows.Close())
	}
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// key returns the key of a stream, even if it is deleted.
func (x *Reader) key(ctx context.Context, id store.StreamID) (int64, error) {
	if key, ok := x.keys.Load(id); ok {
		return key.(int64), nil
	}
	var key int64
	err := x.readRow(ctx, []any{&key}, "SELECT key FROM streams WHERE id = ?", string(id))
	if err != nil {
		return 0, err
	}
	x.keys.Store(id, key)
	return key, nil
}
