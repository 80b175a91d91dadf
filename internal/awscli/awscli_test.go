package awscli

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestHyphenate(t *testing.T) {
	for name, want := range map[string]string{
		"GetHLSStreamingSessionURL": "get-hls-streaming-session-url", "APIName": "api-name",
		"StreamARN": "stream-arn", "KmsKeyId": "kms-key-id",
		"HLSFragmentSelector":  "hls-fragment-selector",
		"DataRetentionInHours": "data-retention-in-hours",
	} {
		if got := hyphenate(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestShorthand(t *testing.T) {
	for text, want := range map[string]string{
		`a=b`:                         `{"a":"b"}`,
		`a=b,c=`:                      `{"a":"b","c":""}`,
		`a = b c , d={e=f,g={h=i}}`:   `{"a":"b c","d":{"e":"f","g":{"h":"i"}}}`,
		`a=[b,"c,d",{}],e='x=\'y\''`:  `{"a":["b","c,d",{}],"e":"x='y'"}`,
		`a="2024-01-02 03:04:05",b=c`: `{"a":"2024-01-02 03:04:05","b":"c"}`,
		`a=x=y`:                       `{"a":"x=y"}`,
		`a=b,c`:                       `{"a":["b","c"]}`,
		`a=b,c,d=e`:                   `{"a":["b","c"],"d":"e"}`,
		`a=b\,c`:                      `{"a":"b,c"}`,
		`=b`:                          `{"":"b"}`,
	} {
		got, err := parseShorthand(text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if out, err := json.Marshal(got); err != nil || string(out) != want {
			t.Errorf("%s: got %s, want %s", text, out, want)
		}
	}
	for _, text := range []string{"", "a", "a=b,", "a={b=c", "a=[b", "a='b", "a=b,a=c", "a=b}", "{",
		"[]", "a=" + strings.Repeat("[", 100)} {
		if v, err := parseShorthand(text, nil); err == nil {
			t.Errorf("%q was taken for %v", text, v)
		}
	}
}

func TestMoments(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, time.FixedZone("X", 3600))
	for text, want := range map[string]string{
		"0": "1970-01-01T00:00:00Z", "1704164645.125": "2024-01-02T03:04:05.125Z",
		"2024-01-02T03:04:05Z": "2024-01-02T03:04:05Z",
		"2024-01-02":           "2024-01-01T23:00:00Z", "2024-01-02 03:04": "2024-01-02T02:04:00Z",
		"now":     "2026-03-01T11:30:00Z",
		"10m ago": "2026-03-01T11:20:00Z", "2 days ago": "2026-02-27T11:30:00Z",
		"1h30m ago": "2026-03-01T10:00:00Z",
		"today":     "2026-02-28T23:00:00Z", "Today 14:00": "2026-03-01T13:00:00Z",
		"yesterday 9:30:15": "2026-02-28T08:30:15Z",
	} {
		if got, err := ParseMoment(text, now); err != nil ||
			got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v, want %s", text, got.UTC(), err, want)
		}
	}
	for _, text := range []string{"", "soon", "ago", "10 ago", "10x ago", "today 25:00",
		"1704164645125", "-1", "NaN", "1e300", "99999999999999w ago"} {
		if got, err := ParseMoment(text, now); err == nil {
			t.Errorf("%q was taken for %v", text, got)
		}
	}
}

// What the AWS command line 1.45 prints for the same expressions.
func TestQueries(t *testing.T) {
	v, err := parseJSON(
		[]byte(
			`{"z":{"b":1,"a":2.5,"c":null},"l":[{"n":"x","t":1.5E3},{"n":"y","t":3}],"s":"text"}`))
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"z": `{"b":1,"a":2.5,"c":null}`, "l[?n=='x'].t": "[1500.0]",
		"l[].{t: t, n: n}": `[{"t":1500.0,"n":"x"},{"t":3,"n":"y"}]`,
		"nothing":          "null", "length(l)": "2", "sort_by(l, &t)[0].n": `"y"`,
		"join('-', l[].n)": `"x-y"`,
		// The order of members.
		"*":   `[{"b":1,"a":2.5,"c":null},[{"n":"x","t":1500.0},{"n":"y","t":3}],"text"]`,
		"z.*": "[1,2.5]", "keys(z)": `["b","a","c"]`, "values(z)": "[1,2.5,null]",
		"z.*.type(@)": `["number","number","null"]`, "l[].*": `[["x",1500.0],["y",3]]`,
		"s.*": "null", "merge(l[0], z)": `{"n":"x","t":1500.0,"b":1,"a":2.5,"c":null}`,
		"keys(l[0].{t: t, n: n})": `["t","n"]`, "to_string(z)": `"{\"b\":1,\"a\":2.5,\"c\":null}"`,
		// Where the library is of another mind, or of none.
		"contains(l, l[1])": "true", "contains(l, z)": "false", "contains(s, 'ex')": "true",
		"[sort_by(l, &t)[].n, l[].n]": `[["y","x"],["x","y"]]`,
		"l[?n > 'x'].n":               `["y"]`, "l[?t <= `3`].n": `["y"]`, "l[?n > `1`]": "[]",
		"s[0:2]": "null", "l[0:1].n": `["x"]`, "nothing.[a]": "null", "nothing.{a: a}": "null",
		"l[?n==`x`].t": "[1500.0]", "l[?n==`\"x\"`].t": "[1500.0]", "`it's`": `"it's"`,
		"'`x'": "\"`x\"", "l[?t==`3`].n": `["y"]`,
	} {
		q, err := ParseQuery(query)
		if err != nil {
			t.Error(err)
			continue
		}
		found, err := q.Search(v)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if text, err := json.Marshal(found); err != nil || string(text) != want {
			t.Errorf("%s: %s, %v, want %s", query, text, err, want)
		}
	}
	for _, query := range []string{"", "a[", "$.s", "s + s", "-s", "let $x = s in $x", "`a`b", "aé",
		"é"} {
		if _, err := ParseQuery(query); err == nil ||
			!strings.HasPrefix(err.Error(), "Bad value for --query ") {
			t.Errorf("%s: %v", query, err)
		}
	}
	for _, query := range []string{"upper(s)", "items(z)", "length(s, s)", "keys(s)", "&s",
		"abs(s)"} {
		q, err := ParseQuery(query)
		if err != nil {
			t.Error(err)
			continue
		}
		if found, err := q.Search(v); err == nil {
			t.Errorf("%s: %v", query, found)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("l[?n==`x`].{a: keys(@), b: *}")
	f.Add("sort_by(l, &t)[0] | merge(@, z) || contains(l, l[0])")
	v, err := parseJSON(
		[]byte(
			`{"z":{"b":1,"a":2.5,"c":null},"l":[{"n":"x","t":1.5E3},{"n":"y","t":3}],"s":"text"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseQuery(text)
		if err != nil {
			return
		}
		found, err := q.Search(v)
		if err != nil {
			return
		}
		if _, err := json.Marshal(found); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func FuzzShorthand(f *testing.F) {
	f.Add(`FragmentSelectorType=SERVER_TIMESTAMP,` +
		`TimestampRange={StartTimestamp=2024-01-02T03:04:05Z,EndTimestamp="x"}`)
	f.Add(`a=[b,'c'],d={}`)
	f.Add(`a=b,c,d=e`)
	op := Find("get-hls-streaming-session-url")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseShorthand(text, nil)
		if err != nil {
			return
		}
		Check(v, op.Input.Member("HLSFragmentSelector").Shape, time.Unix(0, 0))
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(
		`{"StreamInfo":{"CreationTime":1.7E9,"DeviceName":null,"Tags":{"a":[1,true,"x"]}}}`))
	f.Add([]byte(`[[1],{"a":[{"b":{}}]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(data)
		if err != nil {
			return
		}
		v = Order(v, Commands()[1].Output)
		var out strings.Builder
		if err := writeJSON(&out, v); err != nil || !json.Valid([]byte(out.String())) {
			t.Errorf("%q became %q, %v", data, out.String(), err)
		}
		if err := writeText(&out, v); err != nil {
			t.Error(err)
		}
		_ = writeTable(&out, "T", v, 80) // some values have no table
	})
}

func FuzzMoment(f *testing.F) {
	f.Add("10m ago")
	f.Add("today 14:00")
	f.Fuzz(func(t *testing.T, text string) {
		now := time.Unix(1_700_000_000, 0)
		if at, err := ParseMoment(text, now); err == nil && math.Abs(float64(at.Year())) > 10_000 {
			t.Errorf("%q is the year %d", text, at.Year())
		}
	})
}
