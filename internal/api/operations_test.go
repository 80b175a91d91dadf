package api

import (
	"errors"
	"strings"
	"testing"
)

func TestOperations(t *testing.T) {
	paths := map[string]string{}
	for _, op := range Operations() {
		if paths[op.Path] != "" || otherOperations[op.Path] != "" {
			t.Errorf("%s is there twice", op.Path)
		}
		paths[op.Path] = op.Name
	}
	for path, name := range otherOperations {
		paths[path] = name
	}
	// 32 operations of kinesisvideo, 6 of archived media, GetMedia, and PutMedia, which has no model.
	if len(paths) != 40 {
		t.Errorf("%d operations, want 40", len(paths))
	}
	for path, name := range paths {
		want := "/" + strings.ToLower(name[:1]) + name[1:]
		if strings.HasSuffix(name, "Resource") { // these three are spelt with a capital
			want = "/" + name
		}
		if path != want {
			t.Errorf("the path of %s is %s, want %s", name, path, want)
		}
	}
}

func TestUnknownOperation(t *testing.T) {
	for path, want := range map[string]string{
		"/getClip":                     "GetClip is an operation of Kinesis Video Streams that Weir does not have.",
		"/GetClip":                     "GetClip is an operation of Kinesis Video Streams that Weir does not have.",
		"/listFragments":               "ListFragments is an operation of Kinesis Video Streams that Weir does not have.",
		"/GetHLSStreamingSessionURL":   "There is no operation at this path; the path of GetHLSStreamingSessionURL is /getHLSStreamingSessionURL.",
		"/tagResource":                 "There is no operation at this path; the path of TagResource is /TagResource.",
		"/nothing":                     "There is no operation at the path '/nothing'.",
		"/" + strings.Repeat("x", 1e5): "There is no operation at the path '/" + strings.Repeat("x", 511) + "...'.",
	} {
		if e := UnknownOperation(path); e.Code != UnknownOperationException || e.Message != want {
			t.Errorf("%.100s: %v", path, e)
		}
	}
}

func TestARN(t *testing.T) {
	text := FormatARN("us-west-2", "123456789012", "cam", 1705489836421)
	if text != testARN {
		t.Errorf("formatted %s", text)
	}
	got, err := ParseARN(text)
	want := ARN{"aws", "us-west-2", "123456789012", ResourceStream, "cam", 1705489836421}
	if err != nil || got != want || got.String() != text {
		t.Errorf("parsed %+v, %v", got, err)
	}
	if got, err := ParseARN("arn:aws-us-gov:kinesisvideo:us-gov-west-1:1:channel/a.b_c-d/7"); err != nil || got != (ARN{"aws-us-gov", "us-gov-west-1", "1", "channel", "a.b_c-d", 7}) {
		t.Errorf("parsed %+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "cam", testARN + "\n", testARN + "/x", "arn:aws:kinesis:us-west-2:1:stream/cam/1", "arn:aws:kinesisvideo:us-west-2::stream/cam/1",
		"arn:aws:kinesisvideo:us-west-2:1:stream/cam", "arn:aws:kinesisvideo:us-west-2:1:stream//1", "arn:aws:kinesisvideo:us-west-2:1:stream/a b/1",
		"arn:aws:kinesisvideo:us-west-2:1:stream/cam/-1", "arn:aws:kinesisvideo:us-west-2:1:stream/cam/99999999999999999999",
		"arn:aws:kinesisvideo:us-west-2:1:stream/" + strings.Repeat("a", 1024) + "/1",
	} {
		if a, err := ParseARN(bad); !errors.Is(err, &Error{Code: InvalidArgumentException}) {
			t.Errorf("%.60q: %+v, %v", bad, a, err)
		}
	}
}
