package cluster_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/repair"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
	"weir/internal/store/storetest"
)

// benchFragment is two seconds of a camera at 800 kbit/s, in bytes.
const benchFragment = 200_000

// sides runs two kinds of work by turns and returns the median of the ratio of their times, second
// to first.
func sides(b *testing.B, turns int, first, second func()) float64 {
	b.Helper()
	var ratios []float64
	for range turns {
		began := time.Now()
		first()
		between := time.Now()
		second()
		ratios = append(ratios, float64(time.Since(between))/float64(between.Sub(began)))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// percentile returns the time, in milliseconds, that a given share of the measured times does not
// exceed.
func percentile(times []time.Duration, share float64) float64 {
	slices.Sort(times)
	return float64(times[int(share*float64(len(times)-1))].Microseconds()) / 1000
}

// BenchmarkClusterIngest measures how fast a node stores the fragments of producers that send as
// fast as they can. It compares that with bare puts of the same bytes, in objects of 8 MiB and as
// many at a time. The last object waits for more fragments, which do not come: each producer sends
// so many that this does not count.
func BenchmarkClusterIngest(b *testing.B) {
	const producers, each = 200, 15
	f := newFixture(b, nil)
	n := f.node(func(o *cluster.Options) { o.Gather = objects.Gathering{} })
	var ids []store.StreamID
	for i := range producers {
		ids = append(ids, create(b, n, fmt.Sprint("cam", i), 24).ID)
	}
	clock := storetest.NewClock()
	rec := storetest.Record(clock, 1, benchFragment)
	stored := func() {
		var all sync.WaitGroup
		for _, id := range ids {
			all.Go(func() {
				for range each {
					mine := *rec
					if _, err := storetest.Append(b.Context(), n, id, &mine); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
	data := make([]byte, 8<<20)
	bare := func() {
		sizes := make(chan int)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for size := range sizes {
					key := fmt.Sprint("bare/", rand.Uint64())
					if err := n.Bucket().Put(b.Context(), key, data[:size]); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for left := producers * each * benchFragment; left > 0; left -= len(data) {
			sizes <- min(left, len(data))
		}
		close(sizes)
		all.Wait()
	}
	stored()
	b.ResetTimer()
	began := time.Now()
	ratio := sides(b, max(b.N, 3), stored, bare)
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms")
}

// BenchmarkClusterAcks measures how long 200 producers, each of which sends a fragment every two
// seconds, wait for acknowledgements, and how much later a reader that waits at another node learns
// of the fragment.
func BenchmarkClusterAcks(b *testing.B) {
	const producers, each = 200, 3
	f := newFixture(b, nil)
	gather := func(o *cluster.Options) { o.Gather = objects.Gathering{} }
	n, other := f.node(gather), f.node(gather)
	var mu sync.Mutex
	var acks, seen []time.Duration
	var all sync.WaitGroup
	for i := range producers {
		id := create(b, n, fmt.Sprint("cam", i), 24).ID
		acked := make(chan time.Time, each)
		all.Go(func() {
			time.Sleep(rand.N(2 * time.Second))
			for j := range each {
				rec := storetest.Record(storetest.NewClock(), uint64(j), benchFragment/4)
				began := time.Now()
				if _, err := storetest.Append(b.Context(), n, id, rec); err != nil {
					b.Error(err)
				}
				now := time.Now()
				acked <- now
				mu.Lock()
				acks = append(acks, now.Sub(began))
				mu.Unlock()
				time.Sleep(time.Until(began.Add(2 * time.Second)))
			}
		})
		all.Go(func() {
			for j := range each {
				if _, err := other.Wait(b.Context(), id, int64(j)); err != nil {
					b.Error(err)
				}
				late := time.Since(<-acked)
				mu.Lock()
				seen = append(seen, late)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	b.ReportMetric(percentile(acks, 0.5), "ack-p50-ms")
	b.ReportMetric(percentile(acks, 0.99), "ack-p99-ms")
	b.ReportMetric(percentile(seen, 0.99), "visible-p99-ms")
}

// BenchmarkClusterFirstByte measures opening a segment that is not in the cache and writing its
// video, beside one bare range read of the same bytes.
func BenchmarkClusterFirstByte(b *testing.B) {
	const turns = 200
	f := newFixture(b, nil)
	n := f.node()
	clock := storetest.NewClock()
	clock.Add(time.Since(clock.Now()))
	st := create(b, n, "cam", 24)
	var segments []store.FragmentInfo // each in an object of its own
	for i := range 1 + turns {
		info, err := storetest.Append(b.Context(), n, st.ID,
			storetest.Record(clock, uint64(i), benchFragment))
		must(b, err)
		segments = append(segments, info)
	}
	next := 0
	bare := func() {
		at := segments[next].Location
		_, err := n.Bucket().ReadAll(b.Context(), at.Volume, at.Offset, at.Length)
		must(b, err)
	}
	open := func() {
		m, err := n.Open(b.Context(), st.ID, segments[next])
		must(b, err)
		r, err := m.Payload(0)
		must(b, err)
		_, err = r.WriteTo(io.Discard)
		must(b, err)
		must(b, m.Close())
		next++
	}
	bare()
	open()
	b.ResetTimer()
	b.ReportMetric(sides(b, turns, bare, open), "ratio")
}

// BenchmarkClusterList lists 1,000 fragments out of ten million: the newest, which have rows of
// their own, and some that are in the tables of objects. Of these 10,000 objects only 100 exist. It
// also lists, from 300,000 fragments that are not compacted yet, a range of times that begins in
// the middle and has no end. row-B/object is what the database takes for an object with a table.
func BenchmarkClusterList(b *testing.B) {
	const volumes, each = 100, 1000
	f := newFixture(b, nil)
	n := f.node()
	st := create(b, n, "cam", 24*365)
	began := time.Now().Add(-time.Hour * 24 * 7).UnixMilli()
	rec := storetest.Record(storetest.NewClock(), 1, 3000)
	rec.Number = 1
	head, crc, err := record.EncodeFragment(rec, 0)
	must(b, err)
	for v := range volumes {
		object := rows.Object{Name: fmt.Sprint("synthetic", v), Bytes: 1}
		var list []rows.Row
		for i := range each {
			info := record.NewInfo(rec, crc, 0)
			info.ServerTimestamp = began + int64(v*each+i)*2000
			info.ProducerTimestamp = info.ServerTimestamp - 500
			info.Number = store.NumberAt(time.UnixMilli(info.ServerTimestamp), 0)
			info.Location = store.Location{Volume: object.Name, Offset: int64(i) * 5000,
				MetaLength: int64(len(head)), Length: int64(len(head)) + info.Size()}
			list = append(list, rows.Row{Stream: st.ID, Info: info, Tracks: rec.Tracks})
		}
		_, err := n.Rows().Commit(b.Context(), object, list)
		must(b, err)
	}
	sealAll(b, n, st.ID, each, volumes-1)
	sealOlder(b, f, st.ID, began, each, 9_900)
	for name, q := range map[string]store.Query{
		"rows": {Limit: 1000, Order: store.ByNumberNewest},
		"sealed": {Limit: 1000, Range: &store.TimeRange{
			Start: began + volumes*each*1000 + 700, End: 1 << 60}},
	} {
		b.Run(name, func(b *testing.B) {
			benchList(b, n, st.ID, q)
			if name == "sealed" {
				b.ReportMetric(sealedBytes(b, f), "row-B/object")
			}
		})
	}
	const backlog = 300_000
	late := create(b, n, "late", 24*365)
	addRows(b, f, late.ID, began, backlog)
	for clock, name := range []string{"server-range", "producer-range"} {
		q := store.Query{Limit: 1000, Range: &store.TimeRange{Clock: store.TimestampKind(clock),
			Start: began + backlog*1000, End: 1 << 60}}
		b.Run(name, func(b *testing.B) { benchList(b, n, late.ID, q) })
	}
}

// addRows adds the rows of count fragments in order, one every two seconds from began on.
func addRows(b *testing.B, f *fixture, id store.StreamID, began, count int64) {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), f.options.Database)
	must(b, err)
	defer pool.Close()
	spans := record.AppendSpans(nil, []store.Span{{Track: 1, Duration: 180_000, Size: 200_000,
		Frames: 50, KeyStart: true, FirstSize: 40_000}})
	_, err = pool.Exec(b.Context(), `INSERT INTO fragments (stream, number, sequence, server_ts,
		producer_ts, track_set, payload_crc, partial, object, position, length, meta_length, spans,
		apart)
		SELECT s.key, ($2 + i * 2000) * 1000 << 12, i, $2 + i * 2000, $2 + i * 2000 - 500, 1, 5, 0,
			(SELECT MAX(key) FROM objects), i * 5000, 5000, 500, $4, 0
		FROM generate_series(CAST(1 AS bigint), $3) i JOIN streams s ON s.id = $1`, string(id),
		began, count, spans)
	must(b, err)
	_, err = pool.Exec(b.Context(), `VACUUM ANALYZE fragments`)
	must(b, err)
}

// sealOlder adds the rows of objects with many fragments each, one every two seconds, all before a
// given time. The objects themselves do not exist.
func sealOlder(
	b *testing.B, f *fixture, id store.StreamID, before int64, each, volumes int,
) {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), f.options.Database)
	must(b, err)
	defer pool.Close()
	_, err = pool.Exec(b.Context(), `INSERT INTO objects (name, bytes)
		SELECT 'older-' || i, 1 FROM generate_series(1, $1) i`, volumes)
	must(b, err)
	_, err = pool.Exec(b.Context(), `INSERT INTO sealed SELECT o.key, s.key, 64000000, 20000,
		19984, $4, (at * 1000) << 12, ((at + $4 * 2000 - 2000) * 1000) << 12,
		(i - $3 - 1) * $4 + 1, (i - $3) * $4, at, at + $4 * 2000 - 2000, at - 500,
		at + $4 * 2000 - 2500, 0, '\x02'
		FROM (SELECT i, $2 - ($3 - i + 1) * $4 * 2000 AS at
			FROM generate_series(CAST(1 AS bigint), $3) i) v
		JOIN objects o ON o.name = 'older-' || i JOIN streams s ON s.id = $1`,
		string(id), before, int64(volumes), int64(each))
	must(b, err)
	_, err = pool.Exec(b.Context(), `ANALYZE`)
	must(b, err)
}

// sealedBytes returns what the database takes for an object with a packed table: its rows, and
// their share of the indexes.
func sealedBytes(b *testing.B, f *fixture) (bytes float64) {
	b.Helper()
	pool, err := pgxpool.New(b.Context(), f.options.Database)
	must(b, err)
	defer pool.Close()
	must(b, pool.QueryRow(b.Context(), `SELECT
		CAST(pg_total_relation_size('sealed') AS float8) / (SELECT COUNT(*) FROM sealed) +
		CAST(pg_total_relation_size('objects') AS float8) / (SELECT COUNT(*) FROM objects)`,
	).Scan(&bytes))
	return bytes
}

func benchList(b *testing.B, n *node, id store.StreamID, q store.Query) {
	b.Helper()
	if _, err := n.List(b.Context(), id, q); err != nil { // which reads the tables
		b.Fatal(err)
	}
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		list, err := n.List(b.Context(), id, q)
		times = append(times, time.Since(began))
		if err != nil || len(list) != 1000 {
			b.Fatal(len(list), err)
		}
	}
	b.ReportMetric(percentile(times, 0.5), "p50-ms")
	b.ReportMetric(percentile(times, 0), "least-ms")
}

// sealAll replaces the oldest rows with tables of so many fragments each; their objects have no
// records.
func sealAll(b *testing.B, n *node, id store.StreamID, each, volumes int) {
	b.Helper()
	held, err := n.Rows().Lease(b.Context(), "bench", "bench", time.Hour)
	must(b, err)
	for range volumes {
		hot, err := n.Rows().Hot(b.Context(), id, store.Query{Order: store.BySequence, Limit: each},
			sealed.MinTime)
		must(b, err)
		v := sealed.Volume{Stream: id, Name: "sealed-" + hot.Fragments[0].Location.Volume}
		for i := range hot.Fragments {
			hot.Fragments[i].Location.Volume = v.Name
		}
		footer, v, err := sealed.Pack(v, hot.Fragments, func(set int64) ([]byte, error) {
			tracks, err := n.TrackSet(b.Context(), id, set)
			return record.AppendTracks(nil, tracks), err
		})
		must(b, err)
		must(b, n.Bucket().Put(b.Context(), v.Name, footer))
		v.Footer = store.Location{Volume: v.Name, Length: int64(len(footer)),
			MetaLength: int64(len(footer)) - record.FooterTrailer}
		must(b, n.Rows().Seal(b.Context(), held, v, rows.Object{Name: v.Name}))
	}
}

// BenchmarkClusterRepair brings back the fragments of ten cameras, of which a database has lost all
// rows. They are in gathered objects, each with a fragment of most cameras.
func BenchmarkClusterRepair(b *testing.B) {
	f := newFixture(b, nil)
	count := 0
	for _, stored := range f.gathered(10, 400) {
		count += len(stored)
	}
	o := f.repairs()
	o.Deep = false
	var took time.Duration
	for b.Loop() {
		f.exec(`DELETE FROM fragments`)
		f.exec(`DELETE FROM objects`)
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
