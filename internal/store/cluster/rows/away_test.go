package rows_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
)

// Only what the network, a time limit, or a server that stops or has no room for a query says is
// taken for silence. An answer is not, nor is a fault of this program: cached rows must not hide
// it.
func TestIsAway(t *testing.T) {
	t.Parallel()
	code := func(s string) error { return &pgconn.PgError{Code: s} }
	for _, c := range []struct {
		err  error
		want bool
	}{
		{code("08006"), true},
		{code("53300"), true},
		{code("57P01"), true},
		{code("57014"), true},
		{pgconn.ErrConnClosed, true},
		{io.ErrUnexpectedEOF, true},
		{context.DeadlineExceeded, true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{&net.DNSError{Name: "db", IsTemporary: true}, true},

		{nil, false},
		{store.ErrNotFound, false},
		{context.Canceled, false},
		{fmt.Errorf("%w: %w", store.ErrFull, code("53100")), false},
		{code("25006"), false},
		{code("42703"), false},
		{code("40001"), false},
		{code("XX001"), false},
		{rows.ErrLease, false},
		{pgx.ErrTxClosed, false},
		{pgx.ScanArgError{ColumnIndex: 1, Err: errors.New("cannot scan")}, false},
		{&fs.PathError{Op: "write", Path: "cache", Err: syscall.ENOSPC}, false},
		{errors.New("a row makes no sense"), false},
	} {
		if c.err != nil {
			c.err = fmt.Errorf("of a call: %w", c.err)
		}
		if got := rows.IsAway(c.err); got != c.want {
			t.Errorf("%v counts as away: %t", c.err, got)
		}
	}
}

// The same of a real server: it cannot be reached, takes too long, or answers.
func TestIsAwayOfServer(t *testing.T) {
	t.Parallel()
	url := clustertest.Database(t)
	config, err := pgx.ParseConfig(url)
	must(t, err)
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), `SET statement_timeout = 10`)
	must(t, err)
	connect := func(url string) error {
		_, err := pgx.Connect(t.Context(), url)
		return err
	}
	query := func(ctx context.Context, statement string) error {
		var n int
		return conn.QueryRow(ctx, statement).Scan(&n)
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for _, c := range []struct {
		what string
		err  error
		want bool
	}{
		{"nobody listens", connect("postgres://weir@127.0.0.1:1/weir"), true},
		{"no such database",
			connect(strings.Replace(url, "/"+config.Database+"?", "/another?", 1)), true},
		{"wrong statement", query(t.Context(), `SELECT nothing`), false},
		{"wrong type", query(t.Context(), `SELECT 'text'`), false},
		{"no row", query(t.Context(), `SELECT 1 WHERE false`), false},
		{"too slow for the server", query(t.Context(), `SELECT 1 FROM pg_sleep(30)`), true},
		{"too slow for us", query(soon, `SELECT 1 FROM pg_sleep(30)`), true},
	} {
		if c.err == nil || rows.IsAway(c.err) != c.want {
			t.Errorf("%s: %v counts as away: %t", c.what, c.err, rows.IsAway(c.err))
		}
	}
}
