package mkv

import (
	"bytes"
	"os"
	"testing"

	"weir/internal/media"
)

// headerOf reads a document up to its first cluster, or its end.
func headerOf(data []byte) (header []byte, tracks []media.Track, scale int64) {
	r := NewReader(bytes.NewReader(data), DefaultLimits())
	for {
		ev, err := r.Next()
		if err != nil {
			return nil, nil, 0
		}
		if ev.Kind == ClusterStart {
			return bytes.Clone(r.Header()), r.Tracks(), r.TimestampScale()
		}
	}
}

// A parsed header says the same as before, with a cluster of unknown size after it.
func TestParseDocument(t *testing.T) {
	files := fixtureFiles(t)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		header, tracks, scale := headerOf(data)
		d, err := ParseDocument(header)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		again := AppendCluster(append(bytes.Clone(d.Start), d.Tags...), 7)
		got, gotTracks, gotScale := headerOf(again)
		if got == nil || gotScale != scale || d.TimestampScale != scale ||
			len(gotTracks) != len(tracks) {
			t.Errorf("%s: %d tracks, scale %d", file, len(gotTracks), gotScale)
			continue
		}
		for i := range tracks {
			if gotTracks[i].CodecID != tracks[i].CodecID ||
				!bytes.Equal(gotTracks[i].CodecPrivate, tracks[i].CodecPrivate) {
				t.Errorf("%s: track %+v became %+v", file, tracks[i], gotTracks[i])
			}
		}
		if !bytes.Contains(d.Start, unknownSegment) ||
			bytes.Contains(d.Start, []byte{0x11, 0x4D, 0x9B, 0x74}) {
			t.Errorf("%s: a segment of known size, or positions of another file", file)
		}
	}
}

// Tags of a file belong to the whole file. Tags that the SDK writes before its first cluster belong
// to that cluster.
func TestDocumentTags(t *testing.T) {
	tags := AppendTags(nil, []media.Tag{{Name: "A", Value: "b"}})
	header := cat(el(idEBML, el(idDocType, []byte("matroska"))),
		[]byte{0x18, 0x53, 0x80, 0x67, 0xFF})
	tracks := el(idTracks,
		el(idTrackEntry, el(idTrackNumber, []byte{1}), el(idTrackType, []byte{1}),
			el(idCodecID, []byte("V_X"))))
	seek := el(idSeekHead)
	for name, c := range map[string]struct {
		in   []byte
		want int
	}{
		"after tracks":  {cat(header, tracks, tags), 0},
		"before tracks": {cat(header, tags, tracks), 1},
		"of a file":     {cat(header, seek, tracks, tags), 1},
	} {
		d, err := ParseDocument(c.in)
		if err != nil || bytes.Count(d.Tags, tags) != c.want || bytes.Contains(d.Start, tags) {
			t.Errorf("%s: %x, %v", name, d.Tags, err)
		}
	}
}

// Frames are stored decompressed, so the header must not declare the compression any more, however
// the size of that element is written.
func TestEncodingsAreVoid(t *testing.T) {
	encodings := el(idContentEncoding, el(idContentCompression, el(idContentCompAlgo, []byte{3}),
		el(idContentCompSettings, []byte{0, 0, 0, 1})))
	for width := 1; width <= 8; width++ {
		encoded := append(appendSize(appendID(nil, idContentEncodings), int64(len(encodings)),
			width),
			encodings...)
		in := cat(el(idEBML, el(idDocType, []byte("matroska"))),
			[]byte{0x18, 0x53, 0x80, 0x67, 0xFF},
			el(idTracks, el(idCRC32, []byte{1, 2, 3, 4}),
				el(idTrackEntry, el(idTrackNumber, []byte{1}),
					el(idTrackType, []byte{1}), encoded, el(idCodecID, []byte("V_X")))))
		d, err := ParseDocument(in)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Start) != len(in)+7 { // the segment's size
			t.Errorf("%d bytes became %d", len(in), len(d.Start))
		}
		r := NewReader(bytes.NewReader(AppendBlock(AppendCluster(d.Start, 0), 1, 0, true, 2)),
			DefaultLimits())
		for {
			ev, err := r.Next()
			if err != nil {
				t.Fatalf("size of %d bytes: %v", width, err)
			}
			if ev.Kind == Frame {
				if ev.Size != 2 {
					t.Errorf("size of %d bytes: a frame of 2 bytes has %d", width, ev.Size)
				}
				break
			}
		}
		if bytes.Contains(d.Start, appendID(nil, idContentEncodings)) ||
			bytes.Contains(d.Start, []byte{idCRC32, 0x84, 1, 2, 3, 4}) {
			t.Errorf("size of %d bytes: %x", width, d.Start)
		}
	}
}

// FuzzParseDocument parses any bytes. A header that the reader accepts is one that it also accepts
// afterwards.
func FuzzParseDocument(f *testing.F) {
	for _, file := range fixtureFiles(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if header, _, _ := headerOf(data); header != nil {
			f.Add(header)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDocument(data)
		if header, _, _ := headerOf(AppendCluster(bytes.Clone(data), 0)); header != nil {
			if _, err := ParseDocument(header); err != nil {
				t.Fatalf("the reader took %x: %v", header, err)
			}
		}
		if err != nil {
			return
		}
		if n := len(d.Start) + len(d.Tags); n > len(data)+len(unknownSegment) {
			t.Fatalf("%d bytes became %d", len(data), n)
		}
		again, err := ParseDocument(d.Start)
		if err != nil || !bytes.Equal(again.Start, d.Start) ||
			again.TimestampScale != d.TimestampScale {
			t.Fatalf("%x became %x, %v", d.Start, again.Start, err)
		}
	})
}
