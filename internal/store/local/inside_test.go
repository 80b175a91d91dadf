package local_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"weir/internal/store"
	"weir/internal/store/storetest"
)

// testVolumesPastRetention wants volumes to go as a whole, and only those of which nothing is
// visible.
func testVolumesPastRetention(h *harness) {
	st, long := h.create("cam", 2), h.create("long", 100)
	var all []store.FragmentInfo
	for range 10 {
		all = append(all, h.append(st.ID))
		h.append(long.ID)
		h.clock.Add(20 * time.Minute)
	}
	visible := h.list(st.ID, store.Query{})
	gone := 0
	for _, f := range all {
		if !slices.ContainsFunc(visible, func(v store.FragmentInfo) bool {
			return v.Location.Volume == f.Location.Volume
		}) {
			gone++
		}
	}
	was := h.check()
	h.sweep()
	is := h.check()
	if gone == 0 || is.Fragments != was.Fragments-gone || is.Volumes >= was.Volumes {
		h.Fatalf("a sweep made %+v of %+v, %d should be gone", is, was, gone)
	}
	h.wantNumbers(h.list(st.ID, store.Query{}), visible...)

	h.clock.Add(3 * time.Hour)
	h.sweep()
	h.sweep()
	if r := h.check(); r.Fragments != 10 { // those of the other stream
		h.Fatalf("after the last sweep: %+v", r)
	}
}

// testRing wants streams without retention to have nothing on disk, and two limits in memory.
func testRing(h *harness) {
	st := h.create("cam", 0)
	h.append(st.ID)
	if r := h.check(); r.Fragments != 0 || r.Volumes != 0 {
		h.Fatalf("memory is on disk: %+v", r)
	}
	var newest store.FragmentInfo
	for range 100 { // the harness keeps 100,000 bytes
		newest = h.append(st.ID)
		h.clock.Add(-2 * time.Second)
	}
	list := h.list(st.ID, store.Query{})
	var size int64
	for i := range list {
		size += list[i].Location.Length
	}
	if size > 100_000 || len(list) < 5 || list[len(list)-1].Number != newest.Number {
		h.Fatalf("%d fragments of %d bytes are in memory", len(list), size)
	}
	h.clock.Add(4 * time.Minute)
	h.wantNumbers(h.list(st.ID, store.Query{}), list...)
	h.clock.Add(2 * time.Minute)
	h.wantNumbers(h.list(st.ID, store.Query{}))
	h.append(st.ID)
	h.crash()
	h.wantNumbers(h.list(st.ID, store.Query{}))
}

// testExpiredVolumes wants nothing to be reported of a stream whose retention has deleted all.
func testExpiredVolumes(h *harness) {
	h.append(h.create("cam", 1).ID)
	h.clock.Add(3 * time.Hour)
	h.sweep()
	h.clock.Add(3 * time.Hour)
	h.sweep()
	if r := h.check(); r.Volumes != 0 || r.Unknown != 0 || r.Streams != 1 {
		h.Fatalf("after retention: %+v", r)
	}
}

// testDeletedVolumes wants a deleted stream to leave no bytes.
func testDeletedVolumes(h *harness) {
	st := h.create("cam", 24)
	h.append(st.ID)
	h.must(h.store.DeleteStream(h.ctx, st.ID, ""))
	h.create("cam", 24)
	h.crash()
	h.sweep()
	if r := h.check(); r.Volumes != 0 || r.Unknown != 0 || r.Streams != 1 {
		h.Fatalf("after the deletion: %+v", r)
	}
}

// testSweepsBesideProducers sweeps again and again while many producers append.
func testSweepsBesideProducers(h *harness) {
	const streams, producers, each = 3, 2, 15
	var wg, sweeper sync.WaitGroup
	stop := make(chan struct{})
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := h.store.Sweep(h.ctx); err != nil {
					h.Error(err)
					return
				}
			}
		}
	})
	ids := make([]store.StreamID, streams)
	for i := range ids {
		ids[i] = h.create(fmt.Sprint("cam", i), 24).ID
	}
	for i := range streams * producers {
		wg.Go(func() {
			for j := range each {
				rec := storetest.Record(h.clock, uint64(i*1000+j), 2000)
				if _, err := storetest.Append(h.ctx, h.store, ids[i%streams], rec); err != nil {
					h.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	sweeper.Wait()
	h.crash()
	for _, id := range ids {
		if n := len(h.list(id, store.Query{})); n != producers*each {
			h.Fatalf("%d fragments, want %d", n, producers*each)
		}
	}
}

func testCancelledSweep(h *harness) {
	h.append(h.create("cam", 24).ID)
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	h.wantErr(h.store.Sweep(ctx), context.Canceled)
}
