package conformance

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func clean(t *testing.T, what string, f Findings) {
	t.Helper()
	if len(f) > 0 {
		t.Fatalf("%s:\n%v", what, f)
	}
}

// What is good passes every check: otherwise the mutations below prove nothing.
func TestGoodOnesPass(t *testing.T) {
	vod, f := ParseMedia([]byte(goodVOD))
	clean(t, "VOD", f)
	clean(t, "VOD dates", CheckDates(vod, 0))
	clean(t, "VOD maps", CheckMaps(vod))
	clean(t, "VOD again", CheckReload(vod, vod))
	before, f := ParseMedia([]byte(goodLive))
	clean(t, "live", f)
	after, f := ParseMedia([]byte(goodReload))
	clean(t, "reload", f)
	clean(t, "live, reload", CheckReload(before, after))
	clean(t, "renditions", CheckRenditions(before, after, time.Second))
	iframes, f := ParseMedia([]byte(goodIFrames))
	clean(t, "I-frames", f)
	clean(t, "I-frames of VOD", CheckIFrames(iframes, vod, 0))
	master, f := ParseMaster([]byte(goodMaster))
	clean(t, "master", f)
	clean(t, "codecs", CheckCodecs(&master.Variants[0], []string{"mp4a.40.2", "avc1.42c00d"}))
	clean(t, "bandwidth", CheckBandwidth(&master.Variants[0], 500000, 400000))
	clean(t, "picture", CheckPicture(&master.Variants[0], 320, 240, 25.02))
	in, f := ParseInit(goodInit())
	clean(t, "init", f)
	if in.Codec != "avc1.42c00d" || in.Width != 320 || in.Height != 240 || in.Timescale != 1000 {
		t.Errorf("init: %+v", in)
	}
	a, f := ParseFragment(in, "first", goodFragment(1, 0).bytes())
	clean(t, "first", f)
	b, f := ParseFragment(in, "second", goodFragment(2, 80).bytes())
	clean(t, "second", f)
	if b.Start != 80 || b.Duration != 80 || b.Frames != 2 || !b.Key {
		t.Errorf("second: %+v", b)
	}
	clean(t, "timeline", CheckTimeline(listed(), []*Timing{a, b}, Source{}))
	whole := goodFragment(1, 0).bytes()
	clean(t, "I-frame", CheckIFrame(in, "I-frame", whole[:len(whole)-8]))
	w := newTransport()
	ts1, f := ParseTS("first", goodTS(w, 900000))
	clean(t, "first TS", f)
	ts2, f := ParseTS("second", goodTS(w, 907200))
	clean(t, "second TS", f)
	clean(t, "TS after TS", CheckTSContinuity("second", ts1, ts2))
	clean(t, "TS timeline",
		CheckTimeline(listed(), []*Timing{&ts1.Video().Timing, &ts2.Video().Timing},
			Source{Tolerance: time.Microsecond}))
	if got := strings.Join(ts1.Codecs(), ","); got != "avc1.42c00d,mp4a.40.2" {
		t.Errorf("codecs of TS: %s", got)
	}
}

// listed is a playlist of two segments of 80 ms.
func listed() *Media {
	return &Media{Independent: true,
		Segments: []Segment{{Duration: 80 * time.Millisecond},
			{Sequence: 1, Duration: 80 * time.Millisecond}}}
}

func mutations() []mutation {
	const title = "#EXTM3U\n"
	list := []mutation{
		media(Encoding, title, "\xEF\xBB\xBF"+title),
		media(Encoding, "a.mp4", "\xFF.mp4"),
		media(Encoding, "#EXT-X-ENDLIST\n", "#EXT-X-ENDLIST"),
		media(ControlCharacter, "a.mp4", "a\x01.mp4"),
		media(FirstLine, title, "#EXT-X-M3U\n"),
		media(FirstLine, title, "\n"+title),
		media(WhiteSpace, "a.mp4\n", "a.mp4 \n"),
		media(URI, "a.mp4", "a b.mp4"),
		media(URI, "a.mp4", "%zz"),
		media(UnknownTag, "#EXT-X-ENDLIST", "#EXT-X-END"),
		media(RepeatedTag, "#EXT-X-TARGETDURATION:2\n",
			"#EXT-X-TARGETDURATION:2\n#EXT-X-TARGETDURATION:2\n"),
		media(RepeatedTag, "#EXTINF:1.5,\n", "#EXTINF:1.5,\n#EXTINF:1.5,\n"),
		media(TagValue, "#EXT-X-TARGETDURATION:2", "#EXT-X-TARGETDURATION:2.0"),
		media(TagValue, "#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-MEDIA-SEQUENCE:-1"),
		media(TagValue, "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-INDEPENDENT-SEGMENTS:YES"),
		media(TagValue, "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-PLAYLIST-TYPE:vod"),
		media(TagValue, "#EXTINF:1.5,", "#EXTINF:1.5"),
		media(TagValue, "#EXTINF:1.5,", "#EXTINF:-1.5,"),
		media(TagOrder, "#EXT-X-ENDLIST", "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-ENDLIST"),
		media(TagOrder, "#EXT-X-MAP", "#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-MAP"),
		media(DanglingTag, "#EXT-X-ENDLIST", "#EXT-X-DISCONTINUITY\n#EXT-X-ENDLIST"),
		media(MixedPlaylist, "#EXT-X-ENDLIST",
			"#EXT-X-SESSION-DATA:DATA-ID=\"x\",VALUE=\"y\"\n#EXT-X-ENDLIST"),
		media(AttributeList, `URI="init.mp4?k=0"`, `URI= "init.mp4?k=0"`),
		media(AttributeList, `URI="init.mp4?k=0"`, `URI="init.mp4?k=0",`),
		media(AttributeType, `URI="init.mp4?k=0"`, `URI=init`),
		media(RepeatedAttribute, `URI="init.mp4?k=0"`, `URI="init.mp4?k=0",URI="b"`),
		media(UnknownAttribute, `URI="init.mp4?k=0"`, `URI="init.mp4?k=0",SIZE=3`),
		media(RequiredAttribute, `URI="init.mp4?k=0"`, `BYTERANGE="700@0"`),
		media(Version, "#EXT-X-VERSION:7", "#EXT-X-VERSION:5"),
		media(Version, "#EXT-X-VERSION:7\n", ""),
		media(MissingTargetDuration, "#EXT-X-TARGETDURATION:2\n", ""),
		media(TargetDuration, "#EXTINF:2.4,", "#EXTINF:2.6,"),
		media(MissingDuration, "#EXTINF:1.5,\n", ""),
		media(EmptySegment, "#EXTINF:1.5,", "#EXTINF:0,"),
		media(ByteRange, "b.mp4", "#EXT-X-BYTERANGE:5@x\nb.mp4"),
		media(ByteRange, "b.mp4", "#EXT-X-BYTERANGE:5\nb.mp4"),
		media(DateForm, "2026-01-01T00:00:02Z", "2026-01-01 00:00:02Z"),
		media(DateForm, "2026-01-01T00:00:02Z", "2026-01-01T00:00:02"),
		media(DateDrift, "2026-01-01T00:00:02Z", "2026-01-01T00:00:02.003Z"),
		media(VODEnds, "#EXT-X-ENDLIST\n", ""),
		media(MapMissing, "#EXT-X-MAP:URI=\"init.mp4?k=0\"\n", ""),
		media(MapDiscontinuity, "b.mp4", "#EXT-X-MAP:URI=\"init.mp4?k=1\"\nb.mp4"),
		live(TargetDuration, "#EXTINF:1.0,", "#EXTINF:1.501,"),
		iframes(IFramesOnly, "#EXT-X-I-FRAMES-ONLY\n", ""),
		iframes(Version, "#EXT-X-VERSION:7", "#EXT-X-VERSION:3"),
		iframes(IFrameRange, "#EXT-X-BYTERANGE:900@0\n", ""),
		iframes(IFrameMap, "#EXT-X-MAP:URI=\"init.mp4?k=0\"\n", ""),
		iframes(IFrameDuration, "#EXTINF:2.4,", "#EXTINF:0.04,"),
		reload(TargetDurationChanged, "#EXT-X-TARGETDURATION:1", "#EXT-X-TARGETDURATION:2"),
		reload(HeaderChanged, "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
		reload(HeaderChanged, "#EXT-X-VERSION:7", "#EXT-X-VERSION:6"),
		reload(MediaSequenceBack, "#EXT-X-MEDIA-SEQUENCE:5", "#EXT-X-MEDIA-SEQUENCE:3"),
		reload(DiscontinuityBack, "#EXT-X-DISCONTINUITY-SEQUENCE:2\n", ""),
		reload(Removed,
			"#EXTINF:1.0,\ns7.mp4\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:11Z\n#EXTINF:1.0,\n"+
				"s8.mp4\n", ""),
		reload(ShortWindow,
			"#EXTINF:1.0,\ns7.mp4\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:11Z\n#EXTINF:1.0,\n"+
				"s8.mp4\n", ""),
		reload(SegmentChanged, "s6.mp4", "s9.mp4"),
		reload(DurationChanged, "#EXTINF:1.0,", "#EXTINF:0.999,"),
		reload(DiscontinuityChanged, "#EXT-X-DISCONTINUITY\n", ""),
		reload(DiscontinuityChanged, "#EXT-X-DISCONTINUITY-SEQUENCE:2",
			"#EXT-X-DISCONTINUITY-SEQUENCE:1"),
		reload(DateChanged, "2026-01-01T00:00:09Z", "2026-01-01T00:00:08Z"),
		reload(MapChanged, `URI="init.mp4"`, `URI="other.mp4"`),
		{"VOD that grows", Immutable, func() Findings {
			before, _ := ParseMedia([]byte(goodVOD))
			after, _ := ParseMedia(
				[]byte(replace(goodVOD, "#EXT-X-ENDLIST", "#EXTINF:1.0,\nd.mp4\n#EXT-X-ENDLIST")))
			return CheckReload(before, after)
		}},
		{"EVENT that loses a segment", Removed, func() Findings {
			before, _ := ParseMedia(
				[]byte(replace(goodLive, "#EXT-X-TARGET",
					"#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-TARGET")))
			after, _ := ParseMedia(
				[]byte(replace(goodReload, "#EXT-X-TARGET",
					"#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-TARGET")))
			return CheckReload(before, after)
		}},
		renditions(RenditionTarget, func(s string) string {
			return replace(s, "DURATION:2", "DURATION:3")
		}),
		renditions(RenditionType, func(s string) string {
			return replace(s, "#EXT-X-PLAYLIST-TYPE:VOD\n", "")
		}),
		renditions(RenditionDate, func(s string) string {
			return strings.ReplaceAll(s, "#EXT-X-PROGRAM-DATE-TIME:", "#")
		}),
		renditions(RenditionDate, func(s string) string {
			return replace(s, "00:00:00Z", "00:00:00.100Z")
		}),
		renditions(RenditionSpan, func(s string) string {
			return replace(s, "#EXT-X-ENDLIST", "#EXTINF:2.1,\nd.mp4\n#EXT-X-ENDLIST")
		}),
		renditions(RenditionDiscontinuity, func(s string) string {
			return replace(s, "#EXT-X-DISCONTINUITY\n", "")
		}),
		masterText(NoVariant, "#EXT-X-STREAM-INF:CODECS", "#X"),
		masterText(VariantURI, "video.m3u8\n", ""),
		masterText(VariantURI, "video.m3u8\n", "video.m3u8\nother.m3u8\n"),
		masterText(Codecs, `CODECS="avc1.42c00d,mp4a.40.2",`, ""),
		masterText(Codecs, `CODECS="avc1.42c00d,mp4a.40.2"`, `CODECS="avc1,mp4a.40.2"`),
		masterText(RequiredAttribute, "BANDWIDTH=500000,", ""),
		masterText(AttributeType, "RESOLUTION=320x240", `RESOLUTION="320x240"`),
		masterText(AttributeType, "DEFAULT=NO", "DEFAULT=FALSE"),
		masterText(UnknownAttribute, "#EXT-X-I-FRAME-STREAM-INF:",
			"#EXT-X-I-FRAME-STREAM-INF:FRAME-RATE=25.0,"),
		masterText(AverageBandwidth, "AVERAGE-BANDWIDTH=400000", "AVERAGE-BANDWIDTH=500001"),
		masterText(MixedPlaylist, "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-TARGETDURATION:2"),
		masterText(RenditionAttribute, "DEFAULT=NO", "FORCED=NO"),
		masterText(RenditionAttribute,
			"AUTOSELECT=YES,TYPE=AUDIO,URI=\"audio.m3u8\",GROUP-ID=\"audio\",DEFAULT=NO",
			"AUTOSELECT=NO,TYPE=AUDIO,URI=\"audio.m3u8\",GROUP-ID=\"audio\",DEFAULT=YES"),
		masterText(GroupNames, "#EXT-X-STREAM",
			`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio"`+"\n#EXT-X-STREAM"),
		masterText(GroupDefault, "#EXT-X-STREAM",
			`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="1",DEFAULT=YES`+"\n"+
				`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="2",DEFAULT=YES`+"\n#EXT-X-STREAM"),
		masterText(GroupMissing, `AUDIO="audio"`, `AUDIO="sound"`),
		{"CODECS of another profile", CodecsMatch, func() Findings {
			return CheckCodecs(&Variant{Codecs: []string{"avc1.42c00d"}}, []string{"avc1.64001f"})
		}},
		{"CODECS without the audio", CodecsMatch, func() Findings {
			return CheckCodecs(&Variant{Codecs: []string{"avc1.42c00d"}},
				[]string{"avc1.42c00d", "mp4a.40.2"})
		}},
		{"BANDWIDTH of the average", BandwidthLow, func() Findings {
			peak, average := PeakAndAverage([]Piece{{time.Second, 1000}, {time.Second, 3000}},
				time.Second)
			return CheckBandwidth(&Variant{Bandwidth: average}, peak, average)
		}},
		{"AVERAGE-BANDWIDTH of the first segment", AverageLow, func() Findings {
			peak, average := PeakAndAverage([]Piece{{time.Second, 1000}, {time.Second, 3000}},
				time.Second)
			return CheckBandwidth(&Variant{Bandwidth: peak, AverageBandwidth: 8000}, peak, average)
		}},
		{"RESOLUTION of the coded size", Resolution, func() Findings {
			return CheckPicture(&Variant{Resolution: "320x192"}, 320, 180, 25)
		}},
		{"FRAME-RATE doubled", FrameRate, func() Findings {
			return CheckPicture(&Variant{FrameRate: "50.0"}, 320, 180, 25)
		}},
		{"FRAME-RATE with four decimals", FrameRate, func() Findings {
			return CheckPicture(&Variant{FrameRate: "25.0001"}, 320, 180, 25)
		}},
		{"audio half a second late", RenditionTime, func() Findings {
			return CheckSync("segment 3", &Timing{Scale: 90000, Present: 90000},
				&Timing{Scale: 48000, Present: 72000}, 50*time.Millisecond)
		}},

		initBytes("a box too long", BoxSize, append(u32(24), "ftyp"...),
			append(u32(240000), "ftyp"...)),
		initBytes("no mvex", BoxMissing, []byte("mvex"), []byte("free")),
		initBytes("no vmhd", BoxMissing, []byte("vmhd"), []byte("smhd")),
		initBytes("mdat in it", InitOrder, []byte("moov"), []byte("mdat")),
		initBytes("ftyp is not first", InitOrder, []byte("ftyp"), []byte("free")),
		initBytes("old brands", Brand, []byte("iso6\x00\x00\x00\x00iso6cmf2"),
			[]byte("isom\x00\x00\x00\x00mp42avc1")),
		initBytes("a duration", InitDuration, cat(u32(1000), u32(0), make([]byte, 80)),
			cat(u32(1000), u32(5000), make([]byte, 80))),
		initBytes("samples", InitSamples, append([]byte("stts"), make([]byte, 8)...),
			append([]byte("stts"), 0, 0, 0, 0, 0, 0, 0, 1)),
		initBytes("an unknown sample entry", SampleEntry, []byte("avc1"), []byte("vp09")),
		initBytes("no pixels", SampleEntry, cat(u16(320), u16(240)), u32(0)),
		initBytes("trex of another track", TrackID, append([]byte("trex"), cat(u32(0), u32(1))...),
			append([]byte("trex"), cat(u32(0), u32(9))...)),
		initBytes("timescale 0", Timescale,
			append([]byte("mdhd"), cat(u32(0), u32(0), u32(0), u32(1000))...),
			append([]byte("mdhd"), make([]byte, 16)...)),

		raw("cut short", BoxSize, func(b []byte) []byte { return b[:len(b)-1] }),
		raw("mdat first", SegmentOrder, func(b []byte) []byte { return cat(makeBox("mdat"), b) }),
		raw("an initialization section before it", SegmentOrder, func(b []byte) []byte {
			return cat(goodInit(), b)
		}),
		raw("no media", SegmentOrder, func(b []byte) []byte {
			return makeBox("styp", []byte("iso6"))
		}),
		moof("offsets from the file", BaseIsMoof, func(g *fragment) { g.tfhd = 0 }),
		moof("another track", TrackID, func(g *fragment) { g.track = 2 }),
		moof("no tfdt", DecodeTime, func(g *fragment) { g.noTfdt = true }),
		moof("a sample too many in trun", SampleCount, func(g *fragment) { g.count = 1 }),
		moof("a sample of no duration", SampleDuration, func(g *fragment) { g.durations[1] = 0 }),
		moof("data begin too late", DataOffset, func(g *fragment) { g.dataOffset = 1 }),
		moof("data end beyond mdat", SampleSize, func(g *fragment) { g.dataOffset = 4 }),
		moof("two frames at one time", PresentationTime, func(g *fragment) { g.offsets[0] = 40 }),
		moof("a P-frame marked sync", SyncFlag, func(g *fragment) { g.flags[1] = 0x02000000 }),
		moof("an IDR not marked sync", SyncFlag, func(g *fragment) { g.flags[0] = 0x01010000 }),
		moof("NAL units of wrong length", NALUnits, func(g *fragment) { g.samples[1][3] = 5 }),
		moof("the sequence number falls", FragmentSequence, func(g *fragment) { g.sequence = 0 }),
		moof("longer than EXTINF", DurationMatch, func(g *fragment) { g.durations[1] = 42 }),
		moof("a late start", Continuity, func(g *fragment) { g.start = 81 }),
		moof("an early start", Continuity, func(g *fragment) { g.start = 79 }),
		moof("a P-frame first", IndependentSegments, func(g *fragment) {
			g.samples[0], g.flags[0] = cat(u32(4), slice), 0x01010000
		}),
		{"I-frame range without the last byte", IFrameBytes, func() Findings {
			in, _ := ParseInit(goodInit())
			whole := goodFragment(1, 0).bytes()
			return CheckIFrame(in, "I-frame", whole[:len(whole)-9])
		}},
		{"I-frame range of moof alone", IFrameBytes, func() Findings {
			in, _ := ParseInit(goodInit())
			whole := goodFragment(1, 0).bytes()
			return CheckIFrame(in, "I-frame", whole[:len(whole)-24])
		}},

		{"TS: I-frame range of the tables alone", IFrameBytes, func() Findings {
			return CheckTSIFrame("I-frame", goodTS(newTransport(), 900000)[:2*packetSize])
		}},
		{"TS: I-frame range of two pictures", IFrameBytes, func() Findings {
			return CheckTSIFrame("I-frame", goodTS(newTransport(), 900000))
		}},

		transportStream("half a packet", TSPackets, func(w *transport) {
			goodTSInto(w)
			w.out.Truncate(w.out.Len() - 90)
		}),
		transportStream("no sync byte", TSPackets, func(w *transport) {
			goodTSInto(w)
			w.out.Bytes()[packetSize*3] = 0
		}),
		transportStream("a lost packet", TSContinuity, func(w *transport) {
			w.tables(1)
			w.packets(256, picture(9000), 8000)
			w.counters[256]++
			w.packets(256, picture(12600), 8100)
		}),
		transportStream("no PAT first", TSTables, func(w *transport) {
			w.packets(256, picture(9000), 8000)
			w.tables(1)
		}),
		transportStream("a wrong CRC", TSTables, func(w *transport) {
			goodTSInto(w)
			w.out.Bytes()[packetSize-1] ^= 1
		}),
		transportStream("a PID of no PMT", TSTables, func(w *transport) {
			goodTSInto(w)
			w.packets(300, picture(16200), -1)
		}),
		transportStream("two programs", TSProgram, func(w *transport) {
			w.tables(1, 2)
			w.packets(256, picture(9000), 8000)
		}),
		transportStream("time that stands", TSTime, func(w *transport) {
			w.tables(1)
			w.packets(256, picture(9000), 8000)
			w.packets(256, picture(9000), 8000)
		}),
		transportStream("no PCR", PCR, func(w *transport) {
			w.tables(1)
			w.packets(256, picture(9000), -1)
		}),
		transportStream("a PCR after its frame", PCR, func(w *transport) {
			w.tables(1)
			w.packets(256, picture(9000), 9001)
		}),
		transportStream("PCRs 200 ms apart", PCR, func(w *transport) {
			w.tables(1)
			w.packets(256, picture(9000), 8000)
			w.packets(256, picture(27000), 26000)
		}),
		transportStream("PES of a wrong length", PES, func(w *transport) {
			w.tables(1)
			b := picture(9000)
			b[5]++
			w.packets(256, b, 8000)
		}),
		transportStream("PES without a time", PES, func(w *transport) {
			w.tables(1)
			b := picture(9000)
			b[7] = 0
			w.packets(256, b, 8000)
		}),
		transportStream("no delimiter", Delimiter, func(w *transport) {
			w.tables(1)
			w.packets(256, pes(0xE0, 9000, startCodes(sps, pps, idr)), 8000)
		}),
		transportStream("no parameter sets", ParameterSets, func(w *transport) {
			w.tables(1)
			w.packets(256, pes(0xE0, 9000, startCodes(delimiter, idr)), 8000)
		}),
		transportStream("NAL units with lengths", NALUnits, func(w *transport) {
			w.tables(1)
			w.packets(256, pes(0xE0, 9000, cat(u32(4), idr)), 8000)
		}),
		transportStream("raw AAC", ADTS, func(w *transport) {
			w.tables(1)
			w.packets(256, picture(9000), 8000)
			w.packets(257, pes(0xC0, 9000, bytes.Repeat([]byte{0x21}, 100)), -1)
		}),
		{"TS: counters begin anew", TSContinuityAcross, func() Findings {
			a, _ := ParseTS("first", goodTS(newTransport(), 900000))
			b, _ := ParseTS("second", goodTS(newTransport(), 907200))
			return CheckTSContinuity("second", a, b)
		}},
		{"TS: the audio is gone", TSStreams, func() Findings {
			w := newTransport()
			a, _ := ParseTS("first", goodTS(w, 900000))
			b, _ := ParseTS("second", goodTS(w, 907200))
			b.Streams = b.Streams[:1]
			return CheckTSContinuity("second", b, a)
		}},
	}
	return list
}

func goodTSInto(w *transport) { goodTS(w, 900000) }

// Every mutation trips the rule that it names, and every rule is tripped by a mutation.
func TestMutationsAreFound(t *testing.T) {
	tripped := map[Rule]bool{}
	for _, m := range slices.Concat(mutations(), lowLatencyMutations(), dashMutations()) {
		tripped[m.rule] = true
		if f := m.damage(); !f.Has(m.rule) {
			t.Errorf("%s: %s was not found, but:\n%v", m.name, m.rule, f)
		}
	}
	for _, s := range Statements() {
		if !tripped[s.Rule] {
			t.Errorf("no mutation trips %s", s.Rule)
		}
		delete(tripped, s.Rule)
	}
	for rule := range tripped {
		t.Errorf("%s is not in the table of statements", rule)
	}
}

// What is written for the first time by a server may be anything at all.
func FuzzParsers(f *testing.F) {
	f.Add([]byte(goodVOD))
	f.Add([]byte(goodMaster))
	f.Add([]byte(goodEdge.text()))
	f.Add([]byte(liveMPD(0, 10)))
	f.Add(goodInit())
	f.Add(goodFragment(1, 0).bytes())
	f.Add(goodTS(newTransport(), 900000))
	in, _ := ParseInit(goodInit())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _ := ParseMedia(data)
		CheckReload(m, m)
		CheckDelta(goodEdge.media(), m, m)
		CheckBlocked(Blocked{MSN: 9, Part: 3, Status: 200, Before: m, After: m})
		CheckDates(m, 0)
		ParseMaster(data)
		if d, _ := ParseMPD(data); len(d.Periods) > 0 {
			CheckMPDUpdate(parsedMPD(liveMPD(0, 10)), d)
		}
		if got, _ := ParseInit(data); got != nil {
			ParseFragment(got, "fuzz", data)
		}
		ParseFragment(in, "fuzz", data)
		CheckIFrame(in, "fuzz", data)
		ParseTS("fuzz", data)
	})
}
