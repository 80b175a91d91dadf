package rows_test

import (
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
