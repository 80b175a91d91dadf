package api

import (
	"net/http"
	"strings"
	"testing"
)

func TestParsePutMedia(t *testing.T) {
	const (
		name     = "x-amzn-stream-name: cam\n"
		absolute = "x-amzn-fragment-timecode-type: ABSOLUTE\n"
		relative = "x-amzn-fragment-timecode-type: RELATIVE\n"
		start    = "x-amzn-producer-start-timestamp: "
	)
	cam := StreamRef{StreamName: "cam"}
	for _, c := range []struct {
		headers string
		want    PutMediaInput
		message string
	}{
		{name + absolute, PutMediaInput{cam, TimecodeAbsolute, 0, true}, ""},
		{"X-Amzn-Stream-ARN: " + testARN + "\n" + absolute,
			PutMediaInput{StreamRef{StreamARN: testARN}, TimecodeAbsolute, 0, true}, ""},
		{name + absolute + start + "1795358519.803\n", PutMediaInput{cam, TimecodeAbsolute,
			1795358519803, true}, ""},
		{name + relative + start + "1795358897.48\n", PutMediaInput{cam, TimecodeRelative,
			1795358897480, true}, ""},
		{name + relative + start + "1795358897.4812399\n", PutMediaInput{cam, TimecodeRelative,
			1795358897481, true}, ""},
		{name + relative + start + "1795358897\n", PutMediaInput{cam, TimecodeRelative,
			1795358897000, true}, ""},
		{name + relative + start + "1795358897.\n", PutMediaInput{cam, TimecodeRelative,
			1795358897000, true}, ""},
		{name + relative + start + ".5\n", PutMediaInput{cam, TimecodeRelative, 500, true}, ""},
		{name + relative + start + "0\n", PutMediaInput{cam, TimecodeRelative, 0, true}, ""},
		{name + absolute + "x-amzn-fragment-acknowledgment-required: 1\n",
			PutMediaInput{cam, TimecodeAbsolute, 0, true}, ""},
		{name + absolute + "x-amzn-fragment-acknowledgment-required: 0\n",
			PutMediaInput{cam, TimecodeAbsolute, 0, false}, ""},
		{name + absolute + "x-amzn-fragment-acknowledgment-required: False\n",
			PutMediaInput{cam, TimecodeAbsolute, 0, false}, ""},

		{absolute, PutMediaInput{}, needStream},
		{name + "x-amzn-stream-arn: " + testARN + "\n" + absolute, PutMediaInput{}, bothStreams},
		{name, PutMediaInput{}, wantValidation(violation{"null", "fragmentTimecodeType", notNull})},
		{name + "x-amzn-fragment-timecode-type: absolute\n", PutMediaInput{},
			wantValidation(violation{"'absolute'", "fragmentTimecodeType",
				"Member must satisfy enum value set: [ABSOLUTE, RELATIVE]"})},
		{name + relative, PutMediaInput{},
			wantValidation(violation{"null", "producerStartTimestamp", notNull})},
		{"x-amzn-stream-name: a b\nx-amzn-stream-arn: x\n" + absolute, PutMediaInput{},
			wantValidation(violation{"'a b'", "streamName", namePattern},
				violation{"'x'", "streamARN", arnPattern})},
		{name + name + absolute, PutMediaInput{},
			wantValidation(violation{"'cam,cam'", "streamName", "Member must be given only once"})},
		{name + absolute + "x-amzn-fragment-acknowledgment-required: maybe\n", PutMediaInput{},
			wantValidation(violation{"'maybe'", "fragmentAcknowledgmentRequired",
				"Member must satisfy enum value set: [0, 1]"})},
	} {
		got, err := ParsePutMedia(headersOf(c.headers).Values)
		if c.message != "" {
			if e, ok := err.(*Error); !ok || e.Code != InvalidArgumentException ||
				e.Message != c.message {
				t.Errorf("%s\n got %v\nwant %s", c.headers, err, c.message)
			}
			continue
		}
		if err != nil || *got != c.want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", c.headers, got, err, c.want)
		}
	}
	for _, bad := range []string{"yesterday", "1795358519803", "-1", "+1", "1,5", "1.5.5", ".",
		"1e9", "0x10", "99999999999999999999"} {
		_, err := ParsePutMedia(headersOf(name + relative + start + bad).Values)
		if err == nil || !strings.Contains(err.Error(), "'producerStartTimestamp' failed to "+
			"satisfy constraint: Member must be a decimal number of seconds") {
			t.Errorf("start %q: %v", bad, err)
		}
	}
}

func headersOf(text string) http.Header {
	h := http.Header{}
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		h.Add(k, strings.TrimSpace(v)) // as net/http does
	}
	return h
}
