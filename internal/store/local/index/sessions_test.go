package index

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"weir/internal/store"
)

func session(id string, created, expires int64, checkpoint int) store.Session {
	return store.Session{ID: id, Stream: streamID, CreatedMillis: created, ExpiresMillis: expires,
		Parameters: []byte("p"),
		Checkpoint: make([]byte, checkpoint)}
}

// wantTotals compares the totals of the stream, and of all, with the rows.
func wantTotals(t *testing.T, x *SQLite, want ...string) {
	t.Helper()
	rows, err := x.conn.QueryContext(t.Context(), `SELECT id FROM sessions ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(id))
	}
	if err := rows.Err(); err != nil || !slices.Equal(ids, want) {
		t.Fatalf("rows of %q, want %q: %v", ids, want, err)
	}
	for _, where := range []string{"stream = 0", "stream <> 0"} {
		var count, bytes, rows, size int64
		q := `SELECT COALESCE(SUM(sessions), 0), COALESCE(SUM(bytes), 0), (SELECT COUNT(*) FROM
			sessions),
			(SELECT COALESCE(SUM(` + sessionSize + `), 0) FROM sessions) FROM session_totals WHERE
				` + where
		if err := x.conn.QueryRowContext(t.Context(), q).Scan(&count, &bytes, &rows,
			&size); err != nil {
			t.Fatal(err)
		}
		if count != rows || bytes != size {
			t.Fatalf("totals where %s are %d and %d bytes, the rows are %d and %d", where, count,
				bytes, rows, size)
		}
	}
}

// Sessions that were closed or have expired take nothing: neither time when the next one is opened,
// nor space.
func TestPastSessionsLeaveNothing(t *testing.T) {
	x := withStream(t)
	limits := SessionLimits{Count: 5}
	for i := range int64(200) {
		closed, err := x.OpenSession(t.Context(), session(fmt.Sprintf("s%03d", i), i, 1000, 90_000),
			limits, 0)
		if want := []string{fmt.Sprintf("s%03d", i-5)}; err != nil || i >= 5 &&
			!slices.Equal(closed, want) {
			t.Fatalf("closed %q, want %q: %v", closed, want, err)
		}
	}
	wantTotals(t, x, "s195", "s196", "s197", "s198", "s199")
	// Those that have expired go with the next one, which closes none.
	closed, err := x.OpenSession(t.Context(), session("next", 1000, 2000, 90_000), limits, 1000)
	if err != nil || closed != nil {
		t.Fatal(closed, err)
	}
	wantTotals(t, x, "next")
	if err := x.Checkpoint(t.Context(), "next", make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	wantTotals(t, x, "next")
	if n, err := x.ExpireSessions(t.Context(), 2000, 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	wantTotals(t, x)
	if _, err := x.conn.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	var path string
	if err := x.conn.QueryRowContext(t.Context(),
		"SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 2_000_000 {
		t.Errorf("the index has %d bytes: %v", info.Size(), err)
	}
}

// A stream whose sessions take too much loses the earliest of them, never the new one; all sessions
// together have a limit.
func TestBytesOfSessions(t *testing.T) {
	x := withStream(t)
	limits := SessionLimits{StreamBytes: 10_000, Bytes: 30_000}
	open := func(id string, checkpoint int, want ...string) {
		t.Helper()
		closed, err := x.OpenSession(t.Context(), session(id, 1, 1000, checkpoint), limits, 0)
		if err != nil || !slices.Equal(closed, want) {
			t.Fatalf("opening %q closed %q, want %q: %v", id, closed, want, err)
		}
	}
	open("a", 3000)
	open("b", 3000)
	open("c", 3000)
	open("d", 3000, "a")
	open("e", 5000, "b", "c")
	open("f", 20_000, "d", "e")
	wantTotals(t, x, "f")
	if _, err := x.OpenSession(t.Context(), session("g", 2, 1000, 40_000), limits,
		0); !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	if err := x.Checkpoint(t.Context(), "f", make([]byte, 40_000),
		limits.Bytes); !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	wantTotals(t, x, "f")
	// Fewer bytes may always be written.
	if err := x.Checkpoint(t.Context(), "f", make([]byte, 19_000), 10_000); err != nil {
		t.Fatal(err)
	}
	wantTotals(t, x, "f")
	if err := x.DeleteStream(t.Context(), streamID,
		func(*store.Stream) error { return nil }); err != nil {
		t.Fatal(err)
	}
	wantTotals(t, x)
}
