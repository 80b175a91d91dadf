package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const testARN = "arn:aws:kinesisvideo:us-west-2:123456789012:stream/cam/1705489836421"

// ref stands for a correct way to name a stream in the tables below.
const ref = `"StreamName":"cam"`

func long(n int) string { return strings.Repeat("a", n) }

func tagsJSON(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(`"k%d":"v"`, i))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func keysJSON(n int) string {
	return `["k"` + strings.Repeat(`,"k"`, n-1) + "]"
}

func tagListJSON(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf(`{"Key":"k%d","Value":"v"}`, i))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

const (
	namePattern = `Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+`
	arnPattern  = `Member must satisfy regular expression pattern: ` +
		`arn:[a-z\d-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+`
	versionPattern = `Member must satisfy regular expression pattern: [a-zA-Z0-9]+`
	mediaPattern   = `Member must satisfy regular expression pattern: [\w\-\.\+]+/[\w\-\.\+]+(,` +
		`[\w\-\.\+]+/[\w\-\.\+]+)*`
	tokenPattern = `Member must satisfy regular expression pattern: [a-zA-Z0-9+/=]*`
	keyPattern   = `Member must satisfy regular expression pattern: ^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`
	valuePattern = `Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*`
	tooShort     = `Member must have length greater than or equal to 1`
	notNull      = `Member must not be null`
	needStream   = "Either StreamName or StreamARN must be specified."
	bothStreams  = "StreamName and StreamARN must not both be specified."
)

// violation is one complaint of a validation message.
type violation struct{ value, member, constraint string }

func (v violation) String() string {
	return "Value " + v.value + " at '" + v.member + "' failed to satisfy constraint: " +
		v.constraint
}

// wantValidation is the message that lists violations.
func wantValidation(vs ...violation) string {
	var parts []string
	for _, v := range vs {
		parts = append(parts, v.String())
	}
	if len(vs) == 1 {
		return "1 validation error detected: " + parts[0]
	}
	return fmt.Sprintf("%d validation errors detected: %s", len(vs), strings.Join(parts, "; "))
}

// inputCase is a body for an operation; message is "" if the body is valid.
type inputCase struct{ operation, body, message string }

// streamRefCases are cases of StreamName and StreamARN, which many operations have. rest is the
// other required members.
func streamRefCases(op, rest string) []inputCase {
	b := func(members string) string { return "{" + members + rest + "}" }
	return []inputCase{
		{op, b(`"StreamName":"a.B_c-9"`), ""},
		{op, b(`"StreamName":"` + long(256) + `"`), ""},
		{op, b(`"StreamARN":"` + testARN + `"`), ""},
		{op, b(`"StreamARN":"arn:aws-cn:kinesisvideo:cn-north-1:1:channel/x/0"`), ""},
		{op, b(`"StreamName":null,"StreamARN":"` + testARN + `"`), ""},
		{op, b(`"Other":1`), needStream},
		{op, b(ref + `,"StreamARN":"` + testARN + `"`), bothStreams},
		{op, b(`"StreamName":""`), wantValidation(violation{"''", "streamName", tooShort},
			violation{"''", "streamName", namePattern})},
		{op, b(`"StreamName":"a b"`),
			wantValidation(violation{"'a b'", "streamName", namePattern})},
		{op, b(`"StreamName":"é"`), wantValidation(violation{"'é'", "streamName", namePattern})},
		{op, b(`"StreamName":"a\n"`),
			wantValidation(violation{"'a\n'", "streamName", namePattern})},
		{op, b(`"StreamName":"` + long(257) + `"`),
			wantValidation(violation{"'" + long(257) + "'", "streamName",
				"Member must have length less than or equal to 256"})},
		{op, b(`"StreamARN":""`), wantValidation(violation{"''", "streamARN", tooShort},
			violation{"''", "streamARN", arnPattern})},
		{op, b(`"StreamARN":"cam"`), wantValidation(violation{"'cam'", "streamARN", arnPattern})},
		{op, b(`"StreamARN":"` + testARN + long(1024) + `"`), wantValidation(
			violation{"'" + (testARN + long(1024))[:512] + "...'", "streamARN",
				"Member must have length less than or equal to 1024"},
			violation{"'" + (testARN + long(1024))[:512] + "...'", "streamARN", arnPattern})},
	}
}

func arnCases(op, member, shown, rest string) []inputCase {
	return []inputCase{
		{op, `{"` + member + `":"` + testARN + `"` + rest + `}`, ""},
		{op, `{"X":1` + rest + `}`, wantValidation(violation{"null", shown, notNull})},
		{op, `{"` + member + `":""` + rest + `}`, wantValidation(violation{"''", shown, tooShort},
			violation{"''", shown, arnPattern})},
		{op, `{"` + member + `":"arn:aws:s3:::b"` + rest + `}`,
			wantValidation(violation{"'arn:aws:s3:::b'", shown, arnPattern})},
	}
}

func inputCases() []inputCase {
	var cs []inputCase
	add := func(more ...inputCase) { cs = append(cs, more...) }

	add(listFragmentsCases()...)
	add(clipCases()...)
	add(imageCases()...)
	add(fragmentListCases()...)
	add(configurationCases()...)
	add(getMediaCases()...)

	// CreateStream.
	add([]inputCase{
		{"CreateStream", `{` + ref + `}`, ""},
		{"CreateStream", `{"DeviceName":"Kinesis_Video_Device",` + ref +
			`,"MediaType":"video/h264","DataRetentionInHours":2}`, ""},
		{"CreateStream", `{` + ref + `,"MediaType":"video/h264,audio/aac",` +
			`"KmsKeyId":"arn:aws:kms:x","DataRetentionInHours":0,"Tags":{"a":"","é ` +
			`x":"b/c:=+-@_."},"StreamStorageConfiguration":{"DefaultStorageTier":"WARM"}}`, ""},
		{"CreateStream", `{` + ref + `,"DataRetentionInHours":87600,"Tags":` + tagsJSON(50) + `}`,
			""},
		{"CreateStream", ``, wantValidation(violation{"null", "streamName", notNull})},
		{"CreateStream", `null`, wantValidation(violation{"null", "streamName", notNull})},
		{"CreateStream", `{"streamName":"x"}`,
			wantValidation(violation{"null", "streamName", notNull})},
		{"CreateStream", `{"StreamName":"","DeviceName":"","MediaType":"","KmsKeyId":""}`,
			wantValidation(
				violation{"''", "deviceName", tooShort}, violation{"''", "deviceName", namePattern},
				violation{"''", "streamName", tooShort}, violation{"''", "streamName", namePattern},
				violation{"''", "mediaType", tooShort}, violation{"''", "mediaType", mediaPattern},
				violation{"''", "kmsKeyId", tooShort},
				violation{"''", "kmsKeyId", "Member must satisfy regular expression pattern: .+"})},
		{"CreateStream", `{` + ref + `,"DeviceName":"` + long(129) + `"}`,
			wantValidation(violation{"'" + long(129) + "'", "deviceName",
				"Member must have length less than or equal to 128"})},
		{"CreateStream", `{` + ref + `,"MediaType":"video"}`,
			wantValidation(violation{"'video'", "mediaType", mediaPattern})},
		{"CreateStream", `{` + ref + `,"MediaType":"video/h264, audio/aac"}`,
			wantValidation(violation{"'video/h264, audio/aac'", "mediaType", mediaPattern})},
		{"CreateStream", `{` + ref + `,"MediaType":"v/` + long(127) + `"}`,
			wantValidation(violation{"'v/" + long(127) + "'", "mediaType",
				"Member must have length less than or equal to 128"})},
		{"CreateStream", `{` + ref + `,"KmsKeyId":"a\u2028b"}`,
			wantValidation(violation{"'a\u2028b'", "kmsKeyId",
				"Member must satisfy regular expression pattern: .+"})},
		{"CreateStream", `{` + ref + `,"KmsKeyId":"` + long(2049) + `"}`,
			wantValidation(violation{"'" + long(512) + "...'", "kmsKeyId",
				"Member must have length less than or equal to 2048"})},
		{"CreateStream", `{` + ref + `,"DataRetentionInHours":-1}`,
			wantValidation(violation{"'-1'", "dataRetentionInHours",
				"Member must have value greater than or equal to 0"})},
		{"CreateStream", `{` + ref + `,"DataRetentionInHours":87601}`,
			wantValidation(violation{"'87601'", "dataRetentionInHours",
				"Member must have value less than or equal to 87600"})},
		{"CreateStream", `{` + ref + `,"Tags":{}}`,
			wantValidation(violation{"'{}'", "tags", tooShort})},
		{"CreateStream", `{` + ref + `,"Tags":{"a":"b","":"c"}}`,
			wantValidation(violation{"'{=c, a=b}'", "tags", "Map keys must satisfy constraint: [" +
				tooShort + "]"})},
		{"CreateStream", `{` + ref + `,"Tags":{"a?":"b"}}`,
			wantValidation(violation{"'{a?=b}'", "tags", "Map keys must satisfy constraint: [" +
				keyPattern + "]"})},
		{"CreateStream", `{` + ref + `,"Tags":{"` + long(129) + `":"b"}}`,
			wantValidation(violation{"'{" + long(129) + "=b}'", "tags", "Map keys must satisfy " +
				"constraint: [Member must have length less than or equal to 128]"})},
		{"CreateStream", `{` + ref + `,"Tags":{"a":"!"}}`,
			wantValidation(violation{"'{a=!}'", "tags", "Map value must satisfy constraint: [" +
				valuePattern + "]"})},
		{"CreateStream", `{` + ref + `,"Tags":{"a":"` + strings.Repeat("é", 256) + `"}}`, ""},
		{"CreateStream", `{` + ref + `,"Tags":{"a":"` + long(257) + `"}}`,
			wantValidation(violation{"'{a=" + long(257) + "}'", "tags", "Map value must satisfy " +
				"constraint: [Member must have length less than or equal to 256]"})},
		{"CreateStream", `{` + ref + `,"StreamStorageConfiguration":{}}`,
			wantValidation(violation{"null", "streamStorageConfiguration.defaultStorageTier",
				notNull})},
		{"CreateStream", `{` + ref + `,"StreamStorageConfiguration":{"DefaultStorageTier":"COLD"}}`,
			wantValidation(violation{"'COLD'", "streamStorageConfiguration.defaultStorageTier",
				"Member must satisfy enum value set: [HOT, WARM]"})},
	}...)

	add(streamRefCases("DescribeStream", "")...)

	// ListStreams.
	add([]inputCase{
		{"ListStreams", ``, ""},
		{"ListStreams", `{"MaxResults":1,"NextToken":"","StreamNameCondition":{}}`, ""},
		{"ListStreams", `{"MaxResults":10000,"NextToken":"aZ09+/=",` +
			`"StreamNameCondition":{"ComparisonOperator":"BEGINS_WITH","ComparisonValue":"c"}}`,
			""},
		{"ListStreams", `{"MaxResults":0}`,
			wantValidation(violation{"'0'", "maxResults",
				"Member must have value greater than or equal to 1"})},
		{"ListStreams", `{"MaxResults":10001}`,
			wantValidation(violation{"'10001'", "maxResults",
				"Member must have value less than or equal to 10000"})},
		{"ListStreams", `{"NextToken":"?"}`,
			wantValidation(violation{"'?'", "nextToken", tokenPattern})},
		{"ListStreams", `{"NextToken":"` + long(1025) + `"}`,
			wantValidation(violation{"'" + long(512) + "...'", "nextToken",
				"Member must have length less than or equal to 1024"})},
		{"ListStreams",
			`{"StreamNameCondition":{"ComparisonOperator":"ENDS_WITH","ComparisonValue":""}}`,
			wantValidation(
				violation{"'ENDS_WITH'", "streamNameCondition.comparisonOperator",
					"Member must satisfy enum value set: [BEGINS_WITH]"},
				violation{"''", "streamNameCondition.comparisonValue", tooShort},
				violation{"''", "streamNameCondition.comparisonValue", namePattern})},
	}...)

	// UpdateStream.
	add(streamRefCases("UpdateStream", `,"CurrentVersion":"v1"`)...)
	add([]inputCase{
		{"UpdateStream", `{` + ref + `,"CurrentVersion":"` + long(64) +
			`","DeviceName":"d","MediaType":"a/b"}`, ""},
		{"UpdateStream", `{` + ref + `}`,
			wantValidation(violation{"null", "currentVersion", notNull})},
		{"UpdateStream", `{` + ref + `,"CurrentVersion":""}`,
			wantValidation(violation{"''", "currentVersion", tooShort},
				violation{"''", "currentVersion", versionPattern})},
		{"UpdateStream", `{` + ref + `,"CurrentVersion":"` + long(65) + `"}`,
			wantValidation(violation{"'" + long(65) + "'", "currentVersion",
				"Member must have length less than or equal to 64"})},
		{"UpdateStream", `{` + ref + `,"CurrentVersion":"v-1","DeviceName":" ","MediaType":"x"}`,
			wantValidation(
				violation{"'v-1'", "currentVersion", versionPattern},
				violation{"' '", "deviceName", namePattern},
				violation{"'x'", "mediaType", mediaPattern})},
	}...)

	// DeleteStream.
	add(arnCases("DeleteStream", "StreamARN", "streamARN", "")...)
	add([]inputCase{
		{"DeleteStream", `{"StreamARN":"` + testARN + `","CurrentVersion":"v"}`, ""},
		{"DeleteStream", `{"StreamName":"cam"}`,
			wantValidation(violation{"null", "streamARN", notNull})},
		{"DeleteStream", `{"StreamARN":"` + testARN + `","CurrentVersion":"?"}`,
			wantValidation(violation{"'?'", "currentVersion", versionPattern})},
	}...)

	// UpdateDataRetention.
	const retention = `,"CurrentVersion":"v","Operation":"INCREASE_DATA_RETENTION",` +
		`"DataRetentionChangeInHours":1`
	add(streamRefCases("UpdateDataRetention", retention)...)
	add([]inputCase{
		{"UpdateDataRetention", `{` + ref + `}`,
			wantValidation(violation{"null", "currentVersion", notNull},
				violation{"null", "operation", notNull},
				violation{"null", "dataRetentionChangeInHours", notNull})},
		{"UpdateDataRetention",
			`{` + ref + `,"CurrentVersion":"?","Operation":"SET","DataRetentionChangeInHours":0}`,
			wantValidation(
				violation{"'?'", "currentVersion", versionPattern},
				violation{"'SET'", "operation", "Member must satisfy enum value set: " +
					"[INCREASE_DATA_RETENTION, DECREASE_DATA_RETENTION]"},
				violation{"'0'", "dataRetentionChangeInHours",
					"Member must have value greater than or equal to 1"})},
	}...)

	// GetDataEndpoint.
	add(streamRefCases("GetDataEndpoint", `,"APIName":"PUT_MEDIA"`)...)
	for _, name := range []string{"PUT_MEDIA", "GET_MEDIA", "LIST_FRAGMENTS",
		"GET_MEDIA_FOR_FRAGMENT_LIST", "GET_HLS_STREAMING_SESSION_URL",
		"GET_DASH_STREAMING_SESSION_URL", "GET_CLIP", "GET_IMAGES"} {
		add(inputCase{"GetDataEndpoint", `{` + ref + `,"APIName":"` + name + `"}`, ""})
	}
	add([]inputCase{
		{"GetDataEndpoint", `{` + ref + `}`, wantValidation(violation{"null", "aPIName", notNull})},
		{"GetDataEndpoint", `{` + ref + `,"APIName":"put_media"}`,
			wantValidation(violation{"'put_media'", "aPIName",
				"Member must satisfy enum value set: [PUT_MEDIA, GET_MEDIA, LIST_FRAGMENTS, " +
					"GET_MEDIA_FOR_FRAGMENT_LIST, GET_HLS_STREAMING_SESSION_URL, " +
					"GET_DASH_STREAMING_SESSION_URL, GET_CLIP, GET_IMAGES]"})},
	}...)

	// Tags of streams.
	add(streamRefCases("TagStream", `,"Tags":{"a":"b"}`)...)
	add([]inputCase{
		{"TagStream", `{` + ref + `,"Tags":` + tagsJSON(50) + `}`, ""},
		{"TagStream", `{` + ref + `}`, wantValidation(violation{"null", "tags", notNull})},
		{"TagStream", `{` + ref + `,"Tags":{}}`,
			wantValidation(violation{"'{}'", "tags", tooShort})},
		{"TagStream", `{` + ref + `,"Tags":{"a":"*"}}`,
			wantValidation(violation{"'{a=*}'", "tags", "Map value must satisfy constraint: [" +
				valuePattern + "]"})},
	}...)
	add(streamRefCases("UntagStream", `,"TagKeyList":["a"]`)...)
	add([]inputCase{
		{"UntagStream", `{` + ref + `,"TagKeyList":` + keysJSON(50) + `}`, ""},
		{"UntagStream", `{` + ref + `}`, wantValidation(violation{"null", "tagKeyList", notNull})},
		{"UntagStream", `{` + ref + `,"TagKeyList":[]}`,
			wantValidation(violation{"'[]'", "tagKeyList", tooShort})},
		{"UntagStream", `{` + ref + `,"TagKeyList":["a",""]}`,
			wantValidation(violation{"'[a, ]'", "tagKeyList", "Member must satisfy constraint: [" +
				tooShort + "]"})},
		{"UntagStream", `{` + ref + `,"TagKeyList":["*"]}`,
			wantValidation(violation{"'[*]'", "tagKeyList", "Member must satisfy constraint: [" +
				keyPattern + "]"})},
		{"UntagStream", `{` + ref + `,"TagKeyList":` + keysJSON(51) + `}`,
			wantValidation(violation{"'[k" + strings.Repeat(", k", 50) + "]'", "tagKeyList",
				"Member must have length less than or equal to 50"})},
	}...)
	add(streamRefCases("ListTagsForStream", "")...)
	add(inputCase{"ListTagsForStream", `{` + ref + `,"NextToken":"?"}`,
		wantValidation(violation{"'?'", "nextToken", tokenPattern})})

	// Tags of resources.
	add(arnCases("TagResource", "ResourceARN", "resourceARN",
		`,"Tags":[{"Key":"a","Value":""}]`)...)
	const arn = `"ResourceARN":"` + testARN + `"`
	add([]inputCase{
		{"TagResource", `{` + arn + `,"Tags":` + tagListJSON(50) + `}`, ""},
		{"TagResource", `{` + arn + `}`, wantValidation(violation{"null", "tags", notNull})},
		{"TagResource", `{` + arn + `,"Tags":[]}`,
			wantValidation(violation{"'[0 tags]'", "tags", tooShort})},
		{"TagResource", `{` + arn + `,"Tags":` + tagListJSON(51) + `}`,
			wantValidation(violation{"'[51 tags]'", "tags",
				"Member must have length less than or equal to 50"})},
		{"TagResource", `{` + arn + `,"Tags":[{"Key":"a"},{"Value":"b"}]}`,
			wantValidation(violation{"null", "tags.1.member.value", notNull},
				violation{"null", "tags.2.member.key", notNull})},
		{"TagResource", `{` + arn + `,"Tags":[{"Key":"","Value":"*"}]}`,
			wantValidation(violation{"''", "tags.1.member.key", tooShort},
				violation{"'*'", "tags.1.member.value", valuePattern})},
		{"TagResource", `{` + arn + `,"Tags":[{"Key":"a","Value":"1"},{"Key":"a","Value":"2"}]}`,
			"The tag key 'a' is given more than once."},
	}...)
	add(arnCases("UntagResource", "ResourceARN", "resourceARN", `,"TagKeyList":["a"]`)...)
	add([]inputCase{
		{"UntagResource", `{` + arn + `}`,
			wantValidation(violation{"null", "tagKeyList", notNull})},
		{"UntagResource", `{` + arn + `,"TagKeyList":[]}`,
			wantValidation(violation{"'[]'", "tagKeyList", tooShort})},
	}...)
	add(arnCases("ListTagsForResource", "ResourceARN", "resourceARN", "")...)
	add(inputCase{"ListTagsForResource", `{` + arn + `,"NextToken":"?"}`,
		wantValidation(violation{"'?'", "nextToken", tokenPattern})})

	add(administrationCases()...)
	add(sessionCases()...)
	add(statusCases()...)
	add(cameraCases()...)
	return append(append(cs, hlsCases()...), dashCases()...)
}

func newInput(t testing.TB, operation string) Input {
	t.Helper()
	op := Find(operation)
	if op == nil || op.NewInput == nil {
		t.Fatalf("no operation %s", operation)
	}
	return op.NewInput()
}

func TestInputConstraints(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range inputCases() {
		tested[c.operation] = true
		in := newInput(t, c.operation)
		if err := DecodeJSON([]byte(c.body), in); err != nil {
			t.Errorf("%s %.200s: %v", c.operation, c.body, err)
			continue
		}
		err := Validate(in)
		var e *Error
		switch {
		case c.message == "" && err != nil:
			t.Errorf("%s %.200s\n got %v\nwant no error", c.operation, c.body, err)
		case c.message == "":
		case !errors.As(err, &e) || e.Code != InvalidArgumentException || e.Message != c.message:
			t.Errorf("%s %.200s\n got %v\nwant %s", c.operation, c.body, err, c.message)
		}
	}
	for _, op := range Operations() {
		if op.NewInput != nil && !tested[op.Name] {
			t.Errorf("%s is not tested", op.Name)
		}
	}
}

// Messages cut off map values, so the 51 tags are checked separately.
func TestTooManyTags(t *testing.T) {
	for _, op := range []string{"CreateStream", "TagStream"} {
		in := newInput(t, op)
		if err := DecodeJSON([]byte(`{`+ref+`,"Tags":`+tagsJSON(51)+`}`), in); err != nil {
			t.Fatal(err)
		}
		err := Validate(in)
		if err == nil || !strings.Contains(err.Error(), "at 'tags' failed to satisfy constraint: "+
			"Member must have length less than or equal to 50") || len(err.Error()) > 1000 {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// A caller who fills in a struct in Go can say everything that is valid, and the struct's JSON
// decodes to the same.
func TestInputsMarshal(t *testing.T) {
	end := Timestamp(1500)
	start := Timestamp(0)
	for _, in := range []Input{
		&CreateStreamInput{StreamName: "cam", DataRetentionInHours: 24,
			Tags: map[string]string{"a": ""}},
		&DescribeStreamInput{StreamRef: StreamRef{StreamARN: testARN}},
		&TagResourceInput{ResourceARN: testARN, Tags: []Tag{{"a", ""}}},
		&GetHLSStreamingSessionURLInput{StreamRef: StreamRef{StreamName: "cam"},
			PlaybackMode: PlaybackModeOnDemand,
			HLSFragmentSelector: &FragmentSelector{SelectorServerTimestamp,
				&TimestampRange{&start, &end}}},
	} {
		if err := Validate(in); err != nil {
			t.Errorf("%T: %v", in, err)
		}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		decoded := newInput(t,
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%T", in), "*api."), "Input"))
		if err := DecodeJSON(text, decoded); err != nil {
			t.Fatal(err)
		}
		if err := Validate(decoded); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		again, _ := json.Marshal(decoded)
		if string(again) != string(text) {
			t.Errorf("%s became %s", text, again)
		}
	}
}
