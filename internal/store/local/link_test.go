package local_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/store/storetest"
)

// A volume, or a stream's directory, that was moved to another disk and linked is found by the
// check and by the server, also without an index; and it is deleted with its bytes.
func TestLinkedVolumes(t *testing.T) {
	for name, linked := range map[string]func(path string) string{
		"volume": func(path string) string { return path }, "directory of the stream": filepath.Dir,
	} {
		t.Run(name, func(t *testing.T) {
			dir, clock, st, fragments := fill(t, 4)
			path := linked(volumePath(dir, fragments[0]))
			elsewhere := filepath.Join(t.TempDir(), "moved")
			if err := os.Rename(path, elsewhere); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(elsewhere, path); err != nil {
				t.Fatal(err)
			}
			stranger := filepath.Join(t.TempDir(), "stranger")
			if err := os.WriteFile(stranger, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			stray := filepath.Join(filepath.Dir(volumePath(dir, fragments[0])), "stray")
			if err := os.Symlink(filepath.Dir(stranger), stray); err != nil {
				t.Fatal(err)
			}
			sameFragments(t, checkDir(t, dir, clock), fragments)
			if err := os.Remove(filepath.Join(dir, "index.db")); err != nil {
				t.Fatal(err)
			}
			sameFragments(t, checkDir(t, dir, clock), fragments)

			s := openStore(t, dir, clock)
			f, err := storetest.Append(t.Context(), s, st.ID, storetest.Record(clock, 9, 2000))
			if err != nil {
				t.Fatal(err)
			}
			fragments = append(fragments, f)
			closeStore(t, s)
			sameFragments(t, checkDir(t, dir, clock), fragments)

			s = openStore(t, dir, clock)
			if name == "volume" {
				clock.Add(30 * 24 * time.Hour)
				err = s.Sweep(t.Context())
			} else {
				if err = s.DeleteStream(t.Context(), st.ID, ""); err == nil {
					err = s.Sweep(t.Context())
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			closeStore(t, s) // waits for deletions in the background
			left, err := filepath.Glob(elsewhere + "/*")
			if err != nil || len(left) > 0 {
				t.Errorf("the bytes are there: %v, %v", left, err)
			}
			if info, err := os.Stat(elsewhere); err == nil && !info.IsDir() {
				t.Error("the bytes are there")
			}
			if _, err := os.Stat(stranger); err != nil {
				t.Errorf("what a stray link leads to is deleted: %v", err)
			}
		})
	}
}
