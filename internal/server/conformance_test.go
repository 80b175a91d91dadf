package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/ingest"
)

// What no other test shows of the parameters that docs/compatibility.md lists.

func TestDescriptiveParametersAreKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream",
		`{"StreamName":"cam1","KmsKeyId":"alias/mine","MediaType":"video/h264","StreamStorageConfiguration":{"DefaultStorageTier":"WARM"}}`)
	info := s.ok("/describeStream", `{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any)
	if info["KmsKeyId"] != "alias/mine" || info["DeviceName"] != nil ||
		info["DataRetentionInHours"] != 0.0 {
		t.Errorf("described as %v", info)
	}
	s.call("/createStream",
		`{"StreamName":"cam2","StreamStorageConfiguration":{"DefaultStorageTier":"COLD"}}`).fails(t,
		400, "InvalidArgumentException", "[HOT, WARM]")
	s.ok("/updateStream",
		fmt.Sprintf(`{"StreamName":"cam1","CurrentVersion":%q,"MediaType":"video/h264,audio/aac"}`,
			info["Version"]))
	info = s.ok("/describeStream", `{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any)
	if info["MediaType"] != "video/h264,audio/aac" || info["KmsKeyId"] != "alias/mine" {
		t.Errorf("after UpdateStream %v", info)
	}
}

// Every call that takes a name takes an ARN as well.
func TestStreamsByARN(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	s.record()
	info := func() map[string]any {
		return s.ok("/describeStream", `{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any)
	}
	arn := info()["StreamARN"]
	for _, call := range []struct{ path, rest string }{
		{"/describeStream", ``},
		{"/getDataEndpoint", `,"APIName":"GET_MEDIA"`},
		{"/tagStream", `,"Tags":{"a":"b"}`},
		{"/listTagsForStream", ``},
		{"/untagStream", `,"TagKeyList":["a"]`},
		{"/getHLSStreamingSessionURL", ``},
		{"/updateStream", `,"DeviceName":"d","CurrentVersion":"%s"`},
		{"/updateDataRetention",
			`,"Operation":"INCREASE_DATA_RETENTION","DataRetentionChangeInHours":1,"CurrentVersion":"%s"`},
	} {
		rest := call.rest
		if strings.Contains(rest, "%s") {
			rest = fmt.Sprintf(rest, info()["Version"])
		}
		s.ok(call.path, fmt.Sprintf(`{"StreamARN":%q%s}`, arn, rest))
		s.call(call.path, fmt.Sprintf(`{"StreamName":"cam1","StreamARN":%q%s}`, arn, rest)).fails(t,
			400, "InvalidArgumentException", "both")
	}
	if i := info(); i["DeviceName"] != "d" || i["DataRetentionInHours"] != 2.0 {
		t.Errorf("after the updates %v", i)
	}

	p := s.dial("", fmt.Sprintf("x-amzn-stream-arn: %s", arn))
	p.started()
	now := time.Now().UnixMilli()
	p.send(newCamera(t).cluster(now, 2, 100).take())
	p.end2(now)
}

// The tags of a stream are one page: a NextToken is accepted and returns them again.
func TestNextTokenOfTags(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	arn := s.ok("/createStream", `{"StreamName":"cam1","Tags":{"a":"b"}}`)["StreamARN"]
	for path, ref := range map[string]string{"/listTagsForStream": `"StreamName":"cam1"`,
		"/ListTagsForResource": fmt.Sprintf(`"ResourceARN":%q`, arn)} {
		out := s.ok(path, `{`+ref+`,"NextToken":"AAAA"}`)
		if text, _ := json.Marshal(out); string(text) != `{"NextToken":null,"Tags":{"a":"b"}}` {
			t.Errorf("%s: %s", path, text)
		}
		s.call(path, `{`+ref+`,"NextToken":"?"}`).fails(t, 400, "InvalidArgumentException",
			"nextToken")
	}
}

// What the parameters of a session do to its media playlist.
func TestSessionParameters(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	s.record()
	playlist := func(parameters string) string {
		t.Helper()
		master := s.ok("/getHLSStreamingSessionURL",
			`{"StreamName":"cam1"`+parameters+`}`)["HLSStreamingSessionURL"].(string)
		a := s.get(relative(t, master, uriLine.FindString(s.get(master).body)))
		if a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", parameters, a.status, a.body)
		}
		return a.body
	}
	selector := func(kind string, start, end time.Time) string {
		return fmt.Sprintf(`,"HLSFragmentSelector":{"FragmentSelectorType":%q,"TimestampRange":{"StartTimestamp":%d,"EndTimestamp":%q}}`,
			kind, start.Unix(), end.UTC().Format(time.RFC3339Nano))
	}
	began, now := time.Now().Add(-time.Minute), time.Now()
	const segment, broken, dated, ended = "#EXTINF:", "#EXT-X-DISCONTINUITY\n",
		"#EXT-X-PROGRAM-DATE-TIME:", "#EXT-X-ENDLIST\n"
	for _, c := range []struct {
		parameters string
		counts     map[string]int
	}{
		{``, map[string]int{segment: 3, broken: 3, dated: 0, ended: 0}},
		{`,"DiscontinuityMode":"NEVER","DisplayFragmentTimestamp":"ALWAYS"`,
			map[string]int{broken: 0, dated: 3}},
		{`,"DiscontinuityMode":"ON_DISCONTINUITY","DisplayFragmentTimestamp":"NEVER"`,
			map[string]int{broken: 0, dated: 0}},
		{`,"HLSFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP"}`,
			map[string]int{segment: 3, broken: 0}},
		{`,"HLSFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP"},"DiscontinuityMode":"ALWAYS"`, map[string]int{broken: 3}},
		{`,"MaxMediaPlaylistFragmentResults":2,"ContainerFormat":"FRAGMENTED_MP4","Expires":43200`,
			map[string]int{segment: 2, ended: 0}},
		{`,"PlaybackMode":"ON_DEMAND","MaxMediaPlaylistFragmentResults":1` +
			selector("PRODUCER_TIMESTAMP", began, now),
			map[string]int{segment: 1, broken: 0, ended: 1}},
		{fmt.Sprintf(`,"PlaybackMode":"LIVE_REPLAY","HLSFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP","TimestampRange":{"StartTimestamp":%d}}`, began.Unix()),
			map[string]int{"#EXT-X-MEDIA-SEQUENCE:0\n": 1, broken: 0, ended: 0,
				"#EXT-X-PLAYLIST-TYPE": 0}},
		{`,"PlaybackMode":"ON_DEMAND"` + selector("SERVER_TIMESTAMP", began, now),
			map[string]int{segment: 3, broken: 3, ended: 1}},
	} {
		text := playlist(c.parameters)
		for what, n := range c.counts {
			if got := strings.Count(text, what); got != n {
				t.Errorf("%s: %d times %q, want %d, in\n%s", c.parameters, got,
					strings.TrimSpace(what), n, text)
			}
		}
	}
	for parameters, message := range map[string]string{
		`,"Expires":299`: "expires",
		`,"MaxMediaPlaylistFragmentResults":5001`: "maxMediaPlaylistFragmentResults",
		`,"PlaybackMode":"ON_DEMAND"`:             "TimestampRange",
		selector("SERVER_TIMESTAMP", began,
			now): "must not be specified",
		`,"HLSFragmentSelector":{"TimestampRange":{"StartTimestamp":"soon"}}`: "ISO 8601",
	} {
		code := "InvalidArgumentException"
		if message == "ISO 8601" {
			code = "SerializationException"
		}
		s.call("/getHLSStreamingSessionURL", `{"StreamName":"cam1"`+parameters+`}`).fails(t, 400,
			code, message)
	}
}

func TestTransportStreamsAndIFrames(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	s.record()
	began, now := time.Now().Add(-time.Minute), time.Now()
	for container, path := range map[string]string{"FRAGMENTED_MP4": "getMP4MediaFragment.mp4?",
		"MPEG_TS": "getTSFragment.ts?"} {
		master := s.ok("/getHLSStreamingSessionURL", fmt.Sprintf(
			`{"StreamName":"cam1","PlaybackMode":"ON_DEMAND","ContainerFormat":%q,"HLSFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP","TimestampRange":{"StartTimestamp":%d,"EndTimestamp":%d}}}`,
			container, began.Unix(), now.Unix()+1))["HLSStreamingSessionURL"].(string)
		mediaURL := relative(t, master, uriLine.FindString(s.get(master).body))
		list := s.get(mediaURL)
		segments := uriLine.FindAllString(list.body, -1)
		if len(segments) != 3 || !strings.HasPrefix(segments[0], path) {
			t.Fatalf("%s: %d\n%s", container, list.status, list.body)
		}
		segment := s.get(relative(t, mediaURL, segments[0]))
		isTS := len(segment.body)%188 == 0 && strings.HasPrefix(segment.body, "\x47")
		if want := container == "MPEG_TS"; segment.status != 200 || isTS != want ||
			(segment.header.Get("Content-Type") == "video/mp2t") != want {
			t.Errorf("%s: %d %v", container, segment.status, segment.header)
		}
		if a := s.get(mediaURL + "&IFramesOnly=true"); a.status != 200 ||
			!strings.Contains(a.body, "#EXT-X-I-FRAMES-ONLY\n") ||
			strings.Count(a.body, "#EXT-X-BYTERANGE:") != 3 {
			t.Errorf("%s: I-frames: %d\n%s", container, a.status, a.body)
		}
		if a := s.get(mediaURL + "&IFramesOnly=false"); a.body != list.body {
			t.Errorf("%s: IFramesOnly=false: %d\n%s", container, a.status, a.body)
		}
		s.get(mediaURL+"&IFramesOnly=maybe").fails(t, 400, "InvalidArgumentException",
			"IFramesOnly")
	}
}

// A RELATIVE producer's timecodes count from the time in its header, and acknowledgements have them
// as they were sent.
func TestRelativeTimecodes(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	start := time.Now().Add(-10 * time.Second).UnixMilli()
	p := s.dial("cam1", "x-amzn-fragment-timecode-type: RELATIVE",
		fmt.Sprintf("x-amzn-producer-start-timestamp: %d.%03d", start/1000, start%1000))
	p.started()
	p.send(newCamera(t).cluster(0, 25, 100).cluster(1000, 25, 100).endOfFragment().take())
	p.until("PERSISTED 0")
	p.until("PERSISTED 1000")
	p.end()
	stream, err := s.store.Stream(t.Context(), "cam1")
	must(t, err)
	list, err := s.store.List(t.Context(), stream.ID, storeQueryAll)
	must(t, err)
	if len(list) != 2 || list[0].ProducerTimestamp != start ||
		list[1].ProducerTimestamp != start+1000 {
		t.Errorf("stored %+v, want producer timestamps from %d", list, start)
	}
}

// Acknowledgements report the limits of a connection.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limits ingest.Limits
		want   string
	}{
		{ingest.Limits{MaxConnection: time.Nanosecond}, "ERROR 4003"},
		{ingest.Limits{FragmentDuration: 500 * time.Millisecond}, "ERROR 4002"},
		{ingest.Limits{FragmentBytes: 500}, "ERROR 4001"},
		{ingest.Limits{IdleAck: time.Millisecond}, "IDLE 0"},
	} {
		s := newStreamSite(t, func(o *Options) { o.Ingest.Limits = c.limits })
		p := s.dial("cam1")
		p.started()
		p.send(newCamera(t).cluster(time.Now().UnixMilli(), 25, 100).take())
		for a := ""; a != c.want; {
			if a = p.ack().String(); strings.HasPrefix(a, "ERROR") && a != c.want {
				t.Fatalf("%s, want %s", a, c.want)
			}
		}
		p.conn.Close()
	}
}

// A connection that comes while the server stops is told to go elsewhere.
func TestStoppingServerRefusesProducers(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	s.server.beginStop()
	p := s.dial("cam1")
	if status, h := p.header(); status != http.StatusServiceUnavailable ||
		h.Get("x-amzn-ErrorType") != "ServiceUnavailable" {
		t.Errorf("answer %d %v", status, h)
	}
}
