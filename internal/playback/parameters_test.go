package playback

import (
	"reflect"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

func testParameters() *parameters {
	return &parameters{
		format: hlsFragmentedMP4, mode: timeline.LiveReplay, switching: true, last: 12,
		selector: store.ProducerTimestamp, discontinuity: timeline.DiscontinuityOnGap,
		timestamps: true,
		max:        5000, start: -1, end: 1_700_000_000_123, origin: 1_700_000_000_000,
		first: 1 << 60, trackSet: 3, frameRate: 2997, bandwidth: 1e9,
		tracks: []timeline.Track{
			{Number: 1, Kind: media.Video, Timescale: 90_000},
			{Number: 2, Kind: media.Audio, Timescale: 44_100},
		},
	}
}

func TestParameters(t *testing.T) {
	p := testParameters()
	if got, err := decodeParameters(p.encode()); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("parameters: %v\ngot  %+v\nwant %+v", err, got, p)
	}
	for n := range p.encode() {
		if _, err := decodeParameters(p.encode()[:n]); err == nil {
			t.Errorf("parameters cut to %d bytes are taken", n)
		}
	}
}

func FuzzParameters(f *testing.F) {
	f.Add(testParameters().encode())
	f.Add([]byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := decodeParameters(data); err == nil {
			again, err := decodeParameters(p.encode())
			if err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("parameters do not survive: %v", err)
			}
		}
	})
}
