package mkv

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

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
	{"a second Segment after the same EBML header",
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
