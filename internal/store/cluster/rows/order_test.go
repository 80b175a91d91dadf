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
	"weir/internal/store/storetest"
)

// Sealed objects come in their order and none is left out, page by page, whatever the order in
// which they were sealed and however the clocks of a producer and of nodes leapt.
func TestSealedObjectsInOrder(t *testing.T) {
	t.Parallel()
	db := open(t, clustertest.Database(t), storetest.NewClock().Now)
	st := create(t, db, "cam")
	l, err := db.Lease(t.Context(), "work", "me", time.Hour)
	must(t, err)
	const minute = int64(time.Minute / time.Millisecond)
	random := rand.New(rand.NewPCG(1, 2))
	var all []sealed.Volume
	for i := range int64(60) {
		at := 1_700_000_000_000 + i*10*minute
		span := func(leap int64) record.Range {
			from := at + random.Int64N(2*minute)
			if leap > 0 && random.IntN(8) == 0 {
				from += random.Int64N(leap) - leap/2
			}
			return record.Range{Min: from, Max: from + (9+random.Int64N(3))*minute}
		}
		v := sealed.Volume{Stream: st.ID, Name: fmt.Sprint("s/", i),
			Sequence: record.Range{Min: i*100 + 1, Max: i*100 + 100},
			Server:   span(20 * minute), Producer: span(600 * minute)}
		number := span(0)
		v.Number = record.Range{Min: number.Min * 1000 << store.NumberSlotBits,
			Max: number.Max * 1000 << store.NumberSlotBits}
		if i%20 == 7 {
			v.Server.Max += 5 * 60 * minute // wide
		}
		all = append(all, v)
	}
	for _, i := range random.Perm(len(all)) {
		must(t, db.Seal(t.Context(), l, all[i], rows.Object{Name: all[i].Name}))
	}
	for range 60 {
		q := store.Query{Order: store.Order(random.IntN(3))}
		from := all[0].Producer.Min + random.Int64N(600*minute)
		if random.IntN(4) > 0 {
			q.Range = &store.TimeRange{Clock: store.TimestampKind(random.IntN(2)), Start: from,
				End: []int64{1 << 60, from + 90*minute}[random.IntN(2)]}
		}
		want := slices.DeleteFunc(slices.Clone(all), func(v sealed.Volume) bool {
			if q.Range == nil {
				return false
			}
			r := v.Server
			if q.Range.Clock == store.ProducerTimestamp {
				r = v.Producer
			}
			return r.Max < q.Range.Start || r.Min > q.Range.End
		})
		sealed.Sort(want, q.Order)
		var got []string
		for after, page := int64(0), 3; page == 3; {
			volumes, err := db.Sealed(t.Context(), st.ID, q, 0, after, page)
			must(t, err)
			for _, v := range volumes {
				got, after = append(got, v.Name), v.Number.Min
				switch q.Order {
				case store.ByNumberNewest:
					after = v.Number.Max
				case store.BySequence:
					after = v.Sequence.Min
				}
			}
			page = len(volumes)
		}
		names := make([]string, 0, len(want))
		for _, v := range want {
			names = append(names, v.Name)
		}
		if !slices.Equal(got, names) {
			t.Fatalf("%+v, %+v:\ngot  %q\nwant %q", q, q.Range, got, names)
		}
	}
}
