package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"weir/internal/store"
)

func randomTable(
	r *rand.Rand, n int,
) (sets [][]byte, replaced []store.Number, rows []store.FragmentInfo) {
	sets = [][]byte{{1, 2}, {}, {3}}
	for range r.IntN(4) {
		replaced = append(replaced, store.Number(1+10*len(replaced)+r.IntN(9)))
	}
	at := int64(300)
	for i := range n {
		f := store.FragmentInfo{
			Number: store.Number(r.Int64N(1<<63-2) + 1), Sequence: int64(i + 1),
			ServerTimestamp: r.Int64() >> 2, ProducerTimestamp: r.Int64() >> 2,
			TrackSet: r.Int64N(3), PayloadCRC: r.Uint32(), Partial: r.IntN(2) == 0,
			Location: store.Location{Volume: "b", Offset: at,
				MetaLength: HeaderSize + r.Int64N(1000)},
		}
		for j := range r.IntN(4) {
			f.Spans = append(f.Spans, store.Span{Track: j - 1, BaseDecodeTime: r.Int64() >> 2,
				Duration: r.Int64N(1 << 40), Size: r.Int64N(1 << 20),
				Frames: r.IntN(1000), KeyStart: r.IntN(2) == 0})
		}
		f.Location.Length = f.Location.MetaLength + f.Size()
		at += f.Location.Length + r.Int64N(3)
		rows = append(rows, f)
	}
	return sets, replaced, rows
}

// The footer in docs/store-format.md is that of a volume with the document's record twice.
func TestFormatDocumentFooter(t *testing.T) {
	rec := example()
	head, crc, err := EncodeFragment(rec, 0x0b2c1765_95800001)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]store.FragmentInfo, 2)
	for i := range rows {
		rows[i] = NewInfo(rec, crc, 0)
		rows[i].Sequence = int64(41 + i)
		rows[i].Location = store.Location{Volume: "b", Offset: 400, MetaLength: int64(len(head)),
			Length: int64(len(head)) + rows[i].Size()}
	}
	rows[1].Number += 2_000_000 << 12
	rows[1].ServerTimestamp += 2000
	rows[1].ProducerTimestamp += 2001
	rows[1].Partial = false
	rows[1].Location.Offset += rows[0].Location.Length
	for j := range rows[1].Spans {
		rows[1].Spans[j].BaseDecodeTime += rows[0].Spans[j].Duration
	}
	want, err := EncodeFooter([][]byte{AppendTracks(nil, rec.Tracks)},
		[]store.Number{0x0b2c1765_95800001}, rows)
	if err != nil {
		t.Fatal(err)
	}
	b := documented(t, 2)
	if !bytes.Equal(b, want) {
		t.Fatalf("the example is\n%swant\n%s", hex.Dump(b), hex.Dump(want))
	}
	table, err := DecodeFooter(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := table.Fragments("b", []int64{0})
	if err != nil || !reflect.DeepEqual(got, rows) || len(table.Replaced) != 1 {
		t.Fatalf("decoded %+v, want %+v, %v", got, rows, err)
	}
}

// Whatever is put into a table comes out of it again.
func TestFooter(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	for n := range 60 {
		sets, replaced, rows := randomTable(r, n)
		b, err := EncodeFooter(sets, replaced, rows)
		if err != nil {
			t.Fatal(err)
		}
		if FooterLength(b[len(b)-FooterTrailer:]) != int64(len(b)) {
			t.Fatal("the trailer does not tell the footer's length")
		}
		table, err := DecodeFooter(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := table.Fragments("b", []int64{10, 11, 12})
		if err != nil || len(got) != n || !reflect.DeepEqual(table.Replaced, replaced) ||
			!reflect.DeepEqual(table.Sets, sets) {
			t.Fatal(len(got), err)
		}
		for i := range got {
			want := rows[i]
			want.TrackSet += 10
			if !reflect.DeepEqual(got[i], want) {
				t.Fatalf("row %d is %+v, want %+v", i, got[i], want)
			}
		}
		for range 20 { // any damage is seen
			bad := append([]byte(nil), b...)
			bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
			if _, err := DecodeFooter(bad); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("damaged footer: %v", err)
			}
			if _, err := DecodeFooter(b[:r.IntN(len(b))]); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("footer cut short: %v", err)
			}
		}
	}
}

// Footers that nobody wrote: the checksum is corrected, so that the table is read.
func FuzzFooter(f *testing.F) {
	r := rand.New(rand.NewPCG(4, 3))
	for n := range 5 {
		b, err := EncodeFooter(randomTable(r, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[HeaderSize : len(b)-FooterTrailer])
	}
	f.Fuzz(func(t *testing.T, table []byte) {
		b, err := finishFooter(append(make([]byte, HeaderSize), table...))
		if err != nil {
			return // too long
		}
		decoded, err := DecodeFooter(b)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		rows, err := decoded.Fragments("b", make([]int64, len(decoded.Sets)))
		if err != nil || len(rows) != decoded.Count {
			t.Fatal(len(rows), err)
		}
	})
}
