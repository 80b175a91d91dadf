package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/memory"
)

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

const notFound = "The requested stream is not found or not active."

var streamARN = regexp.MustCompile(
	`\Aarn:aws:kinesisvideo:us-west-2:000000000000:stream/cam1/[0-9]{13}\z`)

func TestStreamLife(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.call("/describeStream", `{"StreamName":"cam1"}`).fails(t, 404, "ResourceNotFoundException",
		notFound)
	arn, _ := s.ok("/createStream",
		`{"DeviceName":"Kinesis_Video_Device","StreamName":"cam1","MediaType":"video/h264","DataRetentionInHours":2}`)["StreamARN"].(string)
	if !streamARN.MatchString(arn) {
		t.Fatalf("StreamARN %q", arn)
	}
	s.call("/createStream", `{"StreamName":"cam1"}`).fails(t, 400, "ResourceInUseException", "")

	describe := func(ref string) map[string]any {
		t.Helper()
		return s.ok("/describeStream", ref)["StreamInfo"].(map[string]any)
	}
	byName := `{"StreamName":"cam1"}`
	info := describe(byName)
	version, _ := info["Version"].(string)
	want := map[string]any{"StreamName": "cam1", "StreamARN": arn, "Status": "ACTIVE",
		"MediaType":  "video/h264",
		"DeviceName": "Kinesis_Video_Device", "DataRetentionInHours": 2.0, "KmsKeyId": nil,
		"Version": version, "CreationTime": info["CreationTime"]}
	if fmt.Sprint(info) != fmt.Sprint(want) || len(version) != 20 {
		t.Errorf("described as %v\nwant %v", info, want)
	}
	if got := describe(fmt.Sprintf(`{"StreamARN":%q}`, arn)); fmt.Sprint(got) != fmt.Sprint(info) {
		t.Errorf("by ARN %v", got)
	}

	s.call("/updateStream",
		`{"StreamName":"cam1","CurrentVersion":"wrong","DeviceName":"d2"}`).fails(t, 400,
		"VersionMismatchException", "")
	s.ok("/updateStream",
		fmt.Sprintf(`{"StreamName":"cam1","CurrentVersion":%q,"DeviceName":"d2"}`, version))
	info = describe(byName)
	if info["DeviceName"] != "d2" || info["MediaType"] != "video/h264" ||
		info["Version"] == version {
		t.Errorf("after UpdateStream %v", info)
	}

	s.call("/deleteStream",
		fmt.Sprintf(`{"StreamARN":%q,"CurrentVersion":%q}`, arn, version)).fails(t, 400,
		"VersionMismatchException", "")
	s.ok("/deleteStream", fmt.Sprintf(`{"StreamARN":%q,"CurrentVersion":%q}`, arn, info["Version"]))
	s.call("/describeStream", byName).fails(t, 404, "ResourceNotFoundException", notFound)
	s.call("/deleteStream", fmt.Sprintf(`{"StreamARN":%q}`, arn)).fails(t, 404,
		"ResourceNotFoundException", notFound)
}

func TestARNsOfOtherResourcesAreNotFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	arn, _ := s.ok("/createStream", `{"StreamName":"cam1"}`)["StreamARN"].(string)
	created := arn[strings.LastIndex(arn, "/")+1:]
	for _, other := range []string{
		"arn:aws:kinesisvideo:us-east-1:000000000000:stream/cam1/" + created,
		"arn:aws:kinesisvideo:us-west-2:111111111111:stream/cam1/" + created,
		"arn:aws-cn:kinesisvideo:us-west-2:000000000000:stream/cam1/" + created,
		"arn:aws:kinesisvideo:us-west-2:000000000000:channel/cam1/" + created,
		"arn:aws:kinesisvideo:us-west-2:000000000000:stream/cam2/" + created,
		"arn:aws:kinesisvideo:us-west-2:000000000000:stream/cam1/1",
		"arn:aws:kinesisvideo:us-west-2:000000000000:stream/cam1/0" + created,
	} {
		s.call("/describeStream", fmt.Sprintf(`{"StreamARN":%q}`, other)).fails(t, 404,
			"ResourceNotFoundException", notFound)
		s.call("/deleteStream", fmt.Sprintf(`{"StreamARN":%q}`, other)).fails(t, 404,
			"ResourceNotFoundException", notFound)
		s.call("/TagResource",
			fmt.Sprintf(`{"ResourceARN":%q,"Tags":[{"Key":"a","Value":"b"}]}`, other)).fails(t, 404,
			"ResourceNotFoundException", notFound)
	}
	s.call("/describeStream", `{"StreamARN":"cam1"}`).fails(t, 400, "InvalidArgumentException",
		"streamARN")
	s.call("/describeStream", `{}`).fails(t, 400, "InvalidArgumentException", "")
	s.ok("/describeStream", fmt.Sprintf(`{"StreamARN":%q}`, arn))
}

func TestDataRetention(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":24}`)
	current := func() (version string, hours float64) {
		info := s.ok("/describeStream", `{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any)
		return info["Version"].(string), info["DataRetentionInHours"].(float64)
	}
	change := func(operation string, by int) answer {
		version, _ := current()
		return s.call("/updateDataRetention", fmt.Sprintf(
			`{"StreamName":"cam1","CurrentVersion":%q,"Operation":"%s_DATA_RETENTION","DataRetentionChangeInHours":%d}`, version, operation, by))
	}
	for _, c := range []struct {
		operation string
		by        int
		fails     bool
		hours     float64
	}{
		{"INCREASE", 24, false, 48},
		{"DECREASE", 8, false, 40},
		{"DECREASE", 41, true, 40},
		{"INCREASE", 87_600 - 40 + 1, true, 40},
		{"INCREASE", 87_600 - 40, false, 87_600},
		{"INCREASE", 0, true, 87_600},
		{"DECREASE", 87_600, false, 0},
		{"DOUBLE", 1, true, 0},
	} {
		before, _ := current()
		a := change(c.operation, c.by)
		if c.fails {
			a.fails(t, 400, "InvalidArgumentException", "")
		} else if a.status != http.StatusOK || a.body != "{}" {
			t.Errorf("%s by %d: %d %s", c.operation, c.by, a.status, a.body)
		}
		after, hours := current()
		if hours != c.hours || (before == after) != c.fails {
			t.Errorf("%s by %d: %v hours, version %s then %s; want %v hours", c.operation, c.by,
				hours, before, after, c.hours)
		}
	}
	s.call("/updateDataRetention",
		`{"StreamName":"cam1","CurrentVersion":"wrong","Operation":"INCREASE_DATA_RETENTION","DataRetentionChangeInHours":1}`).
		fails(t, 400, "VersionMismatchException", "")
}

func TestListStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"b2", "a1", "b1", "b3", "c1"} {
		s.ok("/createStream", fmt.Sprintf(`{"StreamName":%q}`, name))
	}
	pages := func(condition string) (pages []string) {
		t.Helper()
		for token := ""; ; {
			out := s.ok("/listStreams",
				fmt.Sprintf(`{"MaxResults":2,"NextToken":%q%s}`, token, condition))
			var names []string
			for _, e := range out["StreamInfoList"].([]any) {
				names = append(names, e.(map[string]any)["StreamName"].(string))
			}
			pages = append(pages, strings.Join(names, " "))
			next, more := out["NextToken"].(string)
			if !more || len(pages) > 5 {
				return pages
			}
			token = next
		}
	}
	if got := strings.Join(pages(""), " | "); got != "a1 b1 | b2 b3 | c1" {
		t.Errorf("pages %s", got)
	}
	if got := strings.Join(pages(
		`,"StreamNameCondition":{"ComparisonOperator":"BEGINS_WITH","ComparisonValue":"b"}`), " | "); got != "b1 b2 | b3" {
		t.Errorf("pages of b %s", got)
	}
	if got := s.ok("/listStreams", "")["StreamInfoList"].([]any); len(got) != 5 {
		t.Errorf("%d streams in one page", len(got))
	}
	for _, token := range []string{"%%", "AAAA", "YWZ0ZXI", "YWZ0ZXIv"} {
		s.call("/listStreams", fmt.Sprintf(`{"NextToken":%q}`, token)).fails(t, 400,
			"InvalidArgumentException", "")
	}
}

func TestDataEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1"}`)
	s.call("/getDataEndpoint", `{"StreamName":"cam2","APIName":"PUT_MEDIA"}`).fails(t, 404,
		"ResourceNotFoundException", notFound)
	s.call("/getDataEndpoint", `{"StreamName":"cam1","APIName":"PUT"}`).fails(t, 400,
		"InvalidArgumentException", "")
	_, port, _ := strings.Cut(s.address, ":")
	const body = `{"StreamName":"cam1","APIName":"GET_HLS_STREAMING_SESSION_URL"}`
	// The C producers leave the port out of Host; the endpoint needs it.
	for host, want := range map[string]string{
		s.address: s.url, "127.0.0.1": s.url, "video.example": "http://video.example:" + port,
		"video.example:99": "http://video.example:99",
		"[::1]":            "http://[::1]:" + port,
	} {
		r := s.request("POST", "/getDataEndpoint", body)
		r.Host = host
		s.signer.Sign(r, []byte(body))
		if a := s.do(r); a.body != fmt.Sprintf(`{"DataEndpoint":%q}`, want) {
			t.Errorf("Host %s: %d %s, want %s", host, a.status, a.body, want)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	arn := s.ok("/createStream",
		`{"StreamName":"cam1","Tags":{"room":"b","site":"a"}}`)["StreamARN"].(string)
	info := s.ok("/describeStream", `{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any)
	tags := func(want string) {
		t.Helper()
		byName := s.ok("/listTagsForStream", `{"StreamName":"cam1"}`)["Tags"]
		byARN := s.ok("/ListTagsForResource", fmt.Sprintf(`{"ResourceARN":%q}`, arn))["Tags"]
		if fmt.Sprint(byName) != want || fmt.Sprint(byARN) != want {
			t.Errorf("tags %v and %v, want %v", byName, byARN, want)
		}
	}
	tags("map[room:b site:a]")
	s.ok("/tagStream", `{"StreamName":"cam1","Tags":{"room":"c","floor":"2"}}`)
	tags("map[floor:2 room:c site:a]")
	s.ok("/untagStream", fmt.Sprintf(`{"StreamARN":%q,"TagKeyList":["site","nothing"]}`, arn))
	tags("map[floor:2 room:c]")
	s.ok("/TagResource", fmt.Sprintf(`{"ResourceARN":%q,"Tags":[{"Key":"x","Value":"y"}]}`, arn))
	s.ok("/UntagResource", fmt.Sprintf(`{"ResourceARN":%q,"TagKeyList":["floor"]}`, arn))
	tags("map[room:c x:y]")
	var more []string
	for i := range 49 {
		more = append(more, fmt.Sprintf(`"k%d":"v"`, i))
	}
	s.call("/tagStream", `{"StreamName":"cam1","Tags":{`+strings.Join(more, ",")+`}}`).fails(t, 400,
		"TagsPerResourceExceededLimitException", "51")
	tags("map[room:c x:y]")
	s.ok("/tagStream", `{"StreamName":"cam1","Tags":{`+strings.Join(more[1:], ",")+`}}`)
	if after := s.ok("/describeStream",
		`{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any); after["Version"] != info["Version"] {
		t.Error("tagging changed the version")
	}
	s.call("/tagStream", `{"StreamName":"cam2","Tags":{"a":"b"}}`).fails(t, 404,
		"ResourceNotFoundException", notFound)
}

// vanishing is an engine whose stream is deleted as soon as a call looks for its fragments.
type vanishing struct {
	engine
	now bool
}

func (v *vanishing) vanish(ctx context.Context, id store.StreamID) {
	if v.now {
		_ = v.DeleteStream(ctx, id, "") // fails when it is deleted already
	}
}

func (v *vanishing) List(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	v.vanish(ctx, id)
	return v.engine.List(ctx, id, q)
}

func (v *vanishing) Wait(ctx context.Context, id store.StreamID, after int64) (int64, error) {
	v.vanish(ctx, id)
	return v.engine.Wait(ctx, id, after)
}

// A stream that is deleted in the middle of a call is not found, as if it had been deleted before.
func TestStreamDeletedDuringACall(t *testing.T) {
	t.Parallel()
	for path, members := range map[string]string{
		"/listFragments":              `"FragmentSelector":` + serverRange,
		"/getHLSStreamingSessionURL":  `"PlaybackMode":"LIVE"`,
		"/getDASHStreamingSessionURL": `"PlaybackMode":"LIVE"`,
		"/getClip":                    clipRange(time.Minute),
	} {
		t.Run(path[1:], func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			v := &vanishing{engine: inMemory{memory.New(time.Now)}}
			s := newSiteOver(t, v, listener)
			s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
			v.now = true
			s.call(path, `{"StreamName":"cam1",`+members+`}`).
				fails(t, 404, "ResourceNotFoundException", notFound)
		})
	}
}
