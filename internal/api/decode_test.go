package api

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestDecodeJSONErrors(t *testing.T) {
	for _, c := range []struct {
		operation, body, message string
	}{
		{"DescribeStream", `{`, "The request body is not valid JSON: unexpected EOF."},
		{"DescribeStream", `{"StreamName":}`, "The request body is not valid JSON: invalid " +
			"character '}' looking for beginning of value at byte 15."},
		{"DescribeStream", `{"StreamName":"a"} {}`,
			"The request body has text after the JSON object."},
		{"DescribeStream", `[]`, "The request body must be a JSON object, not a list."},
		{"DescribeStream", `"x"`, "The request body must be a JSON object, not STRING_VALUE."},
		{"DescribeStream", `{"StreamName":1}`,
			"NUMBER_VALUE can not be converted to a String at 'streamName'."},
		{"DescribeStream", `{"StreamName":true}`,
			"TRUE_VALUE can not be converted to a String at 'streamName'."},
		{"DescribeStream", `{"StreamName":{}}`,
			"a structure can not be converted to a String at 'streamName'."},
		{"ListStreams", `{"MaxResults":"5"}`,
			"STRING_VALUE can not be converted to an Integer at 'maxResults'."},
		{"ListStreams", `{"MaxResults":1.5}`,
			"NUMBER_VALUE can not be converted to an Integer at 'maxResults'."},
		{"ListStreams", `{"MaxResults":1e400}`,
			"NUMBER_VALUE can not be converted to an Integer at 'maxResults'."},
		{"ListStreams", `{"MaxResults":0e999999999}`,
			"NUMBER_VALUE can not be converted to an Integer at 'maxResults'."},
		{"ListStreams", `{"MaxResults":99999999999999999999}`,
			"NUMBER_VALUE can not be converted to an Integer at 'maxResults'."},
		{"ListStreams", `{"StreamNameCondition":"x"}`,
			"STRING_VALUE can not be converted to a structure at 'streamNameCondition'."},
		{"TagStream", `{"Tags":[]}`, "a list can not be converted to a map at 'tags'."},
		{"TagStream", `{"Tags":{"a":1}}`,
			"NUMBER_VALUE can not be converted to a String at 'tags'."},
		{"TagStream", `{"Tags":{"a":null}}`, "null can not be converted to a String at 'tags'."},
		{"UntagStream", `{"TagKeyList":"a"}`,
			"STRING_VALUE can not be converted to a list at 'tagKeyList'."},
		{"UntagStream", `{"TagKeyList":["a",null]}`,
			"null is not allowed in the list at 'tagKeyList'."},
		{"UntagStream", `{"TagKeyList":["a",2]}`,
			"NUMBER_VALUE can not be converted to a String at 'tagKeyList.2.member'."},
		{"GetHLSStreamingSessionURL",
			`{"HLSFragmentSelector":{"TimestampRange":{"StartTimestamp":true}}}`,
			"TRUE_VALUE can not be converted to a Timestamp at " +
				"'hLSFragmentSelector.timestampRange.startTimestamp'."},
		{"GetHLSStreamingSessionURL",
			`{"HLSFragmentSelector":{"TimestampRange":{"StartTimestamp":1705489836421}}}`,
			"The timestamp at 'hLSFragmentSelector.timestampRange.startTimestamp' is out of " +
				"range; it must be in seconds since 1970-01-01."},
		{"GetHLSStreamingSessionURL",
			`{"HLSFragmentSelector":{"TimestampRange":{"StartTimestamp":"noon"}}}`,
			"The timestamp at 'hLSFragmentSelector.timestampRange.startTimestamp' is not in ISO " +
				"8601 form with a time zone, such as 2018-12-31T23:59:59.000Z."},
	} {
		err := DecodeJSON([]byte(c.body), newInput(t, c.operation))
		var e *Error
		if !errors.As(err, &e) || e.Code != SerializationException || e.Message != c.message {
			t.Errorf("%s %s\n got %v\nwant %s", c.operation, c.body, err, c.message)
		}
	}
	if err := DecodeJSON(make([]byte, MaxBodyBytes+1), new(ListStreamsInput)); !errors.Is(err,
		&Error{Code: RequestEntityTooLargeException}) {
		t.Errorf("a body over the limit: %v", err)
	}
	if err := DecodeJSON([]byte(strings.Repeat(`{"a":`, MaxBodyBytes/5)),
		new(ListStreamsInput)); !errors.Is(err, &Error{Code: SerializationException}) {
		t.Errorf("a deep body: %v", err)
	}
}

func TestDecodeJSONAccepts(t *testing.T) {
	var in ListStreamsInput
	body := " \n{\"MaxResults\":2.40e1,\"NextToken\":null,\"Unknown\":{\"a\":[1,true]},\"" +
		"StreamNameCondition\":{\"ComparisonValue\":\"front\",\"x\":1}}\n"
	if err := DecodeJSON([]byte(body), &in); err != nil {
		t.Fatal(err)
	}
	if in.Limit() != 24 || in.Prefix() != "front" || in.NextToken != "" {
		t.Errorf("got %+v", in)
	}
	if err := DecodeJSON(nil, &in); err != nil || in.Limit() != DefaultListStreams ||
		in.Prefix() != "" {
		t.Errorf("an empty body over an old value: %+v, %v", in, err)
	}
}

func TestTimestamp(t *testing.T) {
	for text, want := range map[string]Timestamp{
		"0": 0, "1": 1000, "1.5": 1500, "0.0004": 0, "0.0005": 1, "1705489836.421": 1705489836421,
		"1.705489836421E9":   1705489836421,
		"1705489836.4209999": 1705489836421, "-1.5": -1500, "253402300799": 253402300799000,
		`"2024-01-17T11:10:36.421Z"`:      1705489836421,
		`"2024-01-17T12:10:36.421+01:00"`: 1705489836421,
		`"2024-01-17T11:10:36.421+0000"`:  1705489836421, `"2024-01-17T11:10:36Z"`: 1705489836000,
		`"2024-01-17T11:10Z"`: 1705489800000,
	} {
		var got Timestamp
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"253402300800", "1e300", "-1e300", `""`, `"1705489836"`,
		`"2024-01-17"`, `"2024-01-17T11:10:36"`} {
		var got Timestamp
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s became %d", text, got)
		}
	}
	for ts, want := range map[Timestamp]string{0: "0.000", 7: "0.007",
		1705489836421: "1705489836.421", 1705489836000: "1705489836.000", -1500: "-1.500",
		maxTimestamp: "253402300799.999"} {
		if got, err := json.Marshal(ts); err != nil || string(got) != want {
			t.Errorf("%d: %s, %v; want %s", ts, got, err, want)
		}
	}
}

// Producers scan the answer of DescribeStream as flat text: the members, their order and the
// integers matter.
func TestDescribeStreamOutput(t *testing.T) {
	out := DescribeStreamOutput{StreamInfo{
		CreationTime: 1705489836421, DataRetentionInHours: 24, DeviceName: NullIfEmpty(""),
		KmsKeyId:  NullIfEmpty("arn:aws:kms:x"),
		MediaType: NullIfEmpty(""), Status: StatusActive, StreamARN: testARN, StreamName: "cam",
		Version: "davN9FKg4vjyKdCSs0f4",
	}}
	const want = `{"StreamInfo":{"CreationTime":1705489836.421,"DataRetentionInHours":24,` +
		`"DeviceName":null,"KmsKeyId":"arn:aws:kms:x","MediaType":null,` +
		`"Status":"ACTIVE","StreamARN":"` + testARN +
		`","StreamName":"cam","Version":"davN9FKg4vjyKdCSs0f4"}}`
	got, err := json.Marshal(out)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	var back DescribeStreamOutput
	if err := DecodeJSON(got, &back); err != nil || back.StreamInfo.CreationTime != 1705489836421 ||
		*back.StreamInfo.KmsKeyId != "arn:aws:kms:x" || back.StreamInfo.MediaType != nil {
		t.Errorf("decoded %+v, %v", back, err)
	}
	// jsmn makes one token of every string, primitive, object and array; producers have room for
	// 100.
	if tokens := strings.Count(string(got), `":`)*2 + 1; tokens > 100 {
		t.Errorf("%d tokens", tokens)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	ops := Operations()
	for _, c := range inputCases() {
		for i, op := range ops {
			if op.Name == c.operation {
				f.Add(uint8(i), []byte(c.body))
			}
		}
	}
	f.Add(uint8(0), []byte(`{"DataRetentionInHours":1e99}`))
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		op := ops[int(which)%len(ops)]
		if op.NewInput == nil {
			return
		}
		in := op.NewInput()
		var e *Error
		if err := DecodeJSON(body, in); err != nil {
			if !errors.As(err, &e) || e.Code == InternalFailure || e.Status() >= 500 {
				t.Fatalf("%s: %v", op.Name, err)
			}
			return
		}
		if err := Validate(in); err != nil {
			if !errors.As(err, &e) || e.Code != InvalidArgumentException || len(e.Message) > 1<<16 {
				t.Fatalf("%s: %v", op.Name, err)
			}
			return
		}
		// Valid inputs survive being written and read again.
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		again := op.NewInput()
		if err := DecodeJSON(text, again); err != nil {
			t.Fatalf("%s: %s: %v", op.Name, text, err)
		}
		if err := Validate(again); err != nil {
			t.Fatalf("%s: %s: %v", op.Name, text, err)
		}
	})
}
