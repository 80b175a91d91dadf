package local_test

import (
	"bytes"
	"errors"
	"hash/crc32"
	"reflect"
	"time"

	"weir/internal/store"
	"weir/internal/store/local/localtest"
	"weir/internal/store/storetest"
)

// fetch reads a whole fragment of a stream.
func (h *harness) fetch(id store.StreamID, n store.Number) store.FragmentInfo {
	h.Helper()
	f, err := h.store.Fragment(h.ctx, id, n)
	h.must(err)
	p, err := storetest.ReadPayload(h.ctx, h.store, id, f)
	h.must(err)
	if crc32.Checksum(bytes.Join(p, nil), crc32.MakeTable(crc32.Castagnoli)) != f.PayloadCRC {
		h.Fatalf("fragment %d has other bytes", n)
	}
	return f
}

// gone wants a fragment not to be found.
func (h *harness) gone(id store.StreamID, n store.Number) {
	h.Helper()
	_, err := h.store.Fragment(h.ctx, id, n)
	h.wantErr(err, store.ErrNotFound)
}

func (h *harness) retain(id store.StreamID, hours int) {
	h.Helper()
	_, err := h.store.UpdateStream(h.ctx, id, "",
		func(s *store.Stream) error { s.RetentionHours = hours; return nil })
	h.must(err)
}

// replace stores a new fragment in the place of an old one.
func (h *harness) replace(id store.StreamID, old store.Number) error {
	h.Helper()
	rec := h.record()
	var err error
	rec.Number, err = h.store.NextNumber(h.ctx, id)
	h.must(err)
	_, err = h.store.Replace(h.ctx, id, old, rec)
	return err
}

// testRecent asks again for fragments that are in memory by now, after something has removed
// fragments. What is gone from the index is gone, even if the removal reported an error.
func testRecent(h *harness) {
	st := h.create("cam", 24)
	testRecentReplaced(h, st.ID)
	testRecentExpired(h, st.ID)

	f := h.append(st.ID)
	h.fetch(st.ID, f.Number)
	h.must(h.store.DeleteStream(h.ctx, st.ID, ""))
	h.gone(st.ID, f.Number)
	_, err := h.store.Open(h.ctx, st.ID, f)
	h.wantErr(err, store.ErrGone)
	h.must(h.store.Sweep(h.ctx))
}

func testRecentReplaced(h *harness, id store.StreamID) {
	// What is remembered is what is stored, sealed or not.
	a, b := h.append(id), h.append(id)
	for range 2 {
		for _, f := range []store.FragmentInfo{a, b} {
			if got := h.fetch(id, f.Number); !reflect.DeepEqual(got, f) {
				h.Fatalf("got %+v, stored %+v", got, f)
			}
		}
		h.must(h.volumes.Roll(h.ctx, id))
		h.clock.Add(3 * time.Hour)
		h.must(h.store.Sweep(h.ctx))
	}
	h.must(h.replace(id, a.Number)) // a sealed one
	h.gone(id, a.Number)
	h.fetch(id, b.Number)

	// With a fragment of a sealed volume the next ones are remembered, but not those that are gone.
	c, d, e := h.append(id), h.append(id), h.append(id)
	h.sealAll()
	h.must(h.replace(id, d.Number))
	h.reopen()
	h.fetch(id, c.Number)
	h.gone(id, d.Number)
	if got := h.fetch(id, e.Number); !reflect.DeepEqual(got, e) {
		h.Fatalf("got %+v, stored %+v", got, e)
	}
	h.must(h.replace(id, e.Number))
	h.gone(id, e.Number)

	for _, how := range []localtest.Fault{localtest.NotApplied, localtest.Applied} {
		f := h.append(id)
		h.fetch(id, f.Number)
		h.faults.Fail("Commit", how)
		if err := h.replace(id, f.Number); !errors.Is(err, localtest.ErrInjected) ||
			h.faults.Fired("Commit") != 1 {
			h.Fatalf("replaced with %v", err)
		}
		if how == localtest.Applied {
			h.gone(id, f.Number)
		} else {
			h.fetch(id, f.Number)
			h.must(h.replace(id, f.Number))
			h.gone(id, f.Number)
		}
	}
}

// testRecentExpired wants a fragment past retention to be hidden at once, and not to come back with
// a longer retention, whether a sweep has deleted it or not.
func testRecentExpired(h *harness, id store.StreamID) {
	for _, how := range []localtest.Fault{0, localtest.Applied} {
		f := h.append(id)
		h.fetch(id, f.Number)
		h.clock.Add(2 * time.Hour)
		h.retain(id, 1)
		h.gone(id, f.Number)
		h.retain(id, 24)
		h.gone(id, f.Number)
		h.retain(id, 1)
		f = h.append(id)
		h.fetch(id, f.Number)
		h.clock.Add(2 * time.Hour)
		h.gone(id, f.Number)
		if how == 0 {
			h.must(h.store.Sweep(h.ctx))
		} else {
			h.faults.Fail("Expire", how)
			h.wantErr(h.store.Sweep(h.ctx), localtest.ErrInjected)
		}
		h.retain(id, 24)
		h.gone(id, f.Number)
		_, err := h.store.Open(h.ctx, id, f)
		if how == 0 { // or its bytes go with the next sweep
			h.wantErr(err, store.ErrGone)
		} else if err == nil {
			h.must(h.store.Sweep(h.ctx))
			_, err = h.store.Open(h.ctx, id, f)
			h.wantErr(err, store.ErrGone)
		}
	}
}
