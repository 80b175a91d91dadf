package conformance

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// edge is where a low-latency playlist of segments of two seconds in parts of half a second stands.
type edge struct {
	first, complete int // media sequence number of the first segment, and after the last
	parts           int // of the segment after that
	skipped         int // segments that a delta update leaves out
}

// goodEdge, and the same playlist two parts and one segment later.
var goodEdge, laterEdge = edge{0, 9, 3, 0}, edge{1, 10, 1, 0}

// text writes the playlist: another initialization section begins with segment 8, after a
// discontinuity; parts are listed of the last three segments.
func (e edge) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.5")
	line("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0," +
		"PART-HOLD-BACK=1.5")
	line("#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:4", e.first)
	if e.skipped > 0 {
		line("#EXT-X-SKIP:SKIPPED-SEGMENTS=%d", e.skipped)
	} else {
		line(`#EXT-X-MAP:URI="init.mp4?k=0"`)
	}
	for n := e.first + e.skipped; n <= e.complete; n++ {
		parts := 4
		if n == e.complete {
			if parts = e.parts; parts == 0 {
				break
			}
		}
		if n == 8 {
			line("#EXT-X-DISCONTINUITY\n" + `#EXT-X-MAP:URI="init.mp4?k=1"`)
		}
		line("#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:%02dZ", 2*n)
		for i := 0; i < parts && n >= e.complete-3; i++ {
			independent := ""
			if i == 0 {
				independent = ",INDEPENDENT=YES"
			}
			line(`#EXT-X-PART:DURATION=0.5,URI="p%d.%d.mp4"%s`, n, i, independent)
		}
		if n < e.complete {
			line("#EXTINF:2.0,\ns%d.mp4", n)
		}
	}
	line(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p%d.%d.mp4"`, e.complete, e.parts)
	line(`#EXT-X-RENDITION-REPORT:URI="audio.m3u8?t=1",LAST-MSN=%d,LAST-PART=%d`, e.complete,
		e.parts-1)
	return b.String()
}

func (e edge) media() *Media {
	m, _ := ParseMedia([]byte(e.text()))
	return m
}

// What came in when the connection broke off may become gaps, all together.
func TestSegmentsThatBreakOff(t *testing.T) {
	lost := func(names ...string) *Media {
		text := laterEdge.text()
		for _, n := range names {
			text = strings.Replace(text, "s"+n+".mp4", "#EXT-X-GAP\ns"+n+".mp4", 1)
		}
		m, _ := ParseMedia([]byte(text))
		return m
	}
	before := goodEdge.media() // 8 is its last whole segment, and 9 comes in
	clean(t, "all that came in", CheckReload(before, lost("8", "9")))
	for name, after := range map[string]*Media{
		"one of two": lost("8"), "an earlier one, too": lost("6", "8", "9"),
	} {
		f := CheckReload(before, after)
		if len(f) != 1 || f[0].Rule != GapChanged {
			t.Errorf("%s: %v", name, f)
		}
	}
	if f := CheckReload(lost("8", "9"), laterEdge.media()); len(f) != 2 {
		t.Errorf("gaps that are filled: %v", f)
	}
}

func TestGoodLowLatencyPasses(t *testing.T) {
	before, f := ParseMedia([]byte(goodEdge.text()))
	clean(t, "first reading", f)
	after, f := ParseMedia([]byte(laterEdge.text()))
	clean(t, "second reading", f)
	clean(t, "reload", CheckReload(before, after))
	clean(t, "same again", CheckReload(after, after))
	clean(t, "dates", CheckDates(after, 0))
	clean(t, "maps", CheckMaps(after))
	deltaEdge := laterEdge
	deltaEdge.skipped = 3
	delta, f := ParseMedia([]byte(deltaEdge.text()))
	clean(t, "delta update", f)
	clean(t, "delta update against the whole", CheckDelta(before, delta, after))
	clean(t, "controls", CheckControls(before, after))
	clean(t, "reports", reports(goodEdge.text(), goodEdge, goodEdge))
	if msn, part := before.Edge(); msn != 9 || part != 2 {
		t.Errorf("edge %d.%d", msn, part)
	}
	for _, c := range []struct {
		msn  int64
		part int
		want bool
	}{{8, -1, true}, {9, -1, false}, {9, 2, true}, {9, 3, false}, {8, 3, true}, {8, 4, true},
		{10, 0, false}} {
		if got := before.Has(c.msn, c.part); got != c.want {
			t.Errorf("has %d.%d: %v", c.msn, c.part, got)
		}
	}
	for _, b := range []Blocked{{9, 3, time.Second, 200, before, after},
		{9, 30, 0, 400, before, after}, {40, -1, 0, 400, before, after},
		{-1, 0, 0, 400, before, after}, {9, 3, 1500 * time.Millisecond, 200, before, before}} {
		clean(t, fmt.Sprint("blocked request ", b.MSN, b.Part), CheckBlocked(b))
	}
	in, listed, parts, whole := goodParts()
	clean(t, "parts", CheckParts(in, listed, 80*time.Millisecond, parts, whole))
}

// reports checks the reports of a text on a rendition that was at one edge and then at another.
func reports(text string, before, after edge) Findings {
	m, f := ParseMedia([]byte(text))
	at := &url.URL{Scheme: "http", Host: "x", Path: "/hls/video.m3u8", RawQuery: "t=1"}
	other, _ := at.Parse("audio.m3u8?t=1")
	return append(f, CheckReports(m, at, []Other{{other, before.media(), after.media()}})...)
}

// goodParts is a segment of two parts of two frames each, 80 ms long.
func goodParts() (in *Init, listed *Segment, parts [][]byte, whole []byte) {
	in, _ = ParseInit(goodInit())
	second := goodFragment(2, 80)
	second.samples[0], second.flags[0] = cat(u32(4), slice), 0x01010000
	all := goodFragment(1, 0)
	all.flags, all.durations, all.offsets, all.samples = append(all.flags, second.flags...),
		append(all.durations, second.durations...), append(all.offsets, second.offsets...),
		append(all.samples, second.samples...)
	listed = &Segment{Duration: 160 * time.Millisecond, Parts: []Part{
		{Duration: 80 * time.Millisecond, Independent: true}, {Duration: 80 * time.Millisecond}}}
	return in, listed, [][]byte{goodFragment(1, 0).bytes(), second.bytes()}, all.bytes()
}

// one breaks a single reading in its text.
func one(rule Rule, old, new string) mutation {
	return mutation{"low latency: " + old + " → " + new, rule, func() Findings {
		_, f := ParseMedia([]byte(replace(goodEdge.text(), old, new)))
		return f
	}}
}

// two breaks the second of two readings.
func two(rule Rule, old, new string) mutation {
	return mutation{"low-latency reload: " + old + " → " + new, rule, func() Findings {
		after, _ := ParseMedia([]byte(replace(laterEdge.text(), old, new)))
		return CheckReload(goodEdge.media(), after)
	}}
}

// update breaks a delta update.
func update(rule Rule, skipped int, old, new string) mutation {
	return mutation{"delta update: " + old + " → " + new, rule, func() Findings {
		e := laterEdge
		e.skipped = skipped
		delta, f := ParseMedia([]byte(replace(e.text(), old, new)))
		return append(f, CheckDelta(goodEdge.media(), delta, laterEdge.media())...)
	}}
}

func blocked(name string, rule Rule, b Blocked) mutation {
	return mutation{"blocked request: " + name, rule, func() Findings { return CheckBlocked(b) }}
}

// parted bends the parts of a segment.
func parted(name string, rule Rule, bend func(s *Segment, parts [][]byte)) mutation {
	return mutation{"parts: " + name, rule, func() Findings {
		in, listed, parts, whole := goodParts()
		bend(listed, parts)
		return CheckParts(in, listed, 80*time.Millisecond, parts, whole)
	}}
}

const partTags = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:18Z\n"

func lowLatencyMutations() []mutation {
	before, after := goodEdge.media(), laterEdge.media()
	hint, ms := `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p9.3.mp4"`+"\n", time.Millisecond
	const part = `#EXT-X-PART:DURATION=0.5,URI="p9.1.mp4"`
	report := `#EXT-X-RENDITION-REPORT:URI="audio.m3u8?t=1",LAST-MSN=9,LAST-PART=2` + "\n"
	list := []mutation{
		one(PartInfMissing, "#EXT-X-PART-INF:PART-TARGET=0.5\n", ""),
		one(PartInfMissing, "PART-TARGET=0.5", "PART-TARGET=0"),
		one(ServerControlForm, "CAN-BLOCK-RELOAD=YES,", ""),
		one(ServerControlForm, ",PART-HOLD-BACK=1.5", ""),
		one(ServerControlForm, "CAN-SKIP-UNTIL=12.0", "CAN-SKIP-DATERANGES=YES"),
		one(AttributeType, "CAN-BLOCK-RELOAD=YES", "CAN-BLOCK-RELOAD=NO"),
		one(AttributeType, part, part+",INDEPENDENT=NO"),
		one(AttributeType, "DURATION=0.5", "DURATION=-0.5"),
		one(RequiredAttribute, `DURATION=0.5,URI="p9.1.mp4"`, `URI="p9.1.mp4"`),
		one(ByteRange, part, part+`,BYTERANGE="100"`),
		one(TagOrder, "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-DISCONTINUITY-SEQUENCE:4\n",
			"#EXT-X-MEDIA-SEQUENCE:0\n"+`#EXT-X-PART:DURATION=0.5,URI="a"`+
				"\n#EXT-X-DISCONTINUITY-SEQUENCE:4\n"),
		one(PartHoldBack, "PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.499"),
		one(HoldBack, ",HOLD-BACK=6.0", ",HOLD-BACK=5.9"),
		one(SkipBoundary, "CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.9"),
		one(PartDuration, "DURATION=0.5", "DURATION=0.501"),
		one(PartDuration, `DURATION=0.5,URI="p9.0.mp4"`, `DURATION=0.501,URI="p9.0.mp4"`),
		one(ShortPart, part, `#EXT-X-PART:DURATION=0.424,URI="p9.1.mp4"`),
		one(PartSum, `#EXT-X-PART:DURATION=0.5,URI="p8.3.mp4"`,
			`#EXT-X-PART:DURATION=0.498,URI="p8.3.mp4"`),
		one(PartSum, `#EXT-X-PART:DURATION=0.5,URI="p8.3.mp4"`+"\n", ""),
		one(PartTags, part, partTags+part),
		one(PartTags, part, "#EXT-X-DISCONTINUITY\n"+part),
		one(PartTags, part, `#EXT-X-MAP:URI="init.mp4?k=1"`+"\n"+part),
		one(PartTags, part, "#EXT-X-KEY:METHOD=NONE\n"+part),
		one(PartIFrames, "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-I-FRAMES-ONLY\n#EXT-X-MEDIA-SEQUENCE"),
		one(PartDate, "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:16Z\n", ""),
		one(OldParts, "#EXTINF:2.0,\ns3.mp4", `#EXT-X-PART:DURATION=0.5,URI="a"`+
			"\n#EXTINF:2.0,\ns3.mp4"),
		one(PreloadHint, hint, hint+hint),
		one(PreloadHint, hint, ""),
		one(PreloadHint, hint, hint+"#EXT-X-ENDLIST\n"),
		one(PreloadHintPlace, partTags, hint+partTags),
		one(ReportURI, `URI="audio`, `URI="http://x/hls/audio`),
		one(ReportPlace, partTags, report+partTags),
		two(PartInfChanged, "PART-TARGET=0.5", "PART-TARGET=0.51"),
		two(ServerControlChanged, "PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.6"),
		two(ServerControlChanged, "CAN-SKIP-UNTIL=12.0,", ""),
		two(PartChanged, part, `#EXT-X-PART:DURATION=0.5,URI="q9.1.mp4"`),
		two(PartChanged, part, `#EXT-X-PART:DURATION=0.49,URI="p9.1.mp4"`),
		two(PartChanged, part, part+",INDEPENDENT=YES"),
		two(PartRemoved, part+"\n"+`#EXT-X-PART:DURATION=0.5,URI="p9.2.mp4"`+"\n"+
			`#EXT-X-PART:DURATION=0.5,URI="p9.3.mp4"`+"\n", ""),
		two(PreloadHintURI, `URI="p9.3.mp4"`, `URI="q9.3.mp4"`),
		two(GapChanged, "s8.mp4", "#EXT-X-GAP\ns8.mp4"),
		two(DateChanged, "00:00:18Z", "00:00:18.001Z"),
		two(DiscontinuityChanged, partTags, "#EXT-X-DISCONTINUITY\n"+partTags),
		two(MapChanged, partTags, `#EXT-X-MAP:URI="init.mp4?k=2"`+"\n"+partTags),
		update(Skip, 3, "CAN-SKIP-UNTIL=12.0,", ""),
		update(SkipPlace, 3, "#EXT-X-SKIP", `#EXT-X-MAP:URI="init.mp4?k=0"`+"\n#EXT-X-SKIP"),
		update(TagOrder, 3, "#EXT-X-DISCONTINUITY-SEQUENCE:4\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n",
			"#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-DISCONTINUITY-SEQUENCE:4\n"),
		update(RepeatedTag, 3, "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n",
			"#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"),
		update(Version, 3, "#EXT-X-VERSION:9", "#EXT-X-VERSION:8"),
		update(Version, 3, "SEGMENTS=3", `SEGMENTS=3,RECENTLY-REMOVED-DATERANGES=""`),
		update(SkipUnknown, 3, "SKIPPED-SEGMENTS=3", "SKIPPED-SEGMENTS=30"),
		update(SkipCount, 1, "#EXTM3U", "#EXTM3U"),
		update(SkipCount, 4, "#EXTM3U", "#EXTM3U"),
		update(DeltaDiffers, 3, "SKIPPED-SEGMENTS=3", "SKIPPED-SEGMENTS=2"),
		update(DeltaDiffers, 3, "s8.mp4", "s88.mp4"),
		update(DeltaDiffers, 3, "#EXT-X-DISCONTINUITY-SEQUENCE:4",
			"#EXT-X-DISCONTINUITY-SEQUENCE:5"),
		update(DeltaDiffers, 3, `#EXT-X-PART:DURATION=0.5,URI="p9.3.mp4"`+"\n", ""),
		blocked("answered with the past", BlockAnswer, Blocked{9, 3, 10 * ms, 200, before, before}),
		blocked("unavailable", BlockAnswer, Blocked{9, 3, time.Second, 503, before, after}),
		blocked("a segment too soon", BlockAnswer, Blocked{9, -1, 10 * ms, 200, before, before}),
		blocked("too late", BlockTime, Blocked{9, 3, 1601 * ms, 200, before, after}),
		blocked("the next part is refused", BlockRefusal, Blocked{9, 3, 0, 400, before, before}),
		blocked("a part of no segment", BlockRefusal, Blocked{-1, 1, 0, 200, before, before}),
		blocked("twelve segments ahead", BlockRefusal,
			Blocked{21, 0, 1500 * ms, 200, before, before}),
		blocked("many parts ahead", BlockRefusal,
			Blocked{10, 20, 1500 * ms, 200, after, after}),
		parted("longer than DURATION", PartMatch, func(s *Segment, _ [][]byte) {
			s.Parts[1].Duration = 82 * ms
		}),
		parted("INDEPENDENT on a P-frame", PartIndependent, func(s *Segment, _ [][]byte) {
			s.Parts[1].Independent = true
		}),
		parted("no INDEPENDENT on an IDR", PartIndependent, func(s *Segment, _ [][]byte) {
			s.Parts[0].Independent = false
		}),
		parted("a frame is missing", PartSamples, func(_ *Segment, parts [][]byte) {
			parts[1] = goodFragment(2, 80).bytes()
		}),
		parted("a part is missing", PartSamples, func(s *Segment, _ [][]byte) {
			s.Parts = s.Parts[:1]
		}),
		parted("another time", PartSamples, func(_ *Segment, parts [][]byte) {
			second := goodFragment(2, 81)
			second.samples[0], second.flags[0] = cat(u32(4), slice), 0x01010000
			parts[1] = second.bytes()
		}),
	}
	return append(list, lowLatencyPairs()...)
}

// lowLatencyPairs breaks what two renditions say of one another, and what one edit cannot break.
func lowLatencyPairs() []mutation {
	return []mutation{
		{"renditions: another PART-HOLD-BACK", RenditionControl, func() Findings {
			other, _ := ParseMedia([]byte(replace(goodEdge.text(), "BACK=1.5", "BACK=1.6")))
			return CheckControls(goodEdge.media(), other)
		}},
		{"renditions: EXT-X-SERVER-CONTROL in one only", RenditionControl, func() Findings {
			other, _ := ParseMedia([]byte(goodLive))
			return CheckControls(goodEdge.media(), other)
		}},
		{"report: none", ReportMissing, func() Findings {
			return reports(replace(goodEdge.text(), "audio.m3u8", "sound.m3u8"), goodEdge, goodEdge)
		}},
		{"report: ahead", ReportFalse, func() Findings {
			return reports(replace(goodEdge.text(), "LAST-MSN=9", "LAST-MSN=10"), goodEdge,
				goodEdge)
		}},
		{"report: behind", ReportFalse, func() Findings {
			return reports(replace(goodEdge.text(), "LAST-PART=2", "LAST-PART=1"), goodEdge,
				goodEdge)
		}},
		{"report: no LAST-PART", ReportFalse, func() Findings {
			return reports(replace(goodEdge.text(), ",LAST-PART=2", ""), goodEdge, goodEdge)
		}},
		{"playlist without dates", PartDate, func() Findings {
			lines := strings.Split(goodEdge.text(), "\n")
			for i := range lines {
				lines[i] = strings.Replace(lines[i], "#EXT-X-PROGRAM-DATE-TIME", "#", 1)
			}
			_, f := ParseMedia([]byte(strings.Join(lines, "\n")))
			return f
		}},
		{"an older segment keeps its parts", PartRemoved, func() Findings {
			after := laterEdge.media()
			after.Segments[len(after.Segments)-2].Parts = nil // segment 8; 7 has its parts
			return CheckReload(goodEdge.media(), after)
		}},
		{"a gap becomes a part again", PartChanged, func() Findings {
			before := goodEdge.media()
			before.Open.Parts[0].Gap = true
			return CheckReload(before, laterEdge.media())
		}},
		{"the hint changes, and no part comes", PreloadHintURI, func() Findings {
			after := goodEdge.media()
			after.Hints[0].URI = "p9.4.mp4"
			return CheckReload(goodEdge.media(), after)
		}},
	}
}
