package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"weir/internal/api"
)

func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&cli{}, kong.Name("weir"), kong.Vars{"version": version})
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func TestReferenceIsThatOfTheFlags(t *testing.T) {
	want := reference(model(t))
	const page = "../../docs/cli.md"
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(page); err != nil || string(text) != want {
		t.Errorf("docs/cli.md is not what the flags say (%v); go test ./cmd/weir -run Reference "+
			"-update writes it", err)
	}
}

// reference returns docs/cli.md.
func reference(model *kong.Application) string {
	var b strings.Builder
	b.WriteString("# Command line\n\nGenerated from the flags; `go test ./cmd/weir -run " +
		"Reference -update` writes it anew.\n")
	var global []flagInfo
	for _, c := range commandInfos(model) {
		fmt.Fprintf(&b, "\n## weir %s\n\n%s\n", c.name, c.doc)
		if c.more != "" {
			fmt.Fprintf(&b, "\n%s\n", c.more)
		}
		fmt.Fprintf(&b, "\n```\n%s\n", c.usage())
		if c.examples != "" {
			fmt.Fprintf(&b, "\n%s\n", c.examples)
		}
		b.WriteString("```\n")
		referenceFlags(&b, "argument", "", c.words)
		for _, g := range grouped("flag", c.flags) {
			referenceFlags(&b, g.title, "--", g.flags)
		}
		global = c.global // of the last command, which is the API's
	}
	b.WriteString("\n## Global flags of API commands\n\nEach command that is an operation of the " +
		"API has them.\n")
	referenceFlags(&b, "flag", "--", global)
	fmt.Fprintf(&b, "%s\n%s\n", helpForms, exitCodes)
	return b.String()
}

func referenceFlags(b *strings.Builder, title, dashes string, flags []flagInfo) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(b, "\n| %s | |\n|---|---|\n", title)
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, f := range flags {
		fmt.Fprintf(b, "| `%s` | %s |\n",
			cell.Replace(strings.TrimSpace(dashes+f.name+" "+f.value)), cell.Replace(f.text()))
	}
}

func TestCompletion(t *testing.T) {
	s := newAPIServer(t, func(path, _ string) (int, string, string) {
		switch path {
		case "/weir/listKeys":
			return 200, "", `{"KeyInfoList":[{"UserName":null},{"UserName":"ann"},` +
				`{"UserName":"ann"}]}`
		case "/weir/listPolicies":
			return 200, "", `{"PolicyInfoList":[{"PolicyName":"producer"}]}`
		}
		return 200, "", `{"StreamInfoList":[{"StreamName":"cam1"},{"StreamName":"cam2"},` +
			`{"StreamName":"door"}]}`
	})
	elsewhere := newAPIServer(t, func(string, string) (int, string, string) {
		return 200, "", `{"StreamInfoList":[{"StreamName":"far"}]}`
	})
	for words, want := range map[string]string{
		"create-s":                         "create-stream\tCreate a stream",
		"--output text create-s":           "create-stream\tCreate a stream",
		"--no-verify-ssl --reg":            "--region\tRegion to sign for",
		"help create-s":                    "create-stream\tCreate a stream",
		"man create-s":                     "create-stream\tCreate a stream",
		"describe-stream --stream-name ca": "cam1 cam2",
		"put-media --stream-name d":        "door",
		"play ":                            "cam1 cam2 door",
		"hls --endpoint-url " + elsewhere.URL + " ": "far",
		"update-data-retention --operation I":       "INCREASE_DATA_RETENTION",
		"list-streams --output t":                   "text table",
		"list-streams --output=t":                   "--output=text --output=table",
		"list-streams --output = t":                 "text table",
		"list-streams --output =":                   "json text table",
		"hls --mode LIVE":                           "LIVE LIVE_REPLAY",
		"hls --fr": "--from\tBegin there and not live: \"10m " +
			"ago\", \"today 14:00\", a date, epoch seconds",
		"tag-resource --res":                   "--resource-arn\tARN of the stream",
		"keys cre":                             "create\tMake a user with a key",
		"keys rese":                            "reset-root\tMake a new key pair for root",
		"help keys cre":                        "create\tMake a user with a key",
		"ke":                                   "keys\tCommands for keys",
		"keys create door --po":                "--policy\tNames of policies to attach",
		"keys nothing ":                        "",
		"keys show ":                           "ann",
		"keys create ":                         "",
		"policies attach pro":                  "producer",
		"policies attach producer --user ":     "ann",
		"keys create door --policy ":           "producer",
		"nothing ":                             "",
		"completion ":                          "bash zsh fish",
		"get-hls-streaming-session-url --cont": "--container-format\tFRAGMENTED_MP4 is the default",
	} {
		out, _, code := callWeir(t, s.URL,
			append([]string{completeCommand}, strings.Split(words, " ")...)...)
		if got := strings.ReplaceAll(strings.TrimSpace(out), "\n", " "); got != want || code != 0 {
			t.Errorf("%s: %q, want %q", words, got, want)
		}
	}
}

func TestSessionFlags(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	for name, c := range map[string]struct {
		flags      sessionFlags
		mode       api.PlaybackMode
		start, end int64 // ms; 0: none
		err        string
	}{
		"live": {flags: sessionFlags{}, mode: "LIVE"},
		"from": {flags: sessionFlags{From: "10s ago"}, mode: "ON_DEMAND",
			start: 1_699_999_990_000, end: 1_700_000_000_000},
		"from and to": {flags: sessionFlags{From: "10s ago", To: "5s ago"}, mode: "ON_DEMAND",
			start: 1_699_999_990_000, end: 1_699_999_995_000},
		"replay": {flags: sessionFlags{From: "10s ago", Mode: "LIVE_REPLAY"},
			mode: "LIVE_REPLAY", start: 1_699_999_990_000},
		"no beginning":    {flags: sessionFlags{Mode: "ON_DEMAND"}, err: "--from is missing"},
		"end only":        {flags: sessionFlags{To: "now"}, err: "--from is missing"},
		"live from":       {flags: sessionFlags{From: "now", Mode: "LIVE"}, err: "does not go"},
		"no such moment":  {flags: sessionFlags{From: "soon"}, err: "--from"},
		"no such moment2": {flags: sessionFlags{From: "now", To: "soon"}, err: "--to"},
	} {
		c.flags.Clock, c.flags.Stream = "server", "cam1"
		in, err := c.flags.input(now)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		// Players stumble over a discontinuity where nothing is missing, and wait for ever at a gap
		// without one.
		if err != nil || in.DiscontinuityMode != api.DiscontinuityOnDiscontinuity ||
			in.PlaybackMode != c.mode || in.StreamName != "cam1" ||
			in.HLSFragmentSelector.FragmentSelectorType != api.SelectorServerTimestamp {
			t.Errorf("%s: %+v, %v", name, in, err)
			continue
		}
		var start, end int64
		if r := in.HLSFragmentSelector.TimestampRange; r != nil {
			start = int64(*r.StartTimestamp)
			if r.EndTimestamp != nil {
				end = int64(*r.EndTimestamp)
			}
		}
		if start != c.start || end != c.end {
			t.Errorf("%s: from %d to %d", name, start, end)
		}
	}
}
