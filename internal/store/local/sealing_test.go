package local_test

import (
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/local/index"
	"weir/internal/store/local/localtest"
)

// sealAll closes and seals every volume of the store.
func (h *harness) sealAll() {
	h.Helper()
	h.reopen() // closes them
	h.must(h.store.Sweep(h.ctx))
	open, err := h.index.VolumesInState(h.ctx, index.VolumeOpen)
	h.must(err)
	closed, err := h.index.VolumesInState(h.ctx, index.VolumeClosed)
	h.must(err)
	if len(open)+len(closed) > 0 {
		h.Fatalf("not sealed: %+v %+v", open, closed)
	}
}

// testSealed does to fragments in sealed volumes all that may happen to fragments.
func testSealed(h *harness) {
	st := h.create("cam", 2)
	a, b, c := h.append(st.ID), h.append(st.ID), h.append(st.ID)
	h.sealAll()
	hot, err := h.index.Hot(h.ctx, st.ID, store.Query{}, 0)
	h.must(err)
	if len(hot.Fragments) > 0 {
		h.Fatalf("a sealed volume has rows: %v", numbers(hot.Fragments))
	}
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b, c)
	h.check()

	// A number that is taken.
	rec := h.record()
	rec.Number = b.Number
	_, err = h.store.Append(h.ctx, st.ID, rec)
	h.wantErr(err, store.ErrExists)

	// A fragment that replaces a sealed one, and is then sealed.
	rec = h.record()
	rec.Number, err = h.store.NextNumber(h.ctx, st.ID)
	h.must(err)
	d, err := h.store.Replace(h.ctx, st.ID, b.Number, rec)
	h.must(err)
	for range 2 {
		h.wantNumbers(h.list(st.ID, store.Query{}), a, c, d)
		h.wantNumbers(h.list(st.ID, store.Query{Order: store.BySequence, AfterSequence: 1}), c, d)
		h.wantNumbers(h.list(st.ID, store.Query{Order: store.ByNumberNewest, Limit: 2}), d, c)
		_, err = h.store.Fragment(h.ctx, st.ID, b.Number)
		h.wantErr(err, store.ErrNotFound)
		h.check()
		h.crash()
		h.must(h.store.Sweep(h.ctx))
	}

	// Footers are durable before rows go: a crash in between costs nothing, and the footer is
	// written again.
	e := h.append(st.ID)
	h.reopen()
	h.faults.Fail("SealVolume", localtest.NotApplied)
	h.wantErr(h.store.Sweep(h.ctx), localtest.ErrInjected)
	h.crash()
	h.wantNumbers(h.list(st.ID, store.Query{}), a, c, d, e)
	h.sealAll()
	h.wantNumbers(h.list(st.ID, store.Query{}), a, c, d, e)

	testSealedVolumeGoes(h, st.ID, a, c, d, e)
	testSealedStreamGoes(h)
}

// testSealedVolumeGoes removes the fragments of sealed volumes, by replacing and by retention; kept
// are these fragments.
func testSealedVolumeGoes(h *harness, id store.StreamID, kept ...store.FragmentInfo) {
	// All fragments of a volume are replaced: the volume goes.
	rec := h.record()
	var err error
	rec.Number, err = h.store.NextNumber(h.ctx, id)
	h.must(err)
	was := h.check()
	f := h.append(id)
	h.must(h.volumes.Roll(h.ctx, id))
	g, err := h.store.Replace(h.ctx, id, f.Number, rec)
	h.must(err)
	h.must(h.store.Sweep(h.ctx))
	h.must(h.store.Sweep(h.ctx))
	if is := h.check(); is.Volumes != was.Volumes+1 {
		h.Fatalf("a volume without fragments is kept: %+v, was %+v", is, was)
	}
	all := append(kept, g)
	h.wantNumbers(h.list(id, store.Query{}), all...)

	// Other tests rebuild the index from the volumes. Here retention goes on over sealed ones, to
	// the second.
	h.sealAll()
	for len(all) > 0 {
		h.clock.Add(time.UnixMilli(all[0].ServerTimestamp).Add(2 * time.Hour).Sub(h.clock.Now()))
		h.wantNumbers(h.list(id, store.Query{}), all...)
		h.clock.Add(time.Millisecond)
		all = all[1:]
		h.wantNumbers(h.list(id, store.Query{}), all...)
		h.wantNumbers(h.list(id, store.Query{Order: store.BySequence}), all...)
	}
	h.must(h.store.Sweep(h.ctx))
	if is := h.check(); is.Volumes != 0 || is.Fragments != 0 {
		h.Fatalf("past retention: %+v", is)
	}
}

// testSealedStreamGoes deletes a stream with sealed volumes.
func testSealedStreamGoes(h *harness) {
	x, y := h.create("x", 24), h.create("y", 24)
	h.append(x.ID)
	kept := h.append(y.ID)
	h.sealAll()
	h.append(x.ID)
	h.must(h.store.DeleteStream(h.ctx, x.ID, ""))
	h.must(h.store.Sweep(h.ctx))
	h.wantNumbers(h.list(y.ID, store.Query{}), kept)
	volumes, err := h.index.Volumes(h.ctx)
	h.must(err)
	if slices.ContainsFunc(volumes, func(b index.VolumeInfo) bool { return b.Stream == x.ID }) {
		h.Fatalf("volumes of a deleted stream are known: %+v", volumes)
	}
}
