package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// Sealed volumes come in the order of the query and none is left out, page by page, however the
// clocks of producer and server leapt; also from an index of before volumes out of order were
// marked as apart.
func TestSealedVolumesInOrder(t *testing.T) {
	x := withStream(t)
	const minute = int64(time.Minute / time.Millisecond)
	random := rand.New(rand.NewPCG(1, 2))
	var all []SealedVolume
	for i := range int64(60) {
		at := 1_700_000_000_000 + i*10*minute
		span := func(leap int64) record.Range {
			from := at + random.Int64N(2*minute)
			if leap > 0 && random.IntN(8) == 0 {
				from += random.Int64N(leap) - leap/2
			}
			return record.Range{Min: from, Max: from + (9+random.Int64N(3))*minute}
		}
		number := span(20 * minute)
		v := volumeOf(i, 100, number)
		v.Server, v.Producer = span(20*minute), span(600*minute)
		if i%20 == 7 {
			v.Server.Max += 5 * 60 * minute // wide
		}
		all = append(all, v)
	}
	if err := x.AddSealed(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		for range 100 {
			q := store.Query{Order: store.Order(random.IntN(3))}
			from := all[0].Producer.Min + random.Int64N(600*minute)
			if random.IntN(4) > 0 {
				q.Range = &store.TimeRange{Clock: store.TimestampKind(random.IntN(2)), Start: from,
					End: []int64{1 << 60, from + 90*minute}[random.IntN(2)]}
			}
			checkSealed(t, x, all, q)
		}
		var apart int
		err := x.readRow(t.Context(), []any{&apart},
			`SELECT COUNT(*) FROM sealed WHERE wide = 1`)
		if err != nil || apart < 3 || apart == len(all) {
			t.Errorf("%d of %d volumes are apart, %v", apart, len(all), err)
		}
	}
	look()
	if _, err := x.conn.ExecContext(t.Context(), `UPDATE sealed SET wide =
		server_max - server_min > ? OR number_max - number_min > ?`, sealed.WideMillis,
		sealed.WideNumber); err != nil {
		t.Fatal(err)
	}
	text, err := migrations.ReadFile("migrations/0012_order.sql")
	if err == nil {
		_, err = x.conn.ExecContext(t.Context(), string(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	look()
}

// volumeOf is the i-th volume: so many fragments, with numbers from one time to another.
func volumeOf(i, fragments int64, numbers record.Range) SealedVolume {
	name := fmt.Sprintf("%s/%d.vol", streamID, i)
	return SealedVolume{Name: name, Stream: streamID, Count: int(fragments), Sets: []int64{1},
		Footer: store.Location{Volume: name, Offset: 1, Length: 9, MetaLength: 8},
		Number: record.Range{Min: numbers.Min * 1000 << store.NumberSlotBits,
			Max: numbers.Max * 1000 << store.NumberSlotBits},
		Sequence: record.Range{Min: i*fragments + 1, Max: (i + 1) * fragments}}
}

// checkSealed reads page by page what a query selects of all volumes.
func checkSealed(t *testing.T, x *SQLite, all []SealedVolume, q store.Query) {
	t.Helper()
	want := slices.DeleteFunc(slices.Clone(all), func(v SealedVolume) bool {
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
	var got, names []string
	for after, page := int64(0), 3; page == 3; {
		volumes, err := x.Sealed(t.Context(), streamID, q, 0, after, page)
		if err != nil {
			t.Fatal(err)
		}
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
	for _, v := range want {
		names = append(names, v.Name)
	}
	if !slices.Equal(got, names) {
		t.Fatalf("%+v, %+v:\ngot  %q\nwant %q", q, q.Range, got, names)
	}
}

// BenchmarkSealedOfAMillion finds the first volumes of a range in a stream of a million fragments.
func BenchmarkSealedOfAMillion(b *testing.B) {
	x, err := OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "index.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	if err := x.CreateStream(b.Context(), store.Stream{ID: streamID, Name: "cam"}); err != nil {
		b.Fatal(err)
	}
	const volumes, each, step = 3125, 320, 2000
	start := time.Now().UnixMilli() - volumes*each*step
	var all []SealedVolume
	for i := range int64(volumes) {
		at := start + i*each*step
		span := record.Range{Min: at, Max: at + (each-1)*step}
		v := volumeOf(i, each, span)
		v.Server, v.Producer = span, record.Range{Min: span.Min - 500, Max: span.Max - 500}
		all = append(all, v)
	}
	for len(all) > 0 {
		n := min(len(all), 500)
		if err := x.AddSealed(b.Context(), all[:n]); err != nil {
			b.Fatal(err)
		}
		all = all[n:]
	}
	for _, c := range []struct {
		name  string
		from  int64
		order store.Order
		clock store.TimestampKind
	}{
		{"all", math.MinInt64, store.ByNumber, store.ServerTimestamp},
		{"beginning", start + 5000, store.ByNumber, store.ServerTimestamp},
		{"middle", start + volumes*each*step/2, store.ByNumber, store.ProducerTimestamp},
		{"end", start + (volumes-2)*each*step, store.ByNumber, store.ServerTimestamp},
		{"newest", math.MinInt64, store.ByNumberNewest, store.ServerTimestamp},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := store.Query{Order: c.order, Limit: 1000, Range: &store.TimeRange{Clock: c.clock,
				Start: c.from, End: math.MaxInt64}}
			for b.Loop() {
				l, err := x.Sealed(b.Context(), streamID, q, sealed.MinTime, 0, 8)
				if err != nil || len(l) == 0 {
					b.Fatal(l, err)
				}
			}
		})
	}
}
