package storetest

import (
	"context"
	"errors"

	"weir/internal/store"
)

// Every commit wakes those who wait, with or without retention, and so does the deletion of the
// stream.
func testWait(h *harness) {
	type result struct {
		sequence int64
		err      error
	}
	wait := func(id store.StreamID, after int64) <-chan result {
		done := make(chan result, 1)
		go func() {
			sequence, err := h.store.Wait(h.ctx, id, after)
			done <- result{sequence, err}
		}()
		return done
	}
	for _, retention := range []int{24, 0} {
		st := h.create("cam", retention)
		if n, err := h.store.Wait(h.ctx, st.ID, -1); n != 0 || err != nil {
			h.Fatalf("an empty stream is at %d, %v", n, err)
		}
		first, second := wait(st.ID, 0), wait(st.ID, 0)
		f := h.append(st.ID)
		for _, w := range []<-chan result{first, second, wait(st.ID, 0)} {
			if r := <-w; r.err != nil || r.sequence != f.Sequence {
				h.Fatalf("woken by %d, %v, appended %d", r.sequence, r.err, f.Sequence)
			}
		}
		f = h.append(st.ID)
		if n, err := h.store.Wait(h.ctx, st.ID, -1); n != f.Sequence || err != nil {
			h.Fatalf("the newest is %d, %v, appended %d", n, err, f.Sequence)
		}
		ended := wait(st.ID, f.Sequence)
		ctx, cancel := context.WithCancel(h.ctx)
		cancel()
		if _, err := h.store.Wait(ctx, st.ID, f.Sequence); !errors.Is(err, context.Canceled) {
			h.Fatalf("without patience: %v", err)
		}
		h.must(h.store.DeleteStream(h.ctx, st.ID, ""))
		if r := <-ended; !errors.Is(r.err, store.ErrNotFound) {
			h.Fatalf("the stream was deleted: %d, %v", r.sequence, r.err)
		}
		_, err := h.store.Wait(h.ctx, st.ID, -1)
		h.wantErr(err, store.ErrNotFound)
	}
}
