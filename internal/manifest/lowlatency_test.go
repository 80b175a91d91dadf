package manifest

import "testing"

// Players need this order: numbers before EXT-X-SKIP (hls.js issues 7554 and 7905), discontinuity,
// map and date before the first part, and the hint after the last segment (OvenMediaEngine issue
// 2037).
func TestLowLatency(t *testing.T) {
	m := Media{Header: Header{Version: LowLatencyVersion, TargetDuration: 2, MediaSequence: 70,
		DiscontinuitySequence: 3,
		LowLatency: LowLatency{PartTarget: 334, PartHoldBack: 1002, SkipUntil: 12_000,
			Skipped: 60}},
		Segments: []Segment{
			{Duration: 2_000_000_000, URI: "a"},
			{Discontinuities: 1, Map: "m", HasDateTime: true, DateTime: 1_700_000_000_000,
				Duration: 600_000_007, URI: "b", Gap: true,
				Parts: []Part{{Duration: 334_000_000, URI: "b0", Independent: true, Gap: true},
					{Duration: 266_000_000, URI: "b1", Gap: true}}},
		}}
	open := Segment{Discontinuities: 1, Parts: []Part{
		{Duration: 320_000_000, URI: "c0", Independent: true},
		{Duration: 334_000_000, URI: "c1"}}}
	text := open.AppendOpen(m.Append(nil))
	text = AppendPreloadHint(text, "c2")
	text = (&Report{URI: "audio", LastMSN: 132, LastPart: 0}).Append(text)
	text = (&Report{URI: "more", LastMSN: 131, LastPart: -1}).Append(text)
	want := `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:70
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.002,CAN-SKIP-UNTIL=12.0
#EXT-X-PART-INF:PART-TARGET=0.334
#EXT-X-SKIP:SKIPPED-SEGMENTS=60
#EXTINF:2.0,
a
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="m"
#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20Z
#EXT-X-PART:DURATION=0.334,URI="b0",INDEPENDENT=YES,GAP=YES
#EXT-X-PART:DURATION=0.266,URI="b1",GAP=YES
#EXT-X-GAP
#EXTINF:0.600000007,
b
#EXT-X-DISCONTINUITY
#EXT-X-PART:DURATION=0.32,URI="c0",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.334,URI="c1"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="c2"
#EXT-X-RENDITION-REPORT:URI="audio",LAST-MSN=132,LAST-PART=0
#EXT-X-RENDITION-REPORT:URI="more",LAST-MSN=131
`
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
