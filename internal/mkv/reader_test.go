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

// readAll returns the events as short text, one each, ending in the error if it is not io.EOF.
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

// TestTruncated cuts every form and fixture at every byte: its events are the first ones of the
// whole, and then the cut is reported.
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
			// What only the cut has: the error, the end of a cluster, a frame without all of its
			// payload.
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

// stepReader returns one part at each Read and fails the test when it is read once more than there
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

// TestLatency checks that the reader returns each event as soon as its bytes are there:
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

// TestSkipsUnreadFrames: Next skips payloads that nobody asked for.
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

// TestInputFails: if the input fails between two elements, ClusterEnd comes before the error. If it
// fails inside an element, it does not.
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

// TestNoProgress: a reader that returns nothing for ever is not polled in a hot loop.
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

// Times are in units of the document's own TimestampScale. An Info that says it again, as some
// muxers send, changes nothing.
func TestTimestampScale(t *testing.T) {
	info := el(idInfo, num(idTimestampScale, 100_000))
	r := NewReader(bytes.NewReader(cat(ebmlHeader, unk(idSegment, 8), info, sdkTracks,
		unk(idCluster, 1), num(idTimestamp, 20_000), simple(1, 5, 0x80, "x"), info,
		unk(idCluster, 1), num(idTimestamp, 40_000), simple(1, 7, 0x80, "y"))), DefaultLimits())
	var at []int64
	for {
		ev, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == Frame {
			at = append(at, ev.Timecode)
		}
	}
	if want := []int64{20_005, 40_007}; !slices.Equal(at, want) || r.TimestampScale() != 100_000 {
		t.Errorf("frames at %v in units of %d ns, want %v", at, r.TimestampScale(), want)
	}
}
