package rows_test

import (
	"slices"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
)

// The nodes that receive a stream are known as long as they send heartbeats, and are forgotten with
// them.
func TestReceivers(t *testing.T) {
	t.Parallel()
	ctx, url := t.Context(), clustertest.Database(t)
	db := open(t, url, time.Now)
	const door, yard = store.StreamID("d"), store.StreamID("e")
	join := func(address string) string {
		node, err := db.Join(ctx, address)
		must(t, err)
		return node
	}
	one, two := join("http://one"), join("http://two")
	receives := func(node string, streams ...rows.Receiver) {
		t.Helper()
		must(t, db.Receives(ctx, node, streams))
	}
	found := func(want ...rows.Receiver) {
		t.Helper()
		got, err := db.Receivers(ctx, []store.StreamID{door, yard}, time.Minute)
		must(t, err)
		slices.SortFunc(want, func(a, b rows.Receiver) int {
			if a.Stream != b.Stream {
				return int(a.Stream[0]) - int(b.Stream[0])
			}
			return slices.Compare([]byte(a.Node), []byte(b.Node))
		})
		if !slices.Equal(got, want) {
			t.Fatalf("receivers are %+v, want %+v", got, want)
		}
	}
	receives(one, rows.Receiver{Stream: door}, rows.Receiver{Stream: yard, Burst: time.Second})
	receives(two, rows.Receiver{Stream: door})
	receives(one, rows.Receiver{Stream: door, Burst: 2 * time.Second}) // the token was renewed
	doorOne := rows.Receiver{Stream: door, Node: one, Address: "http://one",
		Burst: 2 * time.Second}
	yardOne := rows.Receiver{Stream: yard, Node: one, Address: "http://one", Burst: time.Second}
	doorTwo := rows.Receiver{Stream: door, Node: two, Address: "http://two"}
	found(doorOne, doorTwo, yardOne)

	must(t, db.ReceivesNoMore(ctx, two, []store.StreamID{door, yard}))
	found(doorOne, yardOne)

	receives(two, rows.Receiver{Stream: yard})
	must(t, db.Leave(ctx, one))
	found(rows.Receiver{Stream: yard, Node: two, Address: "http://two"})

	must(t, raw(t, url, `UPDATE nodes SET heartbeat_ms = heartbeat_ms - 61000`).Commit(ctx))
	found()
	lease, err := db.Lease(ctx, "sweep", "me", time.Minute)
	must(t, err)
	must(t, db.ForgetNodes(ctx, lease, time.Minute))
	left := 0
	must(t, raw(t, url, `DELETE FROM nodes`).QueryRow(ctx,
		`SELECT count(*) FROM receivers`).Scan(&left))
	if left != 0 {
		t.Fatalf("%d rows of nodes that were forgotten", left)
	}
}
