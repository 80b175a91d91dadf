package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/storetest"
)

// stoppedWork says what a process of TestStoppedNode does. It finds its servers like those of
// TestKilled.
const stoppedWork = "WEIR_TEST_CLUSTER_WORK"

// workOnce is the process that is stopped: it opens a node, waits for a line, works, and prints the
// result.
func workOnce(t *testing.T, work string) {
	ctx := context.Background()
	if work == "migrate" {
		db, err := rows.Open(ctx, os.Getenv(killedDatabase), rows.Options{})
		if err == nil {
			err = db.Close()
		}
		fmt.Println("ended:", err)
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "node")
	must(t, err)
	o := cluster.Options{Database: os.Getenv(killedDatabase), Objects: os.Getenv(killedObjects),
		CacheDir: dir, Keys: keysOfTests, LeaseTime: 300 * time.Millisecond}
	if work == "sweep" {
		o.OrphanAge, o.OrphanInterval = time.Millisecond, time.Nanosecond
	}
	s, err := cluster.Open(ctx, o)
	must(t, err)
	fmt.Println("open")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	if work == "sweep" {
		err = s.Sweep(ctx)
	} else {
		err = s.Compact(ctx, true)
	}
	fmt.Println("ended:", err)
	os.Exit(0)
}

// worker is a process that runs workOnce.
type worker struct {
	*exec.Cmd
	in    io.Writer
	lines *bufio.Scanner
}

func startWorker(t *testing.T, work, dir, database, objects string) *worker {
	t.Helper()
	w := &worker{Cmd: exec.Command(os.Args[0], "-test.run=^TestStoppedNode$")}
	w.Env = append(os.Environ(), stoppedWork+"="+work, killedDatabase+"="+database,
		killedObjects+"="+objects, "TMPDIR="+dir)
	in, err := w.StdinPipe()
	must(t, err)
	out, err := w.StdoutPipe()
	must(t, err)
	w.in, w.lines = in, bufio.NewScanner(out)
	must(t, w.Start())
	t.Cleanup(func() {
		_ = w.Process.Kill() // or it has ended
		_ = w.Wait()
	})
	return w
}

// newClockNow is a clock that begins with the time of day.
func newClockNow() *storetest.Clock {
	clock := storetest.NewClock()
	clock.Add(time.Since(clock.Now()))
	return clock
}

// says returns the next line that the worker prints.
func (w *worker) says(t *testing.T) string {
	t.Helper()
	if !w.lines.Scan() {
		t.Fatalf("the node ended: %v", w.lines.Err())
	}
	return w.lines.Text()
}

// A process that is stopped while it holds a lease, until the lease has expired, does nothing more
// when it goes on: others have taken over.
func TestStoppedNode(t *testing.T) {
	if work := os.Getenv(stoppedWork); work != "" {
		workOnce(t, work)
	}
	t.Parallel()
	for _, work := range []string{"sweep", "compact"} {
		t.Run(work, func(t *testing.T) {
			t.Parallel()
			stopWithLease(t, work)
		})
	}
	t.Run("migrate", func(t *testing.T) {
		t.Parallel()
		stopInMigration(t)
	})
}

func stopWithLease(t *testing.T, work string) {
	f := newFixture(t, nil)
	n := f.node()
	st := create(t, n, "cam", 24)
	clock := newClockNow()
	first := add(t, n, clock, st.ID, 0)
	const orphan = "b/2026031409/NEVERCOMMITTED"
	must(t, n.Bucket().Put(t.Context(), orphan, []byte("x")))

	// The worker reaches the object store only slowly, so it is stopped before it has done
	// anything.
	to, err := url.Parse(f.options.Objects)
	must(t, err)
	endpoint, err := url.Parse(to.Query().Get("endpoint"))
	must(t, err)
	proxy := clustertest.NewProxy(t, endpoint.Host)
	w := startWorker(t, work, f.options.CacheDir, f.options.Database,
		clustertest.URL("http://"+proxy.Address(), strings.Trim(to.Path, "/")))
	if line := w.says(t); line != "open" {
		t.Fatalf("the node says %q", line)
	}
	proxy.Silence(true)
	_, err = io.WriteString(w.in, "\n")
	must(t, err)
	conn, err := pgx.Connect(t.Context(), strings.TrimSuffix(f.options.Database,
		"&pool_max_conns=16"))
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	lease := ""
	for lease == "" {
		err := conn.QueryRow(t.Context(), `SELECT coalesce(max(name), '') FROM leases
			WHERE name LIKE $1 AND holder <> ''`, work+"%").Scan(&lease)
		must(t, err)
	}
	must(t, w.Process.Signal(syscall.SIGSTOP))
	taken := false
	for deadline := time.Now().Add(30 * time.Second); !taken && time.Now().Before(deadline); {
		_, err := n.Rows().Lease(t.Context(), lease, "next", time.Hour)
		taken = err == nil
		time.Sleep(10 * time.Millisecond)
	}
	if !taken {
		t.Fatal("nobody can take over from a node that is stopped")
	}
	proxy.Silence(false)
	must(t, w.Process.Signal(syscall.SIGCONT))
	if line := w.says(t); !strings.HasPrefix(line, "ended:") {
		t.Fatalf("the node says %q", line)
	}
	if !slices.Contains(keys(t, n, "b/"), orphan) {
		t.Error("it has deleted an object")
	}
	if now, err := n.Fragment(t.Context(), st.ID, first.Number); err != nil ||
		now.Location != first.Location {
		t.Errorf("the fragment lies at %+v, %v", now.Location, err)
	}
}

// A process that is stopped in the middle of a migration locks the tables until the database ends
// its idle transaction; then the next process brings them up to date.
func stopInMigration(t *testing.T) {
	t.Helper()
	f := newFixture(t, nil)
	app := fmt.Sprint("migrating-", rand.Uint64())
	database := strings.TrimSuffix(f.options.Database, "&pool_max_conns=16")
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	tx, err := conn.Begin(t.Context())
	must(t, err)
	// The migration waits for the transaction that makes a table of that name at the same time.
	_, err = tx.Exec(t.Context(), `CREATE TABLE sessions (id bigint)`)
	must(t, err)
	w := startWorker(t, "migrate", f.options.CacheDir, database+"&application_name="+app+
		"&idle_in_transaction_session_timeout=300", "")
	for waits := 0; waits == 0; {
		must(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name = $1 AND wait_event_type = 'Lock'`, app).Scan(&waits))
		_, err := tx.Exec(t.Context(), `SELECT pg_stat_clear_snapshot()`)
		must(t, err)
	}
	must(t, w.Process.Signal(syscall.SIGSTOP))
	must(t, tx.Rollback(t.Context()))
	n := f.node()
	must(t, w.Process.Signal(syscall.SIGCONT))
	if line := w.says(t); !strings.HasPrefix(line, "ended:") {
		t.Fatalf("the node says %q", line)
	}
	st := create(t, n, "cam", 24)
	add(t, n, newClockNow(), st.ID, 0)
	f.node()
}
