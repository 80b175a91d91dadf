package timeline

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
)

func testTimeline() *State {
	return &State{
		Cursor: 77, greatest: 1 << 61, ServerTime: 1_700_000_000_123, Target: 4,
		discontinuity: 12, epoch: -1,
		Due: 1_700_000_004_000, dated: 1_700_000_006_000, ended: true, changes: 2, Generation: 1,
		Generations: []Generation{
			{3, [MaxTracks]int64{90_000, 44_100}, false},
			{5, [MaxTracks]int64{90_000, 48_000}, true},
		},
		mapped: [MaxTracks]int{1, 0},
		end:    [MaxTracks]int64{1_700_000_000_123_456, -5},
		known:  [MaxTracks]bool{true, true}, dependent: [MaxTracks]bool{true, false}, later: 1,
		Listed: [MaxTracks]int64{12, 11}, Dropped: [MaxTracks]int64{9, 8},
		Entries: []Entry{
			{Number: 1 << 60, Timestamp: 1_700_000_000_000, Server: 1_700_000_000_050,
				Due: 1_700_000_000_000, Date: 1_700_000_000_000, Slice: Slice{Until: 2000},
				Discontinuity: 11,
				Duration:      [MaxTracks]int64{2000, -1}, Tags: [MaxTracks]int64{1, 0},
				Independent: [MaxTracks]bool{true, false}, Skips: [MaxTracks]bool{true, false}},
			{Number: 1 << 59, Timestamp: 1_600_000_000_000, Server: 1_700_000_002_050,
				Due: 1_700_000_002_500, Date: 1_700_000_003_000, Slice: Slice{From: 2000},
				Silence: Silence{-300, 96_000}, Discontinuity: 12, Generation: 1,
				Duration: [MaxTracks]int64{0, 1999}, Tags: [MaxTracks]int64{1, 3},
				Independent: [MaxTracks]bool{false, true}, Change: [MaxTracks]bool{true, false}},
		},
	}
}

// testPeriods is the timeline of a DASH session.
func testPeriods() *State {
	t := testTimeline()
	t.Periods = []Period{{3, 2000, -5}, {4, 9000, 400}}
	t.presented, t.until = 12_000, [MaxTracks]int64{180_000, -44_100}
	t.Entries[0].Period, t.Entries[1].Period = 3, 4
	t.Entries[0].Begin, t.Entries[0].Ticks = [MaxTracks]int64{-90, 0}, [MaxTracks]int64{180_000, 0}
	t.Entries[1].Begin, t.Entries[1].Ticks = [MaxTracks]int64{36_000, 5},
		[MaxTracks]int64{1, 88_199}
	return t
}

// testGap is a timeline with a fragment that broke off after it was listed in parts.
func testGap() *State {
	t := testTimeline()
	t.Entries[1].Gap = &Gap{Parts: [MaxTracks][]Part{
		{{Duration: 320_000, Independent: true}, {Duration: 320_000}},
		{{Duration: 300_000, Independent: true}}}}
	return t
}

// testLater is a timeline whose sound begins after its pictures.
func testLater() *State {
	t := testTimeline()
	t.Entries[0].Later, t.Entries[1].Later = [MaxTracks]int64{0, 20}, [MaxTracks]int64{0, -3}
	return t
}

func TestCheckpoint(t *testing.T) {
	testCheckpoint(t, testTimeline())
	testCheckpoint(t, testPeriods())
	testCheckpoint(t, testGap())
	testCheckpoint(t, testLater())
}

// A checkpoint of a version that listed parts in microseconds can be read.
func TestGapOfTheVersionBefore(t *testing.T) {
	data, err := hex.DecodeString("06024d808080808080808020f6a1abfef962040c01c0deabfef962e0fdab" +
		"fef9620102010380898182838985060c010902090b000802030090bf05c4d802050190bf0580f70202808080" +
		"80808080802080a0abfef9626480a0abfef96200d00f0b0000000000d10f0d00000000ffffffffffffffff0f" +
		"ff9fb787e90584c0b787e905e807d00f000102f0ceb787e905d704acf00500010ad00f190000010102810580" +
		"0501d904")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Decode(data, 2); err != nil || !reflect.DeepEqual(got, testGap()) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, testGap())
	}
}

func testCheckpoint(t *testing.T, state *State) {
	data := state.Encode(2)
	if got, err := Decode(data, 2); err != nil || !reflect.DeepEqual(got, state) {
		t.Errorf("checkpoint: %v\ngot  %+v\nwant %+v", err, got, state)
	}
	cursor, at, err := ReadCursor(data)
	if err != nil || cursor != state.Cursor || at != state.ServerTime {
		t.Errorf("cursor: %d %d %v", cursor, at, err)
	}
	for n := range data {
		if _, err := Decode(data[:n], 2); err == nil {
			t.Errorf("a checkpoint cut to %d bytes of %d is taken", n, len(data))
		}
	}
	if _, err := Decode(data, 1); err == nil {
		t.Error("a checkpoint of two tracks is taken for one of one")
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(testTimeline().Encode(2))
	f.Add(testPeriods().Encode(2))
	f.Add(testGap().Encode(2))
	f.Add(append([]byte{checkpointVersion, 2, 16: 0}, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f))
	f.Fuzz(func(t *testing.T, data []byte) {
		for n := 1; n <= MaxTracks; n++ {
			if state, err := Decode(data, n); err == nil {
				first := state.Encode(n)
				again, err := Decode(first, n)
				if err != nil || !bytes.Equal(again.Encode(n), first) {
					t.Errorf("checkpoint does not survive: %v", err)
				}
			}
		}
	})
}

// A checkpoint of the version before can be read: its dates are the timestamps, and it has no
// silence.
func TestCheckpointOfTheVersionBefore(t *testing.T) {
	data := hexBytes(t,
		"03024d808080808080808020f6a1abfef962040c01c0deabfef9620102010380898182838985060c"+
			"010902090b0008020390bf05c4d8020590bf0580f7020280808080808080802080a0abfef9626480"+
			"a0abfef96200d00f0b0000d10f050000ffffffffffffffff0fff9fb787e90584c0b787e905e807d0"+
			"0f000102000106d00f0d")
	want := testTimeline()
	want.dated, want.Generations[1].Silent = 0, false
	for i := range want.Entries {
		e := &want.Entries[i]
		e.Date, e.Silence, e.Skips = e.Timestamp+e.Slice.From, Silence{}, [MaxTracks]bool{}
	}
	if got, err := Decode(data, 2); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
}

func hexBytes(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
