package clustertest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Replica is a database as it was at some moment, for a failover or a restore.
type Replica struct {
	url    string
	tables []string
}

// NewReplica copies all tables of a test's schema as of one moment.
func NewReplica(t testing.TB, url string) *Replica {
	t.Helper()
	r := &Replica{url: url}
	r.within(t, func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), `SELECT table_name::text FROM information_schema.tables
			WHERE table_schema = current_schema() ORDER BY table_name`)
		if err != nil {
			return err
		}
		if r.tables, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		for _, table := range r.tables {
			_, err := tx.Exec(t.Context(), fmt.Sprintf(`CREATE TABLE replica_%s AS TABLE %s`, table,
				table))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return r
}

// Promote puts the tables back as they were: all later commits are lost.
func (r *Replica) Promote(t testing.TB) {
	t.Helper()
	r.within(t, func(tx pgx.Tx) error {
		for _, table := range r.tables {
			_, err := tx.Exec(t.Context(), fmt.Sprintf(`TRUNCATE %s; INSERT INTO %s
				TABLE replica_%s`, table, table, table))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Replica) within(t testing.TB, do func(tx pgx.Tx) error) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only looked at
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, do)
	if err != nil {
		t.Fatal(err)
	}
}
