package cluster_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/storetest"
)

// Whatever somebody does to the objects in the bucket, a node that has cached none of them serves
// the right bytes of a fragment, or says that it cannot.
func TestAlteredObjects(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	n := f.node()
	st := create(t, n, "cam", 24)
	var all []store.FragmentInfo
	for i := range 6 {
		all = append(all, add(t, n, clock, st.ID, uint64(i)))
		if i == 2 { // half of them go into an object of their stream
			must(t, n.Compact(t.Context(), true))
		}
	}
	want := make(map[store.Number][][]byte)
	list, err := n.List(t.Context(), st.ID, store.Query{})
	must(t, err)
	for _, fragment := range list {
		payload, err := storetest.ReadPayload(t.Context(), n, st.ID, fragment)
		must(t, err)
		want[fragment.Number] = payload
	}
	original := make(map[string][]byte)
	for info, err := range n.Bucket().List(t.Context(), "", "") {
		must(t, err)
		if info.Key[0] != 'b' && info.Key[0] != 's' {
			continue
		}
		data, err := n.Bucket().ReadAll(t.Context(), info.Key, 0, info.Size)
		must(t, err)
		original[info.Key] = data
	}
	sealed, batch := list[0].Location.Volume, list[5].Location.Volume
	alterations := map[string]func(){
		"swapped": func() {
			must(t, n.Bucket().Put(t.Context(), sealed, original[batch]))
			must(t, n.Bucket().Put(t.Context(), batch, original[sealed]))
		},
		"other of its kind": func() {
			must(t, n.Bucket().Put(t.Context(), batch, original[list[4].Location.Volume]))
		},
		"gone": func() { must(t, n.Bucket().Delete(t.Context(), []string{sealed, batch})) },
	}
	for _, key := range []string{sealed, batch} {
		data := original[key]
		for i := range 8 { // from the first byte to the footer
			at := i * (len(data) - 1) / 7
			alterations[fmt.Sprintf("%.2s with bit %d flipped", key, at*8)] = func() {
				flipped := bytes.Clone(data)
				flipped[at] ^= 1
				must(t, n.Bucket().Put(t.Context(), key, flipped))
			}
		}
		for _, length := range []int{0, len(data) / 2, len(data) - 1} {
			alterations[fmt.Sprintf("%.2s cut to %d", key, length)] = func() {
				must(t, n.Bucket().Put(t.Context(), key, data[:length]))
			}
		}
	}
	for name, alter := range alterations {
		alter()
		cold := f.node()
		list, err := cold.List(t.Context(), st.ID, store.Query{})
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: the list says %v", name, err)
		}
		for _, fragment := range append(list, all...) {
			got, err := storetest.ReadPayload(t.Context(), cold, st.ID, fragment)
			switch {
			case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrGone):
			case err != nil:
				t.Errorf("%s: fragment %d says %v", name, fragment.Number, err)
			case !slices.EqualFunc(got, want[fragment.Number], bytes.Equal):
				t.Errorf("%s: fragment %d has other bytes", name, fragment.Number)
			}
		}
		cold.close(t)
		for _, key := range []string{sealed, batch} {
			must(t, n.Bucket().Put(t.Context(), key, original[key]))
		}
	}
}

// However many nodes open sessions of a stream at once, no more than the limit are open.
func TestSessionLimitOfNodes(t *testing.T) {
	t.Parallel()
	const limit, each = 5, 10
	f := newFixture(t, nil)
	nodes := []*node{f.node(), f.node(), f.node()}
	st := create(t, nodes[0], "cam", 24)
	var opening sync.WaitGroup
	for i, n := range nodes {
		opening.Go(func() {
			for j := range each {
				now := time.Now().UnixMilli()
				_, err := n.OpenSession(t.Context(), store.Session{ID: fmt.Sprint(i, "-", j),
					Stream: st.ID, CreatedMillis: now, ExpiresMillis: now + 1<<30}, limit)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	opening.Wait()
	for _, n := range nodes {
		left, err := n.ListSessions(t.Context(), store.SessionQuery{Stream: st.ID})
		must(t, err)
		if len(left) != limit {
			t.Errorf("%d sessions are open, want %d", len(left), limit)
		}
		for _, s := range left {
			_, err := n.Session(t.Context(), s.ID)
			must(t, err)
		}
	}
}
