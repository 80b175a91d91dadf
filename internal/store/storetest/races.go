package storetest

import (
	"errors"
	"sync"

	"weir/internal/store"
)

// testRaces wants an engine not to store a fragment twice that its producer sends again to another
// process: it refuses what comes to a place with a fragment that the appender has not seen, and
// nothing else.
func testRaces(h *harness) {
	st := h.create("cam", 24)
	again := h.record() // the same fragment, whichever number it gets
	place := func(seen int64, rec store.Record) (store.FragmentInfo, error) {
		rec.Arrival = &store.Arrival{Seen: seen}
		return Append(h.ctx, h.store, st.ID, &rec)
	}
	first, err := place(0, *again)
	h.must(err)
	h.always(func() {
		for _, seen := range []int64{0, first.Sequence - 1} {
			_, err := place(seen, *again)
			h.wantErr(err, store.ErrRaced)
		}
		other, err := place(0, *h.record())
		h.must(err)
		h.must(h.replaceRaced(st.ID, other, first.Sequence-1, again))
	})
	second, err := place(first.Sequence, *again) // it was compared, and is different
	h.must(err)
	_, err = place(first.Sequence, *again)
	h.wantErr(err, store.ErrRaced)
	_, err = place(second.Sequence, *again)
	h.must(err)
	_, err = Append(h.ctx, h.store, st.ID, again) // whatever there is
	h.must(err)

	// Of many that have seen the same, one is stored.
	contested := h.record()
	seen, err := h.store.Wait(h.ctx, st.ID, -1)
	h.must(err)
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { _, errs[i] = place(seen, *contested) })
	}
	all.Wait()
	stored := 0
	for _, err := range errs {
		if err == nil {
			stored++
		} else if !errors.Is(err, store.ErrRaced) {
			h.Error(err)
		}
	}
	if stored != 1 {
		h.Errorf("%d of %d are stored", stored, len(errs))
	}
}

// replaceRaced replaces a fragment by one whose place is taken: both stay as they are.
func (h *harness) replaceRaced(
	id store.StreamID, old store.FragmentInfo, seen int64, by *store.Record,
) (err error) {
	rec := *by
	rec.Arrival = &store.Arrival{Seen: seen}
	if rec.Number, err = h.store.NextNumber(h.ctx, id); err != nil {
		return err
	}
	_, err = h.store.Replace(h.ctx, id, old.Number, &rec)
	h.wantErr(err, store.ErrRaced)
	_, err = h.store.Fragment(h.ctx, id, old.Number)
	return err
}
