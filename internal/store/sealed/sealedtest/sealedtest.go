// Package sealedtest tests how an engine lists the rows of sealed volumes.
package sealedtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

const minute = int64(time.Minute / time.Millisecond)

// Rows is the part of sealed.Rows that is tested.
type Rows interface {
	Sealed(ctx context.Context, id store.StreamID, q store.Query, edge, after int64, limit int) (
		[]sealed.Volume, error)
}

// Volumes returns 60 volumes of ten minutes each. Now and then a clock leaps, and some volumes are
// wide.
func Volumes(
	random *rand.Rand, id store.StreamID, name func(i int64) string,
) (all []sealed.Volume) {
	for i := range int64(60) {
		at := 1_700_000_000_000 + i*10*minute
		span := func(leap int64) record.Range {
			from := at + random.Int64N(2*minute)
			if random.IntN(8) == 0 {
				from += random.Int64N(leap) - leap/2
			}
			return record.Range{Min: from, Max: from + (9+random.Int64N(3))*minute}
		}
		v := Volume(id, name(i), i, 100, span(20*minute))
		v.Server, v.Producer = span(20*minute), span(600*minute)
		if i%20 == 7 {
			v.Server.Max += 5 * 60 * minute
		}
		all = append(all, v)
	}
	return all
}

// Volume returns the i-th volume of a stream, with so many fragments whose numbers are given out
// within times.
func Volume(id store.StreamID, name string, i, fragments int64, times record.Range) sealed.Volume {
	return sealed.Volume{Name: name, Stream: id, Count: int(fragments), Sets: []int64{1},
		Footer: store.Location{Volume: name, Offset: 1, Length: 9, MetaLength: 8},
		Number: record.Range{Min: times.Min * 1000 << store.NumberSlotBits,
			Max: times.Max * 1000 << store.NumberSlotBits},
		Sequence: record.Range{Min: i*fragments + 1, Max: (i + 1) * fragments}}
}

// CheckQueries reads page by page what n random queries select of the rows of Volumes, and wants
// each volume once, in the order of the query.
func CheckQueries(t *testing.T, rows Rows, all []sealed.Volume, random *rand.Rand, n int) {
	t.Helper()
	for range n {
		q := store.Query{Order: store.Order(random.IntN(3))}
		from := all[0].Producer.Min + random.Int64N(600*minute)
		if random.IntN(4) > 0 {
			q.Range = &store.TimeRange{Clock: store.TimestampKind(random.IntN(2)), Start: from,
				End: []int64{1 << 60, from + 90*minute}[random.IntN(2)]}
		}
		var got, want []string
		for after, page := int64(0), 3; page == 3; {
			volumes, err := rows.Sealed(t.Context(), all[0].Stream, q, 0, after, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range volumes {
				got, after = append(got, v.Name), v.Cursor(q.Order)
			}
			page = len(volumes)
		}
		for _, v := range selected(all, &q) {
			want = append(want, v.Name)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v, %+v:\ngot  %q\nwant %q", q, q.Range, got, want)
		}
	}
}

// selected returns the volumes that may have fragments which q selects, in its order.
func selected(all []sealed.Volume, q *store.Query) []sealed.Volume {
	list := slices.DeleteFunc(slices.Clone(all), func(v sealed.Volume) bool {
		if q.Range == nil {
			return false
		}
		r := v.Server
		if q.Range.Clock == store.ProducerTimestamp {
			r = v.Producer
		}
		return r.Max < q.Range.Start || r.Min > q.Range.End
	})
	sealed.Sort(list, q.Order)
	return list
}
