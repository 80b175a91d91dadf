package conformance

// Low latency.
const (
	PartInfMissing       Rule = "part-inf"
	PartInfChanged       Rule = "part-inf-changed"
	ServerControlForm    Rule = "server-control"
	ServerControlChanged Rule = "server-control-changed"
	RenditionControl     Rule = "rendition-server-control"
	PartHoldBack         Rule = "part-hold-back"
	HoldBack             Rule = "hold-back"
	PartDuration         Rule = "part-duration"
	ShortPart            Rule = "short-part"
	PartSum              Rule = "part-sum"
	PartTags             Rule = "part-tags"
	PartDate             Rule = "part-date"
	PartIFrames          Rule = "part-i-frames"
	OldParts             Rule = "old-parts"
	PartChanged          Rule = "part-changed"
	PartRemoved          Rule = "part-removed"
	GapChanged           Rule = "gap-changed"
	PreloadHint          Rule = "preload-hint"
	PreloadHintPlace     Rule = "preload-hint-place"
	PreloadHintURI       Rule = "preload-hint-uri"
	Skip                 Rule = "skip"
	SkipPlace            Rule = "skip-place"
	SkipBoundary         Rule = "skip-boundary"
	SkipCount            Rule = "skip-count"
	SkipUnknown          Rule = "skip-unknown"
	DeltaDiffers         Rule = "delta-differs"
	ReportURI            Rule = "rendition-report-uri"
	ReportPlace          Rule = "rendition-report-place"
	ReportMissing        Rule = "rendition-report-missing"
	ReportFalse          Rule = "rendition-report-false"
	BlockAnswer          Rule = "blocking-answer"
	BlockTime            Rule = "blocking-time"
	BlockRefusal         Rule = "blocking-refusal"
	PartMatch            Rule = "part-match"
	PartIndependent      Rule = "part-independent"
	PartSamples          Rule = "part-samples"
)

// lowLatencyStatements lists the rules for low latency of the second edition,
// draft-pantos-hls-rfc8216bis-22, and of Apple's HLS Authoring Specification.
func lowLatencyStatements() []Statement {
	const bis, apple = "rfc8216bis ", "HLS Authoring Specification "
	return []Statement{
		{PartInfMissing, bis + "4.4.3.7", "a playlist with parts has EXT-X-PART-INF"},
		{PartInfChanged, apple + "14.3", "PART-TARGET does not change"},
		{ServerControlForm, bis + "4.4.3.8",
			"a playlist with parts has CAN-BLOCK-RELOAD and PART-HOLD-BACK; CAN-SKIP-DATERANGES " +
				"comes with CAN-SKIP-UNTIL"},
		{ServerControlChanged, apple + "14.3", "EXT-X-SERVER-CONTROL does not change"},
		{RenditionControl, bis + "6.2.4",
			"all media playlists of a master have one EXT-X-SERVER-CONTROL"},
		{PartHoldBack, apple + "14.3", "PART-HOLD-BACK is at least three part targets"},
		{HoldBack, bis + "4.4.3.8", "HOLD-BACK is at least three target durations"},
		{PartDuration, bis + "4.4.4.9", "no part is longer than PART-TARGET"},
		{ShortPart, bis + "4.4.4.9",
			"a part lasts 85 % of PART-TARGET, unless it is independent, a gap, before a gap, or " +
				"the last of its segment"},
		{PartSum, bis + "4.4.4.9",
			"the parts of a segment add up to its EXTINF, to the millisecond, up to a frame " +
				"longer than PART-TARGET"},
		{PartTags, bis + "4.4.4.9",
			"discontinuity, initialization section, key and date come before the first part"},
		{PartDate, bis + "B.1", "a playlist with parts has dates, and one at each discontinuity"},
		{PartIFrames, bis + "4.4.4.9", "a playlist of I-frames has no parts"},
		{OldParts, bis + "6.2.2", "no parts further than three target durations from the end"},
		{PartChanged, bis + "6.2.1", "a part stays what it is, or becomes a gap"},
		{PartRemoved, bis + "6.2.2", "the parts of a segment leave together, the oldest first"},
		{GapChanged, bis + "6.2.1", "a segment is a gap from the first listing on, or never, " +
			"unless all that followed it broke off"},
		{PreloadHint, bis + "6.2.6, B.1",
			"one hint of a part while parts are listed, none when the playlist has ended"},
		{PreloadHintPlace, bis + "4.4.5.3", "the hint comes after all segments and parts"},
		{PreloadHintURI, bis + "4.4.5.3", "the URI of the hint becomes that of the next part"},
		{Skip, bis + "6.2.5.1", "a delta update needs CAN-SKIP-UNTIL and a playlist that goes on"},
		{SkipPlace, bis + "4.4.5.2", "EXT-X-SKIP comes before all segments and their tags"},
		{SkipBoundary, bis + "4.4.3.8", "CAN-SKIP-UNTIL is at least six target durations"},
		{SkipCount, bis + "6.2.5.1",
			"what is further from the end than the boundary is skipped, and nothing else"},
		{SkipUnknown, bis + "6.3.7", "a client with a fresh copy knows what is skipped"},
		{DeltaDiffers, bis + "6.2.5.1", "a delta update leads to the same playlist as a full one"},
		{ReportURI, bis + "4.4.5.4", "the URI of a rendition report is relative"},
		{ReportPlace, bis + "4.4.5.4", "rendition reports are the last tags"},
		{ReportMissing, bis + "B.1", "there is a report for every other rendition"},
		{ReportFalse, bis + "4.4.5.4", "LAST-MSN and LAST-PART are true of the rendition"},
		{BlockAnswer, bis + "6.2.5.2", "a blocked request is answered with what it waits for"},
		{BlockTime, bis + "6.2.5.2",
			"it is answered before hls.js gives up: after 0.8 target durations or three part " +
				"targets, ten seconds at most"},
		{BlockRefusal, bis + "6.2.5.2",
			"a request that is too far ahead, or for a part that no segment can have, is " +
				"refused with 400, and no other"},
		{PartMatch, bis + "4.4.4.9", "DURATION is the duration of the media, to the millisecond"},
		{PartIndependent, bis + "4.4.4.9",
			"a part has INDEPENDENT exactly if it begins with a random access point"},
		{PartSamples, bis + "4.4.4.9",
			"joined, the parts have the segment's samples, up to a frame longer than PART-TARGET"},
	}
}
