// Package index keeps a store's rows in SQLite. The SQL stays within what PostgreSQL understands
// too, except for what this file and the migrations hold.
package index

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"weir/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// SQLite is a local.Index in one file. All writes go through one connection, one transaction at a
// time. Reads go through a pool and see the last commit. In WAL mode neither waits for the other.
type SQLite struct {
	Reader

	db      *sql.DB       // of the one writing connection
	writing chan struct{} // one slot; guards the fields below
	conn    *sql.Conn
	synced  bool // the connection is at synchronous=FULL
	relaxed bool // Batch runs
	stmts   map[string]*sql.Stmt

	tails map[store.StreamID]*tail // of Commit

	path     string
	file     *os.File // the database; see openWith
	log      *os.File // the write-ahead log
	shm      *os.File // the -shm file; nil when this process shares memory without it
	pageSize int64
	pages    int64 // pages of the database as committed, all allocated; guarded by writing
	reserved bool  // the reserve is complete; guarded by writing
	keepLog  bool  // the log outlives Close; guarded by writing

	documents documentLog // guarded by writing
}

// readConnections is how many reads can run at the same time. Each connection may cache 8 MB.
const readConnections = 8

// OpenSQLite opens the index in a file. If need be, it makes the file (mode 0600) or updates its
// schema. The caller holds the lock of the data directory.
func OpenSQLite(ctx context.Context, path string) (*SQLite, error) {
	x, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", path, err)
	}
	return x, nil
}

func openSQLite(ctx context.Context, path string) (*SQLite, error) {
	x, err := openWith(ctx, path, "")
	if errors.Is(err, store.ErrFull) {
		// There is no room for the -shm file. In this way the connections share memory without it,
		// and other processes are locked out.
		x, err = openWith(ctx, path, "unix-excl")
	}
	return x, err
}

// openWith opens the index with one of SQLite's VFSs; "" is the default.
func openWith(ctx context.Context, path, vfs string) (*SQLite, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	x := &SQLite{
		path: abs, writing: make(chan struct{}, 1), stmts: make(map[string]*sql.Stmt), synced: true,
		tails: make(map[store.StreamID]*tail),
	}
	_, err = os.Stat(abs + "-wal")
	x.keepLog = err == nil
	// SQLite gives its -wal and -shm files the mode of the database. The file stays open as long as
	// SQLite has it open: closing it would release the locks that the process has on it (SQLite,
	// How To Corrupt An SQLite Database File, 2.2).
	if x.file, err = os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if vfs == "" {
		if x.shm, err = os.OpenFile(abs+"-shm", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, errors.Join(err, x.file.Close())
		}
		release, err := holdShm(x.shm)
		defer release()
		if err != nil {
			return nil, errors.Join(err, x.shm.Close(), x.file.Close())
		}
	}
	open := func(pragmas ...string) (*sql.DB, error) {
		q := url.Values{"_pragma": append(pragmas, "busy_timeout(10000)", "temp_store(MEMORY)")}
		if vfs != "" {
			q.Set("vfs", vfs)
		}
		u := url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}
		return sql.Open("sqlite", u.String())
	}
	x.db, err = open("journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)",
		"wal_autocheckpoint(8000)", "cache_size(-16000)")
	if err == nil {
		x.conn, err = x.db.Conn(ctx)
	}
	if err == nil {
		err = x.migrate(ctx)
	}
	if err == nil {
		err = x.measure(ctx)
	}
	if err == nil {
		x.readers, err = open("query_only(1)", "cache_size(-8000)")
	}
	if err != nil {
		return nil, errors.Join(full(err), x.Close())
	}
	x.readers.SetMaxOpenConns(readConnections)
	x.readers.SetMaxIdleConns(readConnections)
	if err := x.openDocuments(ctx); err != nil {
		return nil, errors.Join(full(err), x.Close())
	}
	return x, nil
}

// migrate applies the numbered migrations that the database has not seen, each in a transaction
// with its number.
func (x *SQLite) migrate(ctx context.Context) error {
	var have int
	if err := x.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	names, err := migrationsBehind(have)
	if err != nil {
		return err
	}
	for i, name := range names {
		number, _, _ := strings.Cut(filepath.Base(name), "_")
		if n, err := strconv.Atoi(number); err != nil || n != have+i+1 {
			return fmt.Errorf("migration %s is out of order", name)
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		script := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA user_version = %d;\nCOMMIT;", text,
			have+i+1)
		if _, err := x.conn.ExecContext(ctx, script); err != nil {
			_, _ = x.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	return nil
}

// migrationsBehind returns the migrations that a database with a given schema lacks, in order. It
// is an error if the schema is newer than all of them.
func migrationsBehind(schema int) ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	if schema < 0 || schema > len(names) {
		return nil, fmt.Errorf("schema %d is of a newer version than this one, which knows %d",
			schema, len(names))
	}
	return names[schema:], nil
}

// Close implements local.Index. What was committed is in the file. No call may be running.
func (x *SQLite) Close() error {
	errs := []error{x.Reader.Close()}
	for _, s := range x.stmts {
		errs = append(errs, s.Close())
	}
	kept, err := x.keep()
	errs = append(errs, err)
	if x.conn != nil {
		errs = append(errs, x.conn.Close())
	}
	if x.db != nil {
		errs = append(errs, x.db.Close())
	}
	if kept {
		errs = append(errs, clearLog(x.log))
	}
	x.documents.close()
	for _, f := range []*os.File{x.log, x.shm, x.file} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// tx is the running write transaction.
type tx struct {
	x   *SQLite
	ctx context.Context // for this transaction only: WithoutCancel of the caller's

	committed []func() // called after the commit, before the next transaction
}

// durability of a write transaction.
type durability uint8

const (
	visible durability = iota // the newest ones may be lost in a power cut
	// on disk on return, with everything committed before; within Batch, when Batch returns
	durable
	ordered // on disk on return, also within Batch: something is destroyed next
)

// write runs fn in a transaction, again if it fails for want of space. It waits for its turn until
// ctx ends, but is not interrupted afterwards: if an impatient client could cut a change short,
// nobody would know what became of it.
//
// It is for what frees space and for what was promised, and may use the reserve. For anything new
// there is add.
func (x *SQLite) write(ctx context.Context, d durability, fn func(t *tx) error) error {
	return x.transact(ctx, d, true, fn)
}

// add is write for what a full disk refuses, outside of Batch.
func (x *SQLite) add(ctx context.Context, d durability, fn func(t *tx) error) error {
	return x.transact(ctx, d, false, fn)
}

func (x *SQLite) transact(
	ctx context.Context, d durability, mayTake bool, fn func(*tx) error,
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case x.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-x.writing }()
	ctx = context.WithoutCancel(ctx)
	err := x.try(ctx, d, fn)
	if errors.Is(err, store.ErrFull) && !errors.Is(err, errGrow) {
		if again, _ := x.restart(ctx); again {
			err = x.try(ctx, d, fn)
		}
	}
	for n := 1; errors.Is(err, store.ErrFull) && n <= pieces && (mayTake || x.relaxed); n *= 2 {
		again := x.try(ctx, d, func(t *tx) error {
			if err := t.take(n); err != nil {
				return err
			}
			return fn(t)
		})
		if !errors.Is(again, store.ErrFull) {
			err = again
		}
	}
	return err
}

// try runs fn in a transaction once, in the caller's turn.
//
// synchronous is a setting of the connection: FULL syncs the write-ahead log at each commit, NORMAL
// only at checkpoints. One sync covers everything that was written before it.
func (x *SQLite) try(ctx context.Context, d durability, fn func(t *tx) error) error {
	t := &tx{x: x, ctx: ctx}
	if err := t.sync(d == ordered || d == durable && !x.relaxed); err != nil {
		return err
	}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return full(err)
	}
	err := fn(t)
	if err == nil {
		err = t.grow()
	}
	if err == nil {
		_, err = t.exec("COMMIT")
	}
	if err != nil {
		// After a failed COMMIT the transaction may still be open or not, and applied or not.
		// ROLLBACK is right in each case.
		_, _ = t.exec("ROLLBACK")
		return full(err)
	}
	for _, call := range t.committed {
		call()
	}
	return nil
}

// onCommit calls f after the commit.
func (t *tx) onCommit(f func()) { t.committed = append(t.committed, f) }

// sync sets whether commits are synced.
func (t *tx) sync(on bool) error {
	if t.x.synced == on {
		return nil
	}
	level := "NORMAL"
	if on {
		level = "FULL"
	}
	if _, err := t.x.conn.ExecContext(t.ctx, "PRAGMA synchronous = "+level); err != nil {
		return err
	}
	t.x.synced = on
	return nil
}

// Batch implements local.Index.
func (x *SQLite) Batch(ctx context.Context, fn func() error) error {
	relax := func(on bool) {
		x.writing <- struct{}{}
		x.relaxed = on
		<-x.writing
	}
	relax(true)
	err := fn()
	relax(false)
	if err != nil {
		return err
	}
	// A checkpoint syncs the log and then the database.
	x.writing <- struct{}{}
	defer func() { <-x.writing }()
	t := &tx{x: x, ctx: context.WithoutCancel(ctx)}
	if err := t.sync(true); err != nil {
		return err
	}
	var busy, frames, done int
	if err := x.conn.QueryRowContext(t.ctx, "PRAGMA wal_checkpoint(FULL)").Scan(&busy, &frames,
		&done); err != nil {
		return err
	}
	if busy != 0 || done < frames {
		return fmt.Errorf("checkpoint stopped at %d of %d frames", done, frames)
	}
	return nil
}

// stmt prepares a statement once for the connection. The statements are constants of this package,
// so there are few.
func (t *tx) stmt(text string) (*sql.Stmt, error) {
	if s := t.x.stmts[text]; s != nil {
		return s, nil
	}
	s, err := t.x.conn.PrepareContext(t.ctx, text)
	if err != nil {
		return nil, err
	}
	t.x.stmts[text] = s
	return s, nil
}

func (t *tx) exec(text string, args ...any) (changed int64, err error) {
	s, err := t.stmt(text)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// row runs a query for one row; store.ErrNotFound when there is none.
func (t *tx) row(dest []any, text string, args ...any) error {
	s, err := t.stmt(text)
	if err != nil {
		return err
	}
	return notFound(s.QueryRowContext(t.ctx, args...).Scan(dest...))
}

// rows runs a query and calls each for every row. each must not use the transaction.
func (t *tx) rows(each func(*sql.Rows) error, text string, args ...any) error {
	s, err := t.stmt(text)
	if err != nil {
		return err
	}
	return scan(each)(s.QueryContext(t.ctx, args...))
}

// liveKey returns the key of a stream that is not deleted.
func (t *tx) liveKey(id store.StreamID) (int64, error) {
	var key int64
	err := t.row([]any{&key}, "SELECT key FROM streams WHERE id = ? AND deleted = 0", string(id))
	return key, err
}
