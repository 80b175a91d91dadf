package local_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local"
	"weir/internal/store/local/localtest"
	"weir/internal/store/storetest"
)

// TestInside does what the contract does not see, and makes the seams fail, while it checks that
// the engine's rows and bytes agree.
func TestInside(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		run  func(h *harness)
	}{
		{"sealed", testSealed},
		{"recent", testRecent},
		{"retention", testVolumesPastRetention},
		{"no retention", testRing},
		{"delete stream", testDeletedVolumes},
		{"retention deletes all", testExpiredVolumes},
		{"sweeps beside producers", testSweepsBesideProducers},
		{"cancelled sweep", testCancelledSweep},
		{"faults", testFaults},
		{"recovery faults", testRecoveryFaults},
		{"random walk", testRandomWalk},
		{"sealed, encrypted", testSealed},
		{"faults, encrypted", testFaults},
		{"tiers", testTiers},
		{"deleted while moved", testDeletedWhileMoved},
		{"an index older than a move", testOldIndex},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := closedHarness(t, storetest.NewClock())
			h.encrypt = strings.HasSuffix(test.name, "encrypted")
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
	clock   *storetest.Clock
	dir     *embedded
	faults  *localtest.Faults
	store   *local.Store
	index   local.Index
	volumes local.Volumes
	keys    *encryption.Keys
	encrypt bool
	seed    uint64
}

// closedHarness is a harness whose store is not open yet.
func closedHarness(t *testing.T, clock *storetest.Clock) *harness {
	h := &harness{
		T: t, ctx: context.WithoutCancel(t.Context()), clock: clock, // cleanups use the store too
		dir: &embedded{dir: t.TempDir()}, faults: &localtest.Faults{},
	}
	return h
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
	x, b, err := h.dir.Open(h.ctx)
	h.must(err)
	h.index, h.volumes = x, b
	h.keys, err = encryption.Open(encryption.Options{Files: b.(encryption.Files),
		KeyFile: filepath.Join(h.dir.dir, "encryption.key"), Encrypt: h.encrypt})
	h.must(err)
	h.store, err = local.New(h.ctx, local.Options{
		Index: h.faults.Index(x), Volumes: h.faults.Volumes(b), Clock: h.clock.Now,
		MemoryBytes: 100_000, Keys: h.keys, Remote: &h.dir.objects, WarmAfter: time.Nanosecond,
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
	h.dir.Crash(h.T)
	old := h.store
	h.Cleanup(func() { _ = old.Close() })
}

// check checks that index and bytes agree.
func (h *harness) check() local.Report {
	h.Helper()
	// a fault of a random walk
	if err := h.store.Settle(); !errors.Is(err, localtest.ErrInjected) {
		h.must(err)
	}
	r, err := local.CheckSeams(h.ctx, h.index, h.volumes, local.CheckOptions{Keys: h.keys})
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

// record makes another fragment that starts now, and moves the clock on by two seconds.
func (h *harness) record() *store.Record {
	h.seed++
	r := storetest.Record(h.clock, h.seed, 3000)
	h.clock.Add(2 * time.Second)
	return r
}

func (h *harness) append(id store.StreamID) store.FragmentInfo {
	h.Helper()
	f, err := storetest.Append(h.ctx, h.store, id, h.record())
	h.must(err)
	return f
}

func (h *harness) list(id store.StreamID, q store.Query) []store.FragmentInfo {
	h.Helper()
	l, err := h.store.List(h.ctx, id, q)
	h.must(err)
	return l
}

// wantNumbers wants a list to have these fragments, by number and in order.
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
