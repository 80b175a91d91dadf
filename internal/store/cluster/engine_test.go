package cluster_test

import (
	"context"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// keysOfTests sign requests to the object store.
var keysOfTests = objects.Options{AccessKey: clustertest.AccessKey,
	SecretKey: clustertest.SecretKey, Timeout: 20 * time.Second}

// fixture is where the nodes of a test keep things.
type fixture struct {
	testing.TB
	options cluster.Options
	nodes   atomic.Int64
}

func newFixture(t testing.TB, clock *storetest.Clock) *fixture {
	t.Helper()
	endpoint, prefix := clustertest.Bucket(t)
	o := cluster.Options{
		Database: clustertest.Database(t) + "&pool_max_conns=16",
		Objects:  clustertest.URL(endpoint, prefix),
		Keys:     keysOfTests,
		Gather:   objects.Gathering{Linger: -1}, CacheDir: t.TempDir(),
	}
	if clock != nil {
		o.Clock = clock.Now
	}
	return &fixture{TB: t, options: o}
}

// node opens another node, which is closed when the test ends.
func (f *fixture) node(change ...func(*cluster.Options)) *node {
	f.Helper()
	o := f.options
	o.CacheDir = filepath.Join(o.CacheDir, strconv.FormatInt(f.nodes.Add(1), 10))
	for _, c := range change {
		c(&o)
	}
	s, err := cluster.Open(context.WithoutCancel(f.Context()), o)
	if err != nil {
		f.Fatal(err)
	}
	n := &node{Store: s}
	f.Cleanup(func() { n.close(f) })
	return n
}

// node is a Store that is closed only once.
type node struct {
	*cluster.Store
	closed bool
}

func (n *node) close(t testing.TB) {
	t.Helper()
	if !n.closed {
		n.closed = true
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The contract, over a real database and a real object store. After a restart another node answers:
// nothing that counts is kept in a node.
func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock *storetest.Clock) storetest.Engine {
		f := newFixture(t, clock)
		n := f.node()
		return storetest.Engine{
			Store: n,
			Restart: func(kill bool) store.Store {
				if !kill { // a killed node does nothing more, and nobody is told
					n.close(t)
				}
				n = f.node()
				return n
			},
			Settle: func() store.Store {
				if err := n.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := n.Compact(t.Context(), true); err != nil {
					t.Fatal(err)
				}
				return n
			},
		}
	})
}
