package local_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/store"
	"weir/internal/store/local/localtest"
	"weir/internal/store/record"
	"weir/internal/store/storetest"
)

// Damage anywhere in a volume costs only what is damaged, even if the index must be rebuilt: a
// header in the middle, the stream's record, the file header. What looks like a record but does not
// fit the volume is not taken for one.
func TestDamageAndALostIndex(t *testing.T) {
	for form, fill := range forms {
		t.Run(form, func(t *testing.T) { testDamageAndALostIndex(t, fill) })
	}
}

func testDamageAndALostIndex(t *testing.T, fill fillFunc) {
	clean, clock, st, fragments := fill(t, 6)
	f := fragments[3].Location
	for name, c := range map[string]struct {
		at    int64
		lost  int // which fragment, -1: none
		alone bool
	}{
		"file header":    {40, -1, true},
		"stream record":  {70, -1, true},
		"header":         {f.Offset + 10, 3, false},
		"metadata":       {f.Offset + record.HeaderSize + 9, 3, false},
		"payload":        {f.Offset + f.MetaLength + 5, 3, false},
		"first header":   {fragments[0].Location.Offset + 1, 0, false},
		"nothing at all": {-1, -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := localtest.CopyDir(t, clean)
			path := volumePath(dir, fragments[0])
			if c.alone { // another volume says which stream it is
				s := openStore(t, dir, clock)
				if _, err := storetest.Append(t.Context(), s, st.ID, storetest.Record(clock, 99,
					2000)); err != nil {
					t.Fatal(err)
				}
				closeStore(t, s)
			}
			if c.at >= 0 {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				b[c.at] ^= 1
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"index.db", "index.db-wal"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil &&
					!errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
			s := openStore(t, dir, clock)
			defer closeStore(t, s)
			l, err := s.List(t.Context(), st.ID, store.Query{Order: store.BySequence})
			if err != nil {
				t.Fatal(err)
			}
			got := map[store.Number]bool{}
			for _, f := range l {
				got[f.Number] = true
			}
			for i, f := range fragments {
				if got[f.Number] == (i == c.lost) {
					t.Errorf("fragment %d: found is %t", i, got[f.Number])
				}
			}
		})
	}
}

// Damage on the disk costs the damaged fragment, whatever else of its volume was read before and is
// in memory.
func TestDamageBesideWhatIsFetched(t *testing.T) {
	dir, clock, st, fragments := fill(t, 3)
	s := openStore(t, dir, clock)
	defer closeStore(t, s)
	fetch := func(i int) error {
		f, err := s.Fragment(t.Context(), st.ID, fragments[i].Number)
		if err != nil {
			t.Fatal(err)
		}
		_, err = storetest.ReadPayload(t.Context(), s, st.ID, f)
		return err
	}
	if err := fetch(0); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, fragments[1], record.HeaderSize+3)
	for range 2 { // an error is not remembered either
		if err := fetch(1); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("the damaged one opens with %v", err)
		}
	}
	flip(t, dir, fragments[1], record.HeaderSize+3) // back
	for i := range fragments {
		if err := fetch(i); err != nil {
			t.Errorf("fragment %d: %v", i, err)
		}
	}
}
