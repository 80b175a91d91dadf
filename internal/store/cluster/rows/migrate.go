package rows

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Oldest is the version of the oldest programs that can go on once this one has brought the tables
// up to date. It is raised by a migration that removes what those programs use, one release later.
const Oldest = 1

// migrate brings the tables to this program's version. Nodes that start at the same time take
// turns, because the row with the version is locked first. Newer tables are used as they are, if
// they say that this program may.
func (db *DB) migrate(ctx context.Context) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if err := db.createVersion(ctx); err != nil {
		return err
	}
	return db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var version, oldest int
		err := tx.QueryRow(ctx, `SELECT version, oldest FROM weir_version WHERE one = 1
			FOR UPDATE`).Scan(&version, &oldest)
		if err != nil {
			return err
		}
		if oldest > len(steps) {
			return fmt.Errorf("they are of version %d, which programs of version %d can use; "+
				"this one is of version %d", version, oldest, len(steps))
		}
		if version >= len(steps) {
			return nil
		}
		for _, name := range steps[version:] {
			text, err := migrations.ReadFile(name)
			if err != nil {
				return err
			}
			if err := execScript(ctx, tx, string(text)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		_, err = tx.Exec(ctx, `UPDATE weir_version SET version = $1, oldest = $2`, len(steps),
			Oldest)
		return err
	})
}

// execScript runs the statements of a migration. No statement contains a semicolon.
func execScript(ctx context.Context, tx pgx.Tx, text string) error {
	var plain strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		plain.WriteString(code + "\n")
	}
	for statement := range strings.SplitSeq(plain.String(), ";") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := tx.Exec(ctx, statement); err != nil {
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
