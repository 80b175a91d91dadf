// Package rows is what the nodes of a cluster share besides the bytes of fragments: streams, the
// rows of fragments and of sealed objects, sessions, documents and leases. They are in PostgreSQL,
// or a database that speaks its protocol. The package has every SQL statement of the engine, one
// file for each role.
//
// The SQL uses only what such databases have in common: bigint, text and bytea, and row locks; no
// triggers and no advisory locks. It does not rely on LISTEN and NOTIFY.
//
// A row that others may change is locked by SELECT … FOR UPDATE as a statement of its own, before
// the statements that read what it guards. In READ COMMITTED a statement sees what was committed
// when it began, so one that first waits for a lock and then reads other rows reads old ones
// (https://www.postgresql.org/docs/15/transaction-iso.html, 13.2.1).
package rows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/internal/store"
	"weir/internal/store/sealed"
)

// Options of a DB. All have defaults.
type Options struct {
	// the time for streams' creation, fragment numbers, retention and sessions; default time.Now
	Clock  func() time.Time
	Logger *slog.Logger // default: nothing
	// how long a call may take before the database counts as away; default 10 seconds
	Timeout time.Duration
	// how long a stream's row is used without reading it again, and how often the database is asked
	// for changes; default 200 milliseconds
	Fresh time.Duration
	// how long a node may be silent before its commits are refused; default 24 hours
	Silent time.Duration
	// the tables must be there: Open makes none in a database without them, and returns ErrNoTables
	Existing bool
	// the tables must also be of this program's version or a later one: Open changes nothing, and
	// returns ErrOldTables for older ones
	Unchanged bool
}

// ErrNoTables is returned for a database without tables when Options.Existing or Unchanged is set.
var ErrNoTables = errors.New("the database has no tables of a cluster")

// ErrOldTables is returned for the tables of an older program when Options.Unchanged is set.
var ErrOldTables = errors.New("the database has the tables of an older version")

var (
	_ store.Streams   = (*DB)(nil)
	_ store.Sessions  = (*DB)(nil)
	_ store.Documents = (*DB)(nil)
	_ sealed.Rows     = (*DB)(nil)
)

// DB is the rows of a cluster. Its methods may be called concurrently.
type DB struct {
	pool *pgxpool.Pool
	o    Options

	streams streamCache
	objects objectNames

	watch documentWatch
}

// Defaults of what a URL may set: how many connections a node holds at most, and how long the
// database lets a transaction be idle, such as that of a node that was stopped.
const (
	connections = 16
	idleLocks   = "5000" // milliseconds
)

// Open connects to the database of a URL or a keyword string
// (https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING; also pool_max_conns and
// the other settings of pgxpool) and brings its tables up to date. No error contains the password.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Fresh == 0 {
		o.Fresh = 200 * time.Millisecond
	}
	if o.Silent == 0 {
		o.Silent = 24 * time.Hour
	}
	config, err := Config(url)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	db := &DB{pool: pool, o: o}
	db.watch.ended = make(chan struct{})
	if err := db.migrate(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("tables of the database: %w", err)
	}
	return db, nil
}

// Config reads a database's URL or keyword string and sets the defaults. No error contains the
// password.
func Config(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The driver's error repeats the URL and hides what it takes for the password. In a
		// malformed URL the password may be elsewhere.
		return nil, errors.New("database: not a URL such as postgres://USER@HOST/DATABASE")
	}
	if config.MaxConns < connections {
		config.MaxConns = connections
	}
	run := config.ConnConfig.RuntimeParams
	if run["idle_in_transaction_session_timeout"] == "" {
		run["idle_in_transaction_session_timeout"] = idleLocks
	}
	if run["application_name"] == "" {
		run["application_name"] = "weir"
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		renew(c, url)
		return nil
	}
	return config, nil
}

// renew reads the files that a URL names again, because they may change while the process runs:
// passwords (passfile, https://www.postgresql.org/docs/15/libpq-pgpass.html) and certificates. If
// they cannot be read, nothing changes.
func renew(c *pgx.ConnConfig, url string) {
	now, err := pgx.ParseConfig(url)
	if err != nil {
		return
	}
	c.Password, c.TLSConfig = now.Password, now.TLSConfig
	if len(c.Fallbacks) == len(now.Fallbacks) {
		c.Fallbacks = now.Fallbacks
	}
}

// Close ends every connection. Callers that wait for a change get an error.
func (db *DB) Close() error {
	db.watch.end()
	db.pool.Close()
	return nil
}

// Ping returns nil if the database accepts changes.
func (db *DB) Ping(ctx context.Context) error {
	var readOnly string
	// It ends with ctx, unlike other calls: its caller needs an answer by then, even if that costs
	// a connection.
	err := db.pool.QueryRow(ctx, `SHOW transaction_read_only`).Scan(&readOnly)
	if err == nil && readOnly == "on" {
		err = errors.New("it is read-only")
	}
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// now is the time for retention and sessions, in milliseconds since the Unix epoch.
func (db *DB) now() int64 { return db.o.Clock().UnixMilli() }

// attempts is how often a transaction is tried that the database aborts.
const attempts = 20

// again retries fn for Options.Timeout. It does not end with ctx, because cancelling a query costs
// the connection, and a query is shorter than making another one.
func (db *DB) again(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.o.Timeout)
	defer cancel()
	return db.retry(ctx, fn)
}

// retry runs fn again while it fails by a conflict with another transaction, or by a connection
// that was lost before anything was sent.
func (db *DB) retry(ctx context.Context, fn func(ctx context.Context) error) error {
	for i := 1; ; i++ {
		err := fn(ctx)
		if err == nil || i == attempts || !db.repeat(err) {
			return known(err)
		}
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(i) * int64(5*time.Millisecond)))):
		case <-ctx.Done():
			return known(err)
		}
	}
}

// SQLSTATEs (https://www.postgresql.org/docs/15/errcodes-appendix.html).
const (
	uniqueViolation      = "23505"
	readOnlyTransaction  = "25006"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	duplicateObject      = "42710"
	undefinedTable       = "42P01"
	duplicateTable       = "42P07"
	diskFull             = "53100"
)

// repeat says that what failed was not applied, and may succeed on the next try.
func (db *DB) repeat(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		if e.Code == readOnlyTransaction {
			db.pool.Reset() // the address may lead to another server by now
		}
		return e.Code == serializationFailure || e.Code == deadlockDetected
	}
	return errors.Is(err, errMoved) || pgconn.SafeToRetry(err)
}

// known turns the database's errors into those of the contract.
func known(err error) error {
	var e *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrNotFound
	case errors.As(err, &e) && e.Code == diskFull:
		return fmt.Errorf("%w: database: %w", store.ErrFull, err)
	}
	return err
}

// transact runs fn in a transaction, again if the database aborts it.
func (db *DB) transact(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return db.again(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return fn(ctx, tx) })
	})
}

// row reads one row. store.ErrNotFound when there is none.
func (db *DB) row(ctx context.Context, dest []any, query string, args ...any) error {
	return db.again(ctx, func(ctx context.Context) error {
		return db.pool.QueryRow(ctx, query, args...).Scan(dest...)
	})
}

// exec runs a single statement and returns how many rows it changed.
func (db *DB) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = db.again(ctx, func(ctx context.Context) error {
		tag, err := db.pool.Exec(ctx, query, args...)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// list reads the rows of a query, each by scan.
func list[T any](
	ctx context.Context, q querier, scan func(pgx.Rows) (T, error), query string, args ...any,
) ([]T, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}

// collect reads the rows of a result, each by scan.
func collect[T any](rows pgx.Rows, scan func(pgx.Rows) (T, error)) (all []T, err error) {
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// scanOne reads a row of one column.
func scanOne[T any](rows pgx.Rows) (v T, err error) {
	err = rows.Scan(&v)
	return v, err
}

// notNull replaces a nil value with an empty one.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// cached is a value that may be used for a while.
type cached[T any] struct {
	value T
	until time.Time
}

// streamCache keeps the rows of streams for Options.Fresh, because every request needs one.
type streamCache struct {
	mu      sync.Mutex
	byID    map[store.StreamID]cached[Stream] // guarded by mu
	changes int                               // how often a row was forgotten; guarded by mu
}

// maxStreams bounds the cache, in streams.
const maxStreams = 20_000

func (c *streamCache) get(id store.StreamID) (st Stream, changes int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	return e.value, c.changes, ok && time.Now().Before(e.until)
}

// last returns the row as it was last read, if that is no longer ago than a given time.
func (c *streamCache) last(id store.StreamID, within time.Duration) (Stream, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	return e.value, ok && time.Since(e.until) < within
}

// put keeps a row that was read, if nothing was forgotten since get returned changes.
func (c *streamCache) put(st Stream, until time.Time, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes {
		return // it may be older than a change made here
	}
	if len(c.byID) >= maxStreams || c.byID == nil {
		c.byID = make(map[store.StreamID]cached[Stream])
	}
	c.byID[st.ID] = cached[Stream]{st, until}
}

func (c *streamCache) forget(id store.StreamID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	delete(c.byID, id)
}
