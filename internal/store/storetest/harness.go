// Package storetest is the conformance suite of package store. Run holds one combination of Index and Volumes to the contract of
// store.Store; every combination runs the same tests.
package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/local"
)

// Backend makes one combination of seams for a test.
type Backend interface {
	// Open opens the index and the volumes over what is stored.
	Open(ctx context.Context) (local.Index, local.Volumes, error)
	// Crash leaves what is open as a killed process would; the next Open finds what survived. Nothing is being written.
	Crash(t *testing.T)
}

// Run runs the suite; backend makes an empty one for each test.
func Run(t *testing.T, backend func(t *testing.T) Backend) {
	for _, test := range []struct {
		name string
		run  func(h *harness)
	}{
		{"streams", testStreams},
		{"append and read", testAppend},
		{"list", testList},
		{"sealed", testSealed},
		{"numbers", testNumbers},
		{"replace", testReplace},
		{"recent", testRecent},
		{"retention", testRetention},
		{"memory", testMemory},
		{"delete stream", testDelete},
		{"sessions", testSessions},
		{"bad records", testBadRecords},
		{"many producers", testProducers},
		{"cancelled", testCancelled},
		{"faults", testFaults},
		{"recovery faults", testRecoveryFaults},
		{"random walk", testRandomWalk},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &harness{T: t, ctx: t.Context(), clock: NewClock(), backend: backend(t), faults: &Faults{}}
			h.open()
			test.run(h)
			h.check()
			h.reopen()
			h.check()
			h.close()
		})
	}
}

// harness is a store under test.
type harness struct {
	*testing.T
	ctx     context.Context
	clock   *Clock
	backend Backend
	faults  *Faults
	store   *local.Store
	index   local.Index
	volumes local.Volumes
	seed    uint64
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

func (h *harness) tryOpen() error {
	x, b, err := h.backend.Open(h.ctx)
	h.must(err)
	h.index, h.volumes = x, b
	h.store, err = local.New(h.ctx, local.Options{
		Index: h.faults.Index(x), Volumes: h.faults.Volumes(b), Clock: h.clock.Now, MemoryBytes: 100_000,
	})
	return err
}

func (h *harness) open() {
	h.Helper()
	h.must(h.tryOpen())
}

func (h *harness) close() {
	h.Helper()
	h.must(h.store.Close())
}

func (h *harness) reopen() {
	h.Helper()
	h.close()
	h.open()
}

// crash abandons the store and opens what survived.
func (h *harness) crash() {
	h.Helper()
	h.abandon()
	h.open()
}

func (h *harness) abandon() {
	h.Helper()
	h.backend.Crash(h.T)
	old := h.store
	h.Cleanup(func() { _ = old.Close() })
}

// check holds index and bytes together.
func (h *harness) check() local.Report {
	h.Helper()
	r, err := local.CheckSeams(h.ctx, h.index, h.volumes, local.CheckOptions{})
	h.must(err)
	for _, p := range r.Problems {
		h.Error(p)
	}
	if len(r.Problems) > 0 {
		h.FailNow()
	}
	return r
}

func (h *harness) create(name string, retentionHours int) store.Stream {
	h.Helper()
	s, err := h.store.CreateStream(h.ctx, store.Stream{Name: name, RetentionHours: retentionHours})
	h.must(err)
	return s
}

// record makes another fragment that starts now, and moves the clock by two seconds.
func (h *harness) record() *store.Record {
	h.seed++
	r := Record(h.clock, h.seed, 3000)
	h.clock.Add(2 * time.Second)
	return r
}

func (h *harness) append(id store.StreamID) store.FragmentInfo {
	h.Helper()
	f, err := Append(h.ctx, h.store, id, h.record())
	h.must(err)
	return f
}

func (h *harness) list(id store.StreamID, q store.Query) []store.FragmentInfo {
	h.Helper()
	l, err := h.store.List(h.ctx, id, q)
	h.must(err)
	return l
}

// wantNumbers holds the fragments of a list to those wanted, by number and in order.
func (h *harness) wantNumbers(got []store.FragmentInfo, want ...store.FragmentInfo) {
	h.Helper()
	if !slices.Equal(numbers(got), numbers(want)) {
		h.Fatalf("got fragments %v, want %v", numbers(got), numbers(want))
	}
}

func numbers(l []store.FragmentInfo) []store.Number {
	n := make([]store.Number, 0, len(l))
	for i := range l {
		n = append(n, l[i].Number)
	}
	return n
}
