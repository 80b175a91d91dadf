package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// apiServer answers calls with fixed texts and notes the calls.
type apiServer struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // path and body
}

func newAPIServer(t *testing.T, answer func(path, body string) (status int,
	kind, text string)) *apiServer {
	t.Helper()
	s := &apiServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.calls = append(s.calls, r.URL.Path+" "+string(body))
		s.mu.Unlock()
		if r.URL.Path == "/getDataEndpoint" {
			fmt.Fprintf(w, `{"DataEndpoint":%q}`, s.URL)
			return
		}
		status, kind, text := answer(r.URL.Path, string(body))
		if kind != "" {
			w.Header().Set("x-amzn-ErrorType", kind)
		}
		w.WriteHeader(status)
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

func empty(string, string) (int, string, string) { return 200, "", "{}" }

// callWeir runs a command line in this process against an endpoint.
func callWeir(t *testing.T, endpoint string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	for _, name := range []string{"AWS_ENDPOINT_URL_KINESIS_VIDEO", "AWS_PROFILE",
		"AWS_DEFAULT_PROFILE", "AWS_DEFAULT_OUTPUT", "AWS_CA_BUNDLE"} {
		t.Setenv(name, "") // whatever the tester's environment has
	}
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	var out, errs bytes.Buffer
	code = run(t.Context(), args, stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}

// The expected bodies are what the AWS CLI 1.45.11 sends for the same flags, except for the
// milliseconds of timestamps, which it drops.
func TestCommandsSendWhatTheAWSCLISends(t *testing.T) {
	const arn = "arn:aws:kinesisvideo:us-west-2:123456789012:stream/c/1"
	for _, c := range []struct{ args, path, body string }{
		{"create-stream --stream-name c", "/createStream", `{"StreamName":"c"}`},
		{"create-stream --stream-name c --data-retention-in-hours 0 --device-name d --media-type " +
			"video/h264 --kms-key-id k --tags a=b,c=d --stream-storage-configuration " +
			"DefaultStorageTier=HOT", "/createStream",
			`{"StreamName":"c","DataRetentionInHours":0,"DeviceName":"d",` +
				`"MediaType":"video/h264","KmsKeyId":"k","Tags":{"a":"b","c":"d"},` +
				`"StreamStorageConfiguration":{"DefaultStorageTier":"HOT"}}`},
		{`create-stream --stream-name c --tags {"a":"b"}`, "/createStream",
			`{"StreamName":"c","Tags":{"a":"b"}}`},
		{"describe-stream --stream-name c", "/describeStream", `{"StreamName":"c"}`},
		{"describe-stream --stream-arn " + arn, "/describeStream", `{"StreamARN":"` + arn + `"}`},
		{"list-streams --max-results 1 --stream-name-condition " +
			"ComparisonOperator=BEGINS_WITH,ComparisonValue=x", "/listStreams",
			`{"MaxResults":1,"StreamNameCondition":{"ComparisonOperator":"BEGINS_WITH",` +
				`"ComparisonValue":"x"}}`},
		{"list-streams --next-token abc=", "/listStreams", `{"NextToken":"abc="}`},
		{"update-stream --stream-name c --current-version v --media-type video/h265",
			"/updateStream", `{"StreamName":"c","CurrentVersion":"v","MediaType":"video/h265"}`},
		{"update-data-retention --stream-name c --current-version v --operation " +
			"INCREASE_DATA_RETENTION --data-retention-change-in-hours 2", "/updateDataRetention",
			`{"StreamName":"c","CurrentVersion":"v","Operation":"INCREASE_DATA_RETENTION",` +
				`"DataRetentionChangeInHours":2}`},
		{"delete-stream --stream-arn " + arn + " --current-version v", "/deleteStream",
			`{"StreamARN":"` + arn + `","CurrentVersion":"v"}`},
		{"tag-stream --stream-name c --tags a=b", "/tagStream",
			`{"StreamName":"c","Tags":{"a":"b"}}`},
		{"untag-stream --tag-key-list a b --stream-name c", "/untagStream",
			`{"StreamName":"c","TagKeyList":["a","b"]}`},
		{"list-tags-for-stream --stream-name c", "/listTagsForStream", `{"StreamName":"c"}`},
		{"get-hls-streaming-session-url --stream-name c", "/getHLSStreamingSessionURL",
			`{"StreamName":"c"}`},
		{"get-hls-streaming-session-url --stream-name c --playback-mode ON_DEMAND --expires 300 " +
			"--max-media-playlist-fragment-results 7 --container-format MPEG_TS " +
			"--discontinuity-mode NEVER --display-fragment-timestamp ALWAYS " +
			"--hls-fragment-selector " +
			"FragmentSelectorType=SERVER_TIMESTAMP,TimestampRange={StartTimestamp=" +
			"2024-01-02T03:04:05.125Z,EndTimestamp=1704200000.5}", "/getHLSStreamingSessionURL",
			`{"StreamName":"c","PlaybackMode":"ON_DEMAND","Expires":300,` +
				`"MaxMediaPlaylistFragmentResults":7,"ContainerFormat":"MPEG_TS",` +
				`"DiscontinuityMode":"NEVER","DisplayFragmentTimestamp":"ALWAYS",` +
				`"HLSFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP",` +
				`"TimestampRange":{"StartTimestamp":1704164645.125,"EndTimestamp":1704200000.500}}}`},
		{`get-hls-streaming-session-url --stream-name c --hls-fragment-selector ` +
			`{"FragmentSelectorType":"SERVER_TIMESTAMP",` +
			`"TimestampRange":{"StartTimestamp":"2024-01-02T03:04:05+02:00",` +
			`"EndTimestamp":1704200000}}`, "/getHLSStreamingSessionURL",
			`{"StreamName":"c","HLSFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP",` +
				`"TimestampRange":{"StartTimestamp":1704157445,"EndTimestamp":1704200000}}}`},
	} {
		t.Run(c.args, func(t *testing.T) {
			s := newAPIServer(t, empty)
			if _, stderr, code := callWeir(t, s.URL, strings.Fields(c.args)...); code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			path, body, _ := strings.Cut(s.calls[len(s.calls)-1], " ")
			var got, want any
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(c.body), &want); err != nil {
				t.Fatal(err)
			}
			if path != c.path || !reflect.DeepEqual(got, want) {
				t.Errorf("sent %s %s\nwant %s %s", path, body, c.path, c.body)
			}
		})
	}
}

// Answers are printed as by the AWS CLI 1.45.11: members in the order of the model, no nulls, no
// exponents.
func TestAnswersLookLikeTheAWSCLIs(t *testing.T) {
	const described = `{"StreamInfo":{"CreationTime":1.705489836421E9,"DataRetentionInHours":24,` +
		`"DeviceName":null,"IngestionConfiguration":null,"KmsKeyId":"a","MediaType":null,` +
		`"Status":"ACTIVE",` +
		`"StreamARN":"arn:aws:kinesisvideo:us-east-1:444709715744:stream/c/1705489836421",` +
		`"StreamName":"c","Version":"dav"}}`
	s := newAPIServer(t, func(path, body string) (int, string, string) {
		switch path {
		case "/describeStream":
			return 200, "", described
		case "/listStreams":
			if strings.Contains(body, "NextToken") {
				return 200, "", `{"NextToken":null,"StreamInfoList":[{"Version":"w",` +
					`"StreamName":"d","CreationTime":1705489836.000}]}`
			}
			return 200, "", `{"StreamInfoList":[{"Version":"v","StreamName":"c",` +
				`"CreationTime":1705489836}],"NextToken":"abc"}`
		case "/listTagsForStream":
			return 200, "", `{"NextToken":null,"Tags":{"b":"1 < 2","Status":"x","StreamName":"é"}}`
		case "/getHLSStreamingSessionURL":
			return 200, "", `{"HLSStreamingSessionURL":"http://x/?a=1&b=2"}`
		}
		return 200, "", "{}"
	})
	for args, want := range map[string]string{
		"describe-stream --stream-name c": `{
    "StreamInfo": {
        "StreamName": "c",
        "StreamARN": "arn:aws:kinesisvideo:us-east-1:444709715744:stream/c/1705489836421",
        "KmsKeyId": "a",
        "Version": "dav",
        "Status": "ACTIVE",
        "CreationTime": 1705489836.421,
        "DataRetentionInHours": 24
    }
}
`,
		"list-streams": `{
    "StreamInfoList": [
        {
            "StreamName": "c",
            "Version": "v",
            "CreationTime": 1705489836
        },
        {
            "StreamName": "d",
            "Version": "w",
            "CreationTime": 1705489836.0
        }
    ]
}
`,
		"list-tags-for-stream --stream-name c": `{
    "Tags": {
        "b": "1 < 2",
        "Status": "x",
        "StreamName": "é"
    }
}
`,
		"get-hls-streaming-session-url --stream-name c": `{
    "HLSStreamingSessionURL": "http://x/?a=1&b=2"
}
`,
		"tag-stream --stream-name c --tags a=b": "",
		"get-hls-streaming-session-url --stream-name c --query " +
			"HLSStreamingSessionURL": "\"http://x/?a=1&b=2\"\n",
		"get-hls-streaming-session-url --stream-name c --query HLSStreamingSessionURL --output " +
			"text": "http://x/?a=1&b=2\n",
		"get-hls-streaming-session-url --stream-name c --query HLSStreamingSessionURL --output " +
			"json": "\"http://x/?a=1&b=2\"\n",
		"describe-stream --stream-name c --query StreamInfo.DataRetentionInHours": "24\n",
		"describe-stream --stream-name c --query StreamInfo.MediaType":            "null\n",
		"list-streams --query StreamInfoList[-1].StreamName":                      "\"d\"\n",
		"list-streams --query StreamInfoList[].StreamName --output text":          "c\nd\n",
		"list-streams --query StreamInfoList[?StreamName=='d'].[CreationTime,Version] --output " +
			"text": "1705489836.0\tw\n",
	} {
		stdout, stderr, code := callWeir(t, s.URL, strings.Fields(args)...)
		if code != 0 || stdout != want {
			t.Errorf("%s: exit code %d %s\ngot:\n%swant:\n%s", args, code, stderr, stdout, want)
		}
	}
	if _, stderr, code := callWeir(t, s.URL, "list-streams", "--query", "a["); code != exitAWS ||
		!strings.Contains(stderr, "Bad value for --query a[") {
		t.Errorf("a wrong query: exit code %d, %s", code, stderr)
	}
}

func TestErrorsLookLikeTheAWSCLIs(t *testing.T) {
	s := newAPIServer(t, func(path, body string) (int, string, string) {
		return 404, "ResourceNotFoundException",
			`{"Message":"The requested stream is not found or not active."}`
	})
	_, stderr, code := callWeir(t, s.URL, "describe-stream", "--stream-name", "c")
	if want := "\nAn error occurred (ResourceNotFoundException) when calling the DescribeStream " +
		"operation: The requested stream is not found or not active.\nweir: hint: weir " +
		"list-streams shows the streams that there are\n"; stderr != want || code != 255 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	_, stderr, code = callWeir(t, gone.URL, "describe-stream", "--stream-name", "c")
	if want := "\nCould not connect to the endpoint URL: \"" + gone.URL +
		"/describeStream\""; !strings.HasPrefix(stderr, want) || code != 255 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	for args, want := range map[string]string{
		"create-stream": "the following arguments are required: --stream-name",
		"get-hls-streaming-session-url --stream-name c --expires x": "invalid literal for int() " +
			"with base 10: 'x'",
		"create-stream --stream-name c --tags a": "Expected: '=', received: 'EOF'",
		"get-hls-streaming-session-url --stream-name c --hls-fragment-selector " +
			"TimestampRange={StartTimestamp=soon}": "timestamp-string",
	} {
		if _, stderr, code := callWeir(t, s.URL, strings.Fields(args)...); code == 0 ||
			!strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s", args, code, stderr)
		}
	}
}
