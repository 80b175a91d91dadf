package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/localtest"
	"weir/internal/store/local/volume"
	"weir/internal/store/record"
	"weir/internal/store/storetest"
)

// moveAll moves all that is sealed to the object store, or back. No reader may notice.
func (h *harness) moveAll(out bool) {
	h.Helper()
	streams, err := h.store.ListStreams(h.ctx, "", "", 0)
	h.must(err)
	tier := func(of func(s *store.Stream) string) {
		for i := range streams {
			_, err := h.index.UpdateStream(h.ctx, streams[i].ID, func(s *store.Stream) error {
				s.StorageTier = of(&streams[i])
				return nil
			})
			h.must(err)
		}
	}
	tier(func(*store.Stream) string { return map[bool]string{true: store.TierWarm}[out] })
	h.must(h.store.MoveVolumes(h.ctx))
	tier(func(s *store.Stream) string { return s.StorageTier })
}

// testTiers does to volumes in the object store all that may happen to them.
func testTiers(h *harness) {
	st := h.create("cam", 2)
	a, err := storetest.Append(h.ctx, h.store, st.ID, storetest.Record(h.clock, 99, 200_000))
	h.must(err)
	h.clock.Add(2 * time.Second)
	b := h.append(st.ID)
	h.sealAll()
	open, err := h.store.Open(h.ctx, st.ID, a)
	h.must(err)
	want := h.read(open)
	open, err = h.store.Open(h.ctx, st.ID, a)
	h.must(err)
	path := filepath.Join(h.dir.dir, "volumes", a.Location.Volume)
	before := blocks(h.T, path)

	h.dir.objects.SetAway(true)
	if h.warm(st.ID); h.store.MoveVolumes(h.ctx) == nil {
		h.Error("moved without an object store")
	}
	h.dir.objects.SetAway(false)
	h.must(h.store.MoveVolumes(h.ctx))
	if after := blocks(h.T, path); after >= before/2 {
		h.Errorf("the volume takes %d blocks, and took %d", after, before)
	}
	if got := h.read(open); !bytes.Equal(got, want) {
		h.Error("what was open is read otherwise")
	}
	c := h.append(st.ID)
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b, c)
	h.check()
	h.must(os.Remove(filepath.Join(h.dir.dir, "index.db"))) // found again without it
	h.crash()
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b, c)
	h.check()
	testAway(h, st, a, b, c)
}

// testOldIndex starts with an index of before a volume was sealed and moved, such as a restored
// copy, with the object store and without it.
func testOldIndex(h *harness) {
	st := h.create("cam", 2)
	h.warm(st.ID)
	a, b := h.append(st.ID), h.append(st.ID)
	h.must(h.store.Settle())
	copied := localtest.CopyDir(h.T, h.dir.dir)
	h.sealAll()
	h.must(h.store.MoveVolumes(h.ctx))
	h.close()
	for _, file := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		data, err := os.ReadFile(filepath.Join(copied, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(h.dir.dir, file), data, 0o600)
		} else if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		h.must(err)
	}
	h.dir.objects.SetAway(true)
	h.open()
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b)
	h.dir.objects.SetAway(false)
	h.reopen()
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b)
	h.check()
	if names := h.dir.objects.Names(); len(names) > 0 {
		h.Errorf("brought back, and there are objects %v", names)
	}
}

// testAway takes away the object store, and then an object, of a WARM stream whose fragments a and
// b are in it.
func testAway(h *harness, st store.Stream, a, b, c store.FragmentInfo) {
	// The error says so, and what is here can be read.
	h.dir.objects.SetAway(true)
	if _, err := h.store.Open(h.ctx, st.ID, a); !errors.Is(err, localtest.ErrInjected) {
		h.Errorf("opened with %v", err)
	}
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b, c)
	h.dir.objects.SetAway(false)
	alone, err := volume.OpenReadOnly(filepath.Join(h.dir.dir, "volumes"))
	h.must(err)
	report, err := local.CheckSeams(h.ctx, h.index, alone, local.CheckOptions{})
	h.must(errors.Join(err, alone.Close()))
	if report.Away != 2 || len(report.Problems) > 0 {
		h.Errorf("checked without the object store: %+v", report)
	}

	// Damage there is reported, and the fragment stays.
	at := int(a.Location.Offset + a.Location.MetaLength + 5)
	name := h.dir.objects.Names()[0]
	h.dir.objects.Damage(name, at)
	h.reopen()
	h.hot(st.ID)
	h.wantErr(h.store.MoveVolumes(h.ctx), store.ErrCorrupt)
	if m, err := h.store.Open(h.ctx, st.ID, a); err == nil {
		_, err = m.Payload(0)
		h.wantErr(err, store.ErrCorrupt)
		h.must(m.Close())
	}
	h.dir.objects.Damage(name, at)

	// Damage of what is in the cache is read once.
	for _, at := range []int{at, int(a.Location.Offset + record.HeaderSize + 1)} {
		h.reopen() // nothing is in memory
		h.dir.objects.Spoil(name, at)
		open, err := h.store.Open(h.ctx, st.ID, a)
		if err == nil {
			_, err = open.Payload(0)
			h.must(open.Close())
		}
		h.wantErr(err, store.ErrCorrupt)
		open, err = h.store.Open(h.ctx, st.ID, a)
		h.must(err)
		h.read(open)
	}
	h.hot(st.ID)
	h.must(h.store.MoveVolumes(h.ctx))
	if names := h.dir.objects.Names(); len(names) > 0 {
		h.Errorf("brought back, and there are objects %v", names)
	}
	h.check()

	// Retention deletes the object, too, as soon as that is possible.
	h.warm(st.ID)
	h.must(h.store.MoveVolumes(h.ctx))
	h.clock.Add(3 * time.Hour)
	h.dir.objects.SetAway(true)
	if h.store.Sweep(h.ctx) == nil || len(h.list(st.ID, store.Query{})) > 0 {
		h.Error("swept an object that is away")
	}
	h.dir.objects.SetAway(false)
	h.sweep()
	h.sweep() // what the first one has closed
	if names := h.dir.objects.Names(); len(names) > 0 {
		h.Errorf("past retention, and there are objects %v", names)
	}
}

// testDeletedWhileMoved deletes a volume, and then a whole stream, while its object is being
// written and once it is there.
func testDeletedWhileMoved(h *harness) {
	gone := func(when string) {
		h.Helper()
		h.volumes.Close() // waits for what is in the trash
		if names := h.dir.objects.Names(); len(names) > 0 {
			h.Errorf("%s: there are objects %v", when, names)
		}
		h.reopen()
	}
	for _, during := range []bool{true, false} {
		st := h.create("cam", 1)
		h.warm(st.ID)
		h.append(st.ID)
		h.sealAll()
		end := func() { h.clock.Add(2 * time.Hour); h.sweep() }
		if during {
			h.dir.objects.DuringPut(end)
		}
		h.must(h.store.MoveVolumes(h.ctx))
		if !during {
			end()
		}
		gone(fmt.Sprint("retention, during ", during))

		h.append(st.ID)
		h.sealAll()
		end = func() { h.must(h.store.DeleteStream(h.ctx, st.ID, "")); h.sweep() }
		if during {
			h.dir.objects.DuringPut(end)
		}
		h.must(h.store.MoveVolumes(h.ctx))
		if !during {
			end()
		}
		gone(fmt.Sprint("deletion, during ", during))
	}
}

func (h *harness) warm(id store.StreamID) { h.tier(id, store.TierWarm) }
func (h *harness) hot(id store.StreamID)  { h.tier(id, store.TierHot) }

func (h *harness) tier(id store.StreamID, tier string) {
	h.Helper()
	_, err := h.store.UpdateStream(h.ctx, id, "", func(s *store.Stream) error {
		s.StorageTier = tier
		return nil
	})
	h.must(err)
}

// read returns a fragment's payload, and closes it.
func (h *harness) read(m store.Media) []byte {
	h.Helper()
	var b bytes.Buffer
	for i := range m.Fragment().Runs {
		payload, err := m.Payload(i)
		h.must(err)
		_, err = payload.WriteTo(&b)
		h.must(err)
	}
	h.must(m.Close())
	return b.Bytes()
}

// blocks is how much of the disk a file takes, in units of 512 bytes.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks
}

// TestMovesCutShort cuts the power, or kills the process, within each call of a move out and of a
// move back. Nothing is lost, and afterwards each hollow volume has its object and there is no
// other.
func TestMovesCutShort(t *testing.T) {
	t.Parallel()
	for _, power := range []bool{false, true} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("power %v, back %v", power, back), func(t *testing.T) {
				t.Parallel()
				for calls := 1; moveCutShort(t, calls, power, back); calls++ {
					if calls > 100 {
						t.Fatal("a move has no end")
					}
				}
			})
		}
	}
}

// moveCutShort reports whether the process died within so many calls.
func moveCutShort(t *testing.T, calls int, power, back bool) bool {
	ctx := context.WithoutCancel(t.Context())
	clock, objects := storetest.NewClock(), &localtest.Objects{}
	disk, rows := localtest.NewDisk(1<<40), filepath.Join(t.TempDir(), "index.db")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("after %d calls: %v", calls, err)
		}
	}
	open := func() *local.Store {
		x, err := index.OpenSQLite(ctx, rows)
		must(err)
		v, err := volume.Open("/volumes", volume.Options{FS: disk, Remote: objects})
		must(err)
		s, err := local.New(ctx, local.Options{Index: x, Volumes: v, Clock: clock.Now,
			Remote: objects, WarmAfter: time.Nanosecond})
		must(err)
		return s
	}
	tier := func(s *store.Stream) error { s.StorageTier = store.TierWarm; return nil }
	s := open()
	st, err := s.CreateStream(ctx, store.Stream{Name: "cam", RetentionHours: 9})
	must(err)
	var want []store.FragmentInfo
	for i := range 3 {
		f, err := storetest.Append(ctx, s, st.ID, storetest.Record(clock, uint64(i), 3000))
		must(err)
		clock.Add(2 * time.Second)
		want = append(want, f)
	}
	must(s.Close())
	s = open()
	must(s.Sweep(ctx))
	_, err = s.UpdateStream(ctx, st.ID, "", tier)
	must(err)
	if back {
		must(s.MoveVolumes(ctx))
		tier = func(s *store.Stream) error { s.StorageTier = store.TierHot; return nil }
		_, err = s.UpdateStream(ctx, st.ID, "", tier)
		must(err)
	}

	disk.DieAfter(calls)
	err = s.MoveVolumes(ctx)
	died := disk.Dead()
	if !died {
		must(err)
	}
	_ = s.Close() // its disk is gone
	if power {
		disk = disk.PowerCut(rand.New(rand.NewPCG(uint64(calls), 3)))
	} else {
		disk = disk.Kill()
	}
	s = open()
	check := func() {
		t.Helper()
		got, err := s.List(ctx, st.ID, store.Query{})
		must(err)
		if !slices.Equal(numbers(got), numbers(want)) {
			t.Fatalf("after %d calls: fragments %v of %v", calls, numbers(got), numbers(want))
		}
		for i := range got {
			m, err := s.Open(ctx, st.ID, got[i])
			must(err)
			_, err = m.Payload(0) // verified
			must(errors.Join(err, m.Close()))
		}
	}
	check()
	must(s.MoveVolumes(ctx))
	check()
	left := objects.Names()
	if back && len(left) > 0 || !back && (len(left) != 1 ||
		!strings.HasPrefix(left[0], want[0].Location.Volume+"-")) {
		t.Fatalf("after %d calls: objects %v", calls, left)
	}
	must(s.Close())
	return died
}
