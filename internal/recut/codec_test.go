package recut

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"weir/internal/media"
	"weir/internal/mkv"
)

// el writes a Matroska element.
func el(id uint32, data ...[]byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, id)
	body := bytes.Join(data, nil)
	head = binary.BigEndian.AppendUint64(bytes.TrimLeft(head, "\x00"), uint64(len(body))|1<<56)
	return append(head, body...)
}

func deflated(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(data) // to memory
	_ = z.Close()
	return b.Bytes()
}

// zlibDocument has a key frame of H.264, its codec private data and itself compressed, and a block
// of compressed subtitles, as mkvmerge writes with --compression.
func zlibDocument(frame []byte) []byte {
	encodings := el(0x6D80, el(0x6240, el(0x5032, []byte{3}), el(0x5034, el(0x4254, []byte{0}))))
	return bytes.Join([][]byte{
		el(0x1A45DFA3, el(0x4282, []byte("matroska"))),
		{0x18, 0x53, 0x80, 0x67, 0xFF},
		el(0x1654AE6B,
			el(0xAE, el(0xD7, []byte{1}), el(0x83, []byte{1}), el(0x86, []byte(media.CodecAVC)),
				el(0x63A2, deflated(testAVC)), encodings),
			el(0xAE, el(0xD7, []byte{2}), el(0x83, []byte{17}), el(0x86, []byte("S_TEXT/UTF8")),
				el(0x63A2, deflated(nil)), encodings)),
		el(0x1F43B675, el(0xE7, []byte{0}),
			el(0xA3, []byte{0x82, 0, 0, 0x80}, deflated([]byte("hello"))),
			el(0xA3, []byte{0x81, 0, 0, 0x80}, frame)),
	}, nil)
}

func TestRecutInflates(t *testing.T) {
	frame := append([]byte{0, 0, 0, 40, 0x65, 0x88}, make([]byte, 38)...)
	c := New(bytes.NewReader(zlibDocument(deflated(frame))), nil)
	f, err := c.Next(t.Context())
	if err != nil || !bytes.Equal(f.Data, frame) || !f.Start {
		t.Errorf("frame %+v, %v", f, err)
	}
	if tracks := c.Tracks(); len(tracks) != 1 || !bytes.Equal(tracks[0].CodecPrivate, testAVC) {
		t.Errorf("tracks %+v", tracks)
	}
	if f, err = c.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after it %+v, %v", f, err)
	}

	for name, data := range map[string][]byte{
		"no zlib": []byte("plain"), "cut": deflated(frame)[:12],
	} {
		c := New(bytes.NewReader(zlibDocument(data)), nil)
		if f, err := c.Next(t.Context()); err == nil ||
			!strings.Contains(err.Error(), "track 1: inflate: ") {
			t.Errorf("%s: frame of %d bytes, %v", name, len(f.Data), err)
		}
	}
}

// A home-made producer may send start codes and ADTS headers although its codec private data says
// otherwise, which no player accepts.
func TestRecutMendsFrames(t *testing.T) {
	key := []byte{0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x65, 0x88, 0x80, 0, 0, 0}
	keyRight := []byte{0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 3, 0x65, 0x88, 0x80}
	sound := []byte{0x21, 0x10, 4}
	adts := append([]byte{0xff, 0xf1, 0x4c, 0x40, 1, 0x5f, 0xfc}, sound...)
	for _, c := range []struct {
		name   string
		blocks [2][]byte
		told   string
	}{
		{"start codes", [2][]byte{key, sound},
			"track 1 (V_MPEG4/ISO/AVC): frames with start codes"},
		{"ADTS", [2][]byte{keyRight, adts}, "track 2 (A_AAC): frames with ADTS headers"},
		{"as it should be", [2][]byte{keyRight, sound}, ""},
	} {
		var input bytes.Buffer
		w := mkv.NewWriter(&input)
		err := w.WriteHeader(mkv.Header{Tracks: []media.Track{videoTrack, audioTrack}})
		if err == nil {
			err = w.WriteCluster(0)
		}
		for i, data := range c.blocks {
			for range 2 {
				if err == nil {
					err = w.WriteFrame(i+1, 0, true, data)
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		r := New(&input, func(s string) { told = append(told, s) })
		for range 4 {
			f, err := r.Next(t.Context())
			want := keyRight
			if f.Track == 2 {
				want = sound
			}
			if err != nil || !bytes.Equal(f.Data, want) {
				t.Errorf("%s: track %d: % x, %v", c.name, f.Track, f.Data, err)
			}
		}
		if n := len(told); n > 1 || (n == 1) != (c.told != "") ||
			n == 1 && !strings.Contains(told[0], c.told) {
			t.Errorf("%s: told %q", c.name, told)
		}
	}
}

// Audio tracks that no HLS session plays.
var (
	opusTrack = media.Track{Number: 2, Kind: media.Audio, CodecID: "A_OPUS"}
	alawTrack = media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecACM,
		CodecPrivate: []byte{6, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0, 0, 0}}
)

// A track that no session will play is sent anyway, with a notice.
func TestRecutTellsOfCodecs(t *testing.T) {
	vp9 := media.Track{Number: 1, Kind: media.Video, CodecID: "V_VP9"}
	for _, c := range []struct {
		tracks []media.Track
		want   []string
	}{
		{[]media.Track{videoTrack, audioTrack}, nil},
		{[]media.Track{videoTrack, opusTrack}, []string{"track 2 (A_OPUS): codec not supported"}},
		{[]media.Track{videoTrack, alawTrack}, []string{"track 2 is G.711: HLS sessions refuse"}},
		{[]media.Track{vp9}, []string{"track 1 (V_VP9): codec not supported"}},
	} {
		_, _, notices, err := recut(t, matroska(t, c.tracks, "K0 v40"))
		if err != nil || !slices.EqualFunc(notices, c.want, strings.HasPrefix) {
			t.Errorf("%v: notices %q, %v", c.want, notices, err)
		}
	}
}
