package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The README's transcript is what happens: each `$` line of its console blocks marked "tested"
// runs in one shell, in order, and its output is compared with the lines below it. An … stands for
// anything; a line that is only … stands for any number of lines.
func TestReadmeTranscript(t *testing.T) {
	waits(t)
	needTool(t, "bash", "aws", "ffmpeg", "ffprobe")
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(
		"(?s)<!-- tested -->\n+```console\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no tested transcript")
	}
	var commands, expected []string
	for _, block := range blocks {
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				commands, expected = append(commands, command), append(expected, "")
			} else if n := len(
				commands) - 1; n >= 0 && expected[n] == "" && continued.MatchString(commands[n]) {
				commands[n] += line // the continuation of a command
			} else if n >= 0 {
				expected[n] += line
			}
		}
	}

	bin := t.TempDir()
	if err := os.Symlink(weirBinary, filepath.Join(bin, "weir")); err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("trap 'kill %1; wait' EXIT\n") // the server that the transcript starts
	for i, command := range commands {
		fmt.Fprintf(&script, "%s\necho '=== %d'\n", strings.TrimSuffix(command, "\n"), i)
	}
	shell := exec.Command("bash", "-c", script.String())
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "WEIR_LISTEN=127.0.0.1:0",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_PAGER=")
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rest := string(out)
	for i, command := range commands {
		got, after, ok := strings.Cut(rest, fmt.Sprintf("=== %d\n", i))
		if !ok {
			t.Fatalf("the shell ended before: %s\n%s", command, rest)
		}
		rest = after
		if !wildcard(expected[i]).MatchString(got) {
			t.Errorf("$ %s\nprinted:\n%q\nREADME says:\n%q", strings.TrimSpace(command), got,
				expected[i])
		}
	}
}

// continued matches a command that goes on in the next line.
var continued = regexp.MustCompile(`[|\\]\n$`)

// wildcard makes a pattern of what the README says is printed.
func wildcard(text string) *regexp.Regexp {
	var re strings.Builder
	re.WriteString(`\A`)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "…" {
			re.WriteString(`(.*\n)*`)
			continue
		}
		parts := strings.Split(strings.ReplaceAll(line, "127.0.0.1:8480", "127.0.0.1:…"), "…")
		for i, p := range parts {
			parts[i] = regexp.QuoteMeta(p)
		}
		re.WriteString(strings.Join(parts, `.*`) + "\n")
	}
	re.WriteString(`\z`)
	return regexp.MustCompile(re.String())
}
