package rows

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Oldest is the version of the oldest programs that can go on once this one has brought the tables
// up to date. It is raised by a migration that removes what those programs use, one release later.
const Oldest = 1

// migrationTime bounds how long an update of the tables may take. An index of many millions of rows
// takes minutes.
const migrationTime = time.Hour

// turnTime is how often a node looks whether another one has updated the tables.
const turnTime = 100 * time.Millisecond

// concurrent is the first line of a migration whose statements run outside a transaction, while
// nodes commit: one that makes an index of a table that may be large. If it is interrupted it runs
// again, so it first drops what it makes.
const concurrent = "-- concurrent\n"

// migrate brings the tables to this program's version. Nodes that start at the same time take
// turns, because the row with the version is locked first. Newer tables are used as they are, if
// they say that this program may.
func (db *DB) migrate(ctx context.Context) error {
	steps, err := readSteps()
	if err != nil {
		return err
	}
	if err := db.createVersion(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, migrationTime)
	defer cancel()
	for {
		var version, oldest int
		err := db.row(ctx, []any{&version, &oldest}, `SELECT version, oldest FROM weir_version
			WHERE one = 1`)
		if err == nil && oldest > len(steps) {
			err = fmt.Errorf("they are of version %d, which programs of version %d can use; "+
				"this one is of version %d", version, oldest, len(steps))
		}
		if err != nil || version >= len(steps) {
			return err
		}
		if db.o.Unchanged {
			return ErrOldTables
		}
		err = db.retry(ctx, func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
				return db.migrateSome(ctx, tx, steps)
			})
		})
		if errors.Is(err, store.ErrNotFound) { // it is another node's turn
			err = ctx.Err()
			select {
			case <-time.After(turnTime):
			case <-ctx.Done():
			}
		}
		if err != nil {
			return err
		}
	}
}

// readSteps returns the text of the migrations, in order.
func readSteps() (steps []string, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	for _, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		steps = append(steps, string(text))
	}
	return steps, err
}

// migrateSome runs the next migration if it is a concurrent one, otherwise all before the next of
// those. New tables are empty and nobody uses them, so there it runs all in one transaction.
func (db *DB) migrateSome(ctx context.Context, tx pgx.Tx, steps []string) error {
	var version int
	// Whoever waits for a lock has a snapshot, and an index that is made CONCURRENTLY waits for all
	// older snapshots: the two would wait for each other.
	err := tx.QueryRow(ctx, `SELECT version FROM weir_version WHERE one = 1
		FOR UPDATE SKIP LOCKED`).Scan(&version)
	if err != nil || version >= len(steps) {
		return err
	}
	isConcurrent := func(i int) bool {
		return version > 0 && strings.HasPrefix(steps[i], concurrent)
	}
	end := version + 1
	var run func(statement string) error
	if isConcurrent(version) {
		// This transaction only keeps the lock in the meantime.
		_, err := tx.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`)
		if err != nil {
			return err
		}
		run = func(statement string) error {
			_, err := db.pool.Exec(ctx, statement)
			return err
		}
	} else {
		for end < len(steps) && !isConcurrent(end) {
			end++
		}
		run = func(statement string) error {
			_, err := tx.Exec(ctx, strings.ReplaceAll(statement, " CONCURRENTLY", ""))
			return err
		}
	}
	for i := version; i < end; i++ {
		if err := execScript(steps[i], run); err != nil {
			return fmt.Errorf("to version %d: %w", i+1, err)
		}
	}
	_, err = tx.Exec(ctx, `UPDATE weir_version SET version = $1, oldest = $2`, end, Oldest)
	return err
}

// execScript runs the statements of a migration. No statement contains a semicolon.
func execScript(text string, run func(statement string) error) error {
	var plain strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		plain.WriteString(code + "\n")
	}
	for statement := range strings.SplitSeq(plain.String(), ";") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if err := run(statement); err != nil {
			return err
		}
	}
	return nil
}

// createVersion makes the table with the version, which is 0 before the first migration. Once the
// table exists, a user who may not create tables can serve.
func (db *DB) createVersion(ctx context.Context) (err error) {
	for range attempts {
		var version int
		err = db.row(ctx, []any{&version}, `SELECT version FROM weir_version WHERE one = 1`)
		if err == nil || !errors.Is(err, store.ErrNotFound) && !isCode(err, undefinedTable) {
			return err
		}
		if db.o.Existing || db.o.Unchanged {
			return ErrNoTables
		}
		_, err = db.exec(ctx, `CREATE TABLE IF NOT EXISTS weir_version (
			one bigint NOT NULL PRIMARY KEY, version bigint NOT NULL, oldest bigint NOT NULL)`)
		if err == nil {
			_, err = db.exec(ctx, `INSERT INTO weir_version (one, version, oldest)
				VALUES (1, 0, 0) ON CONFLICT (one) DO NOTHING`)
		}
		// When two programs create a table at once, one fails, and finds the table on the next try.
		// A table is also a type, so the error depends on how far the other program has got.
		if err != nil && !isCode(err, uniqueViolation, duplicateObject, duplicateTable) {
			return err
		}
	}
	return err
}

// isCode reports whether an error has one of the SQLSTATEs.
func isCode(err error, codes ...string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}
