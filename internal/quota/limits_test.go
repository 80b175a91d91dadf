package quota

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write docs/limits.md anew")

const page = "../../docs/limits.md"

// The page has the same table as the code.
func TestLimitsAreDocumented(t *testing.T) {
	var table bytes.Buffer
	var limits Limits
	for _, part := range []struct{ of, title string }{
		{"server", "Of the server"}, {"principal", "Of a user, role or camera"},
		{"stream", "Of a stream"}, {"session", "Of a session"},
	} {
		fmt.Fprintf(&table, "\n## %s\n\n| flag | limits | default | the service | beyond it |\n"+
			"|---|---|---|---|---|\n", part.title)
		for _, row := range limits.Rows() {
			if row.Of != part.of {
				continue
			}
			initial, aws := row.Default, row.AWS
			if initial == "0" {
				initial = "no limit"
			}
			if aws == "" {
				aws = "not said"
			}
			fmt.Fprintf(&table, "| `--%s` | %s | %s | %s | %s |\n", row.Name,
				strings.TrimSuffix(row.Help, "."), initial, aws, row.Beyond)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), "<!-- table -->\n")
	old, tail, ends := strings.Cut(rest, "\n<!-- end of the table -->")
	if !ok || !ends {
		t.Fatal("docs/limits.md does not mark its table")
	}
	if *update {
		text := head + "<!-- table -->\n" + table.String() + "\n<!-- end of the table -->" + tail
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != table.String() {
		t.Error("docs/limits.md is not what the table says; go test ./internal/quota -run Limits " +
			"-update writes it")
	}
}

// No row lacks anything, and its variable is that of its flag.
func TestRowsAreWhole(t *testing.T) {
	var limits Limits
	if err := kong.ApplyDefaults(&limits); err != nil {
		t.Fatal(err)
	}
	kind := reflect.TypeOf(limits)
	for i, row := range limits.Rows() {
		tag := kind.Field(i).Tag
		if !regexp.MustCompile(`\A(server|principal|stream|session)\z`).MatchString(row.Of) ||
			row.Help == "" || row.Beyond == "" || row.Default == "" ||
			tag.Get("env") != "WEIR_"+strings.ToUpper(strings.ReplaceAll(row.Name, "-", "_")) {
			t.Errorf("%s: %v", row.Name, tag)
		}
	}
	if err := limits.Check(); err != nil {
		t.Error(err)
	}
	limits.Blocked = -1
	if err := limits.Check(); err == nil ||
		err.Error() != "--blocked-requests -1 is negative" {
		t.Error(err)
	}
}

// A size is a number, with or without a unit.
func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "12.5MB": 12_500_000, "1 KiB": 1024, "3b": 3} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MB", "-1", "1XB", "1e30TB", "nan"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s is a size", text)
		}
	}
}

// Defaults returns the defaults of the flags.
func TestDefaults(t *testing.T) {
	var limits Limits
	if err := kong.ApplyDefaults(&limits); err != nil {
		t.Fatal(err)
	}
	if limits != *Defaults() {
		t.Errorf("%+v, and of the flags %+v", *Defaults(), limits)
	}
}
