package awscli

import (
	"encoding/json"
	"testing"
	"time"

	"weir/internal/api"
)

// What the AWS command line 1.45 understands by these on 1 March 2026, a Sunday, in Berlin.
func TestTimestamps(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, berlin)
	for text, want := range map[string]string{
		// Seconds since 1970, among them what seems to be something else.
		"1617721530": "2021-04-06T15:05:30Z", " 1617721530.25": "2021-04-06T15:05:30.25Z",
		"-1": "1969-12-31T23:59:59Z", "1.6e9": "2020-09-13T12:26:40Z",
		"20210406": "1970-08-22T22:00:06Z", "202104061505": "8374-06-04T09:05:05Z",
		// ISO 8601 and what is near it.
		"2021-04-06": "2021-04-06T00:00:00Z", "2021-04-06T15:05": "2021-04-06T15:05:00Z",
		"2021-04-06T15:05:30.25Z":   "2021-04-06T15:05:30.25Z",
		"20210406T150530":           "2021-04-06T15:05:30Z",
		"2021-04-06 15:05:30,5":     "2021-04-06T15:05:30.5Z",
		"2021-04-06T15:05:30+02:00": "2021-04-06T13:05:30Z",
		"2021-04-06T15:05:30-0330":  "2021-04-06T18:35:30Z",
		"2021-04-06t15:05z":         "2021-04-06T15:05:00Z",
		"20210406150530":            "2021-04-06T15:05:30Z",
		// By hand.
		"2021/04/06": "2021-04-06T00:00:00Z", "04/06/2021 15:05": "2021-04-06T15:05:00Z",
		"13/06/2021": "2021-06-13T00:00:00Z", "6.4.2021": "2021-06-04T00:00:00Z",
		"4/6/21 3:05 PM": "2021-04-06T15:05:00Z", "6 Apr 2021": "2021-04-06T00:00:00Z",
		"April 6th, 2021 at 3pm": "2021-04-06T15:00:00Z", "06-Apr-21 12 am": "2021-04-06T00:00:00Z",
		"15h5m30s 2021-04-06": "2021-04-06T15:05:30Z", "April of 2021": "2021-04-01T00:00:00Z",
		// Of other programs.
		"Tue, 06 Apr 2021 15:05:30 GMT": "2021-04-06T15:05:30Z",
		"Tue Apr  6 15:05:30 UTC 2021":  "2021-04-06T15:05:30Z",
		"Tue Apr 6 15:05:30 2021":       "2021-04-06T15:05:30Z",
		"6/Apr/2021 15:05:30 -0300":     "2021-04-06T18:05:30Z",
		// What is left out is today's.
		"15:05": "2026-03-01T15:05:00Z", "Tue": "2026-03-03T00:00:00Z",
		"Apr 6":   "2026-04-06T00:00:00Z",
		"2021-04": "2021-04-01T00:00:00Z", "2021": "1970-01-01T00:33:41Z",
		// Names of zones: the local ones; GMT+3 is three hours behind, as in TZ of POSIX.
		"2021-04-06 15:05 UTC":     "2021-04-06T15:05:00Z",
		"2021-04-06 15:05 CEST":    "2021-04-06T13:05:00Z",
		"2021-02-06 15:05 CET":     "2021-02-06T14:05:00Z",
		"2021-10-31 02:30 CEST":    "2021-10-31T00:30:00Z",
		"2021-10-31 02:30 CET":     "2021-10-31T01:30:00Z",
		"2021-04-06 15:05 GMT+3":   "2021-04-06T18:05:00Z",
		"2021-04-06 15:05 BRST+3":  "2021-04-06T18:05:00Z",
		"2021-04-06 15:05 +3 (XY)": "", "2021-04-06 15:05 +3 (XYZ)": "2021-04-06T12:05:00Z",
		// Our own.
		"10m ago": "2026-03-01T11:20:00Z", "today 14:00": "2026-03-01T14:00:00Z",
		// None.
		"": "", "soon": "", "-": "", "1617721530000": "", "2021-13-01": "", "2021-02-29": "",
		"24:00": "", "23:59:60": "",
		"2021-04-06 15:05 Berlin": "", "2021-04-06 15:05 utc": "", "13 pm x": "", "PM": "",
		"nan": "", "1e300": "",
		"1 2 3 4": "", "2021-W14": "", "2021-04-06T15:05+25:00": "", "9999-12-31 23:00 -0300": "",
	} {
		got, zone, err := ParseTimestamp(text, now)
		if err != nil {
			if want != "" {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
			continue
		}
		if got := got.UTC().Format(time.RFC3339Nano); got != want || zone != "" {
			t.Errorf("%q: got %s, zone %q, want %q", text, got, zone, want)
		}
	}
	got, zone, err := ParseTimestamp("2021-04-06 15:05 EST", now)
	if err != nil || zone != "EST" || !got.Equal(time.Date(2021, 4, 6, 15, 5, 0, 0, time.UTC)) {
		t.Errorf("a zone of unknown name: %v, %q, %v", got, zone, err)
	}
	if _, err := ParseMoment("2021-04-06 15:05 EST", now); err == nil {
		t.Error("our own commands take a zone of unknown name")
	}
	for text, want := range map[string]string{ // local
		"2021/04/06": "2021-04-05T22:00:00Z", "04/06/2021 3 PM": "2021-04-06T13:00:00Z",
		"15:05": "2026-03-01T14:05:00Z",
	} {
		if got, err := ParseMoment(text, now); err != nil ||
			got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: our own commands take it for %v (%v), want %s", text, got.UTC(), err,
				want)
		}
	}
}

// Numbers of JSON are seconds; what reaches the server has milliseconds.
func TestTimestampParameters(t *testing.T) {
	s := &api.Shape{Kind: api.KindTimestamp}
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		in   Value
		want string
	}{
		{json.Number("1617721530.1259"), "1617721530.125"}, {json.Number("-1"), "-1"},
		{"2021/04/06", "1617667200"},
	} {
		if wrong, _ := Check(c.in, s, now); wrong != nil {
			t.Errorf("%v: %q", c.in, wrong)
		}
		if got, err := Encode(c.in, s, now); err != nil || got != json.Number(c.want) {
			t.Errorf("%v: sent as %v (%v), want %s", c.in, got, err, c.want)
		}
	}
	if wrong, warnings := Check("15:05 EST", s, now); wrong != nil || len(warnings) != 1 {
		t.Errorf("a zone of unknown name: %q, %q", wrong, warnings)
	}
	if wrong, _ := Check(json.Number("1617721530000"), s, now); wrong == nil {
		t.Error("milliseconds were taken for seconds")
	}
}

// Whatever the text is, there is no panic, and the time is in the years that JSON and SDKs can
// hold.
func FuzzTimestamp(f *testing.F) {
	for _, text := range []string{"Tue Apr 6 15:05:30.25 2021 -0300 (BRST)", "3pm 6/Apr/21",
		"15h5.5m", "12.a", "GMT+", "Jan of", "1,5"} {
		f.Add(text)
	}
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if at, _, err := ParseTimestamp(text, now); err == nil &&
			(at.UTC().Year() < 1 || at.UTC().Year() > 9999) {
			t.Errorf("%q is in the year %d", text, at.Year())
		}
	})
}
