package fmp4

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/media"
)

var update = flag.Bool("update", false, "write the golden files")

// Codec private data as encoders wrote it.
const (
	// 720x576, SAR 64:45
	avcC = "0164001effe1001c6764001eacd940b424dff80200016880000003008000" +
		"00190f8a14cb01000668fba3cb22c0fdf8f800"
	hvcC = "01022000000090000000000078f000fcfdfafa00000f03a0000100184001" +
		"0c01ffff022000000300900000030000030078959409a10001002c420101" +
		"022000000300900000030000030078a003c080110753365959529385e1cd" +
		"0100000303e90000753008a2000100064401c073c189"
	asc = "121056e500"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func avcTrack() *media.Track {
	return &media.Track{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
		CodecPrivate: unhex(avcC), Timescale: media.VideoTimescale}
}

func hevcTrack() *media.Track {
	return &media.Track{Number: 3, Kind: media.Video, CodecID: media.CodecHEVC,
		CodecPrivate: unhex(hvcC), Timescale: media.VideoTimescale}
}

func aacTrack() *media.Track {
	return &media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC,
		CodecPrivate: unhex(asc), Timescale: 44100}
}

func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	var got bytes.Buffer
	if err := Dump(&got, data); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, got.String())
	}
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s differs from %s; got\n%s", name, path, got.String())
	}
}

func TestInitSegment(t *testing.T) {
	for name, track := range map[string]*media.Track{"init_avc": avcTrack(),
		"init_hevc": hevcTrack(), "init_aac": aacTrack()} {
		data, err := InitSegment(track)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden(t, name, data)
		if !bytes.Contains(data, track.CodecPrivate) {
			t.Errorf("%s: the codec private data is not there verbatim", name)
		}
		track.Timescale = 0 // the default is that of the test tracks
		if again, err := InitSegment(track); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: without a timescale: %v", name, err)
		}
	}
}

func TestInitSegmentErrors(t *testing.T) {
	for _, c := range []struct {
		track media.Track
		want  error
	}{
		{media.Track{Number: 4, Kind: media.Video, CodecID: media.CodecAVC},
			media.ErrMissingCodecPrivate},
		{media.Track{Number: 4, Kind: media.Video, CodecID: media.CodecAVC,
			CodecPrivate: []byte{0, 0, 0, 1, 0x67}}, media.ErrInvalidCodecPrivate},
		{media.Track{Number: 4, Kind: media.Video, CodecID: "V_VP8"}, media.ErrUnsupportedCodec},
		{media.Track{Number: 4, Kind: media.Audio, CodecID: "A_MS/ACM", CodecPrivate: []byte{7}},
			media.ErrInvalidCodecPrivate},
		{media.Track{Number: 4, Kind: media.Audio, CodecID: "A_OPUS"}, media.ErrUnsupportedCodec},
		{media.Track{Number: 4, Kind: 17, CodecID: "S_TEXT/UTF8"}, media.ErrUnsupportedCodec},
	} {
		if _, err := InitSegment(&c.track); !errors.Is(err, c.want) ||
			!strings.Contains(err.Error(), "track 4") {
			t.Errorf("%s: %v", c.track.CodecID, err)
		}
	}
}

// runs returns runs of every layout: values that all frames share go to tfhd, others to trun.
func runs() map[string]*media.Run {
	frame := func(duration, size uint32, offset int32, key bool) media.Frame {
		return media.Frame{Duration: duration, Size: size, CompositionOffset: offset, Key: key}
	}
	return map[string]*media.Run{
		"media_gop": {Frames: []media.Frame{frame(3600, 9000, 0, true),
			frame(3600, 100, 0, false), frame(3600, 120, 0, false)}},
		"media_bframes": {Frames: []media.Frame{frame(3600, 9000, 0, true),
			frame(3600, 900, 7200, false), frame(3690, 90, -3600, false),
			frame(3600, 80, -3600, false)}},
		"media_no_key": {Frames: []media.Frame{frame(3600, 100, 0, false),
			frame(3600, 120, 0, false)}},
		"media_two_keys": {Frames: []media.Frame{frame(3000, 100, 0, true),
			frame(3000, 100, 0, false), frame(3030, 100, 0, true)}},
		"media_one":      {Frames: []media.Frame{frame(90000, 77777, 0, true)}},
		"media_all_keys": {Frames: []media.Frame{frame(3000, 5, 0, true), frame(3000, 5, 0, true)}},
	}
}

func TestAppendMediaHeader(t *testing.T) {
	for name, run := range runs() {
		data, err := AppendMediaHeader(nil, avcTrack(), run, 7, 1<<33+5)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden(t, name, data)
		checkHeader(t, name, data, run)
	}
	audio := &media.Run{Track: 2}
	for i := range uint32(4) {
		// not flagged as key frames, as SDKs do
		audio.Frames = append(audio.Frames, media.Frame{Duration: 1024, Size: 200 + i})
	}
	data, err := AppendMediaHeader(nil, aacTrack(), audio, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "media_audio", data)
	checkHeader(t, "media_audio", data, audio)
}

// checkHeader checks the one thing that a text dump does not show: where the payload is.
func checkHeader(t *testing.T, name string, data []byte, run *media.Run) {
	t.Helper()
	at := bytes.Index(data, []byte("trun"))
	if offset := binary.BigEndian.Uint32(data[at+12:]); int(offset) != len(data) {
		t.Errorf("%s: data offset %d, header of %d bytes", name, offset, len(data))
	}
	var whole bytes.Buffer
	if err := Dump(&whole,
		append(data[:len(data):len(data)], make([]byte, run.Size())...)); err != nil {
		t.Errorf("%s: with its payload: %v", name, err)
	}
}

func TestLargePayload(t *testing.T) {
	run := &media.Run{Frames: []media.Frame{{Duration: 1, Size: math.MaxUint32 - 8, Key: true}}}
	small, err := AppendMediaHeader(nil, avcTrack(), run, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "media_largest_32bit", small)
	run.Frames[0].Size++
	large, err := AppendMediaHeader(nil, avcTrack(), run, 1, 0)
	if err != nil || len(large) != len(small)+8 {
		t.Fatalf("%d bytes, %v", len(large), err)
	}
	golden(t, "media_64bit", large)
}

func TestAppendMediaHeaderKeepsPrefix(t *testing.T) {
	run := runs()["media_gop"]
	alone, _ := AppendMediaHeader(nil, avcTrack(), run, 1, 2)
	got, err := AppendMediaHeader([]byte("prefix"), avcTrack(), run, 1, 2)
	if err != nil || string(got) != "prefix"+string(alone) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []struct {
		run *media.Run
		at  int64
	}{{&media.Run{}, 0}, {run, -1}} {
		if got, err := AppendMediaHeader([]byte("prefix"), avcTrack(), bad.run, 1,
			bad.at); err == nil || string(got) != "prefix" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestDumpErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"00000007", "4 bytes where a box should begin"},
		{"000000076d6f6f76", "less than its header"},
		{"000000106d6f6f76", "8 bytes left"},
		{"000000016d646174", "ends early"},
		{"0000000c74666474" + "01000000", "ends early"},
		{"00000010747261660000000c6d646174", "12, 8 bytes"},
	} {
		if err := Dump(&bytes.Buffer{}, unhex(c.in)); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.in, err)
		}
	}
}

// Other writers use the long form of the boxes that hold times.
func TestDumpVersion1(t *testing.T) {
	w := &builder{}
	long := func(v uint32) { w.u32(1); w.u32(v) } // 2^32 + v
	w.full("mvhd", 1, 0, func() { long(1); long(2); w.u32(600); long(3); w.zero(80) })
	w.full("tkhd", 1, 7, func() {
		long(1)
		long(2)
		w.u32(5)
		w.u32(0)
		long(3)
		w.zero(52)
		w.u32(640 << 16)
		w.u32(360 << 16)
	})
	w.full("mdhd", 1, 0, func() {
		long(1)
		long(2)
		w.u32(90000)
		long(3)
		w.u16(0x55c4)
		w.u16(0)
	})
	w.full("tfdt", 0, 0, func() { w.u32(9) })
	var got bytes.Buffer
	err := Dump(&got, w.b)
	const want = "[mvhd] size=120 timescale=600 duration=4294967299\n" +
		"[tkhd] size=104 flags=000007 track=5 width=640 height=360\n" +
		"[mdhd] size=44 timescale=90000 duration=4294967299 language=und\n" +
		"[tfdt] size=16 version=0 decodeTime=9\n"
	if err != nil || got.String() != want {
		t.Errorf("%v, got\n%swant\n%s", err, got.String(), want)
	}
}

func FuzzDump(f *testing.F) {
	for _, track := range []*media.Track{avcTrack(), hevcTrack(), aacTrack()} {
		data, err := InitSegment(track)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, run := range runs() {
		data, _ := AppendMediaHeader(nil, avcTrack(), run, 1, 0)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		Dump(&out, data)
		if out.Len() > 100*len(data)+1000 {
			t.Fatalf("%d bytes of text for %d", out.Len(), len(data))
		}
	})
}

// The header of any accepted run can be read back whole.
func FuzzAppendMediaHeader(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, int64(90000))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		run := &media.Run{}
		for ; len(b) >= 4; b = b[4:] {
			run.Frames = append(run.Frames, media.Frame{Duration: uint32(b[0]) << 24,
				Size: uint32(b[1]) << 24, CompositionOffset: int32(int8(b[2])) << 24,
				Key: b[3]&1 == 1})
		}
		for _, track := range []*media.Track{avcTrack(), aacTrack()} {
			data, err := AppendMediaHeader(nil, track, run, 1, at)
			if err != nil {
				if len(run.Frames) > 0 && at >= 0 {
					t.Fatal(err)
				}
				continue
			}
			if err := Dump(&bytes.Buffer{}, data); err != nil {
				t.Fatal(err)
			}
			if len(data) != cap(data) {
				t.Fatalf("%d bytes in a buffer of %d", len(data), cap(data))
			}
		}
	})
}

func BenchmarkAppendMediaHeader(b *testing.B) {
	run := &media.Run{}
	for i := range 50 { // two seconds of video with B-frames
		run.Frames = append(run.Frames, media.Frame{Duration: 3600, Size: uint32(1000 + i),
			CompositionOffset: int32(i%3) * 3600, Key: i == 0})
	}
	track := avcTrack()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = AppendMediaHeader(dst[:0], track, run, 1, 1<<40); err != nil {
			b.Fatal(err)
		}
	}
}

// The index knows only the traits of a run. They must suffice to find where its first frame ends.
func TestMediaHeaderSizeFollowsFromTheShape(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		track := &media.Track{Number: 1, Kind: media.Kind(1 + random.IntN(2))}
		run := &media.Run{Track: 1}
		for i := range 1 + random.IntN(4) {
			run.Frames = append(run.Frames, media.Frame{Duration: uint32(1 + random.IntN(2)),
				Size: uint32(1 + random.IntN(2)),
				Key:  i == 0 || random.IntN(2) == 0, CompositionOffset: int32(random.IntN(3) / 2)})
			run.Frames[0].Key = random.IntN(4) > 0
		}
		header, err := AppendMediaHeader(nil, track, run, 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n := MediaHeaderSize(track.Kind, run.Traits(), len(run.Frames),
			run.Size()); n != int64(len(header)) {
			t.Fatalf("%+v: %d bytes said, %d written", run.Frames, n, len(header))
		}
	}
}
