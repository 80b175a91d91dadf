package ingest

import (
	"encoding/hex"
	"slices"
	"testing"

	"weir/internal/media"
)

// A track that no player can decode is stored as it came, and reported once.
func TestUnplayableIsTold(t *testing.T) {
	opus := media.Track{Number: 2, Kind: media.Audio, CodecID: "A_OPUS"}
	bare, video := videoTrack, videoTrack
	video.CodecPrivate, _ = hex.DecodeString( // of x264
		"0142c00dffe100166742c00dda0507ec0440000003004000000c83c50aa801000468ce0fc8")
	lengths := "\x00\x00\x00\x02\x65\x88"
	startCodes := "\x00\x00\x00\x01\x67\x64\x00\x00\x01\x65\x88\x80"
	adts := "\xff\xf1\x4c\x40\x01\x3f\xfc\x21\x10"
	for _, c := range []struct {
		name   string
		tracks []media.Track
		frames [2]string
		want   []string
	}{
		{"as it should be", []media.Track{video, audioTrack}, [2]string{lengths, "!\x10"},
			nil},
		{"start codes", []media.Track{video, audioTrack}, [2]string{startCodes, "!\x10"},
			[]string{"track 1 (V_MPEG4/ISO/AVC): frames with start codes (Annex B), not with " +
				"lengths as codec private data says"}},
		{"ADTS", []media.Track{video, audioTrack}, [2]string{lengths, adts},
			[]string{"track 2 (A_AAC): frames with ADTS headers, not raw as codec private data " +
				"says"}},
		{"no codec private data, Opus", []media.Track{bare, opus}, [2]string{lengths, "opus"},
			[]string{"track 1 (V_MPEG4/ISO/AVC): codec private data missing",
				"track 2 (A_OPUS): codec not supported for playback"}},
	} {
		s := newStore()
		b := build(t).header(sdk, c.tracks...)
		for i := range int64(2) {
			at := epoch + 1000*i
			b.cluster(at).frame(1, at, c.frames[0]).frame(2, at, c.frames[1])
		}
		var told []string
		o := absolute(s)
		o.Unplayable = func(why string) { told = append(told, why) }
		if _, err := run(t, o, b.end().reader()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !slices.Equal(told, c.want) {
			t.Errorf("%s: told %q, want %q", c.name, told, c.want)
		}
		for _, r := range s.all() {
			if string(r.Payload[0]) != c.frames[0] || string(r.Payload[1]) != c.frames[1] {
				t.Errorf("%s: stored % x", c.name, r.Payload)
			}
		}
	}
}
