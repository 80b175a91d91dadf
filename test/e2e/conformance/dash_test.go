package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// liveMPD is a manifest with the segments from first on, of one second each.
func liveMPD(first, published int) string {
	var pictures, sound strings.Builder
	for n := first; n < first+4; n++ {
		fmt.Fprintf(&pictures, `<S t="%d" d="90000" kvs:ts="2026-01-01T00:00:00Z"/>`+"\n", n*90000)
		fmt.Fprintf(&sound, `<S t="%d" d="48000"/>`+"\n", n*48000)
	}
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:kvs="urn:kvs" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="dynamic" availabilityStartTime="2026-01-01T00:00:00Z" publishTime="2026-01-01T00:00:%02dZ" minimumUpdatePeriod="PT1S" timeShiftBufferDepth="PT4S" suggestedPresentationDelay="PT3S" minBufferTime="PT1.5S" maxSegmentDuration="PT1S">
<Period id="0" start="PT0S">
<AdaptationSet id="1" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">
<SegmentTemplate timescale="90000" presentationTimeOffset="0" startNumber="%d" initialization="i.mp4?t=1" media="s.mp4?t=1&amp;n=$Number$">
<SegmentTimeline>
%s</SegmentTimeline></SegmentTemplate>
<Representation id="1" codecs="avc1.42c00d" bandwidth="500000" width="320" height="240" frameRate="30000/1001"/>
</AdaptationSet>
<AdaptationSet id="2" contentType="audio" mimeType="audio/mp4" segmentAlignment="true">
<SegmentTemplate timescale="48000" presentationTimeOffset="0" startNumber="%d" initialization="i.mp4?t=2" media="s.mp4?t=2&amp;n=$Number$">
<SegmentTimeline>
%s</SegmentTimeline></SegmentTemplate>
<Representation id="2" codecs="mp4a.40.2" bandwidth="64000" audioSamplingRate="48000"><AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="1"/></Representation>
</AdaptationSet>
</Period>
<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2014" value="/time"/>
</MPD>
`, published, first, pictures.String(), first, sound.String())
}

// recordedMPD is the same of a presentation that is over.
func recordedMPD() string {
	return strings.NewReplacer(`"dynamic"`, `"static"`, ` minimumUpdatePeriod="PT1S"`, "",
		` timeShiftBufferDepth="PT4S"`, ` mediaPresentationDuration="PT4S"`).Replace(liveMPD(0, 10))
}

func parsedMPD(text string) *MPD {
	m, _ := ParseMPD([]byte(text))
	return m
}

// mpdTiming is what the first segment of liveMPD's pictures is.
func mpdTiming() *Timing { return &Timing{Scale: 90000, Duration: 90000, Key: true} }

func TestGoodManifestsPass(t *testing.T) {
	before, f := ParseMPD([]byte(liveMPD(0, 10)))
	clean(t, "live", f)
	after, f := ParseMPD([]byte(liveMPD(1, 11)))
	clean(t, "live, updated", f)
	clean(t, "update", CheckMPDUpdate(before, after))
	static, f := ParseMPD([]byte(recordedMPD()))
	clean(t, "recorded", f)
	clean(t, "recorded, again", CheckMPDUpdate(static, static))
	set := &before.Periods[0].Sets[0]
	clean(t, "init", CheckMPDInit("init", set,
		&Init{Timescale: 90000, Codec: "avc1.42c00d", Width: 320, Height: 240}))
	clean(t, "segment", CheckMPDSegment("segment", set, set.Template.Timeline[0], mpdTiming(), 0))
	clean(t, "bandwidth", CheckMPDBandwidth("video", before, &set.Representations[0],
		[]Piece{{time.Second, 93000}, {time.Second, 60000}}))
}

// manifest breaks a live manifest in its text.
func manifest(rule Rule, old, new string) mutation {
	return mutation{"MPD: " + old + " → " + new, rule, func() Findings {
		_, f := ParseMPD([]byte(replace(liveMPD(0, 10), old, new)))
		return f
	}}
}

// manifestUpdate breaks the second of two live manifests.
func manifestUpdate(rule Rule, old, new string) mutation {
	return mutation{"MPD update: " + old + " → " + new, rule, func() Findings {
		return CheckMPDUpdate(parsedMPD(liveMPD(0, 10)),
			parsedMPD(replace(liveMPD(1, 11), old, new)))
	}}
}

// manifestMedia bends the media of the first segment.
func manifestMedia(rule Rule, what string, bend func(*Timing)) mutation {
	return mutation{"MPD and segment: " + what, rule, func() Findings {
		t, set := mpdTiming(), &parsedMPD(liveMPD(0, 10)).Periods[0].Sets[0]
		bend(t)
		return CheckMPDSegment("segment", set, set.Template.Timeline[0], t, 50*time.Millisecond)
	}}
}

func dashMutations() []mutation {
	return []mutation{
		manifest(MPDForm, "</MPD>", ""),
		manifest(MPDForm, "schema:mpd:2011", "schema:mpd:2012"),
		manifest(MPDForm, `minBufferTime="PT1.5S"`, `minBufferTime="1.5"`),
		manifest(MPDForm, `publishTime="2026-01-01T00:00:10Z"`, `publishTime="2026-01-01 00:00"`),
		manifest(MPDUnknown, ` startWithSAP="1"`, ` startsWithSAP="1"`),
		manifest(MPDUnknown, "<UTCTiming", "<UtcTiming"),
		manifest(MPDUnknown, ` d="90000"`, ` d="90000" fn="1"`),
		manifest(MPDAttributes, ` minBufferTime="PT1.5S"`, ""),
		manifest(MPDType, ` minimumUpdatePeriod="PT1S"`, ""),
		manifest(MPDType, ` minimumUpdatePeriod="PT1S"`, ` mediaPresentationDuration="PT9S"`),
		manifest(MPDType, `"dynamic"`, `"live"`),
		manifest(MPDType, `"dynamic"`, `"static"`),
		manifest(MPDClock, "urn:mpeg:dash:utc:http-xsdate:2014", "urn:x"),
		manifest(MPDPeriod, `<Period id="0"`, "<Period"),
		manifest(MPDPeriod, "<UTCTiming", `<Period id="0" start="PT9S"></Period><UTCTiming`),
		manifest(MPDSet, `contentType="video"`, `contentType="audio"`),
		manifest(MPDSet, ` segmentAlignment="true"`, ""),
		manifest(MPDSet, "<UTCTiming", `<Period id="1" start="PT9S"></Period><UTCTiming`),
		manifest(MPDRepresentation, ` bandwidth="500000"`, ""),
		manifest(MPDRepresentation, ` codecs="avc1.42c00d"`, ""),
		manifest(MPDRepresentation, `<Representation id="2"`, `<Representation id="1"`),
		manifest(MPDRepresentation, `frameRate="30000/1001"`, `frameRate="29.97"`),
		manifest(MPDRepresentation, ` audioSamplingRate="48000"`, ""),
		manifest(MPDTemplate, "$Number$", "$Numer$"),
		manifest(MPDTemplate, `timescale="90000"`, `timescale="0"`),
		manifest(MPDTimeline, `t="90000"`, `t="90001"`),
		manifest(MPDTimeline, `<S t="0" d="90000"`, `<S t="0" d="0"`),
		manifest(MPDLongest, `maxSegmentDuration="PT1S"`, `maxSegmentDuration="PT0.9S"`),
		{"MPD: ends early", MPDDuration, func() Findings {
			_, f := ParseMPD([]byte(replace(recordedMPD(), `Duration="PT4S"`, `Duration="PT3.9S"`)))
			return f
		}},
		{"MPD: static, and changes", MPDStatic, func() Findings {
			return CheckMPDUpdate(parsedMPD(recordedMPD()),
				parsedMPD(replace(recordedMPD(), "64000", "64001")))
		}},
		manifestUpdate(MPDAvailability, "StartTime=\"2026-01-01", "StartTime=\"2026-01-02"),
		manifestUpdate(MPDPublish, "00:00:11Z", "00:00:09Z"),
		manifestUpdate(MPDPeriodChanged, `start="PT0S"`, `start="PT1S"`),
		manifestUpdate(MPDPeriodChanged, `<Period id="0"`, `<Period id="1"`),
		manifestUpdate(MPDSetChanged, `frameRate="30000/1001"`, `frameRate="25"`),
		manifestUpdate(MPDSetChanged, `presentationTimeOffset="0"`, `presentationTimeOffset="1"`),
		manifestUpdate(MPDSegmentGone, `<S t="270000" d="90000" kvs:ts="2026-01-01T00:00:00Z"/>`+
			"\n"+`<S t="360000" d="90000" kvs:ts="2026-01-01T00:00:00Z"/>`, ""),
		manifestUpdate(MPDSegmentGone, `startNumber="1"`, `startNumber="-1"`),
		manifestUpdate(MPDSegmentChanged, `<S t="90000" d="90000"`, `<S t="90000" d="89000"`),
		manifestMedia(MPDSegmentTime, "shorter than its entry", func(t *Timing) {
			t.Duration = 89000
		}),
		manifestMedia(MPDSegmentTime, "begins too early", func(t *Timing) {
			t.Start, t.Duration = -9000, 99000
		}),
		manifestMedia(MPDSegmentSAP, "a P-frame first", func(t *Timing) { t.Key = false }),
		{"MPD and init: another timescale", MPDMedia, func() Findings {
			return CheckMPDInit("init", &parsedMPD(liveMPD(0, 10)).Periods[0].Sets[0],
				&Init{Timescale: 1000, Codec: "avc1.42c00d", Width: 320, Height: 240})
		}},
		{"MPD and init: another codec", MPDMedia, func() Findings {
			return CheckMPDInit("init", &parsedMPD(liveMPD(0, 10)).Periods[0].Sets[0],
				&Init{Timescale: 90000, Codec: "avc1.64001f", Width: 320, Height: 240})
		}},
		{"MPD: bandwidth of the average", MPDBandwidth, func() Findings {
			m := parsedMPD(liveMPD(0, 10))
			return CheckMPDBandwidth("video", m, &m.Periods[0].Sets[0].Representations[0],
				[]Piece{{time.Second, 20000}, {time.Second, 94000}, {time.Second, 20000}})
		}},
	}
}
