package conformance

// Rule names a requirement, the way findings and the table of docs/conformance.md call it.
type Rule string

// Text and tags.
const (
	Encoding          Rule = "encoding"
	ControlCharacter  Rule = "control-character"
	FirstLine         Rule = "first-line"
	WhiteSpace        Rule = "white-space"
	URI               Rule = "uri"
	UnknownTag        Rule = "unknown-tag"
	RepeatedTag       Rule = "repeated-tag"
	TagValue          Rule = "tag-value"
	TagOrder          Rule = "tag-order"
	DanglingTag       Rule = "dangling-tag"
	MixedPlaylist     Rule = "mixed-playlist"
	AttributeList     Rule = "attribute-list"
	AttributeType     Rule = "attribute-type"
	RepeatedAttribute Rule = "repeated-attribute"
	UnknownAttribute  Rule = "unknown-attribute"
	RequiredAttribute Rule = "required-attribute"
	Version           Rule = "version"
)

// Media playlists.
const (
	MissingTargetDuration Rule = "missing-target-duration"
	TargetDuration        Rule = "target-duration"
	MissingDuration       Rule = "missing-duration"
	EmptySegment          Rule = "empty-segment"
	ByteRange             Rule = "byte-range"
	DateForm              Rule = "date-form"
	DateDrift             Rule = "date-drift"
	VODEnds               Rule = "vod-ends"
	MapMissing            Rule = "map-missing"
	MapDiscontinuity      Rule = "map-discontinuity"
	IFramesOnly           Rule = "i-frames-only"
	IFrameRange           Rule = "i-frame-range"
	IFrameMap             Rule = "i-frame-map"
	IFrameDuration        Rule = "i-frame-duration"
	IFrameBytes           Rule = "i-frame-bytes"
)

// Reloads.
const (
	Immutable             Rule = "immutable"
	TargetDurationChanged Rule = "target-duration-changed"
	HeaderChanged         Rule = "header-changed"
	MediaSequenceBack     Rule = "media-sequence-back"
	DiscontinuityBack     Rule = "discontinuity-sequence-back"
	Removed               Rule = "removed"
	ShortWindow           Rule = "short-window"
	SegmentChanged        Rule = "segment-changed"
	DurationChanged       Rule = "duration-changed"
	DiscontinuityChanged  Rule = "discontinuity-changed"
	DateChanged           Rule = "date-changed"
	MapChanged            Rule = "map-changed"
)

// Master playlists and renditions.
const (
	NoVariant              Rule = "no-variant"
	VariantURI             Rule = "variant-uri"
	Codecs                 Rule = "codecs"
	CodecsMatch            Rule = "codecs-match"
	AverageBandwidth       Rule = "average-bandwidth"
	BandwidthLow           Rule = "bandwidth-low"
	AverageLow             Rule = "average-low"
	Resolution             Rule = "resolution"
	FrameRate              Rule = "frame-rate"
	RenditionAttribute     Rule = "rendition-attribute"
	GroupNames             Rule = "group-names"
	GroupDefault           Rule = "group-default"
	GroupMissing           Rule = "group-missing"
	RenditionTarget        Rule = "rendition-target"
	RenditionType          Rule = "rendition-type"
	RenditionDate          Rule = "rendition-date"
	RenditionSpan          Rule = "rendition-span"
	RenditionDiscontinuity Rule = "rendition-discontinuity"
	RenditionTime          Rule = "rendition-time"
)

// MP4 segments.
const (
	BoxSize          Rule = "box-size"
	BoxMissing       Rule = "box-missing"
	InitOrder        Rule = "init-order"
	Brand            Rule = "brand"
	InitDuration     Rule = "init-duration"
	InitSamples      Rule = "init-samples"
	SampleEntry      Rule = "sample-entry"
	TrackID          Rule = "track-id"
	Timescale        Rule = "timescale"
	SegmentOrder     Rule = "segment-order"
	BaseIsMoof       Rule = "base-is-moof"
	DecodeTime       Rule = "decode-time"
	SampleCount      Rule = "sample-count"
	SampleDuration   Rule = "sample-duration"
	SampleSize       Rule = "sample-size"
	DataOffset       Rule = "data-offset"
	PresentationTime Rule = "presentation-time"
	SyncFlag         Rule = "sync-flag"
	NALUnits         Rule = "nal-units"
	FragmentSequence Rule = "fragment-sequence"
)

// Segments against their playlist.
const (
	DurationMatch       Rule = "duration-match"
	IndependentSegments Rule = "independent-segments"
	Continuity          Rule = "continuity"
)

// Transport streams.
const (
	TSPackets          Rule = "ts-packets"
	TSContinuity       Rule = "ts-continuity"
	TSContinuityAcross Rule = "ts-continuity-across"
	TSTables           Rule = "ts-tables"
	TSProgram          Rule = "ts-program"
	TSStreams          Rule = "ts-streams"
	TSTime             Rule = "ts-time"
	PCR                Rule = "pcr"
	PES                Rule = "pes"
	Delimiter          Rule = "delimiter"
	ParameterSets      Rule = "parameter-sets"
	ADTS               Rule = "adts"
)

// Statement is a rule with what it demands and where that is written.
type Statement struct {
	Rule   Rule
	Source string // document and section
	Text   string
}

// Statements lists every rule, in the order of the documents.
func Statements() []Statement {
	const rfc, bmff, systems = "RFC 8216 ", "14496-12 ", "13818-1 "
	return append([]Statement{
		{Encoding, rfc + "4.1", "UTF-8 without a byte order mark; every line ends"},
		{ControlCharacter, rfc + "4.1", "no control characters but line ends"},
		{FirstLine, rfc + "4.3.1.1", "#EXTM3U is the first line"},
		{WhiteSpace, rfc + "4.1", "no white space where the syntax has none"},
		{URI, rfc + "4.1", "a line that is neither a tag nor a comment is a URI"},
		{UnknownTag, rfc + "4.1", "every #EXT tag is one of the two editions'"},
		{RepeatedTag, rfc + "4.3",
			"tags of the whole playlist occur once, EXTINF once for each segment"},
		{TagValue, rfc + "4.3", "a tag has the value that it must have, or none"},
		{TagOrder, rfc + "4.3.3.2, 4.3.3.3",
			"sequence numbers come before the first segment and the first discontinuity"},
		{DanglingTag, rfc + "4.3.2", "a segment follows the tags that describe one"},
		{MixedPlaylist, rfc + "4.1",
			"no media tags in a master playlist, no master tags in a media playlist"},
		{AttributeList, rfc + "4.2", "attribute lists are NAME=value, comma-separated"},
		{AttributeType, rfc + "4.2, 4.3", "each attribute's value has its type"},
		{RepeatedAttribute, rfc + "4.2", "an attribute occurs once in a list"},
		{UnknownAttribute, rfc + "4.3", "every attribute is one of its tag's"},
		{RequiredAttribute, rfc + "4.3", "required attributes are there"},
		{Version, rfc + "7", "EXT-X-VERSION is at least what the tags need"},
		{MissingTargetDuration, rfc + "4.3.3.1", "a media playlist has EXT-X-TARGETDURATION"},
		{TargetDuration, rfc + "4.3.3.1",
			"EXTINF, rounded, is not greater than the target duration"},
		{MissingDuration, rfc + "4.3.2.1", "every segment has EXTINF"},
		{EmptySegment, rfc + "4.3.2.1", "no segment has a duration of zero"},
		{ByteRange, rfc + "4.3.2.2",
			"a byte range is n[@o], and continues a sub-range when it has no offset"},
		{DateForm, rfc + "4.3.2.6", "dates are ISO 8601 with a time zone"},
		{DateDrift, rfc + "4.3.2.6", "dates grow with EXTINF where media are contiguous"},
		{VODEnds, rfc + "4.3.3.5", "a VOD playlist has EXT-X-ENDLIST"},
		{MapMissing, rfc + "3.3", "fragmented MP4 has EXT-X-MAP for every segment"},
		{MapDiscontinuity, rfc + "4.3.2.3",
			"another initialization section comes with a discontinuity"},
		{IFramesOnly, rfc + "4.3.4.3", "an I-frame variant leads to EXT-X-I-FRAMES-ONLY"},
		{IFrameRange, rfc + "4.3.3.6", "I-frames are byte ranges of segments"},
		{IFrameMap, rfc + "4.3.3.6", "I-frames have the initialization section of their media"},
		{IFrameDuration, rfc + "4.3.3.6", "an I-frame lasts until the next one or the end"},
		{IFrameBytes, rfc + "4.3.3.6",
			"the byte range holds one whole I-frame and what describes it"},
		{Immutable, rfc + "4.3.3.4, 4.3.3.5", "a playlist that ended, or is VOD, does not change"},
		{TargetDurationChanged, rfc + "6.2.1", "the target duration does not change"},
		{HeaderChanged, rfc + "6.2.1",
			"version, type, I-frames-only and independence do not change"},
		{MediaSequenceBack, rfc + "6.2.2", "the media sequence number does not decrease"},
		{DiscontinuityBack, rfc + "6.2.2", "the discontinuity sequence number does not decrease"},
		{Removed, rfc + "6.2.2",
			"segments are removed only from the front, and never from an EVENT playlist"},
		{ShortWindow, rfc + "6.2.2", "after a removal, three target durations are left"},
		{SegmentChanged, rfc + "6.2.1", "a media sequence number keeps its URI and byte range"},
		{DurationChanged, rfc + "6.2.1", "a segment keeps its EXTINF"},
		{DiscontinuityChanged, rfc + "6.2.1", "a segment keeps its discontinuity sequence number"},
		{DateChanged, rfc + "6.2.1", "a segment keeps its date"},
		{MapChanged, rfc + "6.2.1", "a segment keeps its initialization section"},
		{NoVariant, rfc + "4.3.4.2", "a master playlist has a variant"},
		{VariantURI, rfc + "4.3.4.2", "a URI follows each EXT-X-STREAM-INF, and only it"},
		{Codecs, rfc + "4.3.4.2", "every variant has CODECS in the form of RFC 6381"},
		{CodecsMatch, rfc + "4.3.4.2", "CODECS names exactly the codecs of the media"},
		{AverageBandwidth, rfc + "4.3.4.2", "AVERAGE-BANDWIDTH is not above BANDWIDTH"},
		{BandwidthLow, rfc + "4.3.4.2",
			"BANDWIDTH is not below the measured peak segment bit rate"},
		{AverageLow, rfc + "4.3.4.2",
			"AVERAGE-BANDWIDTH is not below the measured average segment bit rate"},
		{Resolution, rfc + "4.3.4.2", "RESOLUTION is that of the media"},
		{FrameRate, rfc + "4.3.4.2",
			"FRAME-RATE is that of the media, with at most three decimals"},
		{RenditionAttribute, rfc + "4.3.4.1",
			"attributes of EXT-X-MEDIA go together as their types demand"},
		{GroupNames, rfc + "4.3.4.1.1", "names in a group differ"},
		{GroupDefault, rfc + "4.3.4.1.1", "a group has at most one default"},
		{GroupMissing, rfc + "4.3.4.2", "groups that variants name exist"},
		{RenditionTarget, rfc + "6.2.4",
			"all media playlists of a master have one target duration"},
		{RenditionType, rfc + "6.2.4", "all media playlists of a master have one type"},
		{RenditionDate, rfc + "6.2.4",
			"all media playlists have dates or none, and VOD ones start together"},
		{RenditionSpan, rfc + "6.2.4",
			"what only one playlist has is shorter than the target duration"},
		{RenditionDiscontinuity, rfc + "6.2.4",
			"segments of one moment have one discontinuity sequence number"},
		{RenditionTime, rfc + "6.2.4", "segments of one moment have one media time"},
		{BoxSize, bmff + "4.2", "boxes fill what they are in, exactly"},
		{BoxMissing, bmff + "6.2.3", "each required box is there, once"},
		{InitOrder, rfc + "3.3", "an initialization section is ftyp and moov, without media"},
		{Brand, rfc + "3.3", "ftyp has a brand compatible with iso6"},
		{InitDuration, rfc + "3.3", "the movie's duration is zero"},
		{InitSamples, rfc + "3.3", "the sample tables are empty"},
		{SampleEntry, "14496-14, 14496-15", "one sample entry, with a codec configuration"},
		{TrackID, bmff + "8.3.2, 8.8.7", "one track_ID through trak, trex and traf"},
		{Timescale, bmff + "8.4.2", "the timescale is not zero and stays until a discontinuity"},
		{SegmentOrder, rfc + "3.3", "a segment is moof and mdat pairs"},
		{BaseIsMoof, rfc + "3.3", "offsets count from moof"},
		{DecodeTime, rfc + "3.3", "every traf has tfdt"},
		{SampleCount, bmff + "8.8.8", "trun has as many samples as it counts, at least one"},
		{SampleDuration, bmff + "8.8.8", "every sample has a duration"},
		{SampleSize, bmff + "8.8.8", "the samples fill mdat, exactly"},
		{DataOffset, bmff + "8.8.8", "the first sample is the first byte of mdat"},
		{PresentationTime, bmff + "8.6.1.3",
			"no two samples are shown at one time, none before zero"},
		{SyncFlag, bmff + "8.8.3.1",
			"samples are marked as sync exactly when they are IDR, IRAP or audio"},
		{NALUnits, "14496-15 5.3.4", "NAL units fill their sample, and one is a slice; AAC is raw"},
		{FragmentSequence, bmff + "8.8.5", "mfhd sequence numbers do not fall along a playlist"},
		{DurationMatch, rfc + "4.3.2.1", "EXTINF is the duration of the media, to the millisecond"},
		{IndependentSegments, rfc + "4.3.5.1",
			"segments begin with a random access point when the playlist says so"},
		{Continuity, rfc + "4.3.2.3", "segments meet where no discontinuity is declared"},
		{TSPackets, systems + "2.4.3",
			"whole packets of 188 bytes with sync bytes and sane adaptation fields"},
		{TSContinuity, systems + "2.4.3.3", "continuity counters count within a segment"},
		{TSContinuityAcross, systems + "2.4.3.3",
			"they count across segments, or the discontinuity indicator says that they do not"},
		{TSTables, rfc + "3.2", "PAT and PMT are the first two packets, whole, and name every PID"},
		{TSProgram, rfc + "3.2", "a single program"},
		{TSStreams, rfc + "4.3.2.3", "the streams stay until a discontinuity"},
		{TSTime, systems + "2.7.5", "decode times grow; audio follows its sample count"},
		{PCR, systems + "2.7.2", "a PCR every 100 ms, never past a frame's decode time"},
		{PES, systems + "2.4.3.6",
			"PES packets are whole and have a PTS, which is not before the DTS"},
		{Delimiter, systems + "2.14.1", "each access unit begins with its delimiter"},
		{ParameterSets, systems + "2.14.1",
			"parameter sets come before the first picture of a segment"},
		{ADTS, "13818-7 6.2", "audio is whole ADTS frames"},
	}, append(lowLatencyStatements(), dashStatements()...)...)
}
