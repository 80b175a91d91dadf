package rows_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
	"weir/internal/store/sealed/sealedtest"
	"weir/internal/store/storetest"
)

// Sealed objects come in order and none is left out, page by page, in whatever order they were
// sealed and however the clocks of producer and nodes leapt.
func TestSealedObjectsInOrder(t *testing.T) {
	t.Parallel()
	db := open(t, clustertest.Database(t), storetest.NewClock().Now)
	st := create(t, db, "cam")
	l, err := db.Lease(t.Context(), "work", "me", time.Hour)
	must(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	all := sealedtest.Volumes(random, st.ID, func(i int64) string { return fmt.Sprint("s/", i) })
	for _, i := range random.Perm(len(all)) {
		all[i].Count = 0 // there are no rows of fragments
		must(t, db.Seal(t.Context(), l, all[i], rows.Object{Name: all[i].Name}))
	}
	sealedtest.CheckQueries(t, db, all, random, 60)
}

// However numbers and clocks leap, each query of rows returns all that it selects, in its order and
// each once: rows in order, rows apart, and rows that an earlier version has added.
func TestRowsInOrder(t *testing.T) {
	t.Parallel()
	clock, url := storetest.NewClock(), clustertest.Database(t)
	db := open(t, url, clock.Now)
	st := create(t, db, "cam")
	l, err := db.Lease(t.Context(), "work", "me", time.Hour)
	must(t, err)
	random := rand.New(rand.NewPCG(3, 4))
	began := clock.Now().UnixMilli()
	leap := func(rare int) int64 {
		if random.IntN(rare) > 0 {
			return random.Int64N(2) * 500
		}
		return random.Int64N(40_000) - 20_000
	}
	var all []store.FragmentInfo
	for i := range int64(240) {
		at := began + i/2*4000 // two at a time
		r := row(st, clock, store.Number((at+leap(40))*1000<<store.NumberSlotBits+i+1), i)
		r.Info.ServerTimestamp, r.Info.ProducerTimestamp = at+leap(40), at+leap(25)
		all = append(all, commit(t, db, fmt.Sprint("o", i), r)...)
		if i == 120 { // the oldest are packed, and with them what leapt ahead
			v := sealed.Volume{Stream: st.ID, Name: "s/1", Count: 100}
			v.Sequence = record.Range{Min: all[0].Sequence, Max: all[99].Sequence}
			v.Number = record.Range{Min: 1, Max: 2}
			must(t, db.Seal(t.Context(), l, v, rows.Object{Name: v.Name}))
			all = all[100:]
		}
		if i == 180 {
			must(t, raw(t, url, `UPDATE fragments SET apart = 1 WHERE sequence % 7 = 0`).
				Commit(t.Context()))
		}
	}
	for range 400 {
		q := store.Query{Order: store.Order(random.IntN(3)), Limit: random.IntN(3) * 7}
		from := began + random.Int64N(480_000)
		if random.IntN(5) > 0 {
			q.Range = &store.TimeRange{Clock: store.TimestampKind(random.IntN(2)),
				Start: []int64{sealed.MinTime, from}[random.IntN(2)],
				End:   []int64{1 << 62, from, from + 60_000}[random.IntN(3)]}
		}
		if random.IntN(3) == 0 {
			q.After = all[random.IntN(len(all))].Number
		}
		edge := []int64{sealed.MinTime, began + 240_000}[random.IntN(2)]
		want := slices.DeleteFunc(slices.Clone(all), func(f store.FragmentInfo) bool {
			return f.ServerTimestamp < edge || !q.Selects(&f)
		})
		slices.SortFunc(want, func(a, b store.FragmentInfo) int { return q.Compare(&a, &b) })
		if q.Limit > 0 {
			want = want[:min(len(want), q.Limit)]
		}
		hot, err := db.Hot(t.Context(), st.ID, q, edge)
		must(t, err)
		if !slices.EqualFunc(hot.Fragments, want, func(a, b store.FragmentInfo) bool {
			return a.Number == b.Number && a.Sequence == b.Sequence
		}) {
			t.Fatalf("%+v, %+v: %d fragments, want %d", q, q.Range, len(hot.Fragments), len(want))
		}
	}
}
