package conformance

// MPEG-DASH.
const (
	MPDForm           Rule = "mpd-form"
	MPDUnknown        Rule = "mpd-unknown"
	MPDAttributes     Rule = "mpd-attributes"
	MPDType           Rule = "mpd-type"
	MPDClock          Rule = "mpd-utc-timing"
	MPDPeriod         Rule = "mpd-period"
	MPDSet            Rule = "mpd-adaptation-set"
	MPDRepresentation Rule = "mpd-representation"
	MPDTemplate       Rule = "mpd-template"
	MPDTimeline       Rule = "mpd-timeline"
	MPDLongest        Rule = "mpd-longest-segment"
	MPDDuration       Rule = "mpd-duration"
	MPDStatic         Rule = "mpd-static"
	MPDAvailability   Rule = "mpd-availability-start"
	MPDPublish        Rule = "mpd-publish-time"
	MPDPeriodChanged  Rule = "mpd-period-changed"
	MPDSetChanged     Rule = "mpd-set-changed"
	MPDSegmentGone    Rule = "mpd-segment-gone"
	MPDSegmentChanged Rule = "mpd-segment-changed"
	MPDMedia          Rule = "mpd-media"
	MPDSegmentTime    Rule = "mpd-segment-time"
	MPDSegmentSAP     Rule = "mpd-segment-sap"
	MPDBandwidth      Rule = "mpd-bandwidth"
)

// dashStatements lists the rules of ISO/IEC 23009-1 and of the DASH-IF Interoperability Points
// (IOP) 4.3.
func dashStatements() []Statement {
	const dash, iop = "23009-1 ", "DASH-IF IOP "
	return []Statement{
		{MPDForm, dash + "5.2",
			"XML of the schema's namespace; dates and durations have the schema's form"},
		{MPDUnknown, dash + "B",
			"attributes and elements are the schema's, or of another namespace"},
		{MPDAttributes, dash + "5.3.1.2", "profiles and minBufferTime are there"},
		{MPDType, dash + "5.3.1.2, " + iop + "4.4.3",
			"static: a duration, no updates; dynamic: availabilityStartTime, publishTime, updates"},
		{MPDClock, iop + "4.7.2", "a dynamic presentation has UTCTiming"},
		{MPDPeriod, dash + "5.3.2", "periods have ids of their own and follow one another"},
		{MPDSet, dash + "5.3.3, " + iop + "3.2.4",
			"a set is video or audio, as its mimeType says, with aligned segments"},
		{MPDRepresentation, dash + "5.3.5, " + iop + "3.2.4",
			"a representation has id, codecs, bandwidth; size and rate, or sampling and channels"},
		{MPDTemplate, dash + "5.3.9.4",
			"media with $Number$ or $Time$, an initialization, and no other identifier"},
		{MPDTimeline, dash + "5.3.9.6",
			"segments have durations and follow one another without a gap"},
		{MPDLongest, dash + "5.3.1.2", "no segment is longer than maxSegmentDuration"},
		{MPDDuration, dash + "5.3.1.2", "no segment ends after mediaPresentationDuration"},
		{MPDStatic, dash + "5.3.1.2", "a static presentation does not change"},
		{MPDAvailability, dash + "5.4", "availabilityStartTime does not change"},
		{MPDPublish, dash + "5.3.1.2", "publishTime does not go back"},
		{MPDPeriodChanged, dash + "5.4",
			"a period keeps its start and sets; periods are removed only from the front"},
		{MPDSetChanged, dash + "5.4", "the description of a track does not change within a period"},
		{MPDSegmentGone, dash + "5.4", "segments are removed only from the front"},
		{MPDSegmentChanged, dash + "5.4", "a segment keeps time and duration"},
		{MPDMedia, dash + "5.3.5, 5.3.9.2", "codecs, size and timescale are those of the media"},
		{MPDSegmentTime, dash + "7.2.1",
			"a segment ends with its entry, and does not begin before it"},
		{MPDSegmentSAP, dash + "5.3.7.2",
			"with startWithSAP=1 segments begin with random access points"},
		{MPDBandwidth, dash + "5.3.5.2",
			"a client that receives at bandwidth has every byte in time after minBufferTime"},
	}
}
