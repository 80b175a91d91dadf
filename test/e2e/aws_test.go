package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// aws runs the AWS command line as every user would: only AWS_ENDPOINT_URL is special.
func (s *server) aws(args ...string) map[string]any {
	s.t.Helper()
	return s.runJSON("aws", append(args, "--output", "json")...)
}

// awsFails runs the AWS command line and expects the named error.
func (s *server) awsFails(code string, args ...string) {
	s.t.Helper()
	stdout, stderr, err := s.try("aws", args...)
	if err == nil || !strings.Contains(string(stderr), "("+code+")") {
		s.t.Errorf("aws %s: want %s, got %v\n%s%s", strings.Join(args, " "), code, err, stdout,
			stderr)
	}
}

func TestAWSCommandLine(t *testing.T) {
	waits(t)
	needTool(t, "aws", "ffmpeg", "ffprobe")
	s := start(t, "")
	if strings.HasPrefix(awsVersion(), "1.") { // else each command is a process
		s.batch = newAWSBatch(t, s)
	}

	arn, _ := s.aws("kinesisvideo", "create-stream", "--stream-name", "cam1",
		"--data-retention-in-hours", "24",
		"--media-type", "video/h264", "--device-name", "dev", "--tags",
		"room=b,site=a")["StreamARN"].(string)
	if !strings.HasPrefix(arn, "arn:aws:kinesisvideo:us-west-2:000000000000:stream/cam1/") {
		t.Fatalf("StreamARN %q", arn)
	}
	s.awsFails("ResourceInUseException", "kinesisvideo", "create-stream", "--stream-name", "cam1")
	s.awsFails("InvalidArgumentException", "kinesisvideo", "create-stream", "--stream-name",
		"no spaces")

	describe := func(args ...string) map[string]any {
		t.Helper()
		info, _ := s.aws(append([]string{"kinesisvideo", "describe-stream"},
			args...)...)["StreamInfo"].(map[string]any)
		return info
	}
	info := describe("--stream-name", "cam1")
	for key, want := range map[string]any{"StreamName": "cam1", "StreamARN": arn,
		"Status": "ACTIVE", "MediaType": "video/h264",
		"DeviceName": "dev", "DataRetentionInHours": float64(24)} {
		if info[key] != want {
			t.Errorf("%s is %v, want %v", key, info[key], want)
		}
	}
	if byARN := describe("--stream-arn", arn); fmt.Sprint(byARN) != fmt.Sprint(info) {
		t.Errorf("by ARN %v, by name %v", byARN, info)
	}
	s.awsFails("ResourceNotFoundException", "kinesisvideo", "describe-stream", "--stream-name",
		"nobody")

	awsListsAndTags(t, s, arn)

	s.aws("kinesisvideo", "update-data-retention", "--stream-name", "cam1", "--current-version",
		info["Version"].(string),
		"--operation", "INCREASE_DATA_RETENTION", "--data-retention-change-in-hours", "24")
	after := describe("--stream-name", "cam1")
	if after["DataRetentionInHours"] != float64(48) || after["Version"] == info["Version"] {
		t.Errorf("after update-data-retention: %v", after)
	}
	s.awsFails("VersionMismatchException", "kinesisvideo", "update-data-retention", "--stream-name",
		"cam1", "--current-version",
		info["Version"].(string), "--operation", "DECREASE_DATA_RETENTION",
		"--data-retention-change-in-hours", "1")
	s.aws("kinesisvideo", "update-stream", "--stream-name", "cam1", "--current-version",
		after["Version"].(string), "--device-name", "other")
	if info := describe("--stream-name", "cam1"); info["DeviceName"] != "other" {
		t.Errorf("after update-stream: %v", info)
	}

	endpoint, _ := s.aws("kinesisvideo", "get-data-endpoint", "--stream-name", "cam1", "--api-name",
		"GET_HLS_STREAMING_SESSION_URL")["DataEndpoint"].(string)
	if endpoint != s.URL {
		t.Errorf("DataEndpoint %q, want %q", endpoint, s.URL)
	}

	awsSessions(t, s, arn, endpoint)

	s.aws("kinesisvideo", "delete-stream", "--stream-arn", arn)
	s.awsFails("ResourceNotFoundException", "kinesisvideo", "describe-stream", "--stream-name",
		"cam1")
	s.awsFails("ResourceNotFoundException", awsHLS(endpoint, "--stream-name", "cam1")...)
	s.awsFails("ResourceNotFoundException", awsDASH(endpoint, "--stream-name", "cam1")...)

	// What Weir does not have yet says so by name.
	_, stderr, err := s.try("aws", "kinesisvideo", "list-signaling-channels")
	if err == nil || !strings.Contains(string(stderr), "ListSignalingChannels") {
		t.Errorf("list-signaling-channels: %v %s", err, stderr)
	}
}

// awsListsAndTags adds streams to cam1, lists them page by page, and changes its tags.
func awsListsAndTags(t *testing.T, s *server, arn string) {
	t.Helper()
	for i := range 3 {
		s.aws("kinesisvideo", "create-stream", "--stream-name", fmt.Sprintf("list-%d", i))
	}
	var names []string
	// --page-size makes the AWS CLI follow NextToken by itself.
	list := s.aws("kinesisvideo", "list-streams", "--page-size", "2")
	for _, e := range list["StreamInfoList"].([]any) {
		names = append(names, e.(map[string]any)["StreamName"].(string))
	}
	if got := strings.Join(names, " "); got != "cam1 list-0 list-1 list-2" {
		t.Errorf("list-streams: %s", got)
	}
	list = s.aws("kinesisvideo", "list-streams", "--stream-name-condition",
		"ComparisonOperator=BEGINS_WITH,ComparisonValue=list-")
	if n := len(list["StreamInfoList"].([]any)); n != 3 {
		t.Errorf("list-streams beginning with list-: %d", n)
	}

	s.aws("kinesisvideo", "tag-stream", "--stream-name", "cam1", "--tags", "floor=2")
	s.aws("kinesisvideo", "untag-stream", "--stream-arn", arn, "--tag-key-list", "site")
	tags := s.aws("kinesisvideo", "list-tags-for-stream", "--stream-name", "cam1")["Tags"]
	if fmt.Sprint(tags) != "map[floor:2 room:b]" {
		t.Errorf("tags: %v", tags)
	}
}

// awsHLS is the command that asks for a session.
func awsHLS(endpoint string, args ...string) []string {
	return append([]string{"kinesis-video-archived-media", "get-hls-streaming-session-url",
		"--endpoint-url", endpoint}, args...)
}

// awsDASH does the same for DASH.
func awsDASH(endpoint string, args ...string) []string {
	return append([]string{"kinesis-video-archived-media", "get-dash-streaming-session-url",
		"--endpoint-url", endpoint}, args...)
}

// awsSessions asks for sessions of cam1 before and after it has media.
func awsSessions(t *testing.T, s *server, arn, endpoint string) {
	t.Helper()
	hls := func(args ...string) []string { return awsHLS(endpoint, args...) }
	s.awsFails("ResourceNotFoundException", hls("--stream-name", "cam1")...)
	s.awsFails("NoDataRetentionException", hls("--stream-name", "list-0")...)
	s.awsFails("InvalidArgumentException",
		hls("--stream-name", "cam1", "--playback-mode", "ON_DEMAND")...)
	s.awsFails("InvalidArgumentException",
		hls("--stream-name", "cam1", "--playback-mode", "LIVE", "--hls-fragment-selector",
			selector("SERVER_TIMESTAMP", time.Now().Add(-time.Minute), time.Now()))...)

	began := time.Now().Add(-time.Minute)
	s.run("weir", "put-media", "--stream-name", "cam1",
		clip{rate: "25", bframes: 2, audio: true, seconds: 6}.make(t))
	// The AWS CLI sends whole seconds, and a range of server timestamps must end in the past.
	end := time.Now().Truncate(time.Second).Add(time.Second)
	time.Sleep(time.Until(end))
	for _, args := range [][]string{
		hls("--stream-name", "cam1", "--playback-mode", "LIVE"),
		hls("--stream-arn", arn, "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
			selector("PRODUCER_TIMESTAMP", began, time.Now().Add(time.Hour))),
		hls("--stream-name", "cam1", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
			selector("SERVER_TIMESTAMP", began, end)),
	} {
		u, _ := s.aws(args...)["HLSStreamingSessionURL"].(string)
		if !strings.HasPrefix(u, endpoint+"/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=") {
			t.Fatalf("%v: URL %q", args, u)
		}
		codecs := strings.Fields(
			string(program(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of",
				"csv=p=0", u)))
		slices.Sort(codecs) // ffprobe lists them once for the program and once more
		if got := strings.Join(slices.Compact(codecs), " "); got != "aac h264" {
			t.Errorf("%v: ffprobe finds %q", args, got)
		}
	}

	dash := func(args ...string) []string {
		return awsDASH(endpoint, args...)
	}
	s.awsFails("NoDataRetentionException", dash("--stream-name", "list-0")...)
	s.awsFails("InvalidArgumentException",
		dash("--stream-name", "cam1", "--playback-mode", "LIVE_REPLAY")...)
	u, _ := s.aws(dash("--stream-arn", arn, "--playback-mode", "ON_DEMAND",
		"--display-fragment-number", "ALWAYS",
		"--display-fragment-timestamp", "ALWAYS", "--max-manifest-fragment-results", "5000",
		"--expires", "300",
		"--dash-fragment-selector",
		selector("PRODUCER_TIMESTAMP", began,
			time.Now().Add(time.Hour)))...)["DASHStreamingSessionURL"].(string)
	if !strings.HasPrefix(u, endpoint+"/dash/v1/getDASHManifest.mpd?SessionToken=") {
		t.Fatalf("URL %q", u)
	}
	if got := strings.Join(strings.Fields(
		string(program(t, "ffprobe", "-v", "error", "-count_packets", "-show_entries",
			"stream=codec_name,nb_read_packets", "-of", "csv=p=0", u))), " "); !strings.HasPrefix(
		got, "h264,150 aac,") {
		t.Errorf("ffprobe finds %q", got)
	}
}

func TestAWSCommandLineRefusesWrongKeys(t *testing.T) {
	waits(t)
	needTool(t, "aws")
	s := start(t, "")
	good := s.env
	s.env = append(append([]string{}, good...), "AWS_ACCESS_KEY_ID=AKIDNOBODY0000000000",
		"AWS_SECRET_ACCESS_KEY=secret")
	s.awsFails("UnrecognizedClientException", "kinesisvideo", "list-streams")
	key := strings.TrimSpace(string(credential(t, s, "aws_access_key_id")))
	s.env = append(append([]string{}, good...), "AWS_ACCESS_KEY_ID="+key,
		"AWS_SECRET_ACCESS_KEY=wrong")
	s.awsFails("InvalidSignatureException", "kinesisvideo", "list-streams")
}
