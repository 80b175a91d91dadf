package rows_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/record"
	"weir/internal/store/storetest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// open returns the rows of an empty schema, opened as a node does.
func open(t *testing.T, url string, clock func() time.Time) *rows.DB {
	t.Helper()
	db, err := rows.Open(t.Context(), url, rows.Options{Clock: clock})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func create(t *testing.T, db *rows.DB, name string) store.Stream {
	t.Helper()
	st, err := db.CreateStream(t.Context(), store.Stream{Name: name, RetentionHours: 24})
	must(t, err)
	return st
}

// row makes a row of a fragment at a place of an object.
func row(st store.Stream, clock *storetest.Clock, n store.Number, offset int64) rows.Row {
	rec := storetest.Record(clock, uint64(n), 300)
	rec.Number = n
	info := record.NewInfo(rec, 7, 0)
	info.Location = store.Location{Offset: offset, Length: 200 + info.Size(), MetaLength: 200}
	return rows.Row{Stream: st.ID, Info: info, Tracks: rec.Tracks}
}

// commit commits rows, and wants none of them refused.
func commit(t *testing.T, db *rows.DB, object string, list ...rows.Row) []store.FragmentInfo {
	t.Helper()
	results, err := db.Commit(t.Context(), rows.Object{Name: object, Bytes: 1000}, list)
	must(t, err)
	var infos []store.FragmentInfo
	for _, r := range results {
		must(t, r.Err)
		infos = append(infos, r.Info)
	}
	return infos
}

func sequences(infos []store.FragmentInfo) (all []int64) {
	for _, f := range infos {
		all = append(all, f.Sequence)
	}
	return all
}

func TestCommit(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	db := open(t, clustertest.Database(t), clock.Now)
	a, b := create(t, db, "a"), create(t, db, "b")
	first := commit(t, db, "o1", row(a, clock, 1<<12, 0), row(b, clock, 1<<12, 500),
		row(a, clock, 2<<12, 900))
	if got := sequences(first); !slices.Equal(got, []int64{1, 1, 2}) {
		t.Fatalf("sequences are %v", got)
	}
	if first[0].TrackSet != 1 || first[1].TrackSet != 1 || first[2].TrackSet != 1 {
		t.Fatalf("equal tracks are of sets %+v", first)
	}
	hot, err := db.Hot(t.Context(), a.ID, store.Query{}, 0)
	must(t, err)
	want := []store.FragmentInfo{first[0], first[2]}
	if !slices.EqualFunc(hot.Fragments, want, same) || hot.HighWater.Sequence != 2 {
		t.Fatalf("got %+v, want %+v", hot, want)
	}

	// A commit is repeated because its answer was lost: nothing is stored twice.
	again := commit(t, db, "o1", row(a, clock, 1<<12, 0), row(a, clock, 2<<12, 900))
	if got := sequences(again); !slices.Equal(got, []int64{1, 2}) {
		t.Fatalf("again the sequences are %v", got)
	}
	// Each row has its own result.
	gone := create(t, db, "gone")
	must(t, db.DeleteStream(t.Context(), gone.ID, ""))
	results, err := db.Commit(t.Context(), rows.Object{Name: "o2"}, []rows.Row{
		row(a, clock, 2<<12, 0), row(gone, clock, 9<<12, 10), row(a, clock, 3<<12, 20),
		row(a, clock, 3<<12, 30)})
	must(t, err)
	wantErr(t, results[0].Err, store.ErrExists)
	wantErr(t, results[1].Err, store.ErrNotFound)
	wantErr(t, results[3].Err, store.ErrExists)
	if results[2].Err != nil || results[2].Info.Sequence != 3 {
		t.Fatalf("committed as %+v", results[2])
	}
	at, err := db.Sequences(t.Context(), []store.StreamID{a.ID, b.ID, gone.ID})
	must(t, err)
	if len(at) != 2 || at[a.ID] != 3 || at[b.ID] != 1 {
		t.Fatalf("streams are at %v", at)
	}
}

func same(a, b store.FragmentInfo) bool {
	return a.Number == b.Number && a.Sequence == b.Sequence && a.TrackSet == b.TrackSet &&
		a.Location == b.Location && slices.Equal(a.Spans, b.Spans)
}

// Numbers rise whichever node gives them out, even if one clock is five seconds behind.
func TestNumbersOfTwoClocks(t *testing.T) {
	t.Parallel()
	url, clock := clustertest.Database(t), storetest.NewClock()
	late := func() time.Time { return clock.Now().Add(-5 * time.Second) }
	one, two := open(t, url, clock.Now), open(t, url, late)
	st := create(t, one, "cam")
	var last store.Number
	for i := range 6 {
		for _, db := range []*rows.DB{one, two} {
			n, err := db.NextNumber(t.Context(), st.ID)
			must(t, err)
			if n <= last {
				t.Fatalf("number %d came after %d", n, last)
			}
			last = n
		}
		if i == 2 { // what was stored counts too
			last += 1 << 40
			commit(t, one, "o", row(st, clock, last, 0))
		}
		clock.Add(time.Second)
	}
	_, err := two.NextNumber(t.Context(), "0123456789abcdef0123456789abcdef")
	wantErr(t, err, store.ErrNotFound)
}

// Nodes that start at once bring the tables up to date only once.
func TestMigrationsByMany(t *testing.T) {
	t.Parallel()
	url := clustertest.Database(t)
	opened := make(chan error)
	const nodes = 4
	for range nodes {
		go func() {
			db, err := rows.Open(context.Background(), url, rows.Options{})
			if err == nil {
				_, err = db.ListStreams(context.Background(), "", "", 0)
				err = errors.Join(err, db.Close())
			}
			opened <- err
		}()
	}
	for range nodes {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
}
