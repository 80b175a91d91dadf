package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
	"weir/internal/store/sealed/sealedtest"
)

// Sealed volumes come in the order of the query and none is left out, page by page, however the
// clocks of producer and server leapt; also from an index of before volumes out of order were
// marked as apart.
func TestSealedVolumesInOrder(t *testing.T) {
	x := withStream(t)
	random := rand.New(rand.NewPCG(1, 2))
	all := sealedtest.Volumes(random, streamID, volumeName)
	if err := x.AddSealed(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	look := func() {
		t.Helper()
		sealedtest.CheckQueries(t, x, all, random, 100)
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

func volumeName(i int64) string { return fmt.Sprintf("%s/%d.vol", streamID, i) }

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
	var all []sealed.Volume
	for i := range int64(volumes) {
		at := start + i*each*step
		span := record.Range{Min: at, Max: at + (each-1)*step}
		v := sealedtest.Volume(streamID, volumeName(i), i, each, span)
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
