package mkv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"weir/internal/media"
)

var writerTracks = []media.Track{
	{Number: 1, Kind: media.Video, CodecID: media.CodecAVC, CodecPrivate: []byte("\x01avcC"),
		Name: "kinesis_video", Timescale: media.VideoTimescale, Width: 640, Height: 480,
		DefaultDuration: 40_000_000},
	{Number: 300, Kind: media.Audio, CodecID: media.CodecAAC, CodecPrivate: []byte{0x12, 0x10},
		Name: "audio", Timescale: 44100, SampleRate: 44100, Channels: 2},
}

func TestRoundTrip(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	uid := []byte("0123456789abcdef")
	big := strings.Repeat("b", 300_000)
	for i, err := range []error{
		w.WriteHeader(Header{Tracks: writerTracks, SegmentUID: uid, Title: "Kinesis Video SDK"}),
		w.WriteCluster(1795358657913),
		w.WriteFrame(1, 1795358657913, true, []byte(big)),
		w.WriteFrame(300, 1795358657890, false, []byte("aac")),
		w.WriteFrame(1, 1795358657913+32767, false, nil),
		w.WriteTags([]media.Tag{{Name: "site", Value: "a"},
			{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}),
		w.WriteCluster(0),
		w.WriteFrame(1, -32768, true, []byte("x")),
	} {
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if got, want := hex.EncodeToString(out.Bytes()[:8+35+5]), "1a45dfa310000023"+
		"4286810142f7810142f2810442f381084282886d6174726f736b614287810242858102"+
		"18538067ff"; got != want {
		t.Errorf("EBML header %s, want %s", got, want)
	}
	got := readAll(bytes.NewReader(out.Bytes()), DefaultLimits())
	want := []string{"document", "tracks 1:1:V_MPEG4/ISO/AVC:kinesis_video:\x01avcC:640x480:0/0 " +
		"300:2:A_AAC:audio:\x12\x10:0x0:44100/2",
		"cluster 1795358657913", "frame 1@1795358657913K " + big, "frame 300@1795358657890 aac",
		"frame 1@1795358690680 ", "cluster-end true",
		"tags site=a AWS_KINESISVIDEO_END_OF_FRAGMENT=", "cluster 0", "frame 1@-32768K x",
		"cluster-end false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %.300q\nwant %.300q", got, want)
	}
	r := NewReader(bytes.NewReader(out.Bytes()), DefaultLimits())
	for range 3 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(r.Tracks()) != fmt.Sprint(writerTracks) {
		t.Errorf("tracks %v, want %v", r.Tracks(), writerTracks)
	}
	if !bytes.Equal(r.SegmentUID(), uid) || r.TimestampScale() != 1_000_000 {
		t.Errorf("segment UID %q, scale %d", r.SegmentUID(), r.TimestampScale())
	}
}

// TestWriteTagsBytes holds WriteTags to the bytes captured from GetMedia
// (docs/reference/service.md, "GetMedia output").
func TestWriteTagsBytes(t *testing.T) {
	var out bytes.Buffer
	err := NewWriter(&out).WriteTags([]media.Tag{
		{Name: "AWS_KINESISVIDEO_FRAGMENT_NUMBER",
			Value: "91343852333181432392682062607743920146159169392"},
		{Name: "AWS_KINESISVIDEO_SERVER_TIMESTAMP", Value: "1511852109.126"},
		{Name: "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", Value: "1511852108.513"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "\x12\x54\xc3\x67\x10\x00\x00\xeb\x73\x73\x10\x00\x00\xe5" +
		"\x67\xc8\x10\x00\x00\x5b\x45\xa3\x10\x00\x00\x20AWS_KINESISVIDE" +
		"O_FRAGMENT_NUMBER\x44\x87\x10\x00\x00\x2f91343852333181432392682062607743920146159169392" +
		"\x67\xc8\x10\x00\x00\x3b\x45\xa3\x10\x00\x00\x21AWS_KINESISVIDE" +
		"O_SERVER_TIMESTAMP\x44\x87\x10\x00\x00\x0e1511852109.126" +
		"\x67\xc8\x10\x00\x00\x3d\x45\xa3\x10\x00\x00\x23AWS_KINESISVIDE" +
		"O_PRODUCER_TIMESTAMP\x44\x87\x10\x00\x00\x0e1511852108.513"
	if out.String() != want {
		t.Errorf("got  %x\nwant %x", out.String(), want)
	}
}

func TestWriterRefuses(t *testing.T) {
	w := NewWriter(io.Discard)
	for name, err := range map[string]error{
		"no tracks": w.WriteHeader(Header{}),
		"segment UID": w.WriteHeader(Header{Tracks: writerTracks,
			SegmentUID: []byte("short")}),
		"scale": w.WriteHeader(Header{Tracks: writerTracks, TimestampScale: -1}),
		"track number": w.WriteHeader(Header{Tracks: []media.Track{{Kind: media.Video,
			CodecID: "V"}}}),
		"codec":                w.WriteHeader(Header{Tracks: []media.Track{{Number: 1}}}),
		"frame before cluster": w.WriteFrame(1, 0, true, nil),
		"negative cluster":     w.WriteCluster(-1),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := w.WriteCluster(100); err != nil {
		t.Fatal(err)
	}
	if w.WriteFrame(1, 100+32768, true, nil) == nil || w.WriteFrame(0, 100, true, nil) == nil {
		t.Error("bad frames were written")
	}
	if w := NewWriter(failingWriter{}); !errors.Is(w.WriteCluster(1), io.ErrClosedPipe) {
		t.Error("the error of the destination is not told")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestDumpTellsHowItEnded(t *testing.T) {
	var out bytes.Buffer
	err := Dump(&out, io.MultiReader(bytes.NewReader(sdkHeader[:100]),
		iotest.ErrReader(io.ErrClosedPipe)))
	if !errors.Is(err, io.ErrClosedPipe) ||
		!strings.Contains(out.String(), "error: read matroska: io: read/write on closed pipe") {
		t.Errorf("%v, %q", err, out.String())
	}
}
