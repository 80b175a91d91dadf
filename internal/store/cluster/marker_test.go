package cluster_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

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

// A node does not start over a database and objects that do not belong together, and none deletes
// objects of another engine under its prefix, or any when the marker is gone.
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
	// Objects without a marker belong to a database that knows them, and to no new one.
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
	if all := keys(t, n, ""); len(all) != 3 { // the marker, a fragment's, the local store's
		t.Errorf("%q is left", all)
	}
	reads(t, n, st.ID, first, 0)
}
