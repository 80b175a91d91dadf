package local_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/localtest"
	"weir/internal/store/record"
	"weir/internal/store/storetest"
)

// vault is a store in a directory with keys.
type vault struct {
	*testing.T
	dir   string
	clock *storetest.Clock
	s     *local.Store
	seed  uint64
}

func (v *vault) open(encrypt bool) {
	v.Helper()
	var err error
	v.s, err = local.Open(v.Context(), v.dir, local.Options{Clock: v.clock.Now, Encrypt: encrypt})
	if err != nil {
		v.Fatal(err)
	}
}

func (v *vault) create(name string) store.Stream {
	v.Helper()
	st, err := v.s.CreateStream(v.Context(), store.Stream{Name: name, RetentionHours: 24})
	if err != nil {
		v.Fatal(err)
	}
	return st
}

func (v *vault) append(id store.StreamID) (store.FragmentInfo, *store.Record) {
	v.Helper()
	v.seed++
	rec := storetest.Record(v.clock, v.seed, 3000)
	f, err := storetest.Append(v.Context(), v.s, id, rec)
	if err != nil {
		v.Fatal(err)
	}
	return f, rec
}

// onDisk reports whether some file in the directory contains some bytes.
func (v *vault) onDisk(want []byte) bool {
	v.Helper()
	found := false
	err := filepath.WalkDir(v.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found = found || bytes.Contains(b, want)
		return err
	})
	if err != nil {
		v.Fatal(err)
	}
	return found
}

func newVault(t *testing.T) *vault {
	return &vault{T: t, dir: t.TempDir(), clock: storetest.NewClock()}
}

// What was recorded before encryption was switched on, while it was on, and after it was switched
// off again all plays: from rows, from tables, and after the index is rebuilt from the volumes. No
// byte that was recorded while it was on is stored plain.
func TestEncryptionOnAndOff(t *testing.T) {
	v := newVault(t)
	v.open(false)
	st := v.create("cam")
	var records []*store.Record
	var fragments []store.FragmentInfo
	for round, encrypt := range []bool{false, true, false, true} {
		if round > 0 {
			v.open(encrypt)
		}
		for range 3 {
			f, rec := v.append(st.ID)
			records, fragments = append(records, rec), append(fragments, f)
			if v.onDisk(rec.Payload[0][:64]) == encrypt {
				t.Fatalf("the payload lies bare: %t", !encrypt)
			}
		}
		closeStore(t, v.s)
	}
	for _, lost := range []bool{false, true} {
		if lost {
			for _, name := range []string{"index.db", "index.db-wal"} {
				if err := os.Remove(filepath.Join(v.dir, name)); err != nil &&
					!errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
		}
		v.open(false)
		for round := range 2 {
			got, err := v.s.List(t.Context(), st.ID, store.Query{Order: store.BySequence})
			if err != nil || len(got) != len(fragments) {
				t.Fatalf("%d of %d fragments, %v", len(got), len(fragments), err)
			}
			for i := range got {
				b, err := storetest.ReadPayload(t.Context(), v.s, st.ID, got[i])
				if err != nil || !samePayload(b, records[i].Payload) {
					t.Fatalf("fragment %d: %v", i, err)
				}
			}
			if round == 0 { // seals
				if err := v.s.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		closeStore(t, v.s)
		r, err := local.Check(t.Context(), v.dir, "", nil)
		if err != nil || len(r.Problems) > 0 || r.Fragments != len(fragments) {
			t.Fatalf("check: %+v, %v", r, err)
		}
	}
	if v.onDisk(records[3].Payload[0][:64]) || v.onDisk([]byte("\x04seed\x014")) {
		t.Fatal("an encrypted record lies bare")
	}
}

// A changed byte of an encrypted volume costs its fragment, and never comes out as something else.
func TestEveryByteOfAnEncryptedVolume(t *testing.T) {
	dir, clock, st, fragments := fillEncrypted(t, 2)
	path := volumePath(dir, fragments[0])
	clean, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := make([][][]byte, 2)
	s := openStore(t, dir, clock)
	for i := range want {
		if want[i], err = storetest.ReadPayload(t.Context(), s, st.ID, fragments[i]); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	r := rand.New(rand.NewPCG(8, 8))
	at := fragments[0].Location
	s, err = local.Open(t.Context(), dir, local.Options{Clock: clock.Now, FragmentBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	for i := at.Offset; i < at.Offset+at.Length; i++ {
		bad := bytes.Clone(clean)
		bad[i] ^= byte(1 + r.IntN(255))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := storetest.ReadPayload(t.Context(), s, st.ID, fragments[0])
		if !errors.Is(err, store.ErrCorrupt) && !(errors.Is(err, store.ErrKey) &&
			i-at.Offset >= record.HeaderSize && i-at.Offset < record.HeaderSize+8) {
			t.Fatalf("byte %d: %v", i-at.Offset, err)
		}
	}
	got, err := storetest.ReadPayload(t.Context(), s, st.ID, fragments[1])
	if err != nil || !samePayload(got, want[1]) {
		t.Fatalf("the fragment after it: %v", err)
	}
}

// When a stream is deleted, its keys go with it at once: copies of its volumes open nowhere. What
// was being read is read to its end.
func TestDeletedStreamCannotBeDecrypted(t *testing.T) {
	v := newVault(t)
	v.open(true)
	st, kept := v.create("cam"), v.create("other")
	f, rec := v.append(st.ID)
	other, _ := v.append(kept.ID)
	m, err := v.s.Open(t.Context(), st.ID, f)
	if err != nil {
		t.Fatal(err)
	}
	body, err := m.Payload(0)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(v.dir, "volumes", string(st.ID), "data.keys")
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	before := localtest.CopyDir(t, v.dir)
	if err := v.s.DeleteStream(t.Context(), st.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("its keys are there: %v", err)
	}
	if _, err := storetest.ReadPayload(t.Context(), v.s, kept.ID, other); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, body.Size())
	if _, err := body.ReadAt(got, 0); err != nil || !bytes.Equal(got, rec.Payload[0]) {
		t.Fatalf("what was being read: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, v.s)
	// A backup has the volumes and the index, without the key file of the stream.
	if err := os.Remove(filepath.Join(before, "volumes", string(st.ID),
		"data.keys")); err != nil {
		t.Fatal(err)
	}
	v.dir = before
	v.open(true)
	if _, err := storetest.ReadPayload(t.Context(), v.s, st.ID, f); !errors.Is(err, store.ErrKey) {
		t.Fatalf("without its keys it opens with %v", err)
	}
	closeStore(t, v.s)
	r, err := local.Check(t.Context(), v.dir, "", nil)
	if err != nil || len(r.Problems) != 1 || r.Problems[0].Kind != "encryption-key" {
		t.Fatalf("check: %+v, %v", r, err)
	}
}

// Without the key file, or with a wrong one, the store does not open and nothing is lost, not even
// if the index is gone as well. A check says what it cannot read.
func TestLostEncryptionKey(t *testing.T) {
	v := newVault(t)
	v.open(true)
	st := v.create("cam")
	f, rec := v.append(st.ID)
	closeStore(t, v.s)
	v.open(true)
	v.append(st.ID) // its volume is open, the one of the first is sealed
	if err := v.s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, v.s)
	path := filepath.Join(v.dir, "encryption.key")
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"lost": "", "another's": strings.Repeat("ab", 32)} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if file != "" {
			if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range []string{v.dir, withoutIndex(t, v.dir)} {
			for _, encrypt := range []bool{true, false} {
				_, err := local.Open(t.Context(), dir, local.Options{Clock: v.clock.Now,
					Encrypt: encrypt})
				if !errors.Is(err, store.ErrKey) ||
					!strings.Contains(err.Error(), "encryption.key") {
					t.Fatalf("%s: opened with %v", name, err)
				}
			}
		}
		r, err := local.Check(t.Context(), v.dir, "", nil)
		if err != nil || len(r.Problems) != 1 || r.Problems[0].Kind != "encryption-key" {
			t.Fatalf("%s: check: %+v, %v", name, r, err)
		}
		if file == "" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(path, right, 0o600); err != nil {
		t.Fatal(err)
	}
	v.open(false)
	got, err := storetest.ReadPayload(t.Context(), v.s, st.ID, f)
	if err != nil || !samePayload(got, rec.Payload) {
		t.Fatalf("with the key back: %v", err)
	}
	closeStore(t, v.s)
}

// When the key is lost for good, the store opens with another one, also without an index, and new
// records are read. Once the key is found, everything opens: the old volumes were left alone.
func TestEncryptionKeyLostForGood(t *testing.T) {
	v := newVault(t)
	v.open(true)
	st := v.create("cam")
	f, _ := v.append(st.ID)
	closeStore(t, v.s)
	path := filepath.Join(v.dir, "encryption.key")
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := local.RotateEncryptionKey(v.dir, "", true); err != nil {
		t.Fatal(err)
	}
	v.dir = withoutIndex(t, v.dir)
	path = filepath.Join(v.dir, "encryption.key")
	v.open(true)
	fresh := v.create("next")
	last, _ := v.append(fresh.ID)
	if _, err := storetest.ReadPayload(t.Context(), v.s, fresh.ID, last); err != nil {
		t.Fatal(err)
	}
	closeStore(t, v.s)
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(now, right...), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, _, err := local.RotateEncryptionKey(v.dir, "", false); err != nil || n != 2 {
		t.Fatalf("rotated %d streams, %v", n, err)
	}
	v.open(false)
	defer closeStore(t, v.s)
	info, err := v.s.Fragment(t.Context(), st.ID, f.Number)
	if err == nil {
		_, err = storetest.ReadPayload(t.Context(), v.s, st.ID, info)
	}
	if err != nil {
		t.Fatalf("with the key found again: %v", err)
	}
}

func samePayload(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// withoutIndex copies a directory without its index.
func withoutIndex(t *testing.T, dir string) string {
	t.Helper()
	dir = localtest.CopyDir(t, dir)
	for _, name := range []string{"index.db", "index.db-wal"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil &&
			!errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return dir
}

// Plain recordings that somebody puts in the place of encrypted ones, or beside them, count as
// damage: they do not play, and neither a check nor a rebuilt index takes them for the stream's.
// What was recorded plain before or since plays.
func TestPlainRecordsInAnEncryptedStream(t *testing.T) {
	v := newVault(t)
	v.open(false)
	st := v.create("cam")
	before, _ := v.append(st.ID)
	closeStore(t, v.s)
	v.open(true)
	encrypted, _ := v.append(st.ID)
	closeStore(t, v.s)

	// The forger has a copy and his own key, so his server writes what he likes.
	mine := v.dir
	v.dir = localtest.CopyDir(t, mine)
	keys := filepath.Join("volumes", string(st.ID), "data.keys")
	for _, name := range []string{keys, "volumes/encryption.check", "encryption.key"} {
		if err := os.Remove(filepath.Join(v.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	v.open(false)
	forged, _ := v.append(st.ID)
	if _, err := storetest.ReadPayload(t.Context(), v.s, st.ID, forged); err != nil {
		t.Fatal(err)
	}
	closeStore(t, v.s)
	for _, name := range []string{keys, "volumes/encryption.check", "encryption.key"} {
		b, err := os.ReadFile(filepath.Join(mine, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(v.dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := local.Check(t.Context(), v.dir, "", nil)
	if err != nil || len(r.Problems) != 1 || r.Problems[0].Kind != "damaged-fragment" {
		t.Errorf("check: %+v, %v", r, err)
	}
	for _, lost := range []bool{false, true} {
		refused := store.ErrCorrupt
		if lost {
			v.dir, refused = withoutIndex(t, v.dir), store.ErrGone
		}
		v.open(true)
		for what, c := range map[string]struct {
			f    store.FragmentInfo
			want error
		}{"plain before": {before, nil}, "encrypted": {encrypted, nil},
			"forged": {forged, refused}} {
			_, err := storetest.ReadPayload(t.Context(), v.s, st.ID, c.f)
			if !errors.Is(err, c.want) {
				t.Errorf("%s, index lost %t: %v", what, lost, err)
			}
		}
		list, err := v.s.List(t.Context(), st.ID, store.Query{})
		if want := map[bool]int{false: 3, true: 2}[lost]; err != nil || len(list) != want {
			t.Errorf("index lost %t: %d fragments, %v", lost, len(list), err)
		}
		closeStore(t, v.s)
	}
	// The owner of the server may record plain again.
	v.dir = mine
	v.open(false)
	since, _ := v.append(st.ID)
	for _, f := range []store.FragmentInfo{before, encrypted, since} {
		if _, err := storetest.ReadPayload(t.Context(), v.s, st.ID, f); err != nil {
			t.Error(err)
		}
	}
	closeStore(t, v.s)
}
