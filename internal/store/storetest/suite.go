// Package storetest is the contract of package store as a test suite, which Run runs over an
// engine. What only one engine has (torn files, calls that fail) is tested there.
package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"weir/internal/store"
)

// Engine is one store under test, empty at first.
type Engine struct {
	Store store.Store
	// Restart returns the store with what it made durable, after it was closed, or, with kill, as a
	// killed process leaves it. Nothing is being written. Nil: nothing outlives the process.
	Restart func(kill bool) store.Store
	// Settle does what the engine does in the background, such as moving old data to another place,
	// and returns the store. Nobody may notice. Nil: there is nothing to do.
	Settle func() store.Store
}

// Run runs the suite. open makes an engine for one test, with the given clock, and closes it in the
// test's cleanup.
func Run(t *testing.T, open func(t *testing.T, clock *Clock) Engine) {
	for _, test := range []struct {
		name string
		run  func(h *harness)
	}{
		{"streams", testStreams},
		{"changes of streams", testStreamChanges},
		{"delete stream", testDelete},
		{"append and read", testAppend},
		{"track sets", testTrackSets},
		{"bad records", testBadRecords},
		{"cancelled", testCancelled},
		{"list", testList},
		{"numbers", testNumbers},
		{"wait", testWait},
		{"replace", testReplace},
		{"resends of many processes", testRaces},
		{"many producers", testProducers},
		{"retention", testRetention},
		{"retention changes", testRetentionChanges},
		{"no retention", testNoRetention},
		{"sessions", testSessions},
		{"session limit", testSessionLimit},
		{"session lists", testSessionLists},
		{"bound sessions", testBoundSessions},
		{"documents", testDocuments},
		{"documents by many", testDocumentsByMany},
		{"wait for documents", testWaitDocuments},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			clock := NewClock()
			h := &harness{T: t, ctx: t.Context(), clock: clock, engine: open(t, clock)}
			h.store = h.engine.Store
			test.run(h)
		})
	}
}

// harness is a store under test.
type harness struct {
	*testing.T
	ctx    context.Context
	clock  *Clock
	engine Engine
	store  store.Store
	seed   uint64
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) wantErr(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("got error %v, want %v", err, want)
	}
}

// restart closes the store and opens it again, if it outlives the process.
func (h *harness) restart() {
	if h.engine.Restart != nil {
		h.store = h.engine.Restart(false)
	}
}

// kill ends the store like a killed process, and opens it again.
func (h *harness) kill() {
	if h.engine.Restart != nil {
		h.store = h.engine.Restart(true)
	}
}

func (h *harness) settle() {
	if h.engine.Settle != nil {
		h.store = h.engine.Settle()
	}
}

// always runs a check on what is stored: now, after background work, and after a restart.
func (h *harness) always(check func()) {
	h.Helper()
	check()
	h.settle()
	check()
	h.restart()
	check()
}

func (h *harness) create(name string, retentionHours int) store.Stream {
	h.Helper()
	s, err := h.store.CreateStream(h.ctx, store.Stream{Name: name, RetentionHours: retentionHours})
	h.must(err)
	return s
}

func (h *harness) retain(id store.StreamID, hours int) {
	h.Helper()
	_, err := h.store.UpdateStream(h.ctx, id, "", func(s *store.Stream) error {
		s.RetentionHours = hours
		return nil
	})
	h.must(err)
}

// record makes another fragment that starts now, and moves the clock on by two seconds.
func (h *harness) record() *store.Record {
	h.seed++
	r := Record(h.clock, h.seed, 3000)
	h.clock.Add(2 * time.Second)
	return r
}

// numbered is record with the stream's next number.
func (h *harness) numbered(id store.StreamID) *store.Record {
	h.Helper()
	r := h.record()
	var err error
	r.Number, err = h.store.NextNumber(h.ctx, id)
	h.must(err)
	return r
}

func (h *harness) append(id store.StreamID) store.FragmentInfo {
	h.Helper()
	f, err := h.store.Append(h.ctx, id, h.numbered(id))
	h.must(err)
	return f
}

func (h *harness) replace(id store.StreamID, old store.Number) store.FragmentInfo {
	h.Helper()
	f, err := h.store.Replace(h.ctx, id, old, h.numbered(id))
	h.must(err)
	return f
}

func (h *harness) list(id store.StreamID, q store.Query) []store.FragmentInfo {
	h.Helper()
	l, err := h.store.List(h.ctx, id, q)
	h.must(err)
	return l
}

// wantList wants a list to have these fragments, in order, and each to be found.
func (h *harness) wantList(id store.StreamID, q store.Query, want ...store.FragmentInfo) {
	h.Helper()
	got := h.list(id, q)
	if !slices.EqualFunc(got, want, same) {
		h.Fatalf("query %+v: got fragments %v, want %v", q, numbers(got), numbers(want))
	}
	for _, f := range want {
		if one, err := h.store.Fragment(h.ctx, id, f.Number); err != nil || !same(one, f) {
			h.Fatalf("found %+v, %v, want %+v", one, err, f)
		}
	}
}

// same compares without the location of a fragment, which is the engine's business.
func same(a, b store.FragmentInfo) bool {
	a.Location, b.Location = store.Location{}, store.Location{}
	return reflect.DeepEqual(a, b)
}

// wantHidden wants fragments not to be found any more. Those who found them before may still open
// them.
func (h *harness) wantHidden(id store.StreamID, hidden ...store.FragmentInfo) {
	h.Helper()
	for _, f := range hidden {
		_, err := h.store.Fragment(h.ctx, id, f.Number)
		h.wantErr(err, store.ErrNotFound)
	}
}

// wantGone wants fragments to be neither found nor opened.
func (h *harness) wantGone(id store.StreamID, gone ...store.FragmentInfo) {
	h.Helper()
	h.wantHidden(id, gone...)
	for _, f := range gone {
		_, err := h.store.Open(h.ctx, id, f)
		h.wantErr(err, store.ErrGone)
	}
}

func numbers(l []store.FragmentInfo) []store.Number {
	n := make([]store.Number, 0, len(l))
	for i := range l {
		n = append(n, l[i].Number)
	}
	return n
}
