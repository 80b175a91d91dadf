package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// OpenReadOnly opens the index in a file for reading. With live it belongs to a server that runs,
// and every call sees its last commit; otherwise nobody may be writing, and nothing in the
// directory is changed, except that SQLite makes a -shm file when a killed server left a log.
// fs.ErrNotExist when there is none. An index of an older schema is refused.
func OpenReadOnly(ctx context.Context, path string, live bool) (*Reader, error) {
	x, have, err := openReadOnly(ctx, path, live)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", path, err)
	}
	missing, err := migrationsBehind(have)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("schema %d is that of an older version; a start brings it up to date", have)
	}
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", path, errors.Join(err, x.Close()))
	}
	return x, nil
}

// openReadOnly opens an index of any schema, and tells which it has.
func openReadOnly(ctx context.Context, path string, live bool) (x *Reader, schema int, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, 0, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, 0, err
	}
	q := url.Values{"_pragma": {"busy_timeout(10000)", "query_only(1)", "cache_size(-8000)"}, "mode": {"ro"}}
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

// CheckSchema refuses the index in a file whose schema is newer than this version knows, also while
// a server has it open. That it cannot be read is for Open to tell, which has other ways.
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

// Verify lets SQLite look at the whole file; what it finds wrong comes as texts.
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
