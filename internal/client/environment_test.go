package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// awsFiles makes the given AWS files and variables the only ones of a test.
func awsFiles(t *testing.T, config, credentials string, vars map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	for name, file := range map[string]struct{ path, text string }{
		"AWS_CONFIG_FILE": {"config", config}, "AWS_SHARED_CREDENTIALS_FILE": {"credentials",
			credentials},
	} {
		path := filepath.Join(dir, file.path)
		t.Setenv(name, path)
		if file.text != "" {
			if err := os.WriteFile(path, []byte(file.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range vars {
		t.Setenv(name, value)
	}
	return dir
}

// pair is the keys that follow in a file.
func pair(id string) string {
	return "\naws_access_key_id = " + id + "\naws_secret_access_key = " + id + "S\n"
}

// process is a credential_process, which prints a pair that runs out in half an hour.
func process(id string) string {
	return fmt.Sprintf("\ncredential_process = printf "+
		"'{\"Version\":1,\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"%sS\",\"SessionToken\":\""+
		"%sT\",\"Expiration\":\"%s\"}'\n",
		id, id, id, time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339))
}

func TestEnvironment(t *testing.T) {
	credentials := "[default]" + pair("D") + "[lab]" + pair("L") + "aws_session_token = LT\n"
	for name, c := range map[string]struct {
		flags     Environment
		vars      map[string]string
		config    string
		want      string // endpoint region key secret token
		wantError string
	}{
		"nothing set": {want: "http://127.0.0.1:8480 us-west-2 D DS "},
		"variables": {
			vars: map[string]string{"AWS_ENDPOINT_URL": "http://h:1/",
				"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "E",
				"AWS_SECRET_ACCESS_KEY": "ES", "AWS_SESSION_TOKEN": "ET", "AWS_PROFILE": "lab"},
			want: "http://h:1 eu-west-1 E ES ET",
		},
		"the service's endpoint before the general one, AWS_REGION before AWS_DEFAULT_REGION": {
			vars: map[string]string{"AWS_ENDPOINT_URL_KINESIS_VIDEO": "http://kvs",
				"AWS_ENDPOINT_URL": "http://all", "AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"},
			want: "http://kvs a D DS ",
		},
		"flags before variables": {
			flags: Environment{EndpointURL: "http://flag", Region: "f", Profile: "lab"},
			vars: map[string]string{"AWS_ENDPOINT_URL": "http://all", "AWS_REGION": "a",
				"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "ES"},
			want: "http://flag f L LS LT",
		},
		"profile": {vars: map[string]string{"AWS_PROFILE": "lab"},
			want: "http://127.0.0.1:8480 us-west-2 L LS LT"},
		"default profile": {vars: map[string]string{"AWS_DEFAULT_PROFILE": "lab"},
			want: "http://127.0.0.1:8480 us-west-2 L LS LT"},
		"config file": {
			config: "[default]\nregion=c\nendpoint_url = http://conf/\n",
			want:   "http://conf c D DS ",
		},
		"config file's profile and its services": {
			flags: Environment{Profile: "k"},
			config: "[default]\nregion=c\n[profile k]\nservices = s # here\nendpoint_url = " +
				"http://conf" + pair("C") + "[services s]\nkinesis_video =\n  endpoint_url = " +
				"http://kv\nother =\n  endpoint_url = http://o\n",
			want: "http://kv us-west-2 C CS ",
		},
		"variables before the config file": {
			vars: map[string]string{"AWS_ENDPOINT_URL": "http://v", "AWS_REGION": "v"},
			want: "http://v v D DS ",
			config: "[default]\nregion=c\nservices=s\n[services s]\nkinesis_video =\n  " +
				"endpoint_url = http://conf\n",
		},
		"configured endpoints ignored": {
			vars: map[string]string{"AWS_ENDPOINT_URL": "http://v",
				"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
			want: "http://127.0.0.1:8480 us-west-2 D DS ",
		},
		"a process": {
			vars: map[string]string{"AWS_PROFILE": "p"}, config: "[profile p]" + process("P"),
			want: "http://127.0.0.1:8480 us-west-2 P PS PT",
		},
		"a process that fails": {
			flags: Environment{Profile: "p"}, config: "[profile p]\ncredential_process = exit 3\n",
			wantError: `credentials of the profile "p": process provider error: error in ` +
				`credential_process: exit status 3`,
		},
		"no such services": {config: "[default]\nservices=x\n", wantError: `services "x"`},
		"no certificates": {vars: map[string]string{"AWS_CA_BUNDLE": "/dev/null"},
			wantError: "/dev/null has no certificate"},
		"half a pair": {vars: map[string]string{"AWS_ACCESS_KEY_ID": "E"},
			wantError: "must be set together"},
		"no such profile": {vars: map[string]string{"AWS_PROFILE": "x"},
			wantError: "the config profile (x) could not be found"},
		"no keys for the profile": {
			flags: Environment{Profile: "k"}, vars: map[string]string{"AWS_ACCESS_KEY_ID": "E",
				"AWS_SECRET_ACCESS_KEY": "ES"},
			config: "[profile k]\nregion=c\n", wantError: `unable to locate credentials: there ` +
				`are no keys in the environment, and none for the profile "k" in /`,
		},
		"a role with MFA": {
			flags: Environment{Profile: "m"}, config: "[profile " +
				"m]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=default\n" +
				"mfa_serial=arn:aws:iam::1:mfa/u\n", wantError: "MFA",
		},
		"no file": {vars: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": "/elsewhere"},
			wantError: "unable to locate credentials"},
		"unreadable file": {vars: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": "/"},
			wantError: "read /: is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			awsFiles(t, c.config, credentials, c.vars)
			got, err := c.flags.Client(t.Context())
			if c.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantError) {
					t.Errorf("error %v, expected one with %q", err, c.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			k := got.Credentials
			if text := strings.Join([]string{got.Endpoint, got.Region, k.AccessKeyID,
				k.SecretAccessKey, k.SessionToken}, " "); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

// A machine without keys is told so at once: nothing is asked over the network, least of all the
// metadata service of a cloud.
func TestNoKeysNoPackets(t *testing.T) {
	asked := make(chan string, 1)
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path:
		default:
		}
	}))
	defer metadata.Close()
	for name, c := range map[string]struct {
		config string
		want   error
	}{
		"nothing":           {"", ErrNoCredentials},
		"a mode from there": {"[default]\ndefaults_mode = auto\n", ErrNoCredentials},
		"keys from there": {"[default]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = " +
			"Ec2InstanceMetadata\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			awsFiles(t, c.config, "",
				map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.URL,
					"AWS_ENDPOINT_URL_STS": metadata.URL, "AWS_DEFAULTS_MODE": "auto"})
			if _, err := (Environment{}).Client(t.Context()); err == nil || c.want != nil &&
				!errors.Is(err, c.want) {
				t.Errorf("error %v", err)
			}
			select {
			case path := <-asked:
				t.Errorf("the metadata service was asked for %s", path)
			default:
			}
		})
	}
}

// A role is assumed where the SDK would assume it, with the keys of its source, which may come
// from a process. Keys that expire are renewed.
func TestAssumedRole(t *testing.T) {
	var calls []string
	life := time.Hour
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ = strings.Cut(key, ",")
		calls = append(calls, key+" "+string(body))
		fmt.Fprintf(w, `<AssumeRoleResponse `+
			`xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>`+
			`<AccessKeyId>R%d</AccessKeyId>`+
			`<SecretAccessKey>RS</SecretAccessKey><SessionToken>RT</SessionToken><Expiration>`+
			`%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			len(calls), time.Now().Add(life).UTC().Format(time.RFC3339))
	}))
	defer sts.Close()
	awsFiles(t, "[profile r]\nrole_arn = arn:aws:iam::123456789012:role/camera\nsource_profile = "+
		"p\n[profile p]"+process("P"), "",
		map[string]string{"AWS_ENDPOINT_URL_STS": sts.URL,
			"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
	c, err := Environment{Profile: "r"}.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.Credentials.AccessKeyID != "R1" || c.Credentials.SessionToken != "RT" ||
		c.Endpoint != "http://127.0.0.1:1" {
		t.Errorf("client %+v", c)
	}
	if len(calls) != 1 || !strings.HasPrefix(calls[0], "P/") ||
		!strings.Contains(calls[0], "/us-west-2/sts/aws4_request") ||
		!strings.Contains(calls[0], "Action=AssumeRole") ||
		!strings.Contains(calls[0], "role%2Fcamera") {
		t.Errorf("STS was called %q", calls)
	}
	life = 0 // what is given out next is old at once
	var keys []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, scope(r.Header.Get("Authorization"))[:2])
		io.WriteString(w, "{}")
	}))
	defer server.Close()
	c, err = Environment{Profile: "r", EndpointURL: server.URL}.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Call(t.Context(), "ListStreams", struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(keys, " "); got != "R3 R4" {
		t.Errorf("signed with %s, want R3 R4: new keys for each call", got)
	}
}

func TestOutputSetting(t *testing.T) {
	for name, c := range map[string]struct {
		config, credentials, variable, want string
		profile                             string
	}{
		"nothing": {want: ""},
		"variable": {config: "[default]\noutput = table\n", variable: "text",
			want: "text"},
		"default": {config: "[default]\nregion = x\noutput = table # wide\n",
			want: "table"},
		"another profile": {config: "[default]\noutput = table\n[profile k]\noutput=text\n",
			profile: "k", want: "text"},
		"not that of a service": {config: "[default]\ns3 =\n  output = table\n", want: ""},
		"credentials file": {config: "[default]\noutput = table\n",
			credentials: "[default]\noutput = text\n", want: "text"},
		"default as a profile": {config: "[profile default]\noutput = table\n", want: "table"},
		"a profile without one": {config: "[default]\noutput = table\n[profile k]\n", profile: "k",
			want: ""},
		"default as it is named": {
			config: "[profile k]\noutput = text\n[ default ]\noutput\t=\ttable\n", want: "table"},
	} {
		t.Run(name, func(t *testing.T) {
			awsFiles(t, c.config, c.credentials,
				map[string]string{"AWS_DEFAULT_OUTPUT": c.variable})
			if got, err := (Environment{Profile: c.profile}).Output(); got != c.want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}
