package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/repair"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

// repairs returns the options to repair a fixture with.
func (f *fixture) repairs() repair.Options {
	return repair.Options{Database: f.options.Database, Objects: f.options.Objects,
		Keys: keysOfTests, Clock: f.options.Clock, Settle: time.Nanosecond, Deep: true,
		LeaseTime: 2 * time.Second}
}

// repair repairs, and wants the problems that are left to be of these kinds.
func (f *fixture) repair(left ...string) repair.Done {
	f.Helper()
	r, done, err := repair.Repair(f.Context(), f.repairs())
	must(f, err)
	wantKinds(f, r, left...)
	return done
}

// check checks, and wants the problems that it finds to be of these kinds.
func (f *fixture) check(kinds ...string) repair.Report {
	f.Helper()
	r, err := repair.Check(f.Context(), f.repairs())
	must(f, err)
	wantKinds(f, r, kinds...)
	return r
}

func wantKinds(t testing.TB, r repair.Report, kinds ...string) {
	t.Helper()
	var got []string
	for _, p := range r.Problems {
		got = append(got, p.Kind)
	}
	if strings.Join(got, " ") != strings.Join(kinds, " ") {
		t.Errorf("problems %q, want %q: %v", got, kinds, r.Problems)
	}
}

// holds reads all that a stream should have, and wants nothing else there.
func holds(t testing.TB, n *node, id store.StreamID, want map[store.Number]store.FragmentInfo) {
	t.Helper()
	list, err := n.List(t.Context(), id, store.Query{})
	must(t, err)
	sequences := map[int64]bool{}
	for i := range list {
		f := &list[i]
		was, ok := want[f.Number]
		if !ok || sequences[f.Sequence] || f.ProducerTimestamp != was.ProducerTimestamp ||
			f.ServerTimestamp != was.ServerTimestamp || f.PayloadCRC != was.PayloadCRC {
			t.Errorf("%+v is listed, was %+v", f, was)
		}
		sequences[f.Sequence] = true
		if _, err := storetest.ReadPayload(t.Context(), n, id, *f); err != nil {
			t.Errorf("fragment %d: %v", f.Number, err)
		}
	}
	if len(list) != len(want) {
		t.Errorf("%d of %d fragments are listed", len(list), len(want))
	}
}

// history is what happened to a cluster, and what of it should be left in the end.
type history struct {
	*fixture
	clock           *storetest.Clock
	n               *node
	cam, gone, late store.Stream
	want            map[store.StreamID]map[store.Number]store.FragmentInfo
}

// keep notes that a fragment should be left.
func (h *history) keep(id store.StreamID, f store.FragmentInfo) store.FragmentInfo {
	if h.want[id] == nil {
		h.want[id] = make(map[store.Number]store.FragmentInfo)
	}
	h.want[id][f.Number] = f
	return f
}

func (h *history) add(st store.Stream, seed uint64) store.FragmentInfo {
	h.Helper()
	return h.keep(st.ID, add(h, h.n, h.clock, st.ID, seed))
}

// before is what a replica gets to see.
func (h *history) before() {
	h.cam, h.gone = create(h, h.n, "cam", 24), create(h, h.n, "gone", 24)
	for i := range uint64(3) {
		h.add(h.cam, i)
		h.add(h.gone, 10+i)
	}
	must(h, h.n.Compact(h.Context(), true))
	h.add(h.cam, 4)
	_, err := h.n.OpenSession(h.Context(), store.Session{ID: "viewer", Stream: h.cam.ID,
		CreatedMillis: h.clock.Now().UnixMilli(),
		ExpiresMillis: h.clock.Now().Add(time.Hour).UnixMilli()}, 5)
	must(h, err)
}

// after is what a replica does not get to see: fragments that are packed, one that is replaced,
// changed settings of a stream, a deletion.
func (h *history) after() (replaced, last store.FragmentInfo) {
	for i := range uint64(3) {
		h.add(h.cam, 20+i)
	}
	must(h, h.n.Compact(h.Context(), true))
	replaced = add(h, h.n, h.clock, h.cam.ID, 30)
	whole := storetest.Record(h.clock, 31, 3000)
	var err error
	whole.Number, err = h.n.NextNumber(h.Context(), h.cam.ID)
	must(h, err)
	whole.ProducerTimestamp = replaced.ProducerTimestamp
	by, err := h.n.Replace(h.Context(), h.cam.ID, replaced.Number, whole)
	must(h, err)
	h.keep(h.cam.ID, by)
	h.late = create(h, h.n, "late", 24)
	h.add(h.late, 40)
	h.late, err = h.n.UpdateStream(h.Context(), h.late.ID, "", func(s *store.Stream) error {
		s.DeviceName = "door"
		return nil
	})
	must(h, err)
	h.add(h.late, 41)
	last = h.add(h.cam, 42)
	h.add(h.gone, 43)
	must(h, h.n.DeleteStream(h.Context(), h.gone.ID, ""))
	delete(h.want, h.gone.ID)
	return replaced, last
}

// holds wants all that should be left, and nothing else.
func (h *history) holds() {
	h.Helper()
	for id, want := range h.want {
		holds(h, h.n, id, want)
	}
	st, err := h.n.Stream(h.Context(), "late")
	if err != nil || st.ID != h.late.ID || st.Version != h.late.Version ||
		st.DeviceName != "door" || st.CreatedMillis != h.late.CreatedMillis ||
		st.NumberTag != h.late.NumberTag {
		h.Errorf("%+v, %v", st, err)
	}
	if _, err := h.n.Session(h.Context(), "viewer"); err != nil {
		h.Errorf("the session that was open: %v", err)
	}
	if _, err := h.n.Stream(h.Context(), "gone"); !errors.Is(err, store.ErrNotFound) {
		h.Errorf("the deleted stream: %v", err)
	}
}

// goesOn wants numbers and sequences beyond all that were given out.
func (h *history) goesOn() {
	h.Helper()
	for _, st := range []store.Stream{h.cam, h.late} {
		next := add(h, h.n, h.clock, st.ID, 50)
		for number, was := range h.want[st.ID] {
			if next.Number <= number || next.Sequence <= was.Sequence {
				h.Errorf("%d at %d comes after %d at %d", next.Number, next.Sequence, number,
					was.Sequence)
			}
		}
		h.keep(st.ID, next)
	}
}

// A database fails over to a replica that is behind, while nodes run. Every acknowledged fragment
// comes back, once, with its number and times: of streams that the replica knows and of one that it
// does not, packed or not. What was deleted or replaced stays gone. Numbers and sequences go on.
// Nothing is collected in the meantime, and nothing is left to do.
func TestRepair(t *testing.T) {
	t.Parallel()
	h := &history{clock: storetest.NewClock(),
		want: map[store.StreamID]map[store.Number]store.FragmentInfo{}}
	h.fixture = newFixture(t, h.clock)
	h.n = h.node()
	h.before()
	h.check()
	old := h.replica()
	replaced, last := h.after()
	old.Promote(t)
	// The producer has not seen the last acknowledgement.
	again := storetest.Record(h.clock, 42, 3000)
	again.ProducerTimestamp = last.ProducerTimestamp
	sent, err := storetest.Append(t.Context(), h.n, h.cam.ID, again)
	must(t, err)
	delete(h.want[h.cam.ID], last.Number)
	h.keep(h.cam.ID, sent)
	must(t, h.n.Compact(t.Context(), true))
	h.n.wantKept(t, replaced.Location.Volume)

	if done := h.repair(); done.Streams != 1 || done.Deleted != 1 || done.Fragments != 3+1+1+2 {
		t.Errorf("repaired: %+v", done)
	}
	must(t, h.n.Beat(t.Context()))
	if h.n.Degraded() != "" {
		t.Error("after the repair: " + h.n.Degraded())
	}
	h.n = h.node()
	h.holds()
	h.goesOn()
	if done := h.repair(); done.String() != "" {
		t.Errorf("the second repair: %s", done)
	}
	must(t, h.n.Compact(t.Context(), true))
	time.Sleep(5 * time.Millisecond)
	h.n.SetOrphans(time.Millisecond, time.Nanosecond)
	for range 2 {
		must(t, h.n.Sweep(t.Context()))
		time.Sleep(5 * time.Millisecond)
	}
	h.holds()
	if left := keys(t, h.n, "b/"); len(left) > 0 {
		t.Errorf("after all %q is left", left)
	}
	h.check()
}

// A database is restored to a time before a compaction whose inputs have been collected since. What
// cannot be brought back is reported, and no row points to what does not exist.
func TestRepairOfLostObjects(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	n := f.node()
	st := create(t, n, "cam", 24)
	all := map[store.Number]store.FragmentInfo{}
	var list []store.FragmentInfo
	for i := range 4 {
		list = append(list, add(t, n, clock, st.ID, uint64(i)))
		all[list[i].Number] = list[i]
	}
	old := f.replica()
	must(t, n.Compact(t.Context(), true))
	must(t, n.Bucket().Delete(t.Context(), keys(t, n, "b/")))
	n.close(t)
	old.Promote(t)
	f.check("commits-lost", "missing-object", "missing-object", "missing-object", "missing-object")
	if done := f.repair(); done.Moved != 4 || done.Dropped != 0 {
		t.Errorf("repaired: %+v", done)
	}
	n = f.node()
	holds(t, n, st.ID, all)

	damaged, lost := add(t, n, clock, st.ID, 5), add(t, n, clock, st.ID, 6)
	all[damaged.Number] = damaged
	data, err := n.Bucket().ReadAll(t.Context(), damaged.Location.Volume, 0,
		damaged.Location.Offset+damaged.Location.Length)
	must(t, err)
	data[len(data)-1] ^= 1
	must(t, n.Bucket().Put(t.Context(), damaged.Location.Volume, data))
	must(t, n.Bucket().Delete(t.Context(), []string{lost.Location.Volume}))
	f.check("damaged-fragment", "missing-object")
	if done := f.repair("damaged-fragment"); done.Dropped != 1 {
		t.Errorf("repaired: %+v", done)
	}
	next := add(t, n, clock, st.ID, 7) // the node does not miss the rows that were dropped
	all[next.Number] = next
	if n.Degraded() != "" {
		t.Error("after the repair: " + n.Degraded())
	}
	got, err := n.List(t.Context(), st.ID, store.Query{})
	must(t, err)
	if len(got) != len(all) {
		t.Errorf("%d of %d fragments are listed", len(got), len(all))
	}
}

// Objects whose commit nobody knows of are kept as long as somebody may miss what they have, and no
// longer. The next repair continues one that was interrupted, and leaves alone what has no place.
func TestRepairOfOrphans(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	n := f.node()
	st, short := create(t, n, "cam", 24), create(t, n, "short", 1)
	all := map[store.Number]store.FragmentInfo{}
	var objects []string
	for i := range 3 {
		f := add(t, n, clock, st.ID, uint64(i))
		all[f.Number], objects = f, append(objects, f.Location.Volume)
	}
	expired := add(t, n, clock, short.ID, 3)
	must(t, n.Bucket().Put(t.Context(), "b/2026031409/3000000-GARBAGE", []byte("no record")))
	// As if the nodes had ended between put and commit.
	f.exec(`DELETE FROM fragments`)
	f.exec(`DELETE FROM objects`)
	clock.Add(2 * time.Hour)
	time.Sleep(5 * time.Millisecond)
	n.SetOrphans(time.Millisecond, time.Nanosecond)
	must(t, n.Sweep(t.Context()))
	if left := keys(t, n, "b/"); len(left) != len(objects) {
		t.Errorf("%q is left, %s is past retention", left, expired.Location.Volume)
	}
	if n.Degraded() != "" {
		t.Errorf("a commit that failed is no loss: %s", n.Degraded())
	}

	ctx, cancel := context.WithCancel(t.Context())
	o, told := f.repairs(), 0
	o.Progress = func(string, string) {
		if told++; told == 2 {
			cancel()
		}
	}
	_, first, err := repair.Repair(ctx, o)
	if !errors.Is(err, context.Canceled) || first.Fragments >= 3 {
		t.Errorf("broken off: %+v, %v", first, err)
	}
	if done := f.repair(); first.Fragments+done.Fragments != 3 {
		t.Errorf("first %+v, then %+v", first, done)
	}
	holds(t, n, st.ID, all)

	// The stream is lost, and another has its name.
	f.exec(`DELETE FROM fragments`)
	f.exec(`DELETE FROM objects`)
	f.exec(`DELETE FROM heads WHERE id = $1`, string(st.ID))
	f.exec(`DELETE FROM streams WHERE id = $1`, string(st.ID))
	create(t, f.node(), "cam", 24)
	if done := f.repair("name-taken", "lost-fragments", "lost-fragments",
		"lost-fragments"); done.String() != "" {
		t.Errorf("repaired: %s", done)
	}
}

// gathered stores fragments of several cameras, most of which share objects. It returns what was
// stored.
func (f *fixture) gathered(
	cameras, each int,
) map[store.StreamID]map[store.Number]store.FragmentInfo {
	f.Helper()
	n := f.node(func(o *cluster.Options) {
		o.Gather = objects.Gathering{Linger: 10 * time.Millisecond}
	})
	all := make(map[store.StreamID]map[store.Number]store.FragmentInfo)
	var mu sync.Mutex
	var cams sync.WaitGroup
	for i := range cameras {
		id := create(f, n, fmt.Sprint("cam", i), 24).ID
		cams.Go(func() {
			clock := storetest.NewClock()
			clock.Add(time.Since(clock.Now()) - time.Duration(each)*2*time.Second)
			stored := make(map[store.Number]store.FragmentInfo)
			for j := range each {
				info, err := storetest.Append(f.Context(), n, id,
					storetest.Record(clock, uint64(j), 3000))
				if err != nil {
					f.Error(err)
				}
				stored[info.Number] = info
				clock.Add(2 * time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			all[id] = stored
		})
	}
	cams.Wait()
	return all
}

// The fragments of an object are judged at the same time, and objects are read ahead. Each fragment
// comes back once all the same, and each stream, in the order in which they were stored.
func TestRepairOfGatheredObjects(t *testing.T) {
	t.Parallel()
	const cameras, each = 6, 30
	f := newFixture(t, nil)
	want := f.gathered(cameras, each)
	for id := range want { // one that the database does not know at all
		f.exec(`DELETE FROM heads WHERE id = $1`, string(id))
		f.exec(`DELETE FROM streams WHERE id = $1`, string(id))
		break
	}
	f.exec(`DELETE FROM fragments`)
	f.exec(`DELETE FROM objects`)
	if done := f.repair(); done.Fragments != cameras*each || done.Streams != 1 {
		t.Errorf("repaired: %+v", done)
	}
	if done := f.repair(); done.String() != "" {
		t.Errorf("the second repair: %+v", done)
	}
	n := f.node()
	for id, stored := range want {
		holds(t, n, id, stored)
		list, err := n.List(t.Context(), id, store.Query{Order: store.BySequence})
		must(t, err)
		if !slices.IsSortedFunc(list, func(a, b store.FragmentInfo) int {
			return int(a.ServerTimestamp - b.ServerTimestamp)
		}) {
			t.Errorf("stream %s is out of order", id)
		}
	}
}

// exec changes the database by hand.
func (f *fixture) exec(statement string, args ...any) {
	f.Helper()
	ctx := context.WithoutCancel(f.Context())
	conn, err := pgx.Connect(ctx, strings.TrimSuffix(f.options.Database, "&pool_max_conns=16"))
	must(f, err)
	_, err = conn.Exec(ctx, statement, args...)
	must(f, errors.Join(err, conn.Close(ctx)))
}
