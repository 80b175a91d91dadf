package local_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/local/localtest"
	"weir/internal/store/storetest"
)

// testFaults makes each method of the seams fail under each operation that calls it: once without
// its effect and once with it. The operation reports the error and all invariants hold. Tried again
// it succeeds, or finds that it was done.
func testFaults(h *harness) {
	session := func(id string) func(store.Stream) error {
		return func(st store.Stream) error {
			_, err := h.store.OpenSession(h.ctx, store.Session{ID: id, Stream: st.ID,
				ExpiresMillis: 1 << 60}, 1)
			return err
		}
	}
	for _, c := range []struct {
		method  string
		prepare func(store.Stream)
		run     func(store.Stream) error
		done    error // what a second try finds if the first one was applied
	}{
		{method: "CreateStream", done: store.ErrExists, run: func(st store.Stream) error {
			_, err := h.store.CreateStream(h.ctx, store.Stream{Name: st.Name + "-2"})
			return err
		}},
		{method: "UpdateStream", run: func(st store.Stream) error {
			_, err := h.store.UpdateStream(h.ctx, st.ID, "",
				func(s *store.Stream) error { s.RetentionHours = 5; return nil })
			return err
		}},
		{method: "DeleteStream", done: store.ErrNotFound, run: func(st store.Stream) error {
			return h.store.DeleteStream(h.ctx, st.ID, "")
		}},
		{method: "TrackSetID", run: func(st store.Stream) error {
			rec := h.record()
			rec.Tracks[0].Name = "another"
			_, err := storetest.Append(h.ctx, h.store, st.ID, rec)
			return err
		}},
		{method: "Append", run: func(st store.Stream) error {
			_, err := storetest.Append(h.ctx,
				h.store, st.ID, h.record())
			return err
		}},
		{method: "Commit", run: func(st store.Stream) error { return h.commitOne(st.ID) }},
		// the first fragment of a volume
		{method: "Commit", prepare: func(st store.Stream) { h.must(h.volumes.Roll(h.ctx, st.ID)) },
			run: func(st store.Stream) error {
				_, err := storetest.Append(h.ctx, h.store, st.ID,
					h.record())
				return err
			}},
		{method: "Expire", prepare: func(store.Stream) { h.clock.Add(25 * time.Hour) },
			run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "Roll", prepare: func(store.Stream) { h.clock.Add(25 * time.Hour) },
			run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "CloseVolumes", prepare: func(store.Stream) { h.clock.Add(25 * time.Hour) },
			run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "Seal", prepare: func(st store.Stream) {
			h.must(h.volumes.Roll(h.ctx,
				st.ID))
			h.append(st.ID)
		},
			run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "SealVolume", prepare: func(st store.Stream) {
			h.must(h.volumes.Roll(h.ctx,
				st.ID))
			h.append(st.ID)
		},
			run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "Delete", prepare: func(store.Stream) { h.clock.Add(25 * time.Hour) },
			run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "ForgetVolumes", prepare: func(store.Stream) { h.clock.Add(25 * time.Hour) },
			run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "DeleteStreamBytes",
			prepare: func(st store.Stream) { h.must(h.store.DeleteStream(h.ctx, st.ID, "")) },
			run:     func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "PurgeStream", prepare: func(st store.Stream) {
			h.must(h.store.DeleteStream(h.ctx,
				st.ID, ""))
		},
			run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
		{method: "OpenSession", done: store.ErrExists,
			run: func(st store.Stream) error { return session(st.Name)(st) }},
		{method: "Checkpoint", prepare: func(st store.Stream) { h.must(session(st.Name)(st)) },
			run: func(st store.Stream) error {
				return h.store.Checkpoint(h.ctx, st.Name,
					[]byte("c"))
			}},
		{method: "BindSession", prepare: func(st store.Stream) { h.must(session(st.Name)(st)) },
			run: func(st store.Stream) error {
				_, err := h.store.BindSession(h.ctx, st.Name, "192.0.2.1")
				return err
			}},
		{method: "CloseSession", done: store.ErrNotFound,
			prepare: func(st store.Stream) { h.must(session(st.Name)(st)) },
			run: func(st store.Stream) error {
				return h.store.CloseSession(h.ctx, st.Name)
			}},
		{method: "PutDocument", done: store.ErrExists, run: func(st store.Stream) error {
			_, err := h.store.PutDocument(h.ctx, "key", st.Name, nil, store.NewDocument)
			return err
		}},
		{method: "DeleteDocument", done: store.ErrNotFound, prepare: func(st store.Stream) {
			_, err := h.store.PutDocument(h.ctx, "key", st.Name, nil, store.NewDocument)
			h.must(err)
		}, run: func(st store.Stream) error {
			return h.store.DeleteDocument(h.ctx, "key", st.Name, store.AnyRevision)
		}},
		{method: "ExpireSessions", run: func(store.Stream) error { return h.store.Sweep(h.ctx) }},
	} {
		for _, how := range []localtest.Fault{localtest.NotApplied, localtest.Applied} {
			h.seed++
			st := h.create("cam-"+c.method+time.UnixMilli(int64(h.seed)).Format("-05.000"), 24)
			for range 3 {
				h.append(st.ID)
			}
			if c.prepare != nil {
				c.prepare(st)
			}
			acked, listErr := h.store.List(h.ctx, st.ID, store.Query{})
			h.must(h.store.Settle()) // or what waits could meet the fault
			h.faults.Fail(c.method, how)
			err := c.run(st)
			if h.faults.Fired(c.method) != 1 {
				h.Fatalf("%s, %v: was not called", c.method, how)
			}
			h.wantErr(err, localtest.ErrInjected)
			h.check()
			if err := c.run(st); err != nil && (how != localtest.Applied || c.done == nil ||
				!errors.Is(err, c.done)) {
				h.Fatalf("%s, %v: second try: %v", c.method, how, err)
			}
			h.check()
			h.crash()
			h.check()
			if list, err := h.store.List(h.ctx, st.ID, store.Query{}); err == nil &&
				listErr == nil {
				for _, f := range acked {
					if !slices.Contains(numbers(list), f.Number) {
						h.Fatalf("%s, %v: fragment %d, which was acknowledged, is lost", c.method,
							how, f.Number)
					}
				}
			}
		}
	}
}

// commitOne appends a fragment that is not acknowledged before its row is in the index, because it
// replaces another fragment, which does not exist.
func (h *harness) commitOne(id store.StreamID) error {
	rec := h.record()
	var err error
	if rec.Number, err = h.store.NextNumber(h.ctx, id); err != nil {
		return err
	}
	_, err = h.store.Replace(h.ctx, id, 1, rec)
	return err
}

// testRecoveryFaults makes recovery fail: the next start completes it.
func testRecoveryFaults(h *harness) {
	st := h.create("cam", 24)
	var acked []store.FragmentInfo
	for _, method := range []string{"Recover", "TrackSetID", "Commit", "CloseVolumes",
		"AddVolume"} {
		for _, how := range []localtest.Fault{localtest.NotApplied, localtest.Applied} {
			// A fragment whose bytes are durable but whose row is not: in a volume that is known
			// or, for AddVolume, in a new one.
			if method == "AddVolume" {
				h.must(h.volumes.Roll(h.ctx, st.ID))
			} else {
				acked = append(acked, h.append(st.ID))
			}
			h.must(h.store.Settle())
			h.faults.Fail("Commit", localtest.NotApplied)
			h.wantErr(h.commitOne(st.ID), localtest.ErrInjected)
			h.faults.Fired("Commit")
			h.abandon()
			h.faults.Fail(method, how)
			h.wantErr(h.tryOpen(), localtest.ErrInjected)
			if h.faults.Fired(method) != 1 {
				h.Fatalf("%s was not called", method)
			}
			h.open()
			h.check()
			list := h.list(st.ID, store.Query{})
			for _, f := range acked {
				if !slices.Contains(numbers(list), f.Number) {
					h.Fatalf("%s, %v: fragment %d, which was acknowledged, is lost", method, how,
						f.Number)
				}
			}
			for i, f := range h.list(st.ID, store.Query{Order: store.BySequence}) {
				if f.Sequence != int64(i+1) {
					h.Fatalf("%s, %v: fragment %d has sequence %d", method, how, i+1, f.Sequence)
				}
			}
			acked = list
		}
	}
}

// testRandomWalk takes random steps, some of which fail, with restarts and crashes in between. What
// was acknowledged stays.
func testRandomWalk(h *harness) {
	r := rand.New(rand.NewPCG(7, 7))
	st := h.create("cam", 1000)
	kept := make(map[store.Number]bool) // acknowledged and not replaced
	for range 150 {
		if r.IntN(4) == 0 {
			methods := []string{"Commit", "Append", "CloseVolumes", "Roll", "Seal", "SealVolume"}
			h.faults.Fail(methods[r.IntN(len(methods))], localtest.Fault(1+r.IntN(2)))
		}
		switch r.IntN(10) {
		case 0:
			h.faults.Fired("Commit")
			h.faults.Fired("CloseVolumes")
			h.crash()
			_ = h.store.Sweep(h.ctx) // seals; may meet the fault
		case 1:
			h.clock.Add(3 * time.Hour)
			_ = h.store.Sweep(h.ctx) // may meet the fault
		case 2:
			rec := h.record()
			var err error
			rec.Number, err = h.store.NextNumber(h.ctx, st.ID)
			h.must(err)
			for old := range kept {
				if _, err = h.store.Replace(h.ctx, st.ID, old, rec); err == nil {
					kept[rec.Number] = true
				}
				delete(kept, old) // after a fault it may or may not be there
				break
			}
		default:
			if f, err := storetest.Append(h.ctx, h.store, st.ID, h.record()); err == nil {
				kept[f.Number] = true
			}
		}
		if r.IntN(4) == 0 { // what is wrong stays wrong
			h.check()
		}
		list := h.list(st.ID, store.Query{})
		for n := range kept {
			if !slices.Contains(numbers(list), n) {
				h.Fatalf("fragment %d, which was acknowledged, is lost", n)
			}
		}
	}
	for _, m := range []string{"Commit", "Append", "CloseVolumes", "Roll", "Seal", "SealVolume"} {
		h.faults.Fired(m)
	}
}
