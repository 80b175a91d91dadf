package rows_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/storetest"
)

// Programs of this version go on, and start, with tables of the next version, until the tables say
// that only later programs may. Then none starts, and the error says why.
func TestNewerTables(t *testing.T) {
	t.Parallel()
	clock, url := storetest.NewClock(), clustertest.Database(t)
	db := open(t, url, clock.Now)
	st := create(t, db, "cam")
	commit(t, db, "o1", row(st, clock, 4096, 0))

	must(t, raw(t, url, `ALTER TABLE streams ADD COLUMN later bigint NOT NULL DEFAULT 0`,
		`ALTER TABLE fragments ADD COLUMN later bigint NOT NULL DEFAULT 0`,
		`CREATE TABLE of_later (id bigint)`,
		`UPDATE weir_version SET version = version + 1`).Commit(t.Context()))
	commit(t, db, "o2", row(st, clock, 8192, 0))
	again := open(t, url, clock.Now)
	commit(t, again, "o3", row(create(t, again, "other"), clock, 4096, 0))
	if _, err := db.Stream(t.Context(), "other"); err != nil {
		t.Errorf("what a node that started later has made: %v", err)
	}

	must(t, raw(t, url, `UPDATE weir_version SET oldest = version`).Commit(t.Context()))
	_, err := rows.Open(t.Context(), url, rows.Options{})
	if err == nil || !strings.Contains(err.Error(), "programs of version") {
		t.Errorf("over tables of a later version it starts: %v", err)
	}
}

// A command that only looks at a cluster makes no tables in an empty database.
func TestNoTables(t *testing.T) {
	t.Parallel()
	url := clustertest.Database(t)
	_, err := rows.Open(t.Context(), url, rows.Options{Existing: true})
	wantErr(t, err, rows.ErrNoTables)
	var tables int
	must(t, raw(t, url).QueryRow(t.Context(), `SELECT COUNT(*) FROM information_schema.tables
		WHERE table_schema = current_schema()`).Scan(&tables))
	if tables > 0 {
		t.Errorf("%d tables were made", tables)
	}
	open(t, url, nil)
	db, err := rows.Open(t.Context(), url, rows.Options{Existing: true})
	must(t, err)
	must(t, db.Close())
}

// older makes the tables of an older program, with a stream whose head has the ID a.
func older(t *testing.T, url string, version int) {
	t.Helper()
	names, err := filepath.Glob("migrations/*.sql")
	must(t, err)
	var all strings.Builder
	for _, name := range names[:version] {
		text, err := os.ReadFile(name)
		must(t, err)
		all.Write(text)
	}
	fmt.Fprintf(&all, `CREATE TABLE weir_version (one bigint NOT NULL PRIMARY KEY,
		version bigint NOT NULL, oldest bigint NOT NULL);
		INSERT INTO weir_version VALUES (1, %d, 1);
		INSERT INTO heads (id, stream, number, sequence, sets, retention_hours, sealed_number,
			sealed_sequence) VALUES ('a', 1, 1, 1, 1, 24, 0, 0)`, version)
	must(t, raw(t, url, all.String()).Commit(t.Context()))
}

// insert is how a program of any version adds the row of a fragment.
const insert = `INSERT INTO fragments (stream, number, sequence, server_ts, producer_ts, track_set,
	payload_crc, partial, object, position, length, meta_length, spans)
	SELECT 1, n, n, n, n, 1, 0, 0, 1, 0, 1, 1, '' FROM generate_series(%d, %d) n`

// migrates opens the rows beside other transactions.
func migrates(t *testing.T, url, node string) (application string, migrated <-chan error) {
	t.Helper()
	done, application := make(chan error, 1), t.Name()+"-"+node
	go func() {
		db, err := rows.Open(t.Context(), url+"&application_name="+application, rows.Options{})
		if err == nil {
			err = db.Close()
		}
		done <- err
	}()
	return application, done
}

// An older program that is in the middle of a commit can finish it when the tables are changed: the
// two do not wait for each other.
func TestMigrationInACommit(t *testing.T) {
	t.Parallel()
	url := clustertest.Database(t)
	older(t, url, 6)
	tx := raw(t, url, `SET LOCAL deadlock_timeout = 10`, `SELECT 1 FROM heads FOR UPDATE`)
	name, migrated := migrates(t, url, "node")
	untilWaits(t, tx, name)
	_, err := tx.Exec(t.Context(), fmt.Sprintf(insert, 1, 1))
	must(t, err)
	must(t, tx.Commit(t.Context()))
	must(t, <-migrated)
}

// An index of a table that may be large is made while nodes commit. One that was left unfinished is
// made again.
func TestIndexBesideCommits(t *testing.T) {
	t.Parallel()
	url := clustertest.Database(t)
	older(t, url, 7)
	must(t, raw(t, url, `CREATE INDEX fragments_apart ON fragments (stream, number)
		WHERE apart = 1`, `UPDATE pg_index SET indisvalid = false
		WHERE indexrelid = to_regclass('fragments_apart')`).Commit(t.Context()))
	before := raw(t, url, fmt.Sprintf(insert, 1, 10))
	name, migrated := migrates(t, url, "node")
	untilWaits(t, before, name)
	must(t, raw(t, url, `SET LOCAL lock_timeout = '10s'`, `SELECT 1 FROM heads FOR UPDATE`,
		fmt.Sprintf(insert, 11, 20)).Commit(t.Context()))
	must(t, before.Commit(t.Context()))
	must(t, <-migrated)
	var valid bool
	must(t, raw(t, url).QueryRow(t.Context(), `SELECT indisvalid FROM pg_index
		WHERE indexrelid = to_regclass('fragments_apart')`).Scan(&valid))
	if !valid {
		t.Error("the index cannot be used")
	}
}

// A node that starts while another one makes an index waits for it, and the index does not wait for
// that node.
func TestIndexBesideNodesThatStart(t *testing.T) {
	t.Parallel()
	url := clustertest.Database(t)
	older(t, url, 7)
	before := raw(t, url, fmt.Sprintf(insert, 1, 10))
	first, made := migrates(t, url, "first")
	untilWaits(t, before, first)
	second, started := migrates(t, url, "second")
	until(t, before, second, `wait_event_type = 'Lock' OR query = 'rollback'`)
	select {
	case err := <-started:
		t.Errorf("it started without the index: %v", err)
	default:
	}
	must(t, before.Commit(t.Context()))
	must(t, <-made)
	must(t, <-started)
}
