package index

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/store"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

const streamID = store.StreamID("00112233445566778899aabbccddeeff")

func open(t *testing.T, path string) *SQLite {
	t.Helper()
	x, err := OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func withStream(t *testing.T) *SQLite {
	t.Helper()
	x := open(t, filepath.Join(t.TempDir(), "index.db"))
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := x.CreateStream(t.Context(), store.Stream{ID: streamID, Name: "cam"}); err != nil {
		t.Fatal(err)
	}
	return x
}

func fragment(n store.Number) NewFragment {
	return NewFragment{Stream: streamID, Info: store.FragmentInfo{
		Number: n, ServerTimestamp: int64(n), ProducerTimestamp: int64(n),
		Spans: make([]store.Span, 20),
		Location: store.Location{Volume: string(streamID) + "/a.vol", Offset: int64(n) * 10,
			Length: 10},
	}}
}

// Each query is served by the index that was made for it: none reads the rows of other streams,
// those of sealed volumes are found where the answer begins, and only what must be sorted is.
func TestPlans(t *testing.T) {
	x := withStream(t)
	for _, c := range []struct {
		name        string
		q           store.Query
		after       int64 // sealed: not the first page
		hot, sealed string
		sorts       bool // the sealed volumes
	}{
		{"all", store.Query{}, 0, "PRIMARY KEY (stream=?)", "sealed_number (stream=?)", false},
		{"newest", store.Query{Order: store.ByNumberNewest, Limit: 3}, 0, "PRIMARY KEY (stream=?)",
			"sealed_newest (stream=?)", false},
		{"page", store.Query{After: 5, Limit: 3}, 0, "PRIMARY KEY (stream=? AND number>?)",
			"sealed_number (stream=? AND number_min>?)", false},
		{"page downwards", store.Query{After: 5, Limit: 3, Order: store.ByNumberNewest}, 0,
			"PRIMARY KEY (stream=? AND number<?)", "sealed_newest (stream=? AND number_max<?)",
			false},
		{"tail", store.Query{Order: store.BySequence, AfterSequence: 5}, 0,
			"fragments_sequence (stream=? AND sequence>?)",
			"sealed_sequence (stream=? AND sequence_max>?)", false},
		{"tail of a time", store.Query{Order: store.BySequence, AfterSequence: 5,
			Range: &store.TimeRange{Start: 3, End: 9}}, 0,
			"fragments_sequence (stream=? AND sequence>?)",
			"sealed_sequence (stream=? AND sequence_max>?)", false},
		{"tail by number", store.Query{AfterSequence: 5}, 0,
			"fragments_sequence (stream=? AND sequence>?)",
			"sealed_sequence (stream=? AND sequence_max>?)", true},
		{"server time", store.Query{Range: &store.TimeRange{Start: 3, End: 9}}, 0,
			"PRIMARY KEY (stream=?)",
			"sealed_server (stream=? AND server_min>? AND server_min<?)", false},
		{"server time, newest", store.Query{Order: store.ByNumberNewest, Limit: 1,
			Range: &store.TimeRange{Start: 3, End: 9}}, 0,
			"PRIMARY KEY (stream=?)",
			"sealed_server (stream=? AND server_min>? AND server_min<?)", false},
		{"server time, page", store.Query{Range: &store.TimeRange{Start: 3, End: 9}, After: 7}, 0,
			"PRIMARY KEY (stream=? AND number>?)", "sealed_number (stream=? AND number_min>?)",
			false},
		{"server time, more", store.Query{Range: &store.TimeRange{Start: 3, End: 9}}, 7,
			"PRIMARY KEY (stream=?)",
			"sealed_number (stream=? AND number_min>?)", false},
		{"producer time", store.Query{Limit: 4,
			Range: &store.TimeRange{Clock: store.ProducerTimestamp, Start: 3, End: 9}}, 0,
			"PRIMARY KEY (stream=?)",
			"sealed_producer (stream=? AND producer_min>? AND producer_min<?)", false},
	} {
		check := func(index string, sorts bool, text string, args []any) {
			t.Helper()
			var plan []string
			err := x.read(t.Context(), func(rows *sql.Rows) error {
				var id, parent, unused int
				var detail string
				err := rows.Scan(&id, &parent, &unused, &detail)
				plan = append(plan, detail)
				return err
			}, "EXPLAIN QUERY PLAN "+text, args...)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(plan, "\n")
			if !strings.Contains(all, index) || strings.Contains(all, "SCAN f") ||
				strings.Contains(all, "SCAN s") ||
				strings.Contains(all, "TEMP B-TREE FOR ORDER") != sorts {
				t.Errorf("%s:\n%s\n%s", c.name, text, all)
			}
		}
		text, args := hotQuery(1, c.q, 0)
		check(c.hot, c.q.AfterSequence > 0 && c.q.Order != store.BySequence, text, args)
		text, args = sealedQuery(1, c.q, 0, c.after, 10, false)
		check(c.sealed, c.sorts, text, args)
		text, args = sealedQuery(1, c.q, 0, c.after, 10, true)
		check("sealed_wide (stream=?)", true, text, args)
	}
}

// A full disk is ErrFull. What was committed stays, and the index goes on when there is room.
func TestFull(t *testing.T) {
	x := withStream(t)
	if _, err := x.Commit(t.Context(), []NewFragment{fragment(1)}, false); err != nil {
		t.Fatal(err)
	}
	// the least possible: as many pages as there are
	if _, err := x.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	var n store.Number = 1
	for {
		results, err := x.Commit(t.Context(), []NewFragment{fragment(n + 1)}, false)
		if errors.Is(err, store.ErrFull) {
			break
		}
		if n++; err != nil || results[0].Err != nil || n > 10_000 {
			t.Fatal(n, results, err)
		}
	}
	for range 2 {
		results, err := x.Commit(t.Context(), []NewFragment{fragment(n + 1)}, false)
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("%+v, %v", results, err)
		}
		hot, err := x.Hot(t.Context(), streamID, store.Query{}, 0)
		if err != nil || len(hot.Fragments) != int(n) || hot.HighWater.Sequence != int64(n) {
			t.Fatalf("%d fragments, want %d, high-water mark %+v: %v", len(hot.Fragments), n,
				hot.HighWater, err)
		}
	}
	if _, err := x.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	results, err := x.Commit(t.Context(), []NewFragment{fragment(n + 1)}, false)
	if err != nil || results[0].Sequence != int64(n+1) {
		t.Fatalf("%+v, %v", results, err)
	}
	hot, err := x.Hot(t.Context(), streamID, store.Query{}, 0)
	if err != nil || len(hot.Fragments) != int(n+1) {
		t.Fatalf("%d fragments, want %d: %v", len(hot.Fragments), n+1, err)
	}
}

// A batch with a row that must be durable is synced; no other is.
func TestWhichBatchesAreSynced(t *testing.T) {
	x := withStream(t)
	n := store.Number(0)
	for i, c := range []struct {
		volume  string
		durable []bool // of the rows of a batch
		synced  bool
	}{{"/a.vol", []bool{true}, true}, {"/a.vol", []bool{false}, false},
		{"/a.vol", []bool{false, false}, false}, {"/b.vol", []bool{false, true, false}, true},
		{"/b.vol", []bool{false}, false}} {
		var rows []NewFragment
		for _, durable := range c.durable {
			n++
			f := fragment(n)
			f.Info.Location.Volume, f.Durable = string(streamID)+c.volume, durable
			rows = append(rows, f)
		}
		_, err := x.Commit(t.Context(), rows, false)
		if err != nil || x.synced != c.synced {
			t.Errorf("batch %d: synced is %t, %v", i, x.synced, err)
		}
	}
	volumes, err := x.Volumes(t.Context())
	if err != nil || len(volumes) != 2 || volumes[0].State != VolumeClosed ||
		volumes[1].State != VolumeOpen {
		t.Fatalf("%+v, %v", volumes, err)
	}
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	x := open(t, path)
	if _, err := x.conn.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSQLite(t.Context(), path); err == nil || !strings.Contains(err.Error(),
		"newer") {
		t.Fatalf("opened with %v", err)
	}
}

// A killed server leaves a log, which goes into its index when an older version refuses that. The
// index from before the upgrade, put in its place, is then what it was.
func TestNewerSchemaAfterAKill(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	path, killed := filepath.Join(dir, "index.db"), filepath.Join(dir, "killed.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	before := filepath.Join(dir, "before.db")
	copyFile(t, before, path)
	x := open(t, path)
	defer func() { _ = x.Close() }()
	if err := x.CreateStream(ctx, store.Stream{ID: streamID, Name: "cam"}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.conn.ExecContext(ctx, "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	copyFile(t, killed, path)
	copyFile(t, killed+"-wal", path+"-wal")
	_, err := OpenSQLite(ctx, killed)
	if err == nil || !strings.Contains(err.Error(), "newer") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("opened with %v, and not one reason", err)
	}
	copyFile(t, killed, before)
	again, err := OpenSQLite(ctx, killed)
	if err != nil {
		t.Fatalf("the index from before: %v", err)
	}
	defer func() { _ = again.Close() }()
	var streams int
	err = again.conn.QueryRowContext(ctx, "SELECT count(*) FROM streams").Scan(&streams)
	if err != nil || streams != 0 {
		t.Errorf("the index from before has %d streams: %v", streams, err)
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	whole, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, whole, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Within Batch nothing is synced except what destroys something. At its end everything is in the
// database file.
func TestBatch(t *testing.T) {
	from := filepath.Join(t.TempDir(), "index.db")
	x := open(t, from)
	defer func() { _ = x.Close() }()
	if err := x.CreateStream(t.Context(), store.Stream{ID: streamID, Name: "cam"}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(t.Context(), []NewFragment{fragment(1)}, false); err != nil {
		t.Fatal(err)
	}
	name := fragment(1).Info.Location.Volume
	failed := errors.New("failed")
	if err := x.Batch(t.Context(), func() error { return failed }); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	err := x.Batch(t.Context(), func() error {
		if err := x.CloseVolumes(t.Context(), []VolumeInfo{{Name: name}}); err != nil || x.synced {
			t.Errorf("synced is %t: %v", x.synced, err)
		}
		if err := x.ForgetVolumes(t.Context(), []string{"none"}); err != nil || !x.synced {
			t.Errorf("synced is %t: %v", x.synced, err)
		}
		return x.AddVolume(t.Context(), streamID, string(streamID)+"/b.vol")
	})
	if err != nil || !x.synced {
		t.Fatal(x.synced, err)
	}
	// The database without its log has it all.
	whole, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "index.db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	y := open(t, path)
	defer func() { _ = y.Close() }()
	volumes, err := y.Volumes(t.Context())
	if err != nil || len(volumes) != 2 || volumes[0].State != VolumeClosed {
		t.Fatalf("%+v, %v", volumes, err)
	}
}

// The greatest producer timestamp is found wherever it is: in a row, in a sealed volume, in a wide
// one.
func TestLastProducer(t *testing.T) {
	x := withStream(t)
	want := func(last int64) {
		t.Helper()
		if got, err := x.LastProducer(t.Context(), streamID); err != nil || got != last {
			t.Fatalf("%d, want %d: %v", got, last, err)
		}
	}
	want(math.MinInt64)
	for n := range store.Number(3) {
		f := fragment(n + 1)
		f.Info.ProducerTimestamp = 100 - int64(n)
		if _, err := x.Commit(t.Context(), []NewFragment{f}, false); err != nil {
			t.Fatal(err)
		}
		want(100)
	}
	seal := func(n, from, to int64) {
		t.Helper()
		r := record.Range{Min: n, Max: n}
		b := sealed.Volume{Name: fmt.Sprintf("%s/%d.vol", streamID, n), Stream: streamID, Count: 1,
			Number: r, Sequence: r, Server: r, Producer: record.Range{Min: from, Max: to}}
		if err := x.AddSealed(t.Context(), []sealed.Volume{b}); err != nil {
			t.Fatal(err)
		}
	}
	seal(10, 1000, 50_000)
	seal(11, 40_000, 41_000) // begins later, ends earlier
	want(50_000)
	seal(12, 500, 3*sealed.WideMillis)
	want(3 * sealed.WideMillis)
}

// A row was added although its transaction failed, and was then replaced: the second try does not
// bring it back.
func TestRetriedRow(t *testing.T) {
	x := withStream(t)
	first, second := fragment(1), fragment(2)
	second.Replaces = 1
	if _, err := x.Commit(t.Context(), []NewFragment{first, second}, false); err != nil {
		t.Fatal(err)
	}
	first.Info.Sequence, first.Retried = 1, true
	third := fragment(3)
	third.Info.Sequence, third.Retried = 3, true
	if _, err := x.Commit(t.Context(), []NewFragment{first, third}, true); err != nil {
		t.Fatal(err)
	}
	hot, err := x.Hot(t.Context(), streamID, store.Query{}, 0)
	if err != nil || len(hot.Fragments) != 2 || hot.Fragments[0].Number != 2 ||
		hot.Fragments[1].Sequence != 3 {
		t.Errorf("%+v, %v", hot.Fragments, err)
	}
}
