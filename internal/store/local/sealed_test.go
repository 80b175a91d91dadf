package local_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/localtest"
	"weir/internal/store/storetest"
)

// sealedDir makes a directory with one stream of four sealed volumes with five fragments each. One
// fragment was replaced while it had a row and one after it was sealed; on the way the retention
// was made longer.
func sealedDir(
	t *testing.T,
) (dir string, clock *storetest.Clock, stream store.Stream, fragments []store.FragmentInfo) {
	t.Helper()
	clock, dir = storetest.NewClock(), t.TempDir()
	for v := range 4 {
		s := openStore(t, dir, clock) // which closes what was open
		var err error
		if v == 0 {
			stream, err = s.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 24})
		}
		if v == 2 {
			stream, err = s.UpdateStream(t.Context(), stream.ID, "",
				func(st *store.Stream) error { st.RetentionHours = 240; return nil })
		}
		if err == nil {
			err = s.Sweep(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			rec := storetest.Record(clock, uint64(10*v+i), 600)
			if rec.Number, err = s.NextNumber(t.Context(), stream.ID); err != nil {
				t.Fatal(err)
			}
			var f store.FragmentInfo
			switch {
			case v == 1 && i == 1: // in the volume before, which is sealed
				f, err = s.Replace(t.Context(), stream.ID, fragments[3].Number, rec)
				fragments = append(fragments[:3:3], fragments[4:]...)
			case v == 2 && i == 3: // of this volume
				f, err = s.Replace(t.Context(), stream.ID, fragments[len(fragments)-1].Number, rec)
				fragments = fragments[:len(fragments)-1]
			default:
				f, err = s.Append(t.Context(), stream.ID, rec)
			}
			if err != nil {
				t.Fatal(err)
			}
			fragments = append(fragments, f)
		}
		closeStore(t, s)
	}
	s := openStore(t, dir, clock)
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	return dir, clock, stream, fragments
}

func loseIndex(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"index.db", "index.db-wal"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil &&
			!errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// Footers alone bring back streams in their last state and fragments with their sequences; what was
// replaced stays gone.
func TestLostIndexOfSealedVolumes(t *testing.T) {
	dir, clock, stream, fragments := sealedDir(t)
	sameFragments(t, checkDir(t, dir, clock), fragments)
	loseIndex(t, dir)
	sameFragments(t, checkDir(t, dir, clock), fragments)
	s := openStore(t, dir, clock)
	defer closeStore(t, s)
	again, err := s.Stream(t.Context(), "cam")
	if err != nil || again.RetentionHours != 240 || again.ID != stream.ID {
		t.Fatalf("%+v, %v", again, err)
	}
	list, err := s.List(t.Context(), stream.ID, store.Query{Order: store.BySequence})
	if err != nil || !reflect.DeepEqual(list, fragments) {
		t.Fatalf("%+v, want %+v, %v", list, fragments, err)
	}
	f, err := storetest.Append(t.Context(), s, stream.ID, storetest.Record(clock, 99, 100))
	if last := fragments[len(fragments)-1]; err != nil || f.Sequence != last.Sequence+1 ||
		f.Number <= last.Number {
		t.Fatalf("%+v after %+v, %v", f, last, err)
	}
}

func damage(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += int64(len(b))
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A damaged footer costs only what its volume lists. Without the index, the records of that volume
// are read instead, and so are those of later volumes, whose sequences no longer fit.
func TestDamagedFooter(t *testing.T) {
	dir, clock, stream, fragments := sealedDir(t)
	bad := fragments[5].Location.Volume
	damage(t, volumePath(dir, fragments[5]), -40)
	s := openStore(t, dir, clock)
	list, err := s.List(t.Context(), stream.ID, store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var want []store.FragmentInfo
	for _, f := range fragments {
		if f.Location.Volume != bad {
			want = append(want, f)
		}
	}
	sameFragments(t, list, want)
	// A fragment that a player already knows is still served.
	if _, err := storetest.ReadPayload(t.Context(), s, stream.ID, fragments[5]); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	loseIndex(t, dir)
	got := checkDir(t, dir, clock)
	if len(got) != len(fragments) {
		t.Fatalf("%d fragments, want %d", len(got), len(fragments))
	}
	for i := range got {
		if got[i].Number != fragments[i].Number || got[i].Location != fragments[i].Location {
			t.Fatalf("fragment %d is %+v, want %+v", i, got[i], fragments[i])
		}
	}
}

// The next start continues a recovery of sealed volumes that fails in the middle.
func TestLostIndexFaults(t *testing.T) {
	dir, clock, _, fragments := sealedDir(t)
	for _, method := range []string{"CreateStream", "TrackSetID", "AddSealed"} {
		for _, how := range []localtest.Fault{localtest.NotApplied, localtest.Applied} {
			copied := localtest.CopyDir(t, dir)
			loseIndex(t, copied)
			x, b, err := (&embedded{dir: copied}).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var faults localtest.Faults
			faults.Fail(method, how)
			if _, err := local.New(t.Context(), local.Options{Index: faults.Index(x), Volumes: b,
				Clock: clock.Now}); !errors.Is(err, localtest.ErrInjected) {
				t.Fatalf("%s, %v: %v", method, how, err)
			}
			sameFragments(t, checkDir(t, copied, clock), fragments)
		}
	}
}
