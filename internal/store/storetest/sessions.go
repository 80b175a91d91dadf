package storetest

import (
	"bytes"
	"reflect"
	"slices"
	"time"

	"weir/internal/store"
)

// session is a session that lives for a minute from the clock's time, and was created a little
// later.
func (h *harness) session(id string, stream store.StreamID, created int64) store.Session {
	now := h.clock.Now().UnixMilli()
	return store.Session{
		ID: id, Stream: stream, CreatedMillis: now + created, ExpiresMillis: now + 60_000,
		Parameters: []byte("p" + id),
	}
}

// openSession opens a session and wants it to close these sessions.
func (h *harness) openSession(s store.Session, limit int, want ...string) {
	h.Helper()
	closed, err := h.store.OpenSession(h.ctx, s, limit)
	h.must(err)
	if !slices.Equal(closed, want) {
		h.Fatalf("opening %q closed %q, want %q", s.ID, closed, want)
	}
}

func testSessions(h *harness) {
	st := h.create("cam", 24)
	s := h.session("a", st.ID, 0)
	s.Kind = 3
	h.openSession(s, 0)
	_, err := h.store.OpenSession(h.ctx, s, 0)
	h.wantErr(err, store.ErrExists)
	_, err = h.store.OpenSession(h.ctx, h.session("b", nobody, 0), 0)
	h.wantErr(err, store.ErrNotFound)

	data := []byte("far")
	h.must(h.store.Checkpoint(h.ctx, "a", data))
	s.Checkpoint = bytes.Clone(data)
	clear(data) // the caller's again
	h.wantErr(h.store.Checkpoint(h.ctx, "nobody", nil), store.ErrNotFound)
	h.always(func() {
		got, err := h.store.Session(h.ctx, "a")
		h.must(err)
		if !reflect.DeepEqual(got, s) {
			h.Fatalf("got %+v, want %+v", got, s)
		}
		_, err = h.store.Session(h.ctx, "nobody")
		h.wantErr(err, store.ErrNotFound)
	})
	h.clock.Add(time.Minute - time.Millisecond)
	_, err = h.store.Session(h.ctx, "a")
	h.must(err)
	h.clock.Add(time.Millisecond)
	h.always(func() {
		_, err := h.store.Session(h.ctx, "a")
		h.wantErr(err, store.ErrNotFound)
	})
}

func testSessionLimit(h *harness) {
	st, other, many := h.create("cam", 24), h.create("other", 24), h.create("many", 24)
	h.openSession(h.session("b", st.ID, 2), 2)
	h.openSession(h.session("x", other.ID, 0), 2)
	h.openSession(h.session("a", st.ID, 1), 2)
	h.openSession(h.session("c", st.ID, 3), 2, "a") // the earliest created, not the first opened
	h.openSession(h.session("d", st.ID, 0), 2, "b") // never the new one
	h.wantErr(h.store.Checkpoint(h.ctx, "a", nil), store.ErrNotFound)

	// Of those created in the same millisecond, the first opened is the earliest, whatever the IDs.
	for i, id := range []string{"m9", "m1", "m7", "m3", "m5"} {
		var want []string
		if i > 2 {
			want = []string{[]string{"m9", "m1"}[i-3]}
		}
		h.openSession(h.session(id, many.ID, 0), 3, want...)
	}
	kind := func(id string, kind uint8, created int64) store.Session { // are counted apart
		s := h.session(id, other.ID, created)
		s.Kind = kind
		return s
	}
	h.openSession(kind("k1", 1, 1), 2)
	h.openSession(kind("k2", 1, 2), 2)
	h.openSession(kind("k3", 0, 3), 2)
	h.openSession(kind("k4", 1, 4), 2, "k1")
	h.openSession(kind("k5", 0, 5), 2, "x")
	h.always(func() {
		for id, open := range map[string]bool{
			"a": false, "b": false, "c": true, "d": true, "x": false,
			"k1": false, "k2": true, "k3": true, "k4": true, "k5": true,
			"m9": false, "m1": false, "m7": true, "m3": true, "m5": true,
		} {
			if _, err := h.store.Session(h.ctx, id); open {
				h.must(err)
			} else {
				h.wantErr(err, store.ErrNotFound)
			}
		}
	})
	h.openSession(h.session("n", many.ID, 5), 1, "m7", "m3", "m5") // the limit is lower now
	h.clock.Add(time.Minute)
	h.openSession(h.session("e", st.ID, 0), 1) // those that have expired do not count
}
