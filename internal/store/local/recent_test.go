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

// testRecent asks for fragments again that are kept in memory by then, after what takes fragments
// away: what is gone in the index is gone, also when the one who took it was told that it failed.
func testRecent(h *harness) {
	fetch := func(id store.StreamID, n store.Number) store.FragmentInfo {
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
	gone := func(id store.StreamID, n store.Number) {
		h.Helper()
		_, err := h.store.Fragment(h.ctx, id, n)
		h.wantErr(err, store.ErrNotFound)
	}
	retain := func(id store.StreamID, hours int) {
		h.Helper()
		_, err := h.store.UpdateStream(h.ctx, id, "",
			func(s *store.Stream) error { s.RetentionHours = hours; return nil })
		h.must(err)
	}
	replace := func(id store.StreamID, old store.Number) error {
		h.Helper()
		rec := h.record()
		var err error
		rec.Number, err = h.store.NextNumber(h.ctx, id)
		h.must(err)
		_, err = h.store.Replace(h.ctx, id, old, rec)
		return err
	}

	// What is kept is what is stored, sealed or not.
	st := h.create("cam", 24)
	a, b := h.append(st.ID), h.append(st.ID)
	for range 2 {
		for _, f := range []store.FragmentInfo{a, b} {
			if got := fetch(st.ID, f.Number); !reflect.DeepEqual(got, f) {
				h.Fatalf("got %+v, stored %+v", got, f)
			}
		}
		h.must(h.volumes.Roll(h.ctx, st.ID))
		h.clock.Add(3 * time.Hour)
		h.must(h.store.Sweep(h.ctx))
	}
	h.must(replace(st.ID, a.Number)) // a sealed one
	gone(st.ID, a.Number)
	fetch(st.ID, b.Number)

	// With a fragment of a sealed volume those after it are found, but not what is gone.
	c, d, e := h.append(st.ID), h.append(st.ID), h.append(st.ID)
	h.sealAll()
	h.must(replace(st.ID, d.Number))
	h.reopen()
	fetch(st.ID, c.Number)
	gone(st.ID, d.Number)
	if got := fetch(st.ID, e.Number); !reflect.DeepEqual(got, e) {
		h.Fatalf("got %+v, stored %+v", got, e)
	}
	h.must(replace(st.ID, e.Number))
	gone(st.ID, e.Number)

	for _, how := range []localtest.Fault{localtest.NotApplied, localtest.Applied} {
		f := h.append(st.ID)
		fetch(st.ID, f.Number)
		h.faults.Fail("Commit", how)
		if err := replace(st.ID, f.Number); !errors.Is(err, localtest.ErrInjected) ||
			h.faults.Fired("Commit") != 1 {
			h.Fatalf("replaced with %v", err)
		}
		if how == localtest.Applied {
			gone(st.ID, f.Number)
		} else {
			fetch(st.ID, f.Number)
			h.must(replace(st.ID, f.Number))
			gone(st.ID, f.Number)
		}
	}

	// Past retention it is hidden at once, and does not come back with a longer one, whether the
	// sweep took it or not.
	for _, how := range []localtest.Fault{0, localtest.Applied} {
		f := h.append(st.ID)
		fetch(st.ID, f.Number)
		h.clock.Add(2 * time.Hour)
		retain(st.ID, 1)
		gone(st.ID, f.Number)
		retain(st.ID, 24)
		gone(st.ID, f.Number)
		retain(st.ID, 1)
		f = h.append(st.ID)
		fetch(st.ID, f.Number)
		h.clock.Add(2 * time.Hour)
		gone(st.ID, f.Number)
		if how == 0 {
			h.must(h.store.Sweep(h.ctx))
		} else {
			h.faults.Fail("Expire", how)
			h.wantErr(h.store.Sweep(h.ctx), localtest.ErrInjected)
		}
		retain(st.ID, 24)
		gone(st.ID, f.Number)
		_, err := h.store.Open(h.ctx, st.ID, f)
		if how == 0 { // else its bytes go with the next sweep
			h.wantErr(err, store.ErrGone)
		} else if err == nil {
			h.must(h.store.Sweep(h.ctx))
			_, err = h.store.Open(h.ctx, st.ID, f)
			h.wantErr(err, store.ErrGone)
		}
	}

	f := h.append(st.ID)
	fetch(st.ID, f.Number)
	h.must(h.store.DeleteStream(h.ctx, st.ID, ""))
	gone(st.ID, f.Number)
	_, err := h.store.Open(h.ctx, st.ID, f)
	h.wantErr(err, store.ErrGone)
	h.must(h.store.Sweep(h.ctx))
}
