package node_test

import (
	"path/filepath"
	"testing"
	"time"

	"weir/internal/node"
	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

// begin starts a node that is closed when the test ends.
func begin(t *testing.T, o node.Options) *node.Node {
	t.Helper()
	n, _, err := start(t, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// A fragment waits for others as long as it should, unless the object is full before. Bytes that
// nothing refers to are kept as long as they should.
func TestGatherAndOrphans(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", clustertest.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", clustertest.SecretKey)
	endpoint, prefix := clustertest.Bucket(t)
	o := node.Options{Database: clustertest.Database(t),
		Objects: clustertest.URL(endpoint, prefix),
		KeyFile: filepath.Join(t.TempDir(), "access.key")}
	bucket, err := objects.Open(o.Objects, objects.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stored := func(o node.Options) time.Duration {
		t.Helper()
		n := begin(t, o)
		st, err := n.CreateStream(t.Context(), store.Stream{Name: "cam" + o.GatherTime.String(),
			RetentionHours: 24})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = storetest.Append(t.Context(), n, st.ID,
			storetest.Record(storetest.NewClock(), 1, 100_000))
		if err != nil {
			t.Error(err)
		}
		return time.Since(began)
	}
	o.GatherTime, o.GatherBytes = time.Minute, 64<<10
	if took := stored(o); took >= o.GatherTime {
		t.Errorf("an object that is full is stored after %s", took)
	}
	o.GatherTime, o.GatherBytes = time.Second, 0
	if took := stored(o); took < o.GatherTime {
		t.Errorf("an object that has room is stored after %s", took)
	}

	const orphan = "b/2026031409/NEVERCOMMITTED"
	if err := bucket.Put(t.Context(), orphan, []byte("x")); err != nil {
		t.Fatal(err)
	}
	kept := func() bool {
		_, err := bucket.ReadAll(t.Context(), orphan, 0, 1)
		return err == nil
	}
	if err := begin(t, o).Sweep(t.Context()); err != nil || !kept() {
		t.Errorf("a new object without rows is deleted, %v", err)
	}
	o.OrphanAge = time.Millisecond
	time.Sleep(1100 * time.Millisecond) // the object store tells times in seconds
	if err := begin(t, o).Sweep(t.Context()); err != nil || kept() {
		t.Errorf("an old object without rows is kept, %v", err)
	}
}
