package manifest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestGolden(t *testing.T) {
	const token = "ARIDAAfNDW4pXjcLPl1yJgW6"
	media := func(number, track string) string {
		return "getMP4MediaFragment.mp4?FragmentNumber=" + number + "&SessionToken=" + token +
			"&TrackNumber=" + track
	}
	init := "getMP4InitFragment.mp4?SessionToken=" + token + "&TrackNumber=1&SequenceNumber=0"
	const n1, n2 = "91343852333185057105875891022195998207386831087",
		"91343852333185057110827651179337519666762451998"

	cases := map[string]interface{ Append([]byte) []byte }{
		"master_video": &Master{
			URI:    "getHLSMediaPlaylist.m3u8?SessionToken=" + token + "&TrackNumber=1",
			Codecs: "avc1.4d4032",
			Width:  2592, Height: 1944, FrameRate: 15.02, Bandwidth: 329640,
		},
		"master_video_audio": &Master{
			URI:    "getHLSMediaPlaylist.m3u8?SessionToken=" + token + "&TrackNumber=1",
			Codecs: "avc1.42c032,mp4a.40.2",
			Width:  2592, Height: 1944, FrameRate: 15, Bandwidth: 2583047,
			AudioURI: "getHLSMediaPlaylist.m3u8?SessionToken=" + token + "&TrackNumber=2",
		},
		"master_audio": &Master{
			URI:    "getHLSMediaPlaylist.m3u8?SessionToken=" + token + "&TrackNumber=1",
			Codecs: "mp4a.40.2", Bandwidth: 129000,
		},
		// The service's own playlist of 2022 for these two fragments, except for MEDIA-SEQUENCE,
		// which has been 0 since 2023.
		"media_vod": &Media{
			Header: Header{Version: FragmentedMP4Version, VOD: true, TargetDuration: 2,
				DiscontinuitySequence: -1, Independent: true},
			Segments: []Segment{
				{Map: init, DateTime: 1643353235931, HasDateTime: true, Duration: 1_857_000_000,
					URI: media(n1, "1")},
				{DateTime: 1643353237000, HasDateTime: true, Duration: 2_000_000_000,
					URI: media(n2, "1")},
			},
			End: true,
		},
		"media_live_always": &Media{
			Header: Header{Version: FragmentedMP4Version, TargetDuration: 2, MediaSequence: 7,
				DiscontinuitySequence: 7, Independent: true},
			Segments: []Segment{
				{Discontinuities: 1, Map: init, Duration: 1_010_000_000, URI: media(n1, "1")},
				{Discontinuities: 2, Duration: 998_000_000, URI: media(n2, "1")},
			},
		},
		"media_live_empty": &Media{Header: Header{Version: FragmentedMP4Version, TargetDuration: 4,
			MediaSequence: 3, DiscontinuitySequence: -1}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := c.Append(nil)
			path := filepath.Join("testdata", name+".m3u8")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if prefixed := c.Append([]byte("x")); !bytes.Equal(prefixed,
				append([]byte("x"), got...)) {
				t.Error("Append does not append")
			}
		})
	}
}

func TestDecimal(t *testing.T) {
	for _, c := range []struct {
		value  int64
		places int
		want   string
	}{
		{0, 3, "0.0"}, {1, 3, "0.001"}, {998, 3, "0.998"}, {1010, 3, "1.01"}, {1100, 3, "1.1"},
		{5000, 3, "5.0"},
		{1907, 3, "1.907"}, {20000, 3, "20.0"}, {100001, 3, "100.001"}, {2997, 2, "29.97"},
		{1500, 2, "15.0"}, {1502, 2, "15.02"},
	} {
		if got := string(appendDecimal(nil, c.value, c.places)); got != c.want {
			t.Errorf("%d with %d places: %s, want %s", c.value, c.places, got, c.want)
		}
	}
}

func TestInstant(t *testing.T) {
	for millis, want := range map[int64]string{
		1637074781000: "2021-11-16T14:59:41Z",
		1643353235931: "2022-01-28T07:00:35.931Z",
		1643353235001: "2022-01-28T07:00:35.001Z",
		1643353235100: "2022-01-28T07:00:35.100Z",
		0:             "1970-01-01T00:00:00Z",
	} {
		if got := string(appendInstant(nil, millis)); got != want {
			t.Errorf("%d: %s, want %s", millis, got, want)
		}
	}
}

func BenchmarkSegment(b *testing.B) {
	s := Segment{Discontinuities: 1, DateTime: 1643353235931, HasDateTime: true,
		Duration: 1_857_000_000,
		URI: "getMP4MediaFragment.mp4?FragmentNumber=913438523331850571058" +
			"75891022195998207386831087&SessionToken=x&TrackNumber=1"}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = s.Append(buf[:0])
	}
}
