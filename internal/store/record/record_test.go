package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
)

// example is the fragment of docs/store-format.md.
func example() *store.Record {
	return &store.Record{
		Number: 0x0b2c1765_95c00001,
		Fragment: media.Fragment{
			ProducerTimestamp: 1773480600000, ServerTimestamp: 1773480600250, Timecode: 5000,
			Partial: true,
			Tracks: []media.Track{
				{Number: 1, Kind: media.Video, CodecID: "V_MPEG4/ISO/AVC",
					CodecPrivate: []byte{1, 0x42, 0xc0, 0x1e}, Timescale: 90000, Width: 640,
					Height: 360},
				{Number: 2, Kind: media.Audio, CodecID: "A_AAC", CodecPrivate: []byte{0x12, 0x10},
					Name: "mic", Timescale: 44100, SampleRate: 44100, Channels: 2,
					DefaultDuration: 23219954},
			},
			Runs: []media.Run{
				{Track: 1, BaseDecodeTime: 159613254000000, Frames: []media.Frame{
					{Duration: 3000, CompositionOffset: 3000, Size: 5, Key: true},
					{Duration: 3000, CompositionOffset: -3000, Size: 2}}},
				{Track: 2, BaseDecodeTime: 78210494460000,
					Frames: []media.Frame{{Duration: 1024, Size: 3, Key: true}}},
			},
			Tags:   []media.Tag{{Name: "door", Value: "open"}},
			Header: []byte{0x1a, 0x45, 0xdf, 0xa3, 0x80},
		},
		Payload: [][]byte{[]byte("IIIIIPP"), []byte("AAA")},
	}
}

// marked is that fragment, as if its second block belonged to the picture of the first one, which
// begins an open group.
func marked() *store.Record {
	rec := example()
	frames := rec.Runs[0].Frames
	frames[0] = media.Frame{Duration: 6000, CompositionOffset: 3000, Size: 5, Marks: media.Open}
	frames[1] = media.Frame{Size: 2, Marks: media.Joined}
	return rec
}

// documented returns the bytes of a hexdump in docs/store-format.md, counted from 1.
func documented(t *testing.T, n int) (b []byte) {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/store-format.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(doc), "```hexdump\n")
	if n >= len(parts) {
		t.Fatalf("the document has %d hexdumps", len(parts)-1)
	}
	dump, _, _ := strings.Cut(parts[n], "```")
	for line := range strings.Lines(dump) {
		_, digits, _ := strings.Cut(line, "  ")
		digits, _, _ = strings.Cut(digits, "|")
		part, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, part...)
	}
	return b
}

// TestFormatDocument decodes the record in docs/store-format.md and encodes it again.
func TestFormatDocument(t *testing.T) {
	b := documented(t, 1)
	rec := example()
	head, crc, err := EncodeFragment(rec, 0x0b2c1765_95800001)
	if err != nil {
		t.Fatal(err)
	}
	if whole := append(head, bytes.Join(rec.Payload, nil)...); !bytes.Equal(whole, b) {
		t.Fatalf("the example is\n%swant\n%s", hex.Dump(b), hex.Dump(whole))
	}
	h, f, err := DecodeFragment(b[:len(head)])
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, &rec.Fragment) {
		t.Fatalf("decoded %+v", f)
	}
	if h.Number != rec.Number || h.Replaces != 0x0b2c1765_95800001 || h.PayloadCRC != crc ||
		h.Length != int64(len(b)) {
		t.Fatalf("header %+v", h)
	}
}

// A record has marks and version 2 only if its fragment has marks. Programs that do not know
// version 2 can read all others.
func TestMarks(t *testing.T) {
	for _, c := range []struct {
		rec     *store.Record
		version byte
	}{{example(), 1}, {marked(), 2}} {
		head, _, err := EncodeFragment(c.rec, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, f, err := DecodeFragment(head)
		if err != nil || !reflect.DeepEqual(f, &c.rec.Fragment) || head[4] != c.version {
			t.Errorf("version %d: %+v, %v", head[4], f, err)
		}
	}
	head, _, err := EncodeFragment(marked(), 0)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(head, []byte{5<<2 | 2, byte(media.Open)})
	h, _ := DecodeHeader(head)
	head[i+1] = 0x80
	if err := h.Write(head); err != nil {
		t.Fatal(err)
	}
	if _, _, err := DecodeFragment(head); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a mark without a meaning: %v", err)
	}
}

// Every single bit of header and metadata matters.
func TestEveryBitCounts(t *testing.T) {
	head, _, err := EncodeFragment(example(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(head) * 8 {
		b := bytes.Clone(head)
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := DecodeFragment(b); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("bit %d of byte %d flipped: %v", i%8, i/8, err)
		}
	}
}

func TestExtremes(t *testing.T) {
	rec := example()
	rec.ProducerTimestamp, rec.ServerTimestamp = math.MinInt64, math.MaxInt64
	rec.Timecode = math.MinInt64
	rec.Runs[0].BaseDecodeTime = math.MinInt64
	rec.Runs[0].Frames[0].Duration, rec.Runs[0].Frames[1].Duration = math.MaxUint32, 0
	rec.Runs[0].Frames[0].CompositionOffset = math.MinInt32
	rec.Runs[0].Frames[1].CompositionOffset = math.MaxInt32
	rec.Tracks[1].Number, rec.Runs[1].Track = math.MaxInt64, math.MaxInt64
	rec.Tracks[1].Timescale = math.MaxUint32
	rec.Tags, rec.Header = nil, nil
	head, _, err := EncodeFragment(rec, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, f, err := DecodeFragment(head)
	if err != nil || !reflect.DeepEqual(f, &rec.Fragment) {
		t.Fatalf("decoded %+v, %v", f, err)
	}
	spans := store.SpansOf(f)
	again, err := DecodeSpans(AppendSpans(nil, spans))
	if err != nil || !reflect.DeepEqual(again, spans) {
		t.Fatalf("spans %+v, %v", again, err)
	}
}

func TestTooLarge(t *testing.T) {
	rec := example()
	rec.Header = make([]byte, MaxMetaLength)
	if _, _, err := EncodeFragment(rec, 0); err == nil {
		t.Fatal("metadata beyond the limit was encoded")
	}
}

// FuzzDecodeRecord corrects the lengths and the checksum of its input, so that the metadata is
// reached, and wants whatever it decodes to be encoded the same again.
func FuzzDecodeRecord(f *testing.F) {
	head, _, err := EncodeFragment(example(), 3)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head[HeaderSize:], uint32(10))
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f}, uint32(0))
	stream, err := EncodeStream(&store.Stream{ID: "00112233445566778899aabbccddeeff", Name: "cam"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stream[HeaderSize:], uint32(0))
	if head, _, err = EncodeFragment(marked(), 0); err != nil {
		f.Fatal(err)
	}
	f.Add(head[HeaderSize:], uint32(10))
	f.Fuzz(func(t *testing.T, meta []byte, payload uint32) {
		b := append(make([]byte, HeaderSize), meta...)
		for i, kind := range []Type{TypeFragment, TypeStream, TypeFragment} {
			h := Header{marked: i == 2, Type: kind, Number: 1, MetaLength: int64(len(b)),
				Length: int64(len(b)) + int64(payload)%(1<<20)}
			if kind == TypeStream {
				h.Length = h.MetaLength
			}
			if err := h.Write(b); err != nil {
				return
			}
			if kind == TypeStream {
				if s, err := DecodeStream(b); err == nil {
					if _, err := EncodeStream(s); err != nil {
						t.Fatal(err)
					}
				} else if !errors.Is(err, store.ErrCorrupt) {
					t.Fatal(err)
				}
				continue
			}
			_, frag, err := DecodeFragment(b)
			if err != nil {
				if !errors.Is(err, store.ErrCorrupt) {
					t.Fatal(err)
				}
				continue
			}
			again, err := decodeFragmentMeta(appendFragmentMeta(nil, frag, hasMarks(frag)),
				hasMarks(frag))
			frag.ServerTimestamp, frag.ProducerTimestamp = 0, 0
			if err != nil || !reflect.DeepEqual(again, frag) {
				t.Fatalf("%+v became %+v, %v", frag, again, err)
			}
		}
		if tracks, err := DecodeTracks(meta); err == nil {
			if again, err := DecodeTracks(AppendTracks(nil, tracks)); err != nil ||
				!reflect.DeepEqual(again, tracks) {
				t.Fatalf("%+v became %+v, %v", tracks, again, err)
			}
		}
		if spans, err := DecodeSpans(meta); err == nil {
			if again, err := DecodeSpans(AppendSpans(nil, spans)); err != nil ||
				!reflect.DeepEqual(again, spans) {
				t.Fatalf("%+v became %+v, %v", spans, again, err)
			}
		}
		_, _ = DecodeHeader(meta)
	})
}
