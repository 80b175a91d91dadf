package cluster_test

import (
	"strings"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/storetest"
)

// replica copies the tables of a fixture.
func (f *fixture) replica() *clustertest.Replica {
	f.Helper()
	return clustertest.NewReplica(f, strings.TrimSuffix(f.options.Database, "&pool_max_conns=16"))
}

// A node that has committed what the database has lost notices that at its next commit. No commit
// sequence is given out twice, and no node collects anything, even when the database is set back
// once more.
func TestSetBackUnderNode(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	a, b := f.node(), f.node()
	st := create(t, a, "cam", 24)
	add(t, a, clock, st.ID, 0)
	old := f.replica()
	lost := add(t, a, clock, st.ID, 1)
	must(t, b.Beat(t.Context()))
	if text := a.Degraded(); text != "" {
		t.Fatalf("before the loss: %s", text)
	}
	old.Promote(t)

	now := add(t, a, clock, st.ID, 2)
	if now.Sequence <= lost.Sequence || now.Number <= lost.Number {
		t.Errorf("%d at %d comes after %d at %d", now.Number, now.Sequence, lost.Number,
			lost.Sequence)
	}
	must(t, b.Beat(t.Context()))
	for name, n := range map[string]*node{"a": a, "b": b} {
		if !strings.Contains(n.Degraded(), "weir check --repair") {
			t.Errorf("node %s says %q", name, n.Degraded())
		}
		n.wantKept(t, lost.Location.Volume)
	}
	old.Promote(t) // it cannot forget
	f.node().wantKept(t, lost.Location.Volume)
}

// A node whose cameras have gone elsewhere notices at its next heartbeat that its last commit is
// lost, even if it was made and lost between two heartbeats.
func TestSetBackUnderIdleNode(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	n := f.node()
	st := create(t, n, "cam", 24)
	must(t, n.Beat(t.Context()))
	old := f.replica()
	lost := add(t, n, clock, st.ID, 0)
	old.Promote(t)
	must(t, n.Beat(t.Context()))
	if !strings.Contains(n.Degraded(), "weir check --repair") {
		t.Errorf("it says %q", n.Degraded())
	}
	n.wantKept(t, lost.Location.Volume)
}

// wantKept sweeps when everything is long past OrphanAge, and wants an object without rows to be
// kept.
func (n *node) wantKept(t *testing.T, key string) {
	t.Helper()
	time.Sleep(5 * time.Millisecond)
	n.SetOrphans(time.Millisecond, time.Nanosecond)
	must(t, n.Sweep(t.Context()))
	if all := keys(t, n, key); len(all) != 1 {
		t.Errorf("object %s is deleted", key)
	}
	n.SetOrphans(24*time.Hour, time.Hour)
}

// A node that starts after the others have ended, each in its own way, notices that the database
// was set back in the meantime: to before the last commits, or to before the other nodes joined.
func TestSetBackBeforeStart(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"last commits": false, "whole nodes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := storetest.NewClock()
			f := newFixture(t, clock)
			n := f.node()
			st := create(t, n, "cam", 24)
			old := f.replica()
			if early {
				n.close(t)
				n = f.node()
			}
			lost := add(t, n, clock, st.ID, 1)
			n.close(t)
			if n = f.node(); n.Degraded() != "" {
				t.Fatalf("before the loss: %s", n.Degraded())
			}
			n.close(t)
			old.Promote(t)
			n = f.node()
			if n.Degraded() == "" {
				t.Error("it is not noticed")
			}
			n.wantKept(t, lost.Location.Volume)
			if now := add(t, n, clock, st.ID, 2); now.Sequence <= lost.Sequence {
				t.Errorf("sequence %d is given out again", now.Sequence)
			}
		})
	}
}

// What looks like a loss but is none: a node that was silent until it was forgotten, a node that
// was killed, a node whose commits were collected.
func TestNotSetBack(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	silent, killed, n := f.node(), f.node(), f.node()
	st := create(t, n, "cam", 24)
	for i, from := range []*node{silent, killed, n} {
		add(t, from, clock, st.ID, uint64(i))
	}
	must(t, n.Beat(t.Context()))
	killed.Rows().Close() //nolint:errcheck // it ends without a word
	must(t, n.Compact(t.Context(), true))
	time.Sleep(5 * time.Millisecond)
	n.SetOrphans(time.Millisecond, time.Nanosecond)
	for range 2 {
		must(t, n.Sweep(t.Context()))
		time.Sleep(5 * time.Millisecond)
	}
	if left := keys(t, n, "w/"); len(left) > 1 {
		t.Errorf("watermarks %q are left", left)
	}
	n.SetOrphans(24*time.Hour, time.Hour)
	_, err := storetest.Append(t.Context(), silent, st.ID, storetest.Record(clock, 7, 3000))
	if err == nil {
		t.Error("a forgotten node commits")
	}
	add(t, silent, clock, st.ID, 8)
	for _, node := range []*node{silent, n, f.node()} {
		must(t, node.Beat(t.Context()))
		must(t, node.Sweep(t.Context()))
		if node.Degraded() != "" {
			t.Errorf("a loss is seen where there is none: %s", node.Degraded())
		}
	}
	list, err := n.List(t.Context(), st.ID, store.Query{})
	must(t, err)
	if len(list) != 4 || list[3].Sequence != 4 {
		t.Errorf("%+v", list)
	}
}

// A deleted stream leaves a tombstone, which counts after the database was set back.
func TestTombstones(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	n := f.node()
	st, other := create(t, n, "cam", 24), create(t, n, "other", 24)
	must(t, n.DeleteStream(t.Context(), st.ID, ""))
	if left := keys(t, n, "t/"); len(left) != 1 || left[0] != "t/"+string(st.ID) {
		t.Errorf("tombstones %q", left)
	}
	must(t, n.Rows().DeleteStream(t.Context(), other.ID, "")) // the node ends before it writes one
	must(t, n.Sweep(t.Context()))
	if left := keys(t, n, "t/"); len(left) != 2 {
		t.Errorf("tombstones %q", left)
	}
}
