package mkv

import (
	"bytes"
	"compress/zlib"
	"slices"
	"testing"
)

// Frames compressed with zlib are returned compressed, and only if the limits allow it. A
// CodecPrivate is decompressed.
func TestCompressedTracks(t *testing.T) {
	deflated := func(data []byte) []byte {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		if _, err := z.Write(data); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	document := func(private []byte) []byte {
		return cat(ebmlHeader, unk(idSegment, 1),
			el(idTracks, el(idTrackEntry, num(idTrackNumber, 1), num(idTrackType, 1),
				str(idCodecID, "V"), private,
				el(idContentEncodings, el(idContentEncoding, num(idContentEncodingScop, 3),
					el(idContentCompression))))),
			unk(idCluster, 1), num(idTimestamp, 1), simple(1, 0, 0, "xyz"))
	}
	limits := FileLimits()
	limits.CodecPrivate = 100
	private := func(data []byte) []byte { return el(idCodecPrivate, data) }
	in := document(private(deflated([]byte("cp"))))
	want := []string{"document", "tracks 1:1:V::cp:0x0:0/0", "cluster 1", "frame 1@1 xyz",
		"cluster-end false"}
	if got := readAll(bytes.NewReader(in), limits); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for name, in := range map[string][]byte{
		"too much": document(private(deflated(make([]byte, 101)))),
		"no zlib":  document(private([]byte("cp"))),
	} {
		if got := readAll(bytes.NewReader(in), limits); len(got) != 2 {
			t.Errorf("%s: %q", name, got)
		}
	}
	want[1] = "tracks 1:1:V:::0x0:0/0"
	if got := readAll(bytes.NewReader(document(nil)), limits); !slices.Equal(got, want) {
		t.Errorf("without CodecPrivate: got  %q\nwant %q", got, want)
	}
	r := NewReader(bytes.NewReader(in), limits)
	for range 3 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if ev, err := r.Next(); err != nil || ev.Kind != Frame || !ev.Compressed {
		t.Errorf("frame %+v, %v", ev, err)
	}
}

func TestFileLimits(t *testing.T) {
	var tags []byte
	for range 1000 {
		tags = append(tags, el(idTag, el(idSimpleTag, str(idTagName, "n"),
			el(idTagString, make([]byte, 1<<10))))...)
	}
	in := cat(ebmlHeader, unk(idSegment, 1), el(idTags, tags))
	if got := readAll(bytes.NewReader(in), FileLimits()); len(got) != 2 || got[0] != "document" {
		t.Errorf("%.200q", got)
	}
}
