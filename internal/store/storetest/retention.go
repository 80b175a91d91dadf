package storetest

import (
	"bytes"
	"time"

	"weir/internal/store"
)

func testRetention(h *harness) {
	st, long := h.create("cam", 2), h.create("long", 100)
	var all, kept []store.FragmentInfo
	for i := range 10 {
		all = append(all, h.append(st.ID))
		kept = append(kept, h.append(long.ID))
		if i%3 == 0 {
			h.settle()
		}
		h.clock.Add(20 * time.Minute)
	}
	past := 0
	for all[past].ServerTimestamp < h.clock.Now().Add(-2*time.Hour).UnixMilli() {
		past++
	}
	if past == 0 {
		h.Fatal("nothing is past retention")
	}
	h.always(func() {
		h.wantList(st.ID, store.Query{}, all[past:]...)
		h.wantList(st.ID, store.Query{Order: store.BySequence, Limit: 1}, all[past])
		h.wantGone(st.ID, all[:past]...)
		h.wantList(long.ID, store.Query{}, kept...)
	})

	// Retention is exact to the millisecond, and what is being read is read to its end.
	newest := all[9]
	m, err := h.store.Open(h.ctx, st.ID, newest)
	h.must(err)
	for all = all[past:]; len(all) > 0; all = all[1:] {
		edge := time.UnixMilli(all[0].ServerTimestamp).Add(2 * time.Hour)
		h.clock.Add(edge.Sub(h.clock.Now()))
		h.wantList(st.ID, store.Query{}, all...)
		h.clock.Add(time.Millisecond)
		h.wantList(st.ID, store.Query{}, all[1:]...)
		h.wantGone(st.ID, all[0])
	}
	p, err := m.Payload(1)
	h.must(err)
	if b, err := ReadRange(p); err != nil || len(b) != int(newest.Spans[1].Size) {
		h.Fatalf("read %d bytes of an open fragment: %v", len(b), err)
	}
	h.must(m.Close())
	// The orders go on where they were.
	h.always(func() { h.wantList(st.ID, store.Query{}) })
	if f := h.append(st.ID); f.Sequence != 11 || f.Number <= newest.Number {
		h.Fatalf("after all others were past retention: %+v", f)
	}
}

// testRetentionChanges shortens and lengthens the retention: what was past the shorter one does not
// come back.
func testRetentionChanges(h *harness) {
	st := h.create("cam", 24)
	a := h.append(st.ID)
	h.clock.Add(2 * time.Hour)
	b := h.append(st.ID)
	h.wantList(st.ID, store.Query{}, a, b)
	h.retain(st.ID, 1)
	h.wantList(st.ID, store.Query{}, b)
	h.wantGone(st.ID, a)
	h.always(func() {
		h.retain(st.ID, 24)
		h.wantHidden(st.ID, a)
		h.wantList(st.ID, store.Query{}, b)
	})
	h.retain(st.ID, 1)
	h.clock.Add(2 * time.Hour)
	h.wantGone(st.ID, b)
	h.settle()
	h.retain(st.ID, 24)
	h.wantHidden(st.ID, a, b)
	c := h.append(st.ID)
	h.retain(st.ID, 0)
	h.wantGone(st.ID, c)
	h.retain(st.ID, 24)
	h.always(func() {
		h.wantHidden(st.ID, a, b, c)
		h.wantList(st.ID, store.Query{})
	})
}

// testNoRetention wants fragments without retention to be kept for a while, which ends with the
// process at the latest, and otherwise to be like all others.
func testNoRetention(h *harness) {
	st := h.create("cam", 0)
	rec := h.numbered(st.ID)
	a, err := h.store.Append(h.ctx, st.ID, rec)
	h.must(err)
	want := bytes.Clone(rec.Payload[0])
	clear(rec.Payload[0]) // the caller's again
	if a.Location.Volume != "" || a.Sequence != 1 {
		h.Fatalf("appended as %+v", a)
	}
	p, err := ReadPayload(h.ctx, h.store, st.ID, a)
	if err != nil || !bytes.Equal(p[0], want) {
		h.Fatalf("payload in memory is another: %v", err)
	}
	_, err = h.store.Append(h.ctx, st.ID, rec)
	h.wantErr(err, store.ErrExists)
	b := h.append(st.ID)
	h.wantList(st.ID, store.Query{}, a, b)
	h.wantList(st.ID, store.Query{Order: store.ByNumberNewest, Limit: 1}, b)

	// With retention from here on, sequences go on, and earlier fragments stay for their while.
	h.retain(st.ID, 1)
	c := h.append(st.ID)
	if c.Sequence != 3 || c.Location.Volume == "" {
		h.Fatalf("with retention: %+v", c)
	}
	h.wantList(st.ID, store.Query{}, a, b, c)
	h.wantList(st.ID, store.Query{Order: store.BySequence, AfterSequence: 1, Limit: 1}, b)
	d := h.replace(st.ID, b.Number)
	h.wantList(st.ID, store.Query{}, a, c, d)
	h.wantHidden(st.ID, b)
	h.clock.Add(30 * time.Minute)
	h.wantList(st.ID, store.Query{}, c, d)
	h.wantGone(st.ID, a)

	// And back.
	h.retain(st.ID, 0)
	h.wantList(st.ID, store.Query{})
	e := h.append(st.ID)
	if e.Sequence != 5 || e.Location.Volume != "" {
		h.Fatalf("without retention: %+v", e)
	}
	h.wantList(st.ID, store.Query{}, e)
	h.clock.Add(30 * time.Minute)
	h.always(func() { h.wantList(st.ID, store.Query{}) })
	h.retain(st.ID, 2)
	f := h.append(st.ID)
	h.always(func() { h.wantList(st.ID, store.Query{}, f) })
	if f.Number <= e.Number {
		h.Fatalf("fragment %d came after %d", f.Number, e.Number)
	}
}
