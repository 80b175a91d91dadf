package storetest

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"weir/internal/store"
)

// sessionIDs returns the IDs of the sessions that a query selects, page by page.
func (h *harness) sessionIDs(q store.SessionQuery) (ids string) {
	h.Helper()
	for {
		list, err := h.store.ListSessions(h.ctx, q)
		h.must(err)
		for _, s := range list {
			if s.Parameters != nil || s.Checkpoint != nil {
				h.Fatalf("%q comes with its bytes", s.ID)
			}
			ids += s.ID
		}
		if q.Limit == 0 || len(list) == 0 {
			return ids
		}
		if len(list) > q.Limit {
			h.Fatalf("%d sessions, want %d at most", len(list), q.Limit)
		}
		q.After = list[len(list)-1].ID
	}
}

func testSessionLists(h *harness) {
	cam, other := h.create("cam", 24), h.create("other", 24)
	for i, id := range []string{"d", "b", "\xff", "a", "c"} {
		s := h.session(id, []store.StreamID{cam.ID, other.ID}[i%2], int64(i))
		s.Principal = []string{"arn:aws:iam::1:user/x", "arn:aws:iam::1:user/y", ""}[i%3]
		s.Kind = uint8(i % 2)
		h.openSession(s, 0)
	}
	h.must(h.store.Checkpoint(h.ctx, "a", []byte("far")))
	check := func(want string, q store.SessionQuery) {
		h.Helper()
		for q.Limit = range 4 {
			if got := h.sessionIDs(q); got != want {
				h.Fatalf("%+v: %q, want %q", q, got, want)
			}
		}
	}
	h.always(func() {
		check("abcd\xff", store.SessionQuery{})
		check("cd\xff", store.SessionQuery{Stream: cam.ID})
		check("ab", store.SessionQuery{Stream: other.ID})
		check("ad", store.SessionQuery{Principal: "arn:aws:iam::1:user/x"})
		check("c", store.SessionQuery{Principal: "arn:aws:iam::1:user/y", Stream: cam.ID})
		check("", store.SessionQuery{Stream: nobody})
		check("", store.SessionQuery{Principal: "arn:aws:iam::1:user"})
		list, err := h.store.ListSessions(h.ctx, store.SessionQuery{After: "b", Limit: 1})
		h.must(err)
		want, err := h.store.Session(h.ctx, "c")
		h.must(err)
		want.Parameters, want.Checkpoint = nil, nil
		if len(list) != 1 || !reflect.DeepEqual(list[0], want) {
			h.Fatalf("got %+v, want %+v", list, want)
		}
	})

	h.must(h.store.CloseSession(h.ctx, "b"))
	h.wantErr(h.store.CloseSession(h.ctx, "b"), store.ErrNotFound)
	h.wantErr(h.store.CloseSession(h.ctx, "nobody"), store.ErrNotFound)
	h.always(func() {
		_, err := h.store.Session(h.ctx, "b")
		h.wantErr(err, store.ErrNotFound)
		check("acd\xff", store.SessionQuery{})
	})
	h.must(h.store.DeleteStream(h.ctx, cam.ID, ""))
	check("a", store.SessionQuery{})
	h.clock.Add(time.Hour)
	check("", store.SessionQuery{})
	h.wantErr(h.store.CloseSession(h.ctx, "a"), store.ErrNotFound)
}

func testBoundSessions(h *harness) {
	st := h.create("cam", 24)
	h.openSession(h.session("a", st.ID, 0), 0)
	_, err := h.store.BindSession(h.ctx, "nobody", "192.0.2.1")
	h.wantErr(err, store.ErrNotFound)

	var all sync.WaitGroup
	bound := make([]string, 8)
	for i := range bound {
		all.Go(func() {
			var err error
			bound[i], err = h.store.BindSession(h.ctx, "a", fmt.Sprintf("192.0.2.%d", i))
			if err != nil {
				h.Error(err)
			}
		})
	}
	all.Wait()
	h.always(func() {
		s, err := h.store.Session(h.ctx, "a")
		h.must(err)
		for _, address := range bound {
			if address == "" || address != s.Address {
				h.Fatalf("bound to %q, and %q was said", s.Address, address)
			}
		}
	})
	h.must(h.store.CloseSession(h.ctx, "a"))
	_, err = h.store.BindSession(h.ctx, "a", "192.0.2.1")
	h.wantErr(err, store.ErrNotFound)
	h.openSession(h.session("b", st.ID, 1), 0) // what was counted for it has gone with it
}
