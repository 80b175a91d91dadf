package cluster_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/repair"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

// gathered stores fragments of several cameras, most of which share objects. It returns what was
// stored, and how to run a statement in the database.
func gathered(t testing.TB, f *fixture, cameras, each int) (
	want map[store.StreamID]map[store.Number]store.FragmentInfo, run func(statement string),
) {
	t.Helper()
	n := f.node(func(o *cluster.Options) {
		o.Gather = objects.Gathering{Linger: 10 * time.Millisecond}
	})
	want = make(map[store.StreamID]map[store.Number]store.FragmentInfo)
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range cameras {
		id := create(t, n, fmt.Sprint("cam", i), 24).ID
		all.Go(func() {
			clock := storetest.NewClock()
			clock.Add(time.Since(clock.Now()) - time.Duration(each)*2*time.Second)
			stored := make(map[store.Number]store.FragmentInfo)
			for j := range each {
				info, err := storetest.Append(t.Context(), n, id,
					storetest.Record(clock, uint64(j), 3000))
				if err != nil {
					t.Error(err)
				}
				stored[info.Number] = info
				clock.Add(2 * time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			want[id] = stored
		})
	}
	all.Wait()
	pool, err := pgxpool.New(t.Context(), f.options.Database)
	must(t, err)
	t.Cleanup(pool.Close)
	return want, func(statement string) {
		t.Helper()
		_, err := pool.Exec(t.Context(), statement)
		must(t, err)
	}
}

// The fragments of an object are judged at the same time, and objects are read ahead. Each fragment
// comes back once all the same, and each stream, in the order in which they were stored.
func TestRepairOfGatheredObjects(t *testing.T) {
	t.Parallel()
	const cameras, each = 6, 30
	f := newFixture(t, nil)
	want, run := gathered(t, f, cameras, each)
	for id := range want { // one that the database does not know at all
		run(`DELETE FROM heads WHERE id = '` + string(id) + `'`)
		run(`DELETE FROM streams WHERE id = '` + string(id) + `'`)
		break
	}
	run(`DELETE FROM fragments`)
	run(`DELETE FROM objects`)
	if done := f.repair(); done.Fragments != cameras*each || done.Streams != 1 {
		t.Errorf("repaired: %+v", done)
	}
	if done := f.repair(); done.String() != "" {
		t.Errorf("the second repair: %+v", done)
	}
	n := f.node()
	for id, stored := range want {
		holds(t, n, id, stored)
		list, err := n.List(t.Context(), id, store.Query{Order: store.BySequence})
		must(t, err)
		if !slices.IsSortedFunc(list, func(a, b store.FragmentInfo) int {
			return int(a.ServerTimestamp - b.ServerTimestamp)
		}) {
			t.Errorf("stream %s is out of order", id)
		}
	}
}

// BenchmarkClusterRepair brings back the fragments of ten cameras, of which a database has lost all
// rows. They are in gathered objects, each with a fragment of most cameras.
func BenchmarkClusterRepair(b *testing.B) {
	f := newFixture(b, nil)
	want, run := gathered(b, f, 10, 400)
	count := 0
	for stored := range maps.Values(want) {
		count += len(stored)
	}
	o := f.repairs()
	o.Deep = false
	var took time.Duration
	for b.Loop() {
		run(`DELETE FROM fragments`)
		run(`DELETE FROM objects`)
		began := time.Now()
		_, done, err := repair.Repair(b.Context(), o)
		must(b, err)
		took += time.Since(began)
		if done.Fragments != int64(count) {
			b.Fatalf("%d of %d fragments are back", done.Fragments, count)
		}
	}
	b.ReportMetric(float64(count*b.N)/took.Seconds(), "fragments/s")
}
