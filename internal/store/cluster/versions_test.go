package cluster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/storetest"
)

// In a bucket that keeps versions, what is deleted stays as a noncurrent version. Nodes take it for
// deleted all the same: nothing of it is listed, read, deleted again or repaired.
func TestBucketWithVersions(t *testing.T) {
	t.Parallel()
	gateway := clustertest.StartGatewayOf(t, clustertest.GatewayKind{Versions: true})
	client, err := minio.New(gateway.Address(), &minio.Options{Region: clustertest.Region,
		Creds: credentials.NewStaticV4(clustertest.AccessKey, clustertest.SecretKey, "")})
	must(t, err)
	must(t, client.EnableVersioning(t.Context(), clustertest.BucketOf))
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	f.options.Objects = clustertest.URL(gateway.Endpoint(), "site")
	n := f.node()
	reg := prometheus.NewRegistry()
	sweeper := f.node(func(o *cluster.Options) {
		o.OrphanAge, o.OrphanInterval, o.Metrics = time.Millisecond, time.Nanosecond,
			cluster.NewMetrics(reg)
	})
	st := create(t, n, "cam", 24)
	var all []store.FragmentInfo
	for i := range uint64(3) {
		all = append(all, add(t, n, storetest.NewClock(), st.ID, i))
	}
	must(t, n.Bucket().Put(t.Context(), "b/2026031409/NEVERCOMMITTED", []byte("x")))
	must(t, n.Compact(t.Context(), true))
	deletes := func() float64 {
		t.Helper()
		for range 3 { // the first sweep finds what is unused
			time.Sleep(5 * time.Millisecond)
			must(t, sweeper.Sweep(t.Context()))
		}
		return values(t, reg, "weir_store_deleted_objects_total")[""]
	}
	before := deletes()
	if left := keys(t, n, "b/"); len(left) != 0 || before != 3 {
		t.Fatalf("%q is left, and %v objects with rows were deleted", left, before)
	}
	if again := deletes(); again != before {
		t.Errorf("%v objects were deleted again", again-before)
	}
	n.Cache().Drop(all[0].Location.Volume)
	_, err = n.Bucket().ReadAll(t.Context(), all[0].Location.Volume, 0, 1)
	if !errors.Is(err, store.ErrGone) {
		t.Errorf("what is deleted is read: %v", err)
	}
	for i := range all { // at their new place
		reads(t, n, st.ID, all[i], uint64(i))
	}
	if r := f.check(); r.Fragments != 3 {
		t.Errorf("a check finds %d fragments", r.Fragments)
	}
	versions, markers := 0, 0
	for o := range client.ListObjects(t.Context(), clustertest.BucketOf, minio.ListObjectsOptions{
		Prefix: "site/b/", Recursive: true, WithVersions: true}) {
		must(t, o.Err)
		if o.IsDeleteMarker {
			markers++
		} else if strings.HasPrefix(o.Key, "site/b/") {
			versions++
		}
	}
	if versions != 4 || markers != 4 {
		t.Errorf("%d versions and %d markers are kept of 4 objects", versions, markers)
	}
}
