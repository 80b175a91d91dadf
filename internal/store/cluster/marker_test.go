package cluster_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/storetest"
)

// refused opens a node that must not start.
func (f *fixture) refused(change func(*cluster.Options)) {
	f.Helper()
	o := f.options
	o.CacheDir = filepath.Join(f.TempDir(), "cache")
	change(&o)
	s, err := cluster.Open(context.WithoutCancel(f.Context()), o)
	if err == nil {
		must(f, s.Close())
	}
	if !errors.Is(err, cluster.ErrOtherCluster) {
		f.Fatalf("it opens with %v", err)
	}
}

// A node does not start with a database and objects that do not belong together. No node deletes
// objects of another engine under its prefix, or any object once the marker is gone.
func TestOtherCluster(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	n := f.node()
	st := create(t, n, "cam", 24)
	first := add(t, n, clock, st.ID, 0)
	f.node() // the marker is there

	f.refused(func(o *cluster.Options) { o.Database = clustertest.Database(t) })
	f.refused(func(o *cluster.Options) {
		endpoint, prefix := clustertest.Bucket(t)
		o.Objects = clustertest.URL(endpoint, prefix)
	})
	must(t, n.Bucket().Put(t.Context(), "volumes/1", []byte("of a local store")))
	must(t, n.Bucket().Put(t.Context(), "b/2026031409/NEVERCOMMITTED", []byte("x")))
	must(t, n.Bucket().Delete(t.Context(), []string{"cluster"}))
	f.refused(func(*cluster.Options) {})
	// Objects without a marker belong to a database that knows them, and not to a new one.
	f.refused(func(o *cluster.Options) { o.Database = clustertest.Database(t) })

	time.Sleep(5 * time.Millisecond) // everything is older than OrphanAge
	n.SetOrphans(time.Millisecond, time.Nanosecond)
	if err := n.Sweep(t.Context()); !errors.Is(err, cluster.ErrOtherCluster) {
		t.Errorf("it sweeps without a marker: %v", err)
	}
	if all := keys(t, n, "b/"); len(all) != 2 {
		t.Errorf("%q is left", all)
	}
	must(t, n.Mark(t.Context()))
	must(t, n.Sweep(t.Context()))
	if all := append(keys(t, n, "b/"), keys(t, n, "volumes/")...); len(all) != 2 {
		t.Errorf("%q is left", all)
	}
	reads(t, n, st.ID, first, 0)
}

// When silent nodes could not be forgotten, one of them may still commit what looks like an orphan:
// it is kept.
func TestNoOrphansAfterFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	n := f.node()
	must(t, n.Bucket().Put(t.Context(), "b/2026031409/NOTYETCOMMITTED", []byte("x")))
	time.Sleep(5 * time.Millisecond)
	n.SetOrphans(time.Millisecond, time.Nanosecond)
	database := strings.TrimSuffix(f.options.Database, "&pool_max_conns=16")
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	for _, c := range []struct {
		statement string
		left      int
	}{{`ALTER TABLE nodes RENAME TO away`, 1}, {`ALTER TABLE away RENAME TO nodes`, 0}} {
		_, err := conn.Exec(t.Context(), c.statement)
		must(t, err)
		if err := n.Sweep(t.Context()); (err != nil) != (c.left > 0) {
			t.Errorf("after %s the sweep ends with %v", c.statement, err)
		}
		if all := keys(t, n, "b/"); len(all) != c.left {
			t.Errorf("after %s %q is left", c.statement, all)
		}
	}
}
