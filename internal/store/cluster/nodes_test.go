package cluster_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/storetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, s store.Streams, name string, hours int) store.Stream {
	t.Helper()
	st, err := s.CreateStream(t.Context(), store.Stream{Name: name, RetentionHours: hours})
	must(t, err)
	return st
}

// add appends a fragment that starts now.
func add(
	t testing.TB, s storetest.Appender, clock *storetest.Clock, id store.StreamID, seed uint64,
) store.FragmentInfo {
	t.Helper()
	f, err := storetest.Append(t.Context(), s, id, storetest.Record(clock, seed, 3000))
	must(t, err)
	clock.Add(2 * time.Second)
	return f
}

// reads compares a stored fragment with the record of its seed.
func reads(t testing.TB, s storetest.Opener, id store.StreamID, f store.FragmentInfo, seed uint64) {
	t.Helper()
	got, err := storetest.ReadPayload(t.Context(), s, id, f)
	must(t, err)
	want := storetest.Record(storetest.NewClock(), seed, 3000)
	if !slices.EqualFunc(got, want.Payload, bytes.Equal) {
		t.Fatalf("fragment %d is not what was appended", f.Number)
	}
}

// keys lists the keys of objects with a prefix.
func keys(t testing.TB, n *node, prefix string) (all []string) {
	t.Helper()
	for info, err := range n.Bucket().List(t.Context(), prefix, "") {
		must(t, err)
		all = append(all, info.Key)
	}
	return all
}

// What one node has acknowledged the other one lists at once. A reader that waits there is woken,
// and numbers rise although that node's clock is behind.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	clock, behind := storetest.NewClock(), storetest.NewClock()
	behind.Add(-5 * time.Second)
	f := newFixture(t, clock)
	a := f.node()
	b := f.node(func(o *cluster.Options) { o.Clock = behind.Now })
	st := create(t, a, "cam", 24)
	var all []store.FragmentInfo
	woken := make(chan int64, 1)
	for i := range 4 {
		from, other := a, b
		if i%2 == 1 {
			from, other = b, a
		}
		go func() {
			n, err := other.Wait(t.Context(), st.ID, int64(i))
			if err != nil {
				t.Error(err)
			}
			woken <- n
		}()
		all = append(all, add(t, from, clock, st.ID, uint64(i)))
		if n := <-woken; n != int64(i+1) {
			t.Errorf("woken at %d by fragment %d", n, i+1)
		}
		list, err := other.List(t.Context(), st.ID, store.Query{})
		must(t, err)
		if len(list) != i+1 || list[i].Number != all[i].Number {
			t.Fatalf("the other node lists %+v", list)
		}
		reads(t, other, st.ID, list[i], uint64(i))
		if i > 0 && all[i].Number <= all[i-1].Number {
			t.Errorf("number %d comes after %d", all[i].Number, all[i-1].Number)
		}
	}
	// What one node changes the other one knows after its interval.
	_, err := a.UpdateStream(t.Context(), st.ID, "", func(s *store.Stream) error {
		s.DeviceName = "door"
		return nil
	})
	must(t, err)
	time.Sleep(300 * time.Millisecond)
	if now, err := b.StreamByID(t.Context(), st.ID); err != nil || now.DeviceName != "door" {
		t.Errorf("the other node knows %+v, %v", now, err)
	}
	// What one node deletes is hidden on the other within its interval, and waiting ends there.
	ended := make(chan error, 1)
	go func() {
		_, err := b.Wait(t.Context(), st.ID, 4)
		ended <- err
	}()
	must(t, a.DeleteStream(t.Context(), st.ID, ""))
	if err := <-ended; !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the stream was deleted elsewhere: %v", err)
	}
}

// Batches become one object of the stream. What was listed before still opens, wherever it has
// moved. In the end nothing is left that is past retention, deleted, or was never committed.
func TestLifeOfObjects(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	n := f.node()
	sweeper := f.node(func(o *cluster.Options) {
		o.OrphanAge, o.OrphanInterval = time.Millisecond, time.Nanosecond
	})
	st, other := create(t, n, "cam", 24), create(t, n, "other", 48)
	must(t, n.Bucket().Put(t.Context(), "b/2026031409/NEVERCOMMITTED", []byte("x")))
	var before []store.FragmentInfo
	for i := range uint64(6) {
		before = append(before, add(t, n, storetest.NewClock(), st.ID, i))
	}
	add(t, n, clock, other.ID, 9)
	must(t, n.Compact(t.Context(), true))
	if s, b := keys(t, n, "s/"), keys(t, n, "b/"); len(s) != 2 || len(b) != 8 {
		t.Fatalf("after compaction there are %q and %q", s, b)
	}
	after, err := n.List(t.Context(), st.ID, store.Query{})
	must(t, err)
	for i := range before {
		reads(t, n, st.ID, before[i], uint64(i))
		if !strings.HasPrefix(after[i].Location.Volume, "s/"+string(st.ID)) {
			t.Fatalf("fragment %d lies at %+v", i, after[i].Location)
		}
		n.Cache().Drop(before[i].Location.Volume)
	}
	sweep := func() {
		t.Helper()
		time.Sleep(5 * time.Millisecond) // what is unused has been so for more than OrphanAge
		for range 2 {                    // the first pass finds what is unused
			must(t, sweeper.Sweep(t.Context()))
			time.Sleep(5 * time.Millisecond)
		}
	}
	sweep()
	if s, b := keys(t, n, "s/"), keys(t, n, "b/"); len(s) != 2 || len(b) != 0 {
		t.Fatalf("after the sweep there are %q and %q", s, b)
	}
	for i := range before { // at their new place
		reads(t, n, st.ID, before[i], uint64(i))
	}
	// By now both nodes were silent for longer than OrphanAge. What they put may be gone, so it is
	// not committed. Then they are nodes again.
	_, err = storetest.Append(t.Context(), n, st.ID, storetest.Record(clock, 7, 3000))
	if !errors.Is(err, rows.ErrLease) {
		t.Fatalf("a forgotten node commits: %v", err)
	}
	add(t, n, clock, st.ID, 8)

	clock.Add(25 * time.Hour)
	must(t, n.DeleteStream(t.Context(), other.ID, ""))
	sweep()
	if left := append(keys(t, n, "b/"), keys(t, n, "s/")...); len(left) > 0 {
		t.Fatalf("%q is left", left)
	}
}

// A node that was paused until its lease ended moves and deletes nothing.
func TestPausedNode(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	short := func(o *cluster.Options) { o.LeaseTime = 100 * time.Millisecond }
	paused, next := f.node(short), f.node()
	st := create(t, paused, "cam", 24)
	first := add(t, paused, clock, st.ID, 0)
	held, err := paused.Hold(t.Context(), st.ID)
	must(t, err)
	mine, err := next.Hold(t.Context(), st.ID)
	must(t, err)
	if err := held.Compact(t.Context(), st.ID); !errors.Is(err, rows.ErrLease) {
		t.Errorf("it compacts: %v", err)
	}
	if err := held.Expire(t.Context(), st.ID, 1<<60); !errors.Is(err, rows.ErrLease) {
		t.Errorf("it expires: %v", err)
	}
	if f, err := next.Fragment(t.Context(), st.ID, first.Number); err != nil ||
		f.Location != first.Location {
		t.Errorf("the fragment is %+v, %v", f, err)
	}
	must(t, mine.Compact(t.Context(), st.ID))
	f2, err := paused.Fragment(t.Context(), st.ID, first.Number)
	must(t, err)
	reads(t, paused, st.ID, f2, 0)
}

// What the cache's disk has damaged is fetched again; damage in the object store is reported.
func TestDamage(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	n := f.node()
	st := create(t, n, "cam", 24)
	first := add(t, n, clock, st.ID, 0)
	reads(t, n, st.ID, first, 0)
	data, err := n.Bucket().ReadAll(t.Context(), first.Location.Volume, 0,
		first.Location.Offset+first.Location.Length)
	must(t, err)
	dir, at := t.TempDir(), first.Location
	other := f.node(func(o *cluster.Options) { o.CacheDir = dir })
	body, err := other.Cache().Open(t.Context(), at.Volume, at.Offset, at.Length)
	must(t, err)
	must(t, body.Close())
	files := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files++
			err = os.Truncate(path, at.Offset+at.Length-1)
		}
		return err
	}))
	if files != 1 {
		t.Fatalf("the cache has %d files, want one to cut short", files)
	}
	reads(t, other, st.ID, first, 0)

	data[len(data)-1] ^= 1
	must(t, n.Bucket().Put(t.Context(), first.Location.Volume, data))
	reads(t, n, st.ID, first, 0) // as it is here
	n.Cache().Drop(first.Location.Volume)
	if _, err := n.Open(t.Context(), st.ID, first); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a damaged fragment: %v", err)
	}
}

// Compaction goes on before and after fragments that are damaged or lost. They keep their rows, and
// are reported once.
func TestCompactAroundDamage(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	n := f.node(func(o *cluster.Options) {
		o.Logger, o.Metrics = slog.New(slog.NewTextHandler(&log, nil)), cluster.NewMetrics(reg)
	})
	st := create(t, n, "cam", 24)
	var all []store.FragmentInfo
	for i := range 7 {
		all = append(all, add(t, n, clock, st.ID, uint64(i)))
	}
	corrupt, lost := all[2].Location, all[4].Location
	data, err := n.Bucket().ReadAll(t.Context(), corrupt.Volume, 0, corrupt.Offset+corrupt.Length)
	must(t, err)
	data[len(data)-1] ^= 1
	must(t, n.Bucket().Put(t.Context(), corrupt.Volume, data))
	must(t, n.Bucket().Delete(t.Context(), []string{lost.Volume}))
	for range 2 {
		must(t, n.Compact(t.Context(), true))
	}
	list, err := n.List(t.Context(), st.ID, store.Query{})
	must(t, err)
	if len(list) != len(all) {
		t.Fatalf("%d of %d fragments are listed", len(list), len(all))
	}
	for i := range list {
		if moved := list[i].Location != all[i].Location; moved == (i == 2 || i == 4) {
			t.Errorf("fragment %d lies at %+v", i, list[i].Location)
		}
	}
	if told := strings.Count(log.String(), "level=ERROR"); told != 1 {
		t.Errorf("told %d times: %s", told, log.String())
	}
	const damaged = "weir_store_damaged_fragments"
	if got := values(t, reg, damaged)[""]; got != 2 {
		t.Errorf("%v fragments are counted as damaged", got)
	}
	must(t, n.DeleteStream(t.Context(), st.ID, ""))
	must(t, n.Compact(t.Context(), true))
	if got := values(t, reg, damaged)[""]; got != 0 {
		t.Errorf("%v fragments of no stream are counted as damaged", got)
	}
}

// A segment costs the object store one request, head and payload together, however large it is and
// however often it is read.
func TestSegmentIsOneRead(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	memory := clustertest.NewMemory(t, time.Now)
	f.options.Objects = memory.URL("p")
	writer, n := f.node(), f.node()
	st := create(t, writer, "cam", 24)
	for _, size := range []int{3000, 3_000_000} {
		info, err := storetest.Append(t.Context(), writer, st.ID,
			storetest.Record(clock, uint64(size), size))
		must(t, err)
		before := memory.Requests().Gets
		for range 3 {
			got, err := storetest.ReadPayload(t.Context(), n, st.ID, info)
			if err != nil || len(got) < 2 {
				t.Fatalf("%d runs are read, %v", len(got), err)
			}
		}
		if gets := memory.Requests().Gets - before; gets != 1 {
			t.Errorf("%d requests for a segment of %d bytes", gets, info.Location.Length)
		}
		clock.Add(2 * time.Second)
	}
}

// Records that lie together in an object are read together; one that is damaged among them costs no
// other.
func TestCompactReadsTogether(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	memory := clustertest.NewMemory(t, time.Now)
	f.options.Objects = memory.URL("p")
	n := f.node(func(o *cluster.Options) { o.Gather.Linger = 200 * time.Millisecond })
	st := create(t, n, "cam", 24)
	const fragments = 12
	var sending sync.WaitGroup
	for i := range fragments {
		sending.Go(func() {
			rec := storetest.Record(clock, uint64(i), 3000)
			if _, err := storetest.Append(t.Context(), n, st.ID, rec); err != nil {
				t.Error(err)
			}
		})
	}
	sending.Wait()
	was, err := n.List(t.Context(), st.ID, store.Query{Order: store.BySequence})
	must(t, err)
	objects := make(map[string]bool)
	for i := range was {
		objects[was[i].Location.Volume] = true
	}
	bad := was[fragments/2].Location
	data, err := n.Bucket().ReadAll(t.Context(), bad.Volume, 0,
		int64(memory.Objects("p/")[bad.Volume]))
	must(t, err)
	data[bad.Offset+bad.Length-1] ^= 1
	must(t, n.Bucket().Put(t.Context(), bad.Volume, data))
	before := memory.Requests().Gets
	must(t, n.Compact(t.Context(), true))
	// The records around the damaged one are packed apart. That they must be is known only after
	// reading it twice.
	most := int64(3*len(objects) + 1)
	if gets := memory.Requests().Gets - before; gets > most || len(objects) > fragments/3 {
		t.Errorf("%d requests for %d records in %d objects", gets, fragments, len(objects))
	}
	now, err := n.List(t.Context(), st.ID, store.Query{Order: store.BySequence})
	must(t, err)
	for i := range now {
		if moved := now[i].Location != was[i].Location; moved == (i == fragments/2) {
			t.Errorf("fragment %d lies at %+v", i, now[i].Location)
		}
		_, err := storetest.ReadPayload(t.Context(), n, st.ID, now[i])
		if lost := i == fragments/2; (err != nil) != lost {
			t.Errorf("fragment %d: %v", i, err)
		}
	}
}
