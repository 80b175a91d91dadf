package api

import (
	"strings"
	"testing"
)

// rangeCases are the cases of ranges for the modes of an operation that opens a session.
func rangeCases(op, selectorName string) []inputCase {
	selector := func(mode, rng string) string {
		return `{` + ref + `,"PlaybackMode":"` + mode + `","` + selectorName +
			`":{"FragmentSelectorType":"PRODUCER_TIMESTAMP","TimestampRange":{` + rng + `}}}`
	}
	const (
		needBoth = "TimestampRange with StartTimestamp and EndTimestamp is required when " +
			"PlaybackMode is ON_DEMAND."
		needStart = "TimestampRange with StartTimestamp is required when PlaybackMode is " +
			"LIVE_REPLAY."
		noRange  = "TimestampRange must not be specified when PlaybackMode is LIVE."
		backward = "EndTimestamp must be later than StartTimestamp."
		tooLong  = "EndTimestamp must be within 24 hours of StartTimestamp."
	)
	return []inputCase{
		{op, `{` + ref + `,"PlaybackMode":"ON_DEMAND"}`, needBoth},
		{op, selector("ON_DEMAND", ``), needBoth},
		{op, selector("ON_DEMAND", `"StartTimestamp":1`), needBoth},
		{op, selector("ON_DEMAND", `"EndTimestamp":1`), needBoth},
		{op, selector("ON_DEMAND", `"StartTimestamp":0,"EndTimestamp":0.001`), ""},
		{op, selector("ON_DEMAND", `"StartTimestamp":5,"EndTimestamp":5`), backward},
		{op, selector("ON_DEMAND", `"StartTimestamp":6,"EndTimestamp":5`), backward},
		{op, selector("ON_DEMAND", `"StartTimestamp":5,"EndTimestamp":86405`), ""},
		{op, selector("ON_DEMAND", `"StartTimestamp":5,"EndTimestamp":86405.001`), tooLong},
		{op, `{` + ref + `,"PlaybackMode":"LIVE_REPLAY"}`, needStart},
		{op, selector("LIVE_REPLAY", `"EndTimestamp":1`), needStart},
		{op, selector("LIVE_REPLAY", `"StartTimestamp":1`), ""},
		{op, selector("LIVE_REPLAY", `"StartTimestamp":1,"EndTimestamp":1`), backward},
		{op, selector("LIVE", `"StartTimestamp":1`), noRange},
		{op, selector("LIVE", `"EndTimestamp":1`), noRange},
		{op, `{` + ref + `,"` + selectorName + `":{"TimestampRange":{"StartTimestamp":1}}}`,
			noRange},
	}
}

func dashCases() []inputCase {
	const op = "GetDASHStreamingSessionURL"
	return append(append(streamRefCases(op, ""), rangeCases(op, "DASHFragmentSelector")...),
		[]inputCase{
			{op, `{` + ref + `,"PlaybackMode":"LIVE","DisplayFragmentTimestamp":"ALWAYS",` +
				`"DASHFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP"},` +
				`"DisplayFragmentNumber":"ALWAYS","Expires":300,"MaxManifestFragmentResults":1}`,
				""},
			{op, `{` + ref + `,"Expires":43200,"MaxManifestFragmentResults":5000}`, ""},
			{op, `{` + ref + `,"DisplayFragmentTimestamp":"ON","DisplayFragmentNumber":"OFF",` +
				`"DASHFragmentSelector":{"FragmentSelectorType":"X"}}`,
				wantValidation(
					violation{"'ON'", "displayFragmentTimestamp",
						"Member must satisfy enum value set: [ALWAYS, NEVER]"},
					violation{"'OFF'", "displayFragmentNumber",
						"Member must satisfy enum value set: [ALWAYS, NEVER]"},
					violation{"'X'", "dASHFragmentSelector.fragmentSelectorType", "Member must " +
						"satisfy enum value set: [PRODUCER_TIMESTAMP, SERVER_TIMESTAMP]"})},
			{op, `{` + ref + `,"Expires":299,"MaxManifestFragmentResults":0}`, wantValidation(
				violation{"'299'", "expires",
					"Member must have value greater than or equal to 300"},
				violation{"'0'", "maxManifestFragmentResults",
					"Member must have value greater than or equal to 1"})},
			{op, `{` + ref + `,"MaxManifestFragmentResults":5001}`, wantValidation(
				violation{"'5001'", "maxManifestFragmentResults",
					"Member must have value less than or equal to 5000"})},
		}...)
}

func hlsCases() []inputCase {
	const op = "GetHLSStreamingSessionURL"
	return append(append(streamRefCases(op, ""), rangeCases(op, "HLSFragmentSelector")...),
		[]inputCase{
			{op, `{` + ref + `,"PlaybackMode":"LIVE",` +
				`"HLSFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP"},` +
				`"ContainerFormat":"MPEG_TS","DiscontinuityMode":"ON_DISCONTINUITY",` +
				`"DisplayFragmentTimestamp":"ALWAYS","Expires":300,"MaxMediaPlaylistFragmentResults":1}`, ""},
			{op, `{` + ref +
				`,"Expires":43200,"MaxMediaPlaylistFragmentResults":5000,"HLSFragmentSelector":{}}`,
				""},
			{op, `{` + ref + `,"HLSFragmentSelector":{"TimestampRange":{}}}`, ""},
			{op, `{` + ref + `,"PlaybackMode":"VOD"}`,
				wantValidation(violation{"'VOD'", "playbackMode",
					"Member must satisfy enum value set: [LIVE, LIVE_REPLAY, ON_DEMAND]"})},
			{op, `{` + ref + `,"PlaybackMode":""}`,
				wantValidation(violation{"''", "playbackMode",
					"Member must satisfy enum value set: [LIVE, LIVE_REPLAY, ON_DEMAND]"})},
			{op, `{` + ref + `,"HLSFragmentSelector":{"FragmentSelectorType":"X"}}`,
				wantValidation(violation{"'X'", "hLSFragmentSelector.fragmentSelectorType",
					"Member must satisfy enum value set: [PRODUCER_TIMESTAMP, SERVER_TIMESTAMP]"})},
			{op, `{` + ref +
				`,"ContainerFormat":"MP4","DiscontinuityMode":"MAYBE","DisplayFragmentTimestamp":"ON"}`,
				wantValidation(
					violation{"'MP4'", "containerFormat",
						"Member must satisfy enum value set: [FRAGMENTED_MP4, MPEG_TS]"},
					violation{"'MAYBE'", "discontinuityMode",
						"Member must satisfy enum value set: [ALWAYS, NEVER, ON_DISCONTINUITY]"},
					violation{"'ON'", "displayFragmentTimestamp",
						"Member must satisfy enum value set: [ALWAYS, NEVER]"})},
			{op, `{` + ref + `,"Expires":299,"MaxMediaPlaylistFragmentResults":0}`, wantValidation(
				violation{"'299'", "expires",
					"Member must have value greater than or equal to 300"},
				violation{"'0'", "maxMediaPlaylistFragmentResults",
					"Member must have value greater than or equal to 1"})},
			{op, `{` + ref + `,"Expires":43201,"MaxMediaPlaylistFragmentResults":5001}`,
				wantValidation(
					violation{"'43201'", "expires",
						"Member must have value less than or equal to 43200"},
					violation{"'5001'", "maxMediaPlaylistFragmentResults",
						"Member must have value less than or equal to 5000"})},
			{op, `{` + ref + `,"Expires":0}`,
				wantValidation(violation{"'0'", "expires",
					"Member must have value greater than or equal to 300"})},
		}...)
}

func clipCases() []inputCase {
	const op = "GetClip"
	selector := func(times string) string {
		return `"ClipFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP",` +
			`"TimestampRange":{` + times + `}}`
	}
	body := func(members string) string { return `{` + ref + `,` + members + `}` }
	return append(streamRefCases(op, ","+selector(`"StartTimestamp":5,"EndTimestamp":6`)),
		[]inputCase{
			{op, body(selector(`"StartTimestamp":5,"EndTimestamp":86405`)), ""},
			{op, body(selector(`"StartTimestamp":5,"EndTimestamp":86405.001`)),
				"EndTimestamp must be within 24 hours of StartTimestamp."},
			{op, body(selector(`"StartTimestamp":5,"EndTimestamp":5`)),
				"EndTimestamp must be later than StartTimestamp."},
			{op, `{` + ref + `}`,
				wantValidation(violation{"null", "clipFragmentSelector", notNull})},
			{op, body(`"ClipFragmentSelector":{}`), wantValidation(
				violation{"null", "clipFragmentSelector.fragmentSelectorType", notNull},
				violation{"null", "clipFragmentSelector.timestampRange", notNull})},
			{op, body(`"ClipFragmentSelector":{"FragmentSelectorType":"X","TimestampRange":{}}`),
				wantValidation(
					violation{"'X'", "clipFragmentSelector.fragmentSelectorType", "Member must " +
						"satisfy enum value set: [PRODUCER_TIMESTAMP, SERVER_TIMESTAMP]"},
					violation{"null", "clipFragmentSelector.timestampRange.startTimestamp",
						notNull},
					violation{"null", "clipFragmentSelector.timestampRange.endTimestamp",
						notNull})},
		}...)
}

func getMediaCases() []inputCase {
	const op = "GetMedia"
	const types = "Member must satisfy enum value set: [FRAGMENT_NUMBER, SERVER_TIMESTAMP, " +
		"PRODUCER_TIMESTAMP, NOW, EARLIEST, CONTINUATION_TOKEN]"
	start := func(kind, more string) string {
		return `{` + ref + `,"StartSelector":{"StartSelectorType":"` + kind + `"` + more + `}}`
	}
	needs := func(member, kind string) string {
		return member + " is required when StartSelectorType is " + kind + "."
	}
	arn := func(text string) string {
		return `{"StreamARN":"` + text + `","StartSelector":{"StartSelectorType":"NOW"}}`
	}
	return []inputCase{
		{op, arn(testARN), ""},
		{op, arn("arn:aws-cn:kinesisvideo:cn-north-1:1:stream/x/0"), wantValidation(violation{
			"'arn:aws-cn:kinesisvideo:cn-north-1:1:stream/x/0'", "streamARN", `Member must satisfy ` +
				`regular expression pattern: arn:aws:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/` +
				`[a-zA-Z0-9_.-]+/[0-9]+`})},
		{op, `{"StartSelector":{"StartSelectorType":"NOW"}}`, needStream},
		{op, start("EARLIEST", `,"StartTimestamp":5`), ""},
		{op, start("FRAGMENT_NUMBER", `,"AfterFragmentNumber":"0"`), ""},
		{op, start("SERVER_TIMESTAMP", `,"StartTimestamp":0`), ""},
		{op, start("CONTINUATION_TOKEN", `,"ContinuationToken":"a.b-c_9"`), ""},
		{op, start("FRAGMENT_NUMBER", ``), needs("AfterFragmentNumber", "FRAGMENT_NUMBER")},
		{op, start("SERVER_TIMESTAMP", ``), needs("StartTimestamp", "SERVER_TIMESTAMP")},
		{op, start("PRODUCER_TIMESTAMP", ``), needs("StartTimestamp", "PRODUCER_TIMESTAMP")},
		{op, start("CONTINUATION_TOKEN", ``), needs("ContinuationToken", "CONTINUATION_TOKEN")},
		{op, `{` + ref + `}`, wantValidation(violation{"null", "startSelector", notNull})},
		{op, start("LATER", ``), wantValidation(violation{"'LATER'",
			"startSelector.startSelectorType", types})},
		{op, start("FRAGMENT_NUMBER", `,"AfterFragmentNumber":"-1"`), wantValidation(
			violation{"'-1'", "startSelector.afterFragmentNumber",
				"Member must satisfy regular expression pattern: ^[0-9]+$"})},
		{op, start("CONTINUATION_TOKEN", `,"ContinuationToken":"a b"`), wantValidation(
			violation{"'a b'", "startSelector.continuationToken",
				`Member must satisfy regular expression pattern: ^[a-zA-Z0-9_\.\-]+$`})},
	}
}

func fragmentListCases() []inputCase {
	const op = "GetMediaForFragmentList"
	list := func(items string) string { return `{` + ref + `,"Fragments":[` + items + `]}` }
	numbers := func(n int) string { return strings.Repeat(`"1",`, n-1) + `"1"` }
	return append(streamRefCases(op, `,"Fragments":["1"]`), []inputCase{
		{op, list(numbers(1000)), ""},
		{op, `{` + ref + `}`, wantValidation(violation{"null", "fragments", notNull})},
		{op, list(``), wantValidation(violation{"'[]'", "fragments", tooShort})},
		{op, list(`"x"`), wantValidation(violation{"'[x]'", "fragments", "Member must satisfy " +
			"constraint: [Member must satisfy regular expression pattern: ^[0-9]+$]"})},
		{op, list(`"` + strings.Repeat("1", 129) + `"`), wantValidation(violation{"'[" +
			strings.Repeat("1", 129) + "]'", "fragments", "Member must satisfy constraint: " +
			"[Member must have length less than or equal to 128]"})},
	}...)
}

func TestTooManyFragments(t *testing.T) {
	in := newInput(t, "GetMediaForFragmentList")
	body := `{` + ref + `,"Fragments":[` + strings.Repeat(`"1",`, 1000) + `"1"]}`
	if err := DecodeJSON([]byte(body), in); err != nil {
		t.Fatal(err)
	}
	if err := Validate(in); err == nil || !strings.Contains(err.Error(),
		"Member must have length less than or equal to 1000") {
		t.Error(err)
	}
}

func listFragmentsCases() []inputCase {
	const op = "ListFragments"
	const pattern = `Member must satisfy regular expression pattern: `
	const times = `"TimestampRange":{"StartTimestamp":5,"EndTimestamp":5}`
	const one = `"FragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP",` + times + `}`
	body := func(members string) string { return `{` + ref + `,` + members + `}` }
	return append(streamRefCases(op, ","+one), []inputCase{
		{op, body(one), ""},
		{op, body(`"NextToken":"aZ09+/=="`), ""},
		{op, body(one + `,"NextToken":"AAAA","MaxResults":1000`), ""},
		{op, `{` + ref + `}`,
			"FragmentSelector is required when NextToken is not specified."},
		{op, body(`"FragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP",` +
			`"TimestampRange":{"StartTimestamp":5.001,"EndTimestamp":5}}`),
			"EndTimestamp must not be earlier than StartTimestamp."},
		{op, body(`"FragmentSelector":{}`), wantValidation(
			violation{"null", "fragmentSelector.fragmentSelectorType", notNull},
			violation{"null", "fragmentSelector.timestampRange", notNull})},
		{op, body(`"FragmentSelector":{"FragmentSelectorType":"X","TimestampRange":{}}`),
			wantValidation(
				violation{"'X'", "fragmentSelector.fragmentSelectorType", "Member must " +
					"satisfy enum value set: [PRODUCER_TIMESTAMP, SERVER_TIMESTAMP]"},
				violation{"null", "fragmentSelector.timestampRange.startTimestamp", notNull},
				violation{"null", "fragmentSelector.timestampRange.endTimestamp", notNull})},
		{op, body(one + `,"MaxResults":0`), wantValidation(violation{"'0'", "maxResults",
			"Member must have value greater than or equal to 1"})},
		{op, body(one + `,"MaxResults":1001`), wantValidation(violation{"'1001'", "maxResults",
			"Member must have value less than or equal to 1000"})},
		{op, body(`"NextToken":""`), wantValidation(violation{"''", "nextToken", tooShort},
			violation{"''", "nextToken", pattern + `[a-zA-Z0-9+/]+={0,2}`})},
		{op, body(`"NextToken":"a==="`), wantValidation(violation{"'a==='", "nextToken",
			pattern + `[a-zA-Z0-9+/]+={0,2}`})},
	}...)
}
