package mkv

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

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
			"0x4745 at byte 0: no EBML header before it", NoDocument, false},
		{"random bytes in a document", cat(doc, unk(idCluster, 1), []byte{0x00}),
			"no element ID begins with the byte 0x00", 0, false},
		{"zero bytes", make([]byte, 100), "no element ID begins with the byte 0x00", NoDocument,
			false},
		{"reserved ID", []byte{0xFF, 0x80}, "reserved element ID 0xFF", NoDocument, false},
		{"size of nine bytes", []byte{0xEC, 0x00, 0x80}, "element size of more than 8 bytes",
			NoDocument, false},
		{"an MP4", []byte("\x00\x00\x00\x18ftypisom"), "no element ID", NoDocument, false},
		{"Void before a document", cat(el(idVoid, make([]byte, 4)), sdkHeader),
			"Void at byte 0: no EBML header", NoDocument, false},
		{"large Tags before a document", el(idTags, make([]byte, 501)),
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
			"SimpleBlock at byte 282: before the Timestamp", 0, false},
		{"group before Timestamp", cat(sdkHeader, unk(idCluster, 1), el(idBlockGroup)),
			"before the Timestamp", 0, false},
		{"no Timestamp", cat(sdkHeader, el(idCluster, void)),
			"Segment/Cluster at byte 277: no Timestamp", 0, false},
		{"block before Tracks", cat(doc, unk(idCluster, 1), num(idTimestamp, 1),
			simple(1, 0, 0, "x")), "no Tracks element before it", 0, false},
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
