package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/awscli"
)

// awsTimestamps reads a JSON text a line and prints its time in microseconds since 1970 as the AWS
// command line understands it.
const awsTimestamps = `
import json, sys, warnings
warnings.simplefilter("ignore")
import datetime, botocore.utils
epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
for line in sys.stdin:
    try:
        t = botocore.utils.parse_to_aware_datetime(json.loads(line))
        print((t - epoch) // datetime.timedelta(microseconds=1))
    except Exception:
        print("refused")
`

// botocore is a Python that has the library of the AWS command line.
func botocore(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import botocore").Run() == nil {
			return python
		}
	}
	missing(t, "no python3 has botocore, the library of the AWS command line; `make deps` "+
		"installs it")
	return ""
}

// A timestamp means to weir what it means to the AWS command line: dates, times and zones in every
// form and order.
func TestTimestampsAsTheAWSCommandLine(t *testing.T) {
	waits(t)
	python := botocore(t)
	dates := strings.Split("|2021-04-06|2021/04/06|04/06/2021|13/6/2021|6.4.2021|20210406|210406|"+
		"4-6-21|6 Apr 2021|Apr-06-2021|"+
		"06-Apr-21|April 6th, 2021|Apr 6|6/Apr/2021|Apr of 2021|Apr of "+
		"21|2021-04|04/2021|Tuesday|Tue, 6 Apr 2021|2021 Apr 6|"+
		"1 2 3|32 1 2|99 1 2|31 Feb 2021|29 Feb "+
		"2020|0000-01-01|9999-12-31|2021-W14|2021-096|2021-13-01|6|1617721530|1617721530000|"+
		"-1.5|1e9|inf|20210406150530|202104061505|noon|now-ish", "|")
	times := strings.Split("|15:05|15:05:30|15:05:30.25|15:05:30,25|3pm|3:05 PM|12 am|12:30 "+
		"AM|13 pm|15h|15h5m30s|15 h 5.5 m|30s|"+
		"1505|150530|150530.25|24:00|23:59:60|15:05:30.123456789|15.5:30|a", "|")
	zones := strings.Split("|Z|z| UTC| GMT| EST| CET| EDT|+02:00| -0330| +3|-03| -0300 (BRT)| "+
		"GMT+3| UTC-5| BRT+3| utc| Berlin|+25:00", "|")
	var texts []string
	for _, date := range dates {
		for i, clock := range times {
			texts = append(texts, date+"T"+clock, clock+" "+date,
				date+" "+clock+zones[i%len(zones)])
		}
	}
	for _, zone := range zones {
		texts = append(texts, "2021-04-06T15:05"+zone, "2021-04-06 15:05:30.5"+zone,
			"3:05 PM"+zone+" 04/06/2021", "2021-04-06"+zone)
	}
	var in bytes.Buffer
	for _, text := range texts {
		line, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	for _, local := range []string{"UTC", "America/New_York"} {
		location, err := time.LoadLocation(local)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(python, "-c", awsTimestamps)
		cmd.Env = append(os.Environ(), "TZ="+local)
		cmd.Stdin, cmd.Stderr = bytes.NewReader(in.Bytes()), os.Stderr
		before := time.Now().In(location)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		answers := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(answers) != len(texts) {
			t.Fatalf("%d answers to %d texts", len(answers), len(texts))
		}
		taken := 0
		for i, text := range texts {
			// What a text leaves out is today's: it may have become tomorrow meanwhile.
			got := microseconds(text, before)
			if got != answers[i] && microseconds(text, time.Now().In(location)) != answers[i] {
				t.Errorf("TZ=%s %q: %s, for the AWS command line %s", local, text, got, answers[i])
			}
			if answers[i] != "refused" {
				taken++
			}
		}
		if taken < len(texts)/4 {
			t.Errorf("the AWS command line takes only %d of %d", taken, len(texts))
		}
	}
}

func microseconds(text string, now time.Time) string {
	at, _, err := awscli.ParseTimestamp(text, now)
	if err != nil {
		return "refused"
	}
	return strconv.FormatInt(at.UnixMicro(), 10)
}
