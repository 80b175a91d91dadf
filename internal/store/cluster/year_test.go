package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

// A year, or WEIR_CLUSTER_YEAR of it, of cameras that come and go, in steps of six hours, while two
// nodes sweep and compact. The code is real, and so is the database, with the test's clock; the
// object store is in memory. Records are small, and so are compacted objects: one has as many
// fragments as 64 MB from a camera of 20 Mbit/s that sends one every three seconds.
//
// Nothing is lost within retention, nothing is listed past it, and what is kept stays bounded:
// every object has a row, or is at most a day old.
func TestYear(t *testing.T) {
	days := 3
	if text := os.Getenv("WEIR_CLUSTER_YEAR"); text != "" {
		if _, err := fmt.Sscanf(text, "%dd", &days); err != nil {
			t.Fatal(err)
		}
	}
	y := newYear(t)
	for hour := 0; hour < days*24; hour += int(yearStep / time.Hour) {
		y.step(hour)
		if hour%24 == 18 {
			y.checkObjects(hour)
			y.checkLists(hour%(7*24) == 18)
		}
		if hour%(60*24) == 59*24 {
			y.report(hour/24 + 1)
		}
	}
	y.report(days)
	y.end()
}

// Bounds that the store has to keep within.
const (
	yearStep    = 6 * time.Hour
	yearOrphans = 24 * time.Hour // Options.OrphanAge
	yearRecord  = 4 << 10        // bytes, about
	yearObject  = 8 * yearRecord // Options.CompactBytes
	yearAge     = time.Hour      // Options.CompactAge
)

// simulated is a stream and what was acknowledged of it.
type simulated struct {
	store.Stream
	each  int // fragments of a step
	acked []moment
	edge  int64 // nothing before it may be listed, whatever the retention is now
}

type moment struct {
	number store.Number
	millis int64
}

// year is the simulation.
type year struct {
	*fixture
	clock   *storetest.Clock
	memory  *clustertest.Memory
	sql     *pgx.Conn
	prefix  string
	nodes   [2]*node
	streams []*simulated
	orphans map[string]time.Time

	deleted int   // streams
	payload int64 // bytes of records that were acknowledged
	most    [2]counts
}

// counts are the rows of tables.
type counts struct{ Fragments, Sealed, Objects, Gone, Sets int }

func newYear(t *testing.T) *year {
	y := &year{clock: storetest.NewClock(), prefix: "year", orphans: make(map[string]time.Time)}
	y.memory = clustertest.NewMemory(t, y.clock.Now)
	database, err := url.Parse(clustertest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	// A schema that comes before pg_catalog in the path hides the database's clock.
	q := database.Query()
	schema := q.Get("search_path")
	q.Set("search_path", schema+",pg_catalog")
	database.RawQuery = q.Encode()
	y.fixture = &fixture{TB: t, options: cluster.Options{
		Database: database.String() + "&pool_max_conns=16", Objects: y.memory.URL(y.prefix),
		Keys: keysOfTests, CacheDir: t.TempDir(), Clock: y.clock.Now,
		Gather: objects.Gathering{Linger: 5 * time.Millisecond}, Fresh: 20 * time.Millisecond,
		OrphanAge: yearOrphans, OrphanInterval: time.Nanosecond,
		CompactBytes: yearObject, CompactAge: yearAge}}
	if y.sql, err = pgx.Connect(t.Context(), database.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = y.sql.Close(context.Background()) })
	for _, statement := range []string{
		`CREATE TABLE sim_clock (at timestamptz NOT NULL)`,
		`INSERT INTO sim_clock VALUES (now())`,
		`CREATE FUNCTION ` + schema + `.clock_timestamp() RETURNS timestamptz LANGUAGE sql
			AS 'SELECT at FROM ` + schema + `.sim_clock'`,
	} {
		y.exec(statement)
	}
	y.tick()
	y.nodes = [2]*node{y.node(), y.node()}
	for _, s := range []struct {
		name        string
		hours, each int
	}{
		{"always", 7 * 24, 12}, {"yard", 30 * 24, 2}, {"long", 90 * 24, 1}, {"short", 12, 3},
		{"tuned", 24, 1}, {"weekly", 48, 1},
	} {
		y.create(s.name, s.hours, s.each)
	}
	return y
}

func (y *year) must(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}

func (y *year) exec(statement string, args ...any) {
	y.Helper()
	_, err := y.sql.Exec(y.Context(), statement, args...)
	y.must(err)
}

// tick sets the database's clock.
func (y *year) tick() { y.exec(`UPDATE sim_clock SET at = $1`, y.clock.Now()) }

func (y *year) create(name string, hours, each int) {
	y.Helper()
	st, err := y.nodes[0].CreateStream(y.Context(), store.Stream{Name: name, RetentionHours: hours})
	y.must(err)
	y.streams = append(y.streams, &simulated{Stream: st, each: each})
}

// step is one step: fragments at both nodes, what people and faults do, and one pass of background
// work at each node.
func (y *year) step(hour int) {
	y.Helper()
	y.clock.Add(yearStep)
	y.tick()
	for _, node := range y.nodes {
		y.must(node.Heartbeat(y.Context()))
		node.ForgetCommits() // their objects may have been collected by now
	}
	y.record(hour)
	y.change(hour)
	for i := range y.nodes {
		node := y.nodes[(hour/6+i)%2]
		y.must(node.Sweep(y.Context()))
		y.must(node.Compact(y.Context(), false))
	}
}

// record appends the fragments of a step, those of all streams at once, half of each stream's at
// each node.
func (y *year) record(hour int) {
	y.Helper()
	now := y.clock.Now().UnixMilli()
	var mu sync.Mutex
	var errs []error
	var producers sync.WaitGroup
	for i, s := range y.streams {
		for k := range s.each {
			producers.Go(func() {
				rec := storetest.Record(y.clock, uint64(k), yearRecord)
				at := now - yearStep.Milliseconds()*int64(s.each-k-1)/int64(s.each)
				rec.ServerTimestamp, rec.ProducerTimestamp = at, at-500
				info, err := storetest.Append(y.Context(), y.nodes[(hour/6+i)%2], s.ID, rec)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
				y.payload += info.Location.Length
				s.acked = append(s.acked, moment{info.Number, at})
			})
		}
	}
	producers.Wait()
	y.must(errors.Join(errs...))
}

// change does what happens only now and then.
func (y *year) change(hour int) {
	y.Helper()
	ctx := y.Context()
	if len(y.streams) == 0 {
		return
	}
	if hour%24 == 6 { // a node put an object and ended before it committed
		for _, prefix := range []string{"b/2026/", "s/" + string(y.streams[0].ID) + "/"} {
			key := fmt.Sprintf("%sorphan-%d", prefix, hour)
			y.must(y.nodes[0].Bucket().Put(ctx, key, []byte("never committed")))
			y.orphans[key] = y.clock.Now()
		}
	}
	if hour%(7*24) == 30 { // a node ends abruptly, and another one starts
		was := y.nodes[1]
		y.nodes[1] = y.node()
		was.closed = true
		y.must(was.Rows().Close()) // so that nobody is told
		y.must(was.Close())
	}
	if hour%(7*24) == 48 { // a stream is deleted, and a new one gets its name
		i := slices.IndexFunc(y.streams, func(s *simulated) bool { return s.Name == "weekly" })
		s := y.streams[i]
		y.must(y.nodes[0].DeleteStream(ctx, s.ID, ""))
		y.deleted++
		y.streams = slices.Delete(y.streams, i, i+1)
		y.create(s.Name, s.RetentionHours, s.each)
	}
	if hour%(30*24) == 60 || hour%(30*24) == 300 { // the retention becomes longer or shorter
		i := slices.IndexFunc(y.streams, func(s *simulated) bool { return s.Name == "tuned" })
		s := y.streams[i]
		s.edge = max(s.edge, s.RetentionEdge(y.clock.Now())) // does not come back
		st, err := y.nodes[0].UpdateStream(ctx, s.ID, "", func(st *store.Stream) error {
			st.RetentionHours = 24 * 4
			if hour%(30*24) == 300 {
				st.RetentionHours = 24
			}
			return nil
		})
		y.must(err)
		s.Stream = st
		time.Sleep(2 * y.options.Fresh) // until the other node sees it
	}
}

// checkLists compares lists with what was acknowledged; with open, everything must open too.
func (y *year) checkLists(open bool) {
	y.Helper()
	ctx := y.Context()
	now := y.clock.Now()
	for _, s := range y.streams {
		edge := max(s.edge, s.RetentionEdge(now))
		s.acked = slices.DeleteFunc(s.acked, func(m moment) bool { return m.millis < edge })
		slices.SortFunc(s.acked, func(a, b moment) int { return int(a.number - b.number) })
		for _, node := range y.nodes {
			list, err := node.List(ctx, s.ID, store.Query{})
			y.must(err)
			if len(list) != len(s.acked) {
				y.Fatalf("%s lists %d fragments, not %d", s.Name, len(list), len(s.acked))
			}
			for i := range list {
				if list[i].Number != s.acked[i].number {
					y.Fatalf("%s lists fragment %d, not %d", s.Name, list[i].Number,
						s.acked[i].number)
				}
			}
			if !open {
				continue
			}
			for i := 0; i < len(list); i += 1 + len(list)/50 {
				_, err := storetest.ReadPayload(ctx, node, s.ID, list[i])
				y.must(err)
			}
		}
	}
}

// checkObjects compares the bucket with the rows. An object has a row, or was not needed for less
// than a day, or was never committed and will be found by the next list.
func (y *year) checkObjects(hour int) {
	y.Helper()
	now := y.clock.Now()
	there := y.memory.Objects(y.prefix + "/")
	delete(there, "cluster")
	if n := y.dropMarks(there); n > 4 { // of two nodes, and of those that ended lately
		y.Fatalf("%d nodes have watermarks", n)
	}
	list, err := y.sql.Query(y.Context(), `SELECT name, unused_ms FROM objects`)
	y.must(err)
	known := 0
	for list.Next() {
		var name string
		var unused int64
		y.must(list.Scan(&name, &unused))
		if _, ok := there[name]; !ok {
			y.Fatalf("object %s has a row and is not there", name)
		}
		delete(there, name)
		known++
		if age := now.Sub(time.UnixMilli(unused)); unused > 0 && age > yearOrphans+yearStep {
			y.Fatalf("object %s is unused for %s", name, age)
		}
	}
	y.must(list.Err())
	for name := range there {
		put, ok := y.orphans[name]
		if !ok {
			y.Fatalf("object %s has no row", name)
		}
		if age := now.Sub(put); age > yearOrphans+yearStep {
			y.Fatalf("object %s was never committed, and is there after %s", name, age)
		}
	}
	for name, put := range y.orphans { // none goes before its time
		if _, ok := there[name]; !ok {
			if age := now.Sub(put); age < yearOrphans {
				y.Fatalf("object %s was deleted after %s", name, age)
			}
			delete(y.orphans, name)
		}
	}
	y.checkRows(hour, now)
}

// dropMarks removes the watermarks of nodes, and returns how many there are, and the tombstones, of
// which each deleted stream has one.
func (y *year) dropMarks(there map[string]int) (n int) {
	y.Helper()
	tombs := 0
	for name := range there {
		if strings.HasPrefix(name, "w/") {
			delete(there, name)
			n++
		} else if strings.HasPrefix(name, contents.Tombstones) {
			delete(there, name)
			tombs++
		}
	}
	if tombs != y.deleted {
		y.Errorf("%d streams have tombstones, %d were deleted", tombs, y.deleted)
	}
	return n
}

// checkRows wants few rows of fragments to be left by compaction, and notes how many rows there
// are.
func (y *year) checkRows(hour int, now time.Time) {
	y.Helper()
	var c counts
	var oldest int64
	y.must(y.sql.QueryRow(y.Context(), `SELECT (SELECT COUNT(*) FROM fragments),
		(SELECT COUNT(*) FROM sealed), (SELECT COUNT(*) FROM objects),
		(SELECT COUNT(*) FROM gone), (SELECT COUNT(*) FROM track_sets),
		(SELECT COALESCE(MIN(server_ts), $1) FROM fragments)`, now.UnixMilli()).Scan(&c.Fragments,
		&c.Sealed, &c.Objects, &c.Gone, &c.Sets, &oldest))
	if age := now.Sub(time.UnixMilli(oldest)); age > yearAge+yearStep {
		y.Fatalf("a fragment has a row after %s", age)
	}
	// The longest retention is three months, so all later months take what the first four took.
	most := &y.most[0]
	if hour >= 120*24 {
		most = &y.most[1]
	}
	most.Fragments = max(most.Fragments, c.Fragments)
	most.Sealed = max(most.Sealed, c.Sealed)
	most.Objects = max(most.Objects, c.Objects)
	most.Gone = max(most.Gone, c.Gone)
	most.Sets = max(most.Sets, c.Sets)
}

// report prints what a day takes, and wants the year to take what its first months took.
func (y *year) report(days int) {
	y.Helper()
	r := y.memory.Requests()
	daily := func(n int64) float64 { return float64(n) / float64(days) }
	y.Logf("%d days, %d streams, rows at most %+v, from day 120 on %+v", days, len(y.streams),
		y.most[0], y.most[1])
	y.Logf("bytes put for each byte of a record: %.2f; read: %.2f",
		float64(r.PutBytes)/float64(y.payload), float64(r.GetBytes)/float64(y.payload))
	y.Logf("a day: %.0f PUT by ingest, %.0f by compaction, %.0f GET, %.1f LIST, "+
		"%.1f DELETE of %.0f objects", daily(r.Of["b"]), daily(r.Of["s"]), daily(r.Gets),
		daily(r.Lists), daily(r.Deletes), daily(r.Deleted))
	if days <= 120 {
		return
	}
	first, rest := y.most[0], y.most[1]
	if rest.Objects > first.Objects+first.Objects/10 ||
		rest.Sealed > first.Sealed+first.Sealed/10 ||
		rest.Fragments > 2*first.Fragments || rest.Gone > first.Gone || rest.Sets > first.Sets {
		y.Errorf("rows grow: %+v, then %+v", first, rest)
	}
}

// end deletes everything, and wants nothing to be left two days later.
func (y *year) end() {
	y.Helper()
	for _, s := range y.streams {
		y.must(y.nodes[0].DeleteStream(y.Context(), s.ID, ""))
		y.deleted++
	}
	y.streams = nil
	for range 8 {
		y.step(0)
	}
	left := y.memory.Objects(y.prefix + "/")
	y.dropMarks(left)
	for name := range left {
		if name != "cluster" {
			y.Errorf("object %s is left", name)
		}
	}
	var c counts
	y.must(y.sql.QueryRow(y.Context(), `SELECT (SELECT COUNT(*) FROM fragments),
		(SELECT COUNT(*) FROM sealed), (SELECT COUNT(*) FROM objects),
		(SELECT COUNT(*) FROM gone), (SELECT COUNT(*) FROM track_sets)`).Scan(&c.Fragments,
		&c.Sealed, &c.Objects, &c.Gone, &c.Sets))
	if c != (counts{}) {
		y.Errorf("rows are left: %+v", c)
	}
}
