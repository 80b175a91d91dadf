package mkv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"weir/internal/media"
)

// Byte builders. el takes the shortest size, elN one of n bytes, unk the unknown size in n bytes.

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func el(id uint32, body ...[]byte) []byte {
	b := cat(body...)
	return elN(id, sizeLen(int64(len(b))), b)
}

func elN(id uint32, n int, body ...[]byte) []byte {
	b := cat(body...)
	return append(appendSize(appendID(nil, id), int64(len(b)), n), b...)
}

func unk(id uint32, n int) []byte {
	return appendSize(appendID(nil, id), 1<<(7*n)-1, n)
}

func num(id uint32, v uint64) []byte { return appendUint(nil, id, v) }

func num8(id uint32, v uint64) []byte { return elN(id, 1, binary.BigEndian.AppendUint64(nil, v)) }

func str(id uint32, s string) []byte { return el(id, []byte(s)) }

func blockBytes(track byte, rel int16, flags byte, payload string) []byte {
	return append([]byte{0x80 | track, byte(uint16(rel) >> 8), byte(rel), flags}, payload...)
}

func simple(track byte, rel int16, flags byte, payload string) []byte {
	return elN(idSimpleBlock, 8, blockBytes(track, rel, flags, payload))
}

func float8(v float64) []byte { return binary.BigEndian.AppendUint64(nil, math.Float64bits(v)) }

var (
	ebmlHeader = el(idEBML, num(idEBMLVersion, 1), num(idEBMLReadVersion, 1),
		num(idEBMLMaxIDLength, 4), num(idEBMLMaxSizeLength, 8),
		str(idDocType, "matroska"), num(idDocTypeVersion, 2), num(idDocTypeReadVersion, 2))
	sdkInfo = el(idInfo, el(idSegmentUUID, []byte("0123456789abcdef")),
		num8(idTimestampScale, 1_000_000), str(idTitle, "Kinesis Video SDK"),
		str(idMuxingApp, "Kinesis Video SDK 1.1.0"), str(idWritingApp, "Kinesis Video SDK 1.1.0"))
	sdkVideo = elN(idTrackEntry, 4, num(idTrackNumber, 1), num(idTrackUID, 7), num(idTrackType, 1),
		str(idName, "kinesis_video"),
		str(idCodecID, "V_MPEG4/ISO/AVC"),
		el(idVideo, num(idPixelWidth, 640), num(idPixelHeight, 480)),
		str(idCodecPrivate, "\x01avcC"))
	sdkAudio = elN(idTrackEntry, 4, num(idTrackNumber, 2), num(idTrackUID, 8), num(idTrackType, 2),
		str(idName, "audio"),
		str(idCodecID, "A_AAC"), el(idAudio, el(idSamplingFrequency, float8(44100)),
			num(idChannels, 2)), []byte("\x63\xA2\x82\x12\x10"))
	sdkTracks = elN(idTracks, 4, sdkVideo, sdkAudio)
	sdkHeader = cat(ebmlHeader, unk(idSegment, 1), sdkInfo, sdkTracks)
	// 84 bytes, all sizes of 8 bytes: what the AWS SDK writes at the end of a fragment.
	endOfFragment = sdkTag("AWS_KINESISVIDEO_END_OF_FRAGMENT", "")
	prevSize      = num(0xAB, 1234)
	position      = num(0xA7, 0)
	void          = el(idVoid, make([]byte, 98))
	crc           = el(idCRC32, []byte("\x01\x02\x03\x04"))
)

func sdkTag(name, value string) []byte {
	return elN(idTags, 8,
		elN(idTag, 8, elN(idSimpleTag, 8, elN(idTagName, 8, []byte(name)),
			elN(idTagString, 8, []byte(value)))))
}

// readAll gives the events as short text, one each, ending in the error if it is not io.EOF.
func readAll(r io.Reader, l Limits) []string {
	var out []string
	rd := NewReader(r, l)
	for {
		ev, err := rd.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			return append(out, err.Error())
		}
		s := ev.Kind.String()
		switch ev.Kind {
		case TracksReady:
			for _, t := range rd.Tracks() {
				s += fmt.Sprintf(" %d:%d:%s:%s:%s:%dx%d:%d/%d", t.Number, t.Kind, t.CodecID, t.Name,
					t.CodecPrivate, t.Width, t.Height, t.SampleRate, t.Channels)
			}
		case ClusterStart:
			s += fmt.Sprint(" ", ev.Timecode)
		case TagsEvent:
			for _, t := range ev.Tags {
				s += fmt.Sprintf(" %s=%s", t.Name, t.Value)
			}
		case ClusterEnd:
			s += fmt.Sprint(" ", ev.Complete)
		case Frame:
			data, err := rd.AppendPayload(nil)
			if err != nil {
				return append(out, s, err.Error())
			}
			if len(data) != ev.Size {
				s += " wrong size"
			}
			s += fmt.Sprintf(" %d@%d", ev.Track, ev.Timecode)
			if ev.Key {
				s += "K"
			}
			if ev.KeyUnknown {
				s += "?"
			}
			if ev.Laced {
				s += "L"
			}
			if ev.Duration >= 0 {
				s += fmt.Sprintf("+%d", ev.Duration)
			}
			s += " " + string(data)
		}
		out = append(out, s)
	}
}

const (
	sdkTracksText = "tracks 1:1:V_MPEG4/ISO/AVC:kinesis_video:\x01avcC:640x480:0/0 " +
		"2:2:A_AAC:audio:\x12\x10:0x0:44100/2"
	endText = "tags AWS_KINESISVIDEO_END_OF_FRAGMENT="
)

var producerForms = []struct {
	name string
	in   []byte
	want []string
}{
	{"kvssink: unknown sizes, END_OF_FRAGMENT, next cluster",
		cat(sdkHeader,
			unk(idCluster, 1), num8(idTimestamp, 1795358657913), position,
			simple(1, 0, 0x80, "idr"), simple(2, 1, 0, "aac"), simple(1, 40, 0, "p"),
			sdkTag("site", "a"), endOfFragment,
			unk(idCluster, 1), num8(idTimestamp, 1795358659713), position,
			simple(1, 0, 0x80, "idr2"), endOfFragment),
		[]string{"document", sdkTracksText,
			"cluster 1795358657913", "frame 1@1795358657913K idr", "frame 2@1795358657914 aac",
			"frame 1@1795358657953 p", "cluster-end true",
			"tags site=a", endText,
			"cluster 1795358659713", "frame 1@1795358659713K idr2", "cluster-end true", endText}},
	{"kvssink: the body is only a left-over tag", endOfFragment, []string{endText}},
	{"kvssink: a left-over tag, then a session", cat(endOfFragment, sdkHeader),
		[]string{endText, "document", sdkTracksText}},
	{"kvssink: two sessions in one body, B-frames, bare end in mid-cluster",
		cat(sdkHeader, unk(idCluster, 1), num8(idTimestamp, 0), simple(1, 0, 0x80, "i"),
			simple(1, 120, 0, "p"), simple(1, 40, 0, "b"),
			sdkHeader, unk(idCluster, 1), num8(idTimestamp, 1800), simple(1, 0, 0x80, "i")),
		[]string{"document", sdkTracksText, "cluster 0", "frame 1@0K i", "frame 1@120 p",
			"frame 1@40 b", "cluster-end true",
			"document", sdkTracksText, "cluster 1800", "frame 1@1800K i", "cluster-end false"}},
	{"a second Segment behind the same EBML header",
		cat(sdkHeader, unk(idCluster, 1), num(idTimestamp, 5), simple(1, 0, 0x80, "i"),
			unk(idSegment, 8), sdkTracks),
		[]string{"document", sdkTracksText, "cluster 5", "frame 1@5K i", "cluster-end true",
			"document", sdkTracksText}},
	{"embedded-C: NUL-padded strings, 2-byte sizes, several Tag in one Tags, cut tail",
		cat(ebmlHeader, unk(idSegment, 1),
			elN(idTracks, 2, elN(idTrackEntry, 2, num(idTrackNumber, 1), num(idTrackType, 1),
				elN(idName, 2, []byte("kvs video track\x00")),
				elN(idCodecID, 2, []byte("V_MPEG4/ISO/AVC\x00")),
				elN(idVideo, 2, elN(idPixelWidth, 2, []byte{5, 0}),
					elN(idPixelHeight, 2, []byte{2, 0xD0})))),
			unk(idCluster, 1), num8(idTimestamp, 100),
			elN(idSimpleBlock, 4, blockBytes(1, 0, 0x80, "x")),
			elN(idTags, 2,
				elN(idTag, 2, elN(idSimpleTag, 2, elN(idTagName, 2, []byte("a\x00")),
					elN(idTagString, 2, []byte("1\x00\x00")))),
				elN(idTag, 2, elN(idSimpleTag, 2, elN(idTagName, 2, []byte("b")),
					elN(idTagString, 2, []byte("2"))))),
			unk(idCluster, 1), num8(idTimestamp, 200),
			elN(idSimpleBlock, 4, blockBytes(1, 0, 0x80, "x"))[:7]),
		[]string{"document", "tracks 1:1:V_MPEG4/ISO/AVC:kvs video track::1280x720:0/0",
			"cluster 100", "frame 1@100K x", "cluster-end true",
			"tags a=1 b=2", "cluster 200", "unexpected EOF"}},
	{"ffmpeg live: CRC-32, Void, Tags in front, known clusters, negative relative time, cluster " +
		"without key frame",
		cat(ebmlHeader, unk(idSegment, 8), el(0x114D9B74, crc, make([]byte, 40)), void,
			el(idInfo, crc, num(idTimestampScale, 1_000_000)),
			el(idTracks, crc, sdkVideo, sdkAudio),
			el(idTags, crc, el(idTag, el(idTargets, num(idTagTrackUID, 0)),
				el(idSimpleTag, str(idTagName, "ENCODER"), str(idTagString, "Lavf")))),
			elN(idCluster, 3, crc, num(idTimestamp, 23),
				el(idSimpleBlock, blockBytes(2, -23, 0x80, "a")),
				el(idSimpleBlock, blockBytes(1, 0, 0, "p"))),
			elN(idCluster, 3, crc, num(idTimestamp, 60),
				el(idSimpleBlock, blockBytes(1, -4, 0x80, "i"))),
			el(0x1C53BB6B, make([]byte, 20))),
		[]string{"document", sdkTracksText, "tags ENCODER=Lavf",
			"cluster 23", "frame 2@0K a", "frame 1@23 p", "cluster-end true", "cluster 60",
			"frame 1@56K i", "cluster-end true"}},
	{
		"GStreamer streamable: sparse EBML header, 8-byte unknown sizes, Tags before Info, no " +
			"Channels",
		cat(el(idEBML, str(idDocType, "matroska\x00"), num(idDocTypeVersion, 2),
			num(idDocTypeReadVersion, 2)), unk(idSegment, 8),
			el(idTags, el(idTag, el(idTargets, num(idTagTrackUID, 99)),
				el(idSimpleTag, str(idTagName, "BITRATE\x00"), str(idTagString, "1\x00")))),
			el(idInfo, num(idTimestampScale, 1_000_000), el(0x4461, make([]byte, 8))),
			el(idTracks, el(idTrackEntry, str(idCodecID, "A_AAC\x00"),
				el(idAudio, el(idSamplingFrequency,
					binary.BigEndian.AppendUint32(nil, math.Float32bits(48000)))),
				num(idTrackType, 2), num(idTrackNumber, 3))),
			unk(idCluster, 8), num(idTimestamp, 7), el(idSimpleBlock, blockBytes(3, 0, 0x80, "a")),
			unk(idCluster, 8), num(idTimestamp, 9), prevSize,
			el(idSimpleBlock, blockBytes(3, 0, 0x80, "b"))),
		[]string{"document", "tags", "tracks 3:2:A_AAC:::0x0:48000/1", "cluster 7", "frame 3@7K a",
			"cluster-end true", "cluster 9", "frame 3@9K b", "cluster-end false"}},
	{"GStreamer version=1 and Opus: BlockGroups",
		cat(ebmlHeader, unk(idSegment, 8), sdkTracks, unk(idCluster, 8), num(idTimestamp, 7),
			el(idBlockGroup, el(idBlock, blockBytes(1, 0, 0, "i"))),
			el(idBlockGroup, num(idBlockDuration, 40), el(idBlock, blockBytes(1, 40, 0x80, "p")),
				el(idReferenceBlock, []byte{0xD8}), void),
			el(idBlockGroup, el(idBlock, blockBytes(2, 41, 0, "a")),
				el(idDiscardPadding, []byte{1, 2, 3}))),
		[]string{"document", sdkTracksText, "cluster 7", "frame 1@7K? i", "frame 1@47+40 p",
			"frame 2@48K? a", "cluster-end false"}},
	{"a file: everything of known size",
		cat(ebmlHeader,
			el(idSegment, sdkInfo, sdkTracks,
				el(idCluster, num(idTimestamp, 1), simple(1, 0, 0x80, "i")),
				el(0x1C53BB6B, make([]byte, 9))), el(idVoid, nil), ebmlHeader,
			el(idSegment, sdkTracks)),
		[]string{"document", sdkTracksText, "cluster 1", "frame 1@1K i", "cluster-end true",
			"document", sdkTracksText}},
	{"unknown-size cluster in a known-size Segment",
		cat(ebmlHeader, el(idSegment, sdkTracks, unk(idCluster, 4), num(idTimestamp, 1),
			simple(1, 0, 0x80, "i"))),
		[]string{"document", sdkTracksText, "cluster 1", "frame 1@1K i", "cluster-end true"}},
	{"unknown elements everywhere", // a future element does not end a cluster
		cat(ebmlHeader, unk(idSegment, 8), el(0x1FFFFFF0, make([]byte, 300)), sdkTracks,
			unk(idCluster, 2), el(0x81, []byte("?")), num(idTimestamp, 1), el(0x4DFF, []byte("zz")),
			simple(1, 0, 0, "p")),
		[]string{"document", sdkTracksText, "cluster 1", "frame 1@1 p", "cluster-end false"}},
	{"lacing",
		cat(ebmlHeader, unk(idSegment, 1),
			el(idTracks, sdkVideo, el(idTrackEntry, num(idTrackNumber, 2), num(idTrackType, 2),
				str(idCodecID, "A_AAC"), num(idDefaultDuration, 20_000_000))),
			unk(idCluster, 1), num(idTimestamp, 100),
			// Xiph
			el(idSimpleBlock,
				blockBytes(2, 0, 0x82, "\x02"+"\xFF\x01"+"\x02"+strings.Repeat("x", 256)+"yy"+
					"zzz")),
			// fixed
			el(idSimpleBlock, blockBytes(2, 60, 0x84, "\x02"+"aabbcc")),
			// EBML: 3, 3-1, 2+2, rest
			el(idSimpleBlock, blockBytes(1, 0, 0x06, "\x03"+"\x83"+"\xBE"+"\xC1"+"aaabbddddc")),
			el(idBlockGroup, el(idBlock, blockBytes(1, 5, 0x04, "\x02"+"abc")),
				num(idBlockDuration, 10))),
		[]string{"document",
			"tracks 1:1:V_MPEG4/ISO/AVC:kinesis_video:\x01avcC:640x480:0/0 2:2:A_AAC:::0x0:8000/1",
			"cluster 100",
			"frame 2@100K " + strings.Repeat("x", 256), "frame 2@120KL yy", "frame 2@140KL zzz",
			"frame 2@160K aa", "frame 2@180KL bb", "frame 2@200KL cc",
			"frame 1@100 aaa", "frame 1@-1L bb", "frame 1@-1L dddd", "frame 1@-1L c",
			"frame 1@105K?+3 a", "frame 1@108K?L+3 b", "frame 1@111K?L+4 c", "cluster-end false"}},
	{"header stripping",
		cat(ebmlHeader, unk(idSegment, 1),
			el(idTracks, el(idTrackEntry, num(idTrackNumber, 1), num(idTrackType, 1),
				str(idCodecID, "V"), str(idCodecPrivate, "cp"),
				el(idContentEncodings, el(idContentEncoding, num(idContentEncodingScop, 3),
					el(idContentCompression, num(idContentCompAlgo, 3),
						str(idContentCompSettings, "HD")))))),
			unk(idCluster, 1), num(idTimestamp, 1), simple(1, 0, 0, "x"),
			simple(1, 0, 0x04, "\x01yz"), simple(9, 0, 0, "n")),
		[]string{"document", "tracks 1:1:V::HDcp:0x0:0/0", "cluster 1", "frame 1@1 HDx",
			"frame 1@1 HDy", "frame 1@-1L HDz", "frame 9@1 n", "cluster-end false"}},
	{"tags: nested, binary and targeted ones are no metadata of the fragment",
		cat(sdkHeader, el(idTags,
			el(idTag, el(idTargets), el(idSimpleTag, str(idTagName, "a"), str(idTagString, "1"),
				el(idSimpleTag, str(idTagName, "inner")))),
			el(idTag, el(idSimpleTag, str(idTagName, "bin"), str(idTagBinary, "x")),
				el(idSimpleTag, str(idTagName, "b"))),
			el(idTag, el(idSimpleTag, str(idTagName, "c")),
				el(idTargets, num(idTagAttachmentUID, 4))))),
		[]string{"document", sdkTracksText, "tags a=1 b="}},
}

func TestProducerForms(t *testing.T) {
	for _, c := range producerForms {
		t.Run(c.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":        bytes.NewReader(c.in),
				"byte by byte":   iotest.OneByteReader(bytes.NewReader(c.in)),
				"data with EOF":  iotest.DataErrReader(bytes.NewReader(c.in)),
				"halves of asks": iotest.HalfReader(bytes.NewReader(c.in)),
			} {
				if got := readAll(r, DefaultLimits()); !slices.Equal(got, c.want) {
					t.Errorf("%s:\n got %q\nwant %q", name, got, c.want)
				}
			}
		})
	}
}

// TestTruncated cuts every form and fixture at every byte: the events are a beginning of those of
// the whole, and the end is told as an end.
func TestTruncated(t *testing.T) {
	inputs := map[string][]byte{}
	for _, c := range producerForms {
		inputs[c.name] = c.in
	}
	for _, file := range fixtureFiles(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		inputs[file] = data[:min(len(data), 3000)]
	}
	for name, in := range inputs {
		whole := readAll(bytes.NewReader(in), DefaultLimits())
		for n := range in {
			got := readAll(bytes.NewReader(in[:n]), DefaultLimits())
			// What only the cut gives: the error, the end of a cluster, a frame whose payload is
			// not all there.
			for _, end := range []string{io.ErrUnexpectedEOF.Error(), "cluster-end false",
				"frame"} {
				if len(got) > 0 && got[len(got)-1] == end {
					got = got[:len(got)-1]
				}
			}
			if len(got) > len(whole) || !slices.Equal(got, whole[:len(got)]) {
				t.Fatalf("%s cut at %d: %q", name, n, got)
			}
		}
	}
}

// stepReader gives one part at each Read and fails the test when it is read once more than there
// are parts.
type stepReader struct {
	t     *testing.T
	parts [][]byte
}

func (s *stepReader) Read(p []byte) (int, error) {
	if len(s.parts) == 0 {
		s.t.Fatal("read for bytes that the event does not need")
	}
	n := copy(p, s.parts[0])
	if s.parts[0] = s.parts[0][n:]; len(s.parts[0]) == 0 {
		s.parts = s.parts[1:]
	}
	return n, nil
}

// TestLatency holds the reader to giving each event as soon as the bytes that make it are there:
// END_OF_FRAGMENT must be acknowledged while the producer waits in silence.
func TestLatency(t *testing.T) {
	b := simple(1, 0, 0x80, strings.Repeat("x", 100_000))
	s := &stepReader{t: t}
	r := NewReader(s, DefaultLimits())
	var buf []byte
	for i, step := range []struct {
		in   []byte
		want EventKind
		size int
	}{
		{in: cat(ebmlHeader, unk(idSegment, 1)), want: DocumentStart},
		{in: cat(sdkInfo, sdkTracks), want: TracksReady},
		{in: cat(unk(idCluster, 1), num8(idTimestamp, 9)), want: ClusterStart},
		{in: b[:13], want: Frame},         // ID, size, track, time, flags
		{in: b[13:], size: 100_000},       // the payload
		{in: endOfFragment[:12], want: 6}, // the header of Tags ends the cluster
		{in: endOfFragment[12:], want: TagsEvent},
		{in: el(idCluster, num(idTimestamp, 1), simple(1, 0, 0, "abc")), want: ClusterStart},
		{want: Frame},
		{size: 3},
		{want: ClusterEnd}, // known size: nothing more is needed
	} {
		if len(step.in) > 0 {
			s.parts = append(s.parts, step.in)
		}
		if step.want == 0 {
			var err error
			if buf, err = r.AppendPayload(buf[:0]); err != nil || len(buf) != step.size {
				t.Fatalf("step %d: payload of %d bytes, %v", i, len(buf), err)
			}
			continue
		}
		ev, err := r.Next()
		if err != nil || ev.Kind != step.want {
			t.Fatalf("step %d: %v, %v", i, ev.Kind, err)
		}
	}
}

// TestSkipsUnreadFrames: Next passes over payloads that nobody asked for.
func TestSkipsUnreadFrames(t *testing.T) {
	big := strings.Repeat("x", 200_000)
	in := cat(sdkHeader, unk(idCluster, 1), num(idTimestamp, 1), simple(1, 0, 0, big),
		simple(1, 1, 0x84, "\x01abcd"), el(idBlockGroup, el(idBlock, blockBytes(1, 2, 0, big))),
		simple(1, 3, 0, "z"))
	r := NewReader(bytes.NewReader(in), DefaultLimits())
	var sizes []int
	for {
		ev, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == Frame {
			sizes = append(sizes, ev.Size)
		}
	}
	if want := []int{200_000, 2, 2, 200_000, 1}; !slices.Equal(sizes, want) {
		t.Errorf("sizes %v, want %v", sizes, want)
	}
	if r.Offset() != int64(len(in)) {
		t.Errorf("offset %d, want %d", r.Offset(), len(in))
	}
}

func TestHeaderBytes(t *testing.T) {
	bigVoid := el(idVoid, make([]byte, 100_000))
	front := cat(unk(idSegment, 8), void, sdkInfo, sdkTracks, sdkTag("a", "b"))
	in := cat(endOfFragment, ebmlHeader, unk(idSegment, 8), crc, void, bigVoid, sdkInfo, sdkTracks,
		sdkTag("a", "b"),
		unk(idCluster, 1), num(idTimestamp, 1), endOfFragment, unk(idCluster, 1),
		num(idTimestamp, 2), sdkHeader)
	r := NewReader(bytes.NewReader(in), DefaultLimits())
	var headers [][]byte
	for {
		ev, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == ClusterStart {
			headers = append(headers, r.Header())
			if string(r.SegmentUID()) != "0123456789abcdef" {
				t.Errorf("segment UID %q", r.SegmentUID())
			}
		}
	}
	want := cat(ebmlHeader, front)
	if len(headers) != 2 || !bytes.Equal(headers[0], want) || !bytes.Equal(headers[1], want) {
		t.Errorf("headers of the first document: %x, want %x", headers, want)
	}
	if !bytes.Equal(r.Header(), sdkHeader) {
		t.Errorf("header of the second document: %x, want %x", r.Header(), sdkHeader)
	}
}

func TestRefused(t *testing.T) {
	small := DefaultLimits()
	small.Fragment, small.Header, small.CodecPrivate, small.Skip = 1000, 4000, 300, 2000
	small.Tags, small.TagName, small.TagString, small.TagCount, small.Tracks = 500, 40, 60, 3, 2
	doc := cat(ebmlHeader, unk(idSegment, 1))
	open := cat(sdkHeader, unk(idCluster, 1), num(idTimestamp, 1))
	entry := func(children ...[]byte) []byte {
		return cat(doc, el(idTracks, el(idTrackEntry, num(idTrackNumber, 1), num(idTrackType, 2),
			str(idCodecID, "A"), cat(children...))))
	}
	encoding := func(children ...[]byte) []byte {
		return entry(el(idContentEncodings, el(idContentEncoding, children...)))
	}
	tag := func(n int) []byte {
		return el(idSimpleTag, str(idTagName, strings.Repeat("n", n)), str(idTagString, "v"))
	}
	for _, c := range []struct {
		name  string
		in    []byte
		want  string // of the error
		kind  ErrorKind
		large bool
	}{
		{"random bytes", []byte("GET / HTTP/1.1"),
			"0x4745 at byte 0: no EBML header in front of it", NoDocument, false},
		{"random bytes in a document", cat(doc, unk(idCluster, 1), []byte{0x00}),
			"no element ID begins with the byte 0x00", 0, false},
		{"zero bytes", make([]byte, 100), "no element ID begins with the byte 0x00", NoDocument,
			false},
		{"reserved ID", []byte{0xFF, 0x80}, "reserved element ID 0xFF", NoDocument, false},
		{"size of nine bytes", []byte{0xEC, 0x00, 0x80}, "element size of more than 8 bytes",
			NoDocument, false},
		{"an MP4", []byte("\x00\x00\x00\x18ftypisom"), "no element ID", NoDocument, false},
		{"Void in front of a document", cat(el(idVoid, make([]byte, 4)), sdkHeader),
			"Void at byte 0: no EBML header", NoDocument, false},
		{"large Tags in front of a document", el(idTags, make([]byte, 501)),
			"501 bytes, more than the limit", NoDocument, true},
		{"large EBML header", el(idEBML, make([]byte, 5000)), "5000 bytes, more than the limit", 0,
			true},
		{"other DocType", el(idEBML, str(idDocType, "other")),
			`EBML/DocType at byte 5: "other" is neither`, 0, false},
		{"newer EBML", el(idEBML, num(idEBMLReadVersion, 2)),
			"EBML/EBMLReadVersion at byte 5: 2 is out of range", 0, false},
		{"Segment without EBML", unk(idSegment, 1), "no EBML header", NoDocument, false},
		{"Cluster without EBML", unk(idCluster, 1), "Segment/Cluster at byte 0: no EBML header",
			NoDocument, false},
		{"Cluster without Segment", cat(ebmlHeader, unk(idCluster, 1)),
			"Segment/Cluster at byte 40: not allowed outside of a Segment", 0, false},
		{"unknown size of Tracks", cat(doc, unk(idTracks, 1)),
			"Segment/Tracks at byte 45: unknown size", 0, false},
		{"unknown size inside Tracks", cat(doc, el(idTracks, unk(idTrackEntry, 1))),
			"Segment/Tracks/TrackEntry at byte 50: unknown size", 0, false},
		{"child past its parent", cat(doc, el(idTracks, []byte{0xAE, 0x85, 1})),
			"5 bytes, but its Tracks has only 1 left", 0, false},
		{"broken end of parent", cat(doc, el(idTracks, []byte{0x63})), "broken element at its end",
			0, false},
		{"cluster past its segment",
			cat(ebmlHeader, el(idSegment, appendSize(appendID(nil, idCluster), 50, 1))),
			"past the end of its Segment", 0, false},
		{"block past its cluster",
			cat(sdkHeader,
				el(idCluster, num(idTimestamp, 1), appendSize(appendID(nil, idSimpleBlock), 50,
					1))), "past the end of its Cluster", 0, false},
		{"Tags in a cluster of known size",
			cat(sdkHeader, el(idCluster, num(idTimestamp, 1), endOfFragment)),
			"Segment/Tags at byte 285: not allowed in a Cluster", 0, false},
		{"track element in a cluster", cat(open, num(idTrackNumber, 1)), "not allowed in a Cluster",
			0, false},
		{"cluster element in Tracks", cat(doc, el(idTracks, num(idTimestamp, 1))),
			"Segment/Cluster/Timestamp at byte 50: not allowed in Tracks", 0, false},
		{"TimestampScale 0", cat(doc, el(idInfo, num(idTimestampScale, 0))),
			"TimestampScale at byte 50: 0 is out of range", 0, false},
		{"TimestampScale changes", cat(open, el(idInfo, num(idTimestampScale, 5))),
			"changes TimestampScale from 1000000 to 5", 0, false},
		{"Timestamp too large",
			cat(sdkHeader, unk(idCluster, 1), num8(idTimestamp, math.MaxUint64)), "out of range", 0,
			false},
		{"Timestamp of 9 bytes",
			cat(sdkHeader, unk(idCluster, 1), elN(idTimestamp, 1, make([]byte, 9))),
			"9 bytes, more than the limit of 8", 0, true},
		{"two Timestamps", cat(open, num(idTimestamp, 1)), "a second one in the cluster", 0, false},
		{"block before Timestamp", cat(sdkHeader, unk(idCluster, 1), simple(1, 0, 0, "x")),
			"SimpleBlock at byte 282: in front of the Timestamp", 0, false},
		{"group before Timestamp", cat(sdkHeader, unk(idCluster, 1), el(idBlockGroup)),
			"in front of the Timestamp", 0, false},
		{"no Timestamp", cat(sdkHeader, el(idCluster, void)),
			"Segment/Cluster at byte 277: no Timestamp", 0, false},
		{"block before Tracks", cat(doc, unk(idCluster, 1), num(idTimestamp, 1),
			simple(1, 0, 0, "x")), "no Tracks element in front of it", 0, false},
		{"no TrackNumber",
			cat(doc, el(idTracks, el(idTrackEntry, num(idTrackType, 1), str(idCodecID, "V")))),
			"no TrackNumber", 0, false},
		{"no TrackType",
			cat(doc, el(idTracks, el(idTrackEntry, num(idTrackNumber, 1), str(idCodecID, "V")))),
			"no TrackType", 0, false},
		{"no CodecID",
			cat(doc, el(idTracks, el(idTrackEntry, num(idTrackNumber, 1), num(idTrackType, 1)))),
			"no CodecID", 0, false},
		{"TrackNumber 0", entry(num(idTrackNumber, 0)), "TrackNumber at byte", 0, false},
		{"TrackNumber too large", entry(num(idTrackNumber, 1<<31)), "out of range", 0, false},
		{"track twice", cat(doc, el(idTracks, sdkVideo, sdkVideo)),
			"a second track with the number 1", 0, false},
		{"too many tracks",
			cat(doc, el(idTracks, sdkVideo, sdkAudio, el(idTrackEntry, num(idTrackNumber, 3),
				num(idTrackType, 17), str(idCodecID, "S")))), "more than 2 tracks", 0, true},
		{"large CodecPrivate", entry(el(idCodecPrivate, make([]byte, 301))),
			"Segment/Tracks/TrackEntry/CodecPrivate at byte 63: 301 bytes", 0, true},
		{"float of 5 bytes", entry(el(idAudio, el(idSamplingFrequency, make([]byte, 5)))),
			"a floating-point number of 5 bytes", 0, false},
		{"rate NaN", entry(el(idAudio, el(idSamplingFrequency, float8(math.NaN())))),
			"NaN Hz is out of range", 0, false},
		{"rate 0", entry(el(idAudio, el(idSamplingFrequency, float8(0)))), "0 Hz is out of range",
			0, false},
		{"zlib", encoding(el(idContentCompression)), "compression algorithm 0 is not supported", 0,
			false},
		{"encrypted track", encoding(num(idContentEncodingType, 1)),
			"encrypted tracks are not supported", 0, false},
		{"two encodings",
			entry(el(idContentEncodings,
				el(idContentEncoding, el(idContentCompression, num(idContentCompAlgo, 3))),
				el(idContentEncoding))), "more than one encoding", 0, false},
		{"stripped private data only", encoding(num(idContentEncodingScop, 2),
			el(idContentCompression, num(idContentCompAlgo, 3))), "alone is not supported", 0,
			false},
		{"EncryptedBlock", cat(open, el(idEncryptedBlock, []byte("x"))),
			"encrypted frames are not supported", 0, false},
		{"empty block", cat(open, el(idSimpleBlock)), "too short for its header", 0, false},
		{"short block", cat(open, el(idSimpleBlock, []byte{0x81, 0, 0})),
			"too short for its header", 0, false},
		{"track 0", cat(open, simple(0, 0, 0, "x")), "bad track number", 0, false},
		{"Xiph lacing past the end", cat(open, simple(1, 0, 0x02, "\x01\xFF\xFF")),
			"too short for its header", 0, false},
		{"Xiph lacing too large", cat(open, simple(1, 0, 0x02, "\x01\x09abc")),
			"larger than the block", 0, false},
		{"EBML lacing negative", cat(open, simple(1, 0, 0x06, "\x02\x81\x80abc")),
			"laced frame of -62 bytes", 0, false},
		{"EBML lacing too large",
			cat(open, simple(1, 0, 0x06, "\x01\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFEabc")),
			"laced frame of", 0, false},
		{"fixed lacing uneven", cat(open, simple(1, 0, 0x04, "\x01abc")),
			"cannot be shared by 2 frames", 0, false},
		{"two Blocks in a group",
			cat(open, el(idBlockGroup, el(idBlock, blockBytes(1, 0, 0, "")),
				el(idBlock, blockBytes(1, 0, 0, "")))), "a second one in the BlockGroup", 0, false},
		{"no Block in a group", cat(open, el(idBlockGroup, num(idBlockDuration, 1))),
			"no Block in it", 0, false},
		{"BlockDuration too large",
			cat(open, el(idBlockGroup, num8(idBlockDuration, math.MaxUint64))), "out of range", 0,
			false},
		{"large block", cat(open, simple(1, 0, 0, strings.Repeat("x", 1000))),
			"more than the limit of 1000", FragmentSize, true},
		{"large group", cat(open, el(idBlockGroup, make([]byte, 1001))),
			"more than the limit of 1000", FragmentSize, true},
		{"large cluster", cat(open, simple(1, 0, 0, strings.Repeat("x", 600)),
			simple(1, 0, 0, strings.Repeat("x", 600))), "Segment/Cluster at byte 277", FragmentSize,
			true},
		{"large cluster of empty space", cat(open, el(idVoid, make([]byte, 990))),
			"Segment/Cluster at byte 277", FragmentSize, true},
		{"large header", cat(doc, el(idInfo, make([]byte, 5000))), "more than the limit of 4000", 0,
			true},
		{"large Void", cat(doc, el(idVoid, make([]byte, 2001))),
			"Segment/Void at byte 45: 2001 bytes", 0, true},
		{"large unknown element", cat(doc, el(0x4DFF, make([]byte, 2001))),
			"Segment/0x4DFF at byte 45: 2001 bytes", 0, true},
		{"declared 2^55 bytes of DocType", cat(appendSize(appendID(nil, idEBML), 64, 1),
			appendSize(appendID(nil, idDocType), 1<<55, 8), make([]byte, 54)),
			"bytes, but its EBML has only", 0, false},
		{"declared 2^55 bytes of Tags", cat(doc, appendSize(appendID(nil, idTags), 1<<55, 8)),
			"36028797018963968 bytes, more than", Metadata, true},
		{"large Tags", cat(open, el(idTags, make([]byte, 501))), "Segment/Tags at byte", Metadata,
			true},
		{"long TagName", cat(open, el(idTags, el(idTag, tag(41)))), "TagName", Metadata, true},
		{"many tags", cat(open, el(idTags, el(idTag, tag(1), tag(2)), el(idTag, tag(3), tag(4)))),
			"more than 3 tags", Metadata, true},
		{"tag without name",
			cat(open, el(idTags, el(idTag, el(idSimpleTag, str(idTagString, "x"))))),
			"Segment/Tags/Tag/SimpleTag at byte", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(c.in), small)
			var err error
			for err == nil {
				_, err = r.Next()
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
			if e.Kind != c.kind || errors.Is(err, ErrTooLarge) != c.large {
				t.Errorf("kind %d, too large %t", e.Kind, errors.Is(err, ErrTooLarge))
			}
			if _, again := r.Next(); again != err {
				t.Errorf("then %v", again)
			}
		})
	}
}

// TestInputFails: an error of the input between two elements leaves a cluster that is whole as far
// as it goes, told before the error; one inside an element does not.
func TestInputFails(t *testing.T) {
	broken := errors.New("connection reset")
	in := cat(sdkHeader, unk(idCluster, 1), num(idTimestamp, 1), simple(1, 0, 0x80, "frame"))
	for _, c := range []struct {
		name string
		cut  int
		err  error
		told bool
	}{
		{"between elements", 0, broken, true},
		{"inside a frame", 2, broken, false},
		{"body cut short between elements", 0, io.ErrUnexpectedEOF, true},
	} {
		r := NewReader(io.MultiReader(bytes.NewReader(in[:len(in)-c.cut]), iotest.ErrReader(c.err)),
			DefaultLimits())
		told := false
		var err error
		for err == nil {
			var ev Event
			if ev, err = r.Next(); ev.Kind == ClusterEnd {
				told = !ev.Complete
			}
		}
		if !errors.Is(err, c.err) || told != c.told {
			t.Errorf("%s: %v, end told %t", c.name, err, told)
		}
	}
}

func TestPayloadCut(t *testing.T) {
	// The block declares 50 MB and has 100 bytes: little memory is taken, and dst comes back as it
	// was.
	in := cat(sdkHeader, unk(idCluster, 1), num(idTimestamp, 1),
		appendSize(appendID(nil, idSimpleBlock), 50_000_000, 8),
		blockBytes(1, 0, 0, strings.Repeat("x", 100)))
	r := NewReader(bytes.NewReader(in), DefaultLimits())
	for {
		ev, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == Frame {
			break
		}
	}
	dst, err := r.AppendPayload([]byte("before"))
	if !errors.Is(err, io.ErrUnexpectedEOF) || string(dst) != "before" || cap(dst) > 300_000 {
		t.Errorf("%q (capacity %d), %v", dst, cap(dst), err)
	}
	if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("then %v", err)
	}
}

// TestNoProgress: a reader that gives nothing for ever is not waited for in a hot loop.
func TestNoProgress(t *testing.T) {
	r := NewReader(readerFunc(func([]byte) (int, error) { return 0, nil }), DefaultLimits())
	if _, err := r.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTrackValues(t *testing.T) {
	in := cat(ebmlHeader, unk(idSegment, 1), el(idTracks,
		el(idTrackEntry, num(idDefaultDuration, 40_000_000),
			el(idVideo, num(idPixelHeight, 2), num(idPixelWidth, 3), num(0x9A, 1)),
			str(idCodecID, "V_X"), num(idTrackType, 1), num(idTrackNumber, math.MaxInt32)),
		el(idTrackEntry, num(idTrackNumber, 2), num(idTrackType, 2), str(idCodecID, "A_X"),
			el(idAudio, el(idSamplingFrequency), el(idChannels))),
		el(idTrackEntry, num(idTrackNumber, 3), num(idTrackType, 17), str(idCodecID, "S_TEXT")),
		// The AWS SDK leaves Audio out when it cannot read the AudioSpecificConfig, and writes what
		// the application says when it can.
		el(idTrackEntry, num(idTrackNumber, 4), num(idTrackType, 2), str(idCodecID, "A_AAC"),
			el(idCodecPrivate, []byte{0x11, 0x90})),
		el(idTrackEntry, num(idTrackNumber, 5), num(idTrackType, 2), str(idCodecID, "A_AAC"),
			el(idCodecPrivate, []byte{0x11, 0x90}),
			el(idAudio, el(idSamplingFrequency, float8(44100)), num(idChannels, 0))),
		el(idTrackEntry, num(idTrackNumber, 6), num(idTrackType, 2), str(idCodecID, "A_X"),
			el(idAudio, el(idSamplingFrequency, float8(1<<30))))))
	r := NewReader(bytes.NewReader(in), DefaultLimits())
	for range 2 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	want := []media.Track{
		{Number: math.MaxInt32, Kind: media.Video, CodecID: "V_X", Timescale: 90000, Width: 3,
			Height: 2, DefaultDuration: 40_000_000},
		{Number: 2, Kind: media.Audio, CodecID: "A_X", Timescale: 8000, SampleRate: 8000,
			Channels: 1},
		{Number: 3, Kind: 17, CodecID: "S_TEXT", Timescale: 1000},
		{Number: 4, Kind: media.Audio, CodecID: "A_AAC", CodecPrivate: []byte{0x11, 0x90},
			Timescale: 48000, SampleRate: 8000, Channels: 1},
		{Number: 5, Kind: media.Audio, CodecID: "A_AAC", CodecPrivate: []byte{0x11, 0x90},
			Timescale: 48000, SampleRate: 44100, Channels: 1},
		// a clock cannot count so fast
		{Number: 6, Kind: media.Audio, CodecID: "A_X", Timescale: 1000, SampleRate: 1 << 30,
			Channels: 1},
	}
	if fmt.Sprint(r.Tracks()) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", r.Tracks(), want)
	}
}
