package local_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local"
	"weir/internal/store/local/localtest"
	"weir/internal/store/local/volume"
	"weir/internal/store/record"
	"weir/internal/store/storetest"
)

// openStore opens the store of a directory. The end of the test closes it, if nobody has.
func openStore(t testing.TB, dir string, clock *storetest.Clock) *local.Store {
	t.Helper()
	e := embedded{dir: dir}
	x, b, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := local.New(t.Context(), local.Options{Index: x, Volumes: b, Clock: clock.Now,
		Keys: keysOf(t, dir, b)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keysOf returns the keys of a directory. If it has a key file, they encrypt new records.
func keysOf(t testing.TB, dir string, volumes local.Volumes) *encryption.Keys {
	t.Helper()
	path := filepath.Join(dir, "encryption.key")
	_, err := os.Stat(path)
	keys, err := encryption.Open(encryption.Options{KeyFile: path, Encrypt: err == nil,
		Files: volumes.(encryption.Files)})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func closeStore(t testing.TB, s *local.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkDir checks that rows and bytes of a directory agree, and returns the fragments of its only
// stream in commit order.
func checkDir(t *testing.T, dir string, clock *storetest.Clock) []store.FragmentInfo {
	t.Helper()
	closeStore(t, openStore(t, dir, clock))
	e := embedded{dir: dir}
	x, b, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := local.CheckSeams(t.Context(), x, b, local.CheckOptions{Keys: keysOf(t, dir, b)})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error(p)
	}
	streams, err := x.ListStreams(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if len(streams) == 0 {
		return nil
	}
	s := openStore(t, dir, clock)
	defer closeStore(t, s)
	l, err := s.List(t.Context(), streams[0].ID, store.Query{Order: store.BySequence})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// fill makes a directory with one stream of n fragments in one volume that is not closed, and
// returns a copy of it.
func fill(
	t *testing.T, n int,
) (dir string, clock *storetest.Clock, stream store.Stream, fragments []store.FragmentInfo) {
	t.Helper()
	return fillDir(t, t.TempDir(), n)
}

// fillEncrypted is fill with encrypted records.
func fillEncrypted(t *testing.T, n int,
) (dir string, clock *storetest.Clock, stream store.Stream, fragments []store.FragmentInfo) {
	t.Helper()
	dir = t.TempDir()
	key := bytes.Repeat([]byte("2b"), 32)
	if err := os.WriteFile(filepath.Join(dir, "encryption.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	return fillDir(t, dir, n)
}

// fillFunc makes a directory with one stream of so many fragments.
type fillFunc func(*testing.T, int) (
	string, *storetest.Clock, store.Stream, []store.FragmentInfo)

// forms make directories with each form of records.
var forms = map[string]fillFunc{
	"plain": fill, "encrypted": fillEncrypted,
}

func fillDir(t *testing.T, from string, n int,
) (dir string, clock *storetest.Clock, stream store.Stream, fragments []store.FragmentInfo) {
	t.Helper()
	clock, dir = storetest.NewClock(), from
	s := openStore(t, dir, clock)
	defer closeStore(t, s)
	stream, err := s.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 24,
		Tags: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		f, err := storetest.Append(t.Context(), s, stream.ID, storetest.Record(clock, uint64(i),
			2000))
		if err != nil {
			t.Fatal(err)
		}
		fragments = append(fragments, f)
	}
	if err := s.Sweep(t.Context()); err != nil { // so that each one has its row in the table
		t.Fatal(err)
	}
	return localtest.CopyDir(t, dir), clock, stream, fragments
}

func sameFragments(t *testing.T, got, want []store.FragmentInfo) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d fragments, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Number != want[i].Number || got[i].Sequence != want[i].Sequence ||
			got[i].Location != want[i].Location {
			t.Fatalf("fragment %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func volumePath(dir string, f store.FragmentInfo) string {
	return filepath.Join(dir, "volumes", filepath.FromSlash(f.Location.Volume))
}

// A power cut may take the newest transactions of the index, but never the first one of a volume.
// Whatever it takes, every fragment comes back with its number, its sequence and its place.
func TestPowerCutOfTheIndex(t *testing.T) {
	clock := storetest.NewClock()
	dir := t.TempDir()
	s := openStore(t, dir, clock)
	defer closeStore(t, s)
	st, err := s.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	wal := filepath.Join(dir, "index.db-wal")
	var fragments []store.FragmentInfo
	var safe int64       // the log up to here is on disk
	for i := range 150 { // more than the log has room for since the start
		rec := storetest.Record(clock, uint64(i), 2000)
		if rec.Number, err = s.NextNumber(t.Context(), st.ID); err != nil {
			t.Fatal(err)
		}
		var f store.FragmentInfo
		if i == 7 {
			f, err = s.Replace(t.Context(), st.ID, fragments[5].Number, rec)
			fragments = append(fragments[:5], fragments[6:]...)
		} else {
			f, err = s.Append(t.Context(), st.ID, rec)
		}
		if err != nil {
			t.Fatal(err)
		}
		fragments = append(fragments, f)
		if i%5 == 4 { // which writes the commits down; the rest is lost with the process
			if err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if i == 0 {
			info, err := os.Stat(wal)
			if err != nil {
				t.Fatal(err)
			}
			safe = info.Size()
		}
	}
	info, err := os.Stat(wal)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 3))
	for _, cut := range []int64{safe, info.Size(), safe + r.Int64N(info.Size()-safe), safe +
		r.Int64N(info.Size()-safe), safe + r.Int64N(info.Size()-safe)} {
		crashed := localtest.CopyDir(t, dir)
		if err := os.Truncate(filepath.Join(crashed, "index.db-wal"), cut); err != nil {
			t.Fatal(err)
		}
		sameFragments(t, checkDir(t, crashed, clock), fragments)
	}
}

// A volume that ends in half a record, in zeros or in garbage keeps its whole records and nothing
// else.
func TestTornTail(t *testing.T) {
	for form, fill := range forms {
		t.Run(form, func(t *testing.T) { testTornTail(t, fill) })
	}
}

func testTornTail(t *testing.T, fill fillFunc) {
	clean, clock, _, fragments := fill(t, 6)
	r := rand.New(rand.NewPCG(5, 5))
	lastKnown := fragments[2].Location
	for i := range 20 {
		dir := localtest.CopyDir(t, clean)
		forget(t, dir, fragments[3:])
		path := volumePath(dir, fragments[0])
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		floor := int(lastKnown.Offset + lastKnown.Length)
		cut := floor + r.IntN(len(whole)-floor)
		torn := bytes.Clone(whole[:cut])
		switch i % 3 {
		case 1:
			torn = append(torn, make([]byte, r.IntN(5000))...)
		case 2:
			for range r.IntN(5000) {
				torn = append(torn, byte(r.Uint32()))
			}
		}
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		want := fragments[:3]
		for _, f := range fragments[3:] {
			if f.Location.Offset+f.Location.Length <= int64(cut) {
				want = append(want[:len(want):len(want)], f)
			}
		}
		sameFragments(t, checkDir(t, dir, clock), want)
		end := want[len(want)-1].Location
		if info, err := os.Stat(path); err != nil || info.Size() != end.Offset+end.Length {
			t.Fatalf("the volume has %d bytes, want %d: %v", info.Size(), end.Offset+end.Length,
				err)
		}
	}
}

// forget removes rows from the index, as a power cut would.
func forget(t *testing.T, dir string, fragments []store.FragmentInfo) {
	t.Helper()
	db := rawIndex(t, dir)
	for _, f := range fragments {
		if _, err := db.Exec("DELETE FROM fragments WHERE number = ?",
			int64(f.Number)); err != nil {
			t.Fatal(err)
		}
	}
	first := fragments[0]
	if _, err := db.Exec("UPDATE blobs SET state = 0, indexed = ?",
		first.Location.Offset); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE heads SET sequence = ?", first.Sequence-1); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func rawIndex(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// Damage before a whole record costs only the damaged record.
func TestDamagedPayloadInside(t *testing.T) {
	dir, clock, _, fragments := fill(t, 5)
	forget(t, dir, fragments[1:])
	path := volumePath(dir, fragments[0])
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[fragments[2].Location.Offset+fragments[2].Location.MetaLength] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	got := checkDir(t, dir, clock)
	if len(got) != 4 || got[2].Number != fragments[3].Number || got[2].Sequence != 3 {
		t.Fatalf("recovered %+v", got)
	}
}

// Damage in a record that is indexed is reported when it is opened, and never served as something
// else.
func TestDamagedMetadata(t *testing.T) {
	dir, clock, st, fragments := fill(t, 3)
	flip(t, dir, fragments[1], record.HeaderSize+3)
	s := openStore(t, dir, clock)
	defer closeStore(t, s)
	if _, err := s.Open(t.Context(), st.ID, fragments[1]); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("opened with %v", err)
	}
	if _, err := storetest.ReadPayload(t.Context(), s, st.ID, fragments[2]); err != nil {
		t.Fatal(err)
	}
}

func TestMissingVolume(t *testing.T) {
	dir, clock, st, fragments := fill(t, 3)
	if err := os.Remove(volumePath(dir, fragments[0])); err != nil {
		t.Fatal(err)
	}
	if got := checkDir(t, dir, clock); len(got) != 0 {
		t.Fatalf("%d fragments without bytes", len(got))
	}
	s := openStore(t, dir, clock)
	defer closeStore(t, s)
	f, err := storetest.Append(t.Context(), s, st.ID, storetest.Record(clock, 9, 100))
	if err != nil || f.Sequence != 4 {
		t.Fatalf("%+v, %v", f, err)
	}
}

// Without the index the volumes are enough: streams and fragments come back, also where one was
// replaced.
func TestLostIndex(t *testing.T) {
	dir, clock, st, fragments := fill(t, 3)
	s := openStore(t, dir, clock)
	rec := storetest.Record(clock, 9, 100)
	var err error
	if rec.Number, err = s.NextNumber(t.Context(), st.ID); err != nil {
		t.Fatal(err)
	}
	f, err := s.Replace(t.Context(), st.ID, fragments[1].Number, rec)
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	want := []store.FragmentInfo{fragments[0], fragments[2], f}
	for i := range 5 { // a volume each
		s := openStore(t, dir, clock)
		if f, err = storetest.Append(t.Context(), s, st.ID, storetest.Record(clock, uint64(i),
			100)); err != nil {
			t.Fatal(err)
		}
		want = append(want, f)
		closeStore(t, s)
	}
	for _, name := range []string{"index.db", "index.db-wal"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil &&
			!errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	sameFragments(t, checkDir(t, dir, clock), want)
	s = openStore(t, dir, clock)
	defer closeStore(t, s)
	again, err := s.Stream(t.Context(), "cam")
	if err != nil || again.ID != st.ID || again.RetentionHours != 24 ||
		again.NumberTag != st.NumberTag || again.Tags["a"] != "b" {
		t.Fatalf("recovered %+v, %v", again, err)
	}
}

// What is not a volume of a stream, or has no fragments, is removed.
func TestOrphans(t *testing.T) {
	dir, clock, st, fragments := fill(t, 2)
	volumes := filepath.Join(dir, "volumes")
	strange := filepath.Join(volumes, "0123456789abcdef0123456789abcdef")
	if err := os.Mkdir(strange, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(volumePath(dir, fragments[0]))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		filepath.Join(strange, "2026031409-0000000000000001.vol"): []byte("garbage"),
		// of another stream
		filepath.Join(strange, "2026031409-0000000000000002.vol"):                b,
		filepath.Join(volumes, string(st.ID), "2026031409-0000000000000003.vol"): nil,
		filepath.Join(volumes, string(st.ID),
			"2026031409-0000000000000004.vol"): b[:fragments[0].Location.Offset+10],
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sameFragments(t, checkDir(t, dir, clock), fragments)
	sameFragments(t, checkDir(t, dir, clock), fragments)
	if _, err := os.Stat(strange); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the strange directory is there: %v", err)
	}
	left, err := os.ReadDir(filepath.Join(volumes, string(st.ID)))
	if err != nil || len(left) != 1 {
		t.Fatalf("%d files are left: %v", len(left), err)
	}
}

// Nobody else on the machine can read what is stored, and only one process uses the directory.
func TestDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	lock, err := volume.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := volume.LockDir(dir); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("locked twice: %v", err)
	}
	clock := storetest.NewClock()
	s := openStore(t, dir, clock)
	st, err := s.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storetest.Append(t.Context(), s, st.ID, storetest.Record(clock, 9,
		100)); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files < 4 {
		t.Fatalf("%d files, %v", files, err)
	}
	closeStore(t, s)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if lock, err = volume.LockDir(dir); err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
}
