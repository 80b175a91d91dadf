package contents_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/record"
)

// object is one object in memory.
type object []byte

func (o object) Read(_ context.Context, _ string, offset, length int64,
	sink func(p []byte, at int64) error) error {
	if offset < 0 || length < 0 || offset > int64(len(o)) || length > int64(len(o))-offset {
		return store.ErrCorrupt
	}
	return sink(o[offset:offset+length], 0)
}

func (o object) ReadAll(
	ctx context.Context, key string, offset, length int64,
) (b []byte, err error) {
	err = o.Read(ctx, key, offset, length, func(p []byte, _ int64) error {
		b = slices.Clone(p)
		return nil
	})
	return b, err
}

// made returns an object with two fragments of a stream, and what they are; with a table if packed.
func made(t testing.TB, packed bool) (object, []store.FragmentInfo) {
	t.Helper()
	st := &store.Stream{ID: "0123456789abcdef0123456789abcdef", Name: "cam", RetentionHours: 24,
		Version: "v1"}
	described, err := record.EncodeStream(st)
	if err != nil {
		t.Fatal(err)
	}
	var b object
	var all []store.FragmentInfo
	for i := range 2 {
		payload := []byte{1, 2, 3, byte(i)}
		rec := &store.Record{Number: store.Number(i+1) << store.NumberSlotBits,
			Payload: [][]byte{payload}, Fragment: media.Fragment{
				ServerTimestamp: 1000 + int64(i), ProducerTimestamp: 900 + int64(i), Timecode: 7,
				Tracks: []media.Track{{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
					Timescale: 90000}},
				Runs: []media.Run{{Track: 1, Frames: []media.Frame{{Size: 4, Duration: 3000}}}}}}
		head, crc, err := record.EncodeFragment(rec, store.Number(i))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 || !packed {
			b = append(b, described...)
		}
		info := record.NewInfo(rec, crc, 0)
		info.Location = store.Location{Volume: "b/1", Offset: int64(len(b)),
			Length: int64(len(head) + 4), MetaLength: int64(len(head))}
		all = append(all, info)
		b = append(append(b, head...), payload...)
	}
	if packed {
		footer, err := record.EncodeFooter([][]byte{nil}, nil, all)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, footer...)
	}
	return b, all
}

func TestScan(t *testing.T) {
	for _, packed := range []bool{false, true} {
		b, want := made(t, packed)
		for _, begin := range []string{"", "WEIRVOLM"} {
			o := b
			if begin != "" { // as a volume of the local engine
				o = append(append(object(begin), make([]byte, 64-len(begin))...), b...)
			}
			got, err := contents.Scan(t.Context(), o, "b/1", int64(len(o)))
			if err != nil || len(got) != 2 {
				t.Fatalf("%d fragments, %v", len(got), err)
			}
			for i := range got {
				want := want[i]
				want.Location.Offset += int64(len(o) - len(b))
				f := &got[i]
				if f.Info.Number != want.Number || f.Info.Location != want.Location ||
					f.Info.PayloadCRC != want.PayloadCRC || f.Stream.Version != "v1" ||
					f.Info.ServerTimestamp != want.ServerTimestamp || f.Media.Timecode != 7 ||
					f.Replaces != store.Number(i) || !slices.Equal(f.Info.Spans, want.Spans) {
					t.Errorf("%+v, want %+v", f, want)
				}
				if err := contents.Verify(t.Context(), o, &f.Info); err != nil {
					t.Error(err)
				}
			}
		}
		// Scan finds what comes before the damage.
		at := want[1].Location.Offset
		b[at+30] ^= 1
		got, err := contents.Scan(t.Context(), b, "b/1", int64(len(b)))
		if !errors.Is(err, store.ErrCorrupt) || len(got) != 1 {
			t.Errorf("%d fragments, %v", len(got), err)
		}
	}
}

// Whatever is in an object, reading it ends, allocates memory only in proportion to its size, and
// finds only what lies within it.
func FuzzObject(f *testing.F) {
	for _, packed := range []bool{false, true} {
		b, _ := made(f, packed)
		f.Add([]byte(b))
		f.Add([]byte(b[:len(b)-9]))
		f.Add(append(append([]byte("WEIRVOLM"), make([]byte, 56)...), b...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, size := object(b), int64(len(b))
		fragments, err := contents.Scan(t.Context(), o, "b/1", size)
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Fatal(err)
		}
		for i := range fragments {
			l := fragments[i].Info.Location
			if l.Offset < 0 || l.Length > size-l.Offset || fragments[i].Stream == nil {
				t.Fatalf("%+v in %d bytes", l, size)
			}
		}
		p, err := contents.ReadPacked(t.Context(), o, "s/1", size)
		if err != nil {
			return
		}
		list, err := p.Table.Fragments("s/1", make([]int64, len(p.Table.Sets)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if l := list[i].Location; l.Offset < 0 || l.Length > size-l.Offset {
				t.Fatalf("%+v in %d bytes", l, size)
			}
		}
	})
}
