package encryption

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"weir/internal/sealing"
	"weir/internal/store"
	"weir/internal/store/record"
)

// plain reads a plain record and a plain footer with a given number.
func (s *site) plain(n store.Number) error {
	s.Helper()
	head, _, err := record.EncodeFragment(fragment(rand.New(rand.NewPCG(2, 1)), n, 100), 0)
	s.wantErr(err, nil)
	_, _, _, err = s.keys.DecodeFragment(stream, head)
	table, wrong := record.EncodeFooter([][]byte{[]byte("tracks")}, nil, []store.FragmentInfo{{
		Number: n, Sequence: 1, Location: store.Location{Offset: 300, MetaLength: 70, Length: 70}}})
	s.wantErr(wrong, nil)
	if _, ofTable := s.keys.DecodeFooter(stream, table); (ofTable == nil) != (err == nil) {
		s.Fatalf("plain record %d: %v, footer: %v", n, err, ofTable)
	}
	return err
}

func (s *site) refuses(from, to store.Number) {
	s.Helper()
	for n := store.Number(1); n < 100; n++ {
		err := s.plain(n)
		want := store.ErrCorrupt
		if n < from || n >= to {
			want = nil
		}
		s.wantErr(err, want)
	}
}

func (s *site) newest(n store.Number) *DataKey {
	s.Helper()
	k, err := s.keys.Newest(&store.Stream{ID: stream}, n)
	s.wantErr(err, nil)
	return k
}

// Where a stream is encrypted, no plain record opens, across restarts and rotations, whatever
// somebody without the sealing key does to the file of data keys. Before and after, plain records
// open.
func TestPlainRecordsAreRefused(t *testing.T) {
	s := newSite(t)
	s.refuses(100, 100)
	first := s.newest(10)
	s.refuses(10, 100)
	if s.newest(20) != first {
		t.Fatal("another key")
	}
	s.open()
	s.refuses(10, 100)
	if marked, err := s.keys.Marked(stream); err != nil || !marked {
		t.Fatal(marked, err)
	}
	s.wantErr(s.keys.MarkPlain(stream, 29), nil)
	s.refuses(10, 30)
	s.open()
	s.refuses(10, 30)
	if marked, err := s.keys.Marked(stream); err != nil || marked {
		t.Fatal(marked, err)
	}
	if _, err := s.keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	s.refuses(10, 30)
	s.open()
	s.refuses(10, 30)
	if again := s.newest(90); again.ID == first.ID {
		t.Fatal("no key of its own for the second time")
	}
	s.wantErr(s.plain(95), store.ErrCorrupt)
	s.wantErr(s.plain(60), nil)

	// forged without the key
	var file keyFile
	s.wantErr(json.Unmarshal(s.files.files[stream], &file), nil)
	other, err := sealing.New([]sealing.Key{sealing.NewKey("")})
	s.wantErr(err, nil)
	for _, from := range []store.Number{11, 91} {
		bad := file
		bad.Plain = append(bad.Plain, plainMark{From: from,
			Sealed: other.Seal(kindPlain, markName(stream, from), nil)},
			plainMark{From: from, Sealed: file.Plain[0].Sealed})
		s.files.files[stream], err = json.Marshal(bad)
		s.wantErr(err, nil)
		s.open()
		s.wantErr(s.plain(12), store.ErrCorrupt)
		s.wantErr(s.plain(95), store.ErrCorrupt)
	}
}

// A stream without records is marked as plain from just after its key. A mark that could not be
// written does not count.
func TestMarkPlain(t *testing.T) {
	s := newSite(t)
	s.newest(10)
	s.files.fail = 1
	s.wantErr(s.keys.MarkPlain(stream, 0), errInjected)
	s.refuses(10, 100)
	s.wantErr(s.keys.MarkPlain(stream, 0), nil)
	s.refuses(10, 11)
}

// A file from before there were marks still opens what it did. The next record gets a key with a
// number.
func TestKeysWithoutNumbers(t *testing.T) {
	s := newSite(t)
	old := s.newest(10)
	file := keyFile{Version: 1, Keys: []sealedKey{{ID: old.ID[:],
		Sealed: s.keys.sealer("").Seal(kindDataKey, keyName(stream, old.ID[:], ""), old.secret)}}}
	var err error
	s.files.files[stream], err = json.Marshal(file)
	s.wantErr(err, nil)
	s.open()
	s.records[stream], _ = encrypt(s, old, fragment(rand.New(rand.NewPCG(2, 1)), 9, 1000))
	s.wantErr(s.read(stream), nil)
	s.refuses(100, 100)
	if s.newest(0).ID != old.ID {
		t.Fatal("a footer needs no new key")
	}
	if s.newest(50).ID == old.ID {
		t.Fatal("no new key")
	}
	s.refuses(50, 100)
	s.wantErr(s.read(stream), nil)
}
