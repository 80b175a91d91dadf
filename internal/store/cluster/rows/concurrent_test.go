package rows_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/sealed"
	"weir/internal/store/storetest"
)

// raw is a transaction of another node.
func raw(t *testing.T, url string, statements ...string) pgx.Tx {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close(context.Background())) })
	tx, err := conn.Begin(t.Context())
	must(t, err)
	for _, s := range statements {
		_, err := tx.Exec(t.Context(), s)
		must(t, err)
	}
	return tx
}

// untilWaits returns once another, of this application name, waits for a transaction.
func untilWaits(t *testing.T, tx pgx.Tx, name string) {
	t.Helper()
	until(t, tx, name, `wait_event_type = 'Lock'`)
}

// until returns once a condition is true of a connection of this application name.
func until(t *testing.T, tx pgx.Tx, name, condition string) {
	t.Helper()
	for found := 0; found == 0; {
		must(t, tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity
			WHERE application_name = $1 AND (`+condition+`)`, name).Scan(&found))
		if _, err := tx.Exec(t.Context(), `SELECT pg_stat_clear_snapshot()`); err != nil {
			t.Fatal(err)
		}
	}
}

// afterWaiting commits a transaction once another, of this application name, waits for it.
func afterWaiting(t *testing.T, tx pgx.Tx, name string) {
	t.Helper()
	untilWaits(t, tx, name)
	must(t, tx.Commit(t.Context()))
}

// A call that waits for a lock acts on what was committed in the meantime, and not on what it saw
// when it began to wait: a fencing token, a deleted stream, a number that is taken.
func TestWaitersSeeWhatTheyWaitedFor(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	for name, c := range map[string]struct {
		other []string // what another node does in the meantime
		call  func(db *rows.DB, st store.Stream, l rows.Lease) error
		want  error
	}{
		"number": {
			[]string{`SELECT 1 FROM heads FOR UPDATE`,
				`UPDATE fragments SET number = 8192 WHERE number = 4096`},
			func(db *rows.DB, st store.Stream, _ rows.Lease) error {
				return commitErr(db, row(st, clock, 8192, 1))
			}, store.ErrExists,
		},
		"deleted stream": {
			[]string{`UPDATE streams SET name = NULL`, `DELETE FROM heads`},
			func(db *rows.DB, st store.Stream, _ rows.Lease) error {
				return commitErr(db, row(st, clock, 8192, 1))
			}, store.ErrNotFound,
		},
		"session of a deleted stream": {
			[]string{`UPDATE streams SET name = NULL`, `DELETE FROM heads`},
			func(db *rows.DB, st store.Stream, _ rows.Lease) error {
				_, err := db.OpenSession(context.Background(), store.Session{ID: "a",
					Stream: st.ID, ExpiresMillis: 1 << 60}, 1)
				return err
			}, store.ErrNotFound,
		},
		"lease": {
			[]string{`UPDATE leases SET token = token + 1`},
			func(db *rows.DB, st store.Stream, l rows.Lease) error {
				_, err := db.Expire(context.Background(), l, st.ID, 1<<60, 10)
				return err
			}, rows.ErrLease,
		},
		"document": {
			[]string{`UPDATE document_revision SET revision = 7`,
				`INSERT INTO documents (kind, name, revision, data) VALUES ('a', 'b', 7, '')`},
			func(db *rows.DB, _ store.Stream, _ rows.Lease) error {
				_, err := db.PutDocument(context.Background(), "a", "b", nil, store.NewDocument)
				return err
			}, store.ErrExists,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := clustertest.Database(t)
			app := fmt.Sprint("waiter-", rand.Uint64())
			db := open(t, url+"&application_name="+app, clock.Now)
			st := create(t, db, "cam")
			commit(t, db, "o1", row(st, clock, 4096, 0))
			l, err := db.Lease(t.Context(), "work", "me", time.Hour)
			must(t, err)
			tx := raw(t, url, c.other...)
			result := make(chan error, 1)
			go func() { result <- c.call(db, st, l) }()
			afterWaiting(t, tx, app)
			wantErr(t, <-result, c.want)
		})
	}
}

// commitErr commits one row and returns what became of it.
func commitErr(db *rows.DB, r rows.Row) error {
	results, err := db.Commit(context.Background(), rows.Object{Name: "o2"}, []rows.Row{r})
	if err != nil {
		return err
	}
	return results[0].Err
}

// Many nodes that commit rows of the same streams, in any order, never deadlock. Sequences have no
// gap, and no fragment is stored twice.
func TestCommitsOfManyNodes(t *testing.T) {
	t.Parallel()
	const nodes, streams, commits = 64, 5, 3
	url, clock := clustertest.Database(t), storetest.NewClock()
	db := open(t, url, clock.Now)
	deadlocks := func() (n int64) {
		t.Helper()
		must(t, raw(t, url).QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database
			WHERE datname = current_database()`).Scan(&n))
		return n
	}
	before := deadlocks()
	committing, err := rows.Open(t.Context(), url+"&pool_max_conns=32", rows.Options{})
	must(t, err)
	var list []store.Stream
	for i := range streams {
		list = append(list, create(t, db, fmt.Sprint("cam", i)))
	}
	var all sync.WaitGroup
	for node := range nodes {
		all.Go(func() {
			for i := range commits {
				var batch []rows.Row
				for j, s := range rand.Perm(streams) {
					n, err := db.NextNumber(t.Context(), list[s].ID)
					if err != nil {
						t.Error(err)
						return
					}
					batch = append(batch, row(list[s], clock, n, int64(j)))
				}
				object := rows.Object{Name: fmt.Sprint(node, "-", i)}
				results, err := committing.Commit(t.Context(), object, batch)
				for _, r := range results {
					err = errors.Join(err, r.Err)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	must(t, committing.Close()) // a connection tells its figures when it ends
	if n := deadlocks() - before; n > 0 {
		t.Errorf("%d deadlocks", n)
	}
	for _, st := range list {
		hot, err := db.Hot(t.Context(), st.ID, store.Query{Order: store.BySequence}, 0)
		must(t, err)
		for i, f := range hot.Fragments {
			if f.Sequence != int64(i+1) {
				t.Fatalf("fragment %d of %s has sequence %d", i+1, st.Name, f.Sequence)
			}
		}
		if len(hot.Fragments) != nodes*commits {
			t.Fatalf("%s has %d fragments, want %d", st.Name, len(hot.Fragments), nodes*commits)
		}
	}
}

// A lease passes on when it expires; its last holder changes nothing from then on. A node that was
// forgotten commits nothing that it wrote before.
func TestLeases(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	db := open(t, clustertest.Database(t), clock.Now)
	ctx := t.Context()
	mine, err := db.Lease(ctx, "work", "me", time.Hour)
	must(t, err)
	_, err = db.Lease(ctx, "work", "other", time.Hour)
	wantErr(t, err, rows.ErrLease)
	again, err := db.Lease(ctx, "work", "me", -time.Hour) // over at once
	must(t, err)
	if again != mine {
		t.Fatalf("kept, it is %+v, was %+v", again, mine)
	}
	_, err = db.ExpireSessions(ctx, mine, 10) // nobody has taken it
	must(t, err)
	theirs, err := db.Lease(ctx, "work", "other", time.Hour)
	must(t, err)
	_, err = db.ExpireSessions(ctx, mine, 10)
	wantErr(t, err, rows.ErrLease)
	_, err = db.ExpireSessions(ctx, theirs, 10)
	must(t, err)
	must(t, db.Release(ctx, theirs))
	_, err = db.ExpireSessions(ctx, theirs, 10)
	wantErr(t, err, rows.ErrLease)
	mine, err = db.Lease(ctx, "work", "me", time.Hour)
	must(t, err)

	node, err := db.Join(ctx, "127.0.0.1:1")
	must(t, err)
	must(t, db.Heartbeat(ctx, node))
	nodes, err := db.Nodes(ctx, time.Minute)
	must(t, err)
	if len(nodes) != 1 || nodes[0].ID != node || nodes[0].Address != "127.0.0.1:1" {
		t.Fatalf("nodes are %+v", nodes)
	}
	st := create(t, db, "cam")
	object := rows.Object{Name: "o1", Node: node}
	_, err = db.Commit(ctx, object, []rows.Row{row(st, clock, 4096, 0)})
	must(t, err)
	must(t, db.ForgetNodes(ctx, mine, -time.Hour))
	wantErr(t, db.Heartbeat(ctx, node), rows.ErrLease)
	_, err = db.Commit(ctx, object, []rows.Row{row(st, clock, 8192, 500)})
	wantErr(t, err, rows.ErrLease)
}

// A node that was silent for too long is not revived, although nobody has forgotten it yet. And no
// node is forgotten between a commit's check of it and the commit's end.
func TestSilentNode(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	app := fmt.Sprint("silent-", rand.Uint64())
	url := clustertest.Database(t)
	db := open(t, url+"&application_name="+app, clock.Now)
	ctx := t.Context()
	st := create(t, db, "cam")
	node, err := db.Join(ctx, "")
	must(t, err)
	object := rows.Object{Name: "o1", Node: node}
	sealing := sealed.Volume{Stream: st.ID, Name: "o1"}
	lease, err := db.Lease(ctx, "work", "me", time.Hour)
	must(t, err)

	// Another node forgets this one while a commit waits for it.
	tx := raw(t, url, `DELETE FROM nodes`)
	result := make(chan error, 1)
	go func() {
		_, err := db.Commit(ctx, object, []rows.Row{row(st, clock, 4096, 0)})
		result <- err
	}()
	afterWaiting(t, tx, app)
	wantErr(t, <-result, rows.ErrLease)

	node, err = db.Join(ctx, "")
	must(t, err)
	object.Node = node
	must(t, raw(t, url, `UPDATE nodes SET heartbeat_ms = heartbeat_ms - 86400000`).Commit(ctx))
	wantErr(t, db.Heartbeat(ctx, node), rows.ErrLease)
	_, err = db.Commit(ctx, object, []rows.Row{row(st, clock, 4096, 0)})
	wantErr(t, err, rows.ErrLease)
	wantErr(t, db.Seal(ctx, lease, sealing, object), rows.ErrLease)
}
