package playback

import (
	"bytes"
	"reflect"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
)

func testParameters() *parameters {
	return &parameters{
		format: hlsFragmentedMP4, mode: liveReplay, switching: true, last: 12, selector: store.ProducerTimestamp, discontinuity: discontinuityOnGap, timestamps: true,
		max: 5000, start: -1, end: 1_700_000_000_123, origin: 1_700_000_000_000, first: 1 << 60, trackSet: 3, frameRate: 2997, bandwidth: 1e9,
		tracks: []packagedTrack{{1, media.Video, 90_000}, {2, media.Audio, 44_100}},
	}
}

func testTimeline() *timeline {
	return &timeline{
		cursor: 77, greatest: 1 << 61, serverTime: 1_700_000_000_123, target: 4, count: 12, epoch: -1,
		due: 1_700_000_004_000, dated: 1_700_000_006_000, ended: true, changes: 2, generation: 1,
		generations: []generation{{3, [maxTracks]int64{90_000, 44_100}, false}, {5, [maxTracks]int64{90_000, 48_000}, true}},
		mapped:      [maxTracks]int{1, 0},
		end:         [maxTracks]int64{1_700_000_000_123_456, -5}, known: [maxTracks]bool{true, true}, dependent: [maxTracks]bool{true, false}, later: 1, listed: [maxTracks]int64{12, 11}, dropped: [maxTracks]int64{9, 8},
		entries: []entry{
			{number: 1 << 60, timestamp: 1_700_000_000_000, server: 1_700_000_000_050, due: 1_700_000_000_000, date: 1_700_000_000_000, part: part{until: 2000}, discontinuity: 11,
				duration: [maxTracks]int64{2000, -1}, tags: [maxTracks]int64{1, 0}, independent: [maxTracks]bool{true, false}, skips: [maxTracks]bool{true, false}},
			{number: 1 << 59, timestamp: 1_600_000_000_000, server: 1_700_000_002_050, due: 1_700_000_002_500, date: 1_700_000_003_000, part: part{from: 2000}, silence: silence{-300, 96_000}, discontinuity: 12, generation: 1,
				duration: [maxTracks]int64{0, 1999}, tags: [maxTracks]int64{1, 3}, independent: [maxTracks]bool{false, true}, change: [maxTracks]bool{true, false}},
		},
	}
}

func TestEncoding(t *testing.T) {
	p := testParameters()
	if got, err := decodeParameters(p.encode()); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("parameters: %v\ngot  %+v\nwant %+v", err, got, p)
	}
	state := testTimeline()
	data := state.encode(2)
	if got, err := decodeTimeline(data, 2); err != nil || !reflect.DeepEqual(got, state) {
		t.Errorf("checkpoint: %v\ngot  %+v\nwant %+v", err, got, state)
	}
	if cursor, at, err := checkpointHead(data); err != nil || cursor != state.cursor || at != state.serverTime {
		t.Errorf("head: %d %d %v", cursor, at, err)
	}
	for n := range data {
		if _, err := decodeTimeline(data[:n], 2); err == nil {
			t.Errorf("a checkpoint cut to %d bytes of %d is taken", n, len(data))
		}
	}
	for n := range p.encode() {
		if _, err := decodeParameters(p.encode()[:n]); err == nil {
			t.Errorf("parameters cut to %d bytes are taken", n)
		}
	}
	if _, err := decodeTimeline(data, 1); err == nil {
		t.Error("a checkpoint of two tracks is taken for one of one")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(testParameters().encode())
	f.Add(testTimeline().encode(2))
	f.Add([]byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := decodeParameters(data); err == nil {
			again, err := decodeParameters(p.encode())
			if err != nil || !reflect.DeepEqual(again, p) {
				t.Errorf("parameters do not survive: %v", err)
			}
		}
		for n := 1; n <= maxTracks; n++ {
			if state, err := decodeTimeline(data, n); err == nil {
				first := state.encode(n)
				again, err := decodeTimeline(first, n)
				if err != nil || !bytes.Equal(again.encode(n), first) {
					t.Errorf("checkpoint does not survive: %v", err)
				}
			}
		}
	})
}

// A checkpoint that the version before wrote is read: its dates are the timestamps, and nothing of it is silent.
func TestCheckpointOfTheVersionBefore(t *testing.T) {
	data := mustHex("03024d808080808080808020f6a1abfef962040c01c0deabfef9620102010380898182838985060c010902090b0008020390bf05c4d8020590bf0580f70202808080808080" +
		"80802080a0abfef9626480a0abfef96200d00f0b0000d10f050000ffffffffffffffff0fff9fb787e90584c0b787e905e807d00f000102000106d00f0d")
	want := testTimeline()
	want.dated, want.generations[1].silent = 0, false
	for i := range want.entries {
		e := &want.entries[i]
		e.date, e.silence, e.skips = e.timestamp+e.part.from, silence{}, [maxTracks]bool{}
	}
	if got, err := decodeTimeline(data, 2); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
}
