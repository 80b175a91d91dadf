package main

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"weir/internal/store"
)

// The procedure in docs/operations.md, while a server stores, rolls and seals: everything that was
// acknowledged before the backup began comes back, and nothing inconsistent; with the index's copy,
// so do the settings.
func TestBackupOfARunningServer(t *testing.T) {
	for _, withIndex := range []bool{false, true} {
		was := makeData(t)
		d := openData(t, was.path)
		d.stream = was.stream
		d.append(3)
		acked := append(was.stored, d.stored...)
		stop := d.writeOn(5)
		backup := filepath.Join(t.TempDir(), "backup")
		if err := os.Mkdir(backup, 0o700); err != nil {
			t.Fatal(err)
		}
		if withIndex { // like sqlite3 DATA/index.db "VACUUM INTO '…'"
			db, err := sql.Open("sqlite", filepath.Join(d.path, "index.db"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("VACUUM INTO ?", filepath.Join(backup, "index.db")); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := exec.Command("cp", "-a", filepath.Join(d.path, "volumes"),
			filepath.Join(d.path, "documents"), backup).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		stop()
		d.release()

		restored := openData(t, backup)
		st, err := restored.store.Stream(t.Context(), "cam1")
		if err != nil || st.ID != was.stream.ID || withIndex && st.RetentionHours != 48 {
			t.Fatalf("%+v, %v", st, err)
		}
		if _, err := restored.store.Stream(t.Context(), "empty"); withIndex && err != nil {
			t.Fatal(err)
		}
		keys, err := restored.store.ListDocuments(t.Context(), "key")
		if err != nil || len(keys) != 1 || string(keys[0].Data) != "sealed" {
			t.Fatalf("documents %+v, %v", keys, err)
		}
		l, err := restored.store.List(t.Context(), st.ID, store.Query{Order: store.BySequence})
		if err != nil || len(l) < len(acked) {
			t.Fatalf("%d fragments of %d: %v", len(l), len(acked), err)
		}
		for i, f := range acked {
			if l[i].Number != f.Number || l[i].Sequence != f.Sequence {
				t.Fatalf("fragment %d is %+v, was %+v", i, l[i], f)
			}
		}
		restored.stream = st
		restored.append(3) // it goes on
		if err := restored.store.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		restored.release()
		want(t, (&dataDir{t: t, path: backup}).check())
	}
}
