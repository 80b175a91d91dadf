package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/awscli"
)

// Weir's command line side by side with the AWS command line: every operation, and each form of
// each parameter, made from the table of shapes, is given to `aws` and to `weir` against the same
// server. Standard output is equal as JSON, or byte for byte in the other forms, and exit codes
// are equal.
func TestCommandLineSideBySide(t *testing.T) {
	waits(t)
	needTool(t, "aws")
	switch version := awsVersion(); {
	case version == "":
		missing(t, "version 1 of the AWS command line is not installed; `pip install 'awscli<2'` "+
			"installs it")
	case !strings.HasPrefix(version, "1."):
		t.Skipf("the AWS command line of this machine is version %s, whose messages and exit "+
			"codes are others", version)
	}
	s := start(t, "")
	arn := map[string]string{}
	for _, name := range []string{"side1", "side2", "side3"} {
		created := s.runJSON("weir", "create-stream", "--stream-name", name,
			"--data-retention-in-hours", "24", "--tags", "site=north,floor=2")
		arn[name], _ = created["StreamARN"].(string)
	}
	s.run("weir", "put-media", "--stream-name", "side1", clip{rate: "25", seconds: 2}.make(t))
	g := generator{dir: t.TempDir(), arn: arn["side1"], seen: map[string]bool{}}
	var cases []sideCase
	for _, op := range awscli.Commands() {
		if op.Service == api.Administration { // AWS has no such commands
			continue
		}
		cases = append(cases, g.cases(op)...)
	}
	t.Logf("%d cases", len(cases))

	var wait sync.WaitGroup
	work := make(chan sideCase)
	for range 2 {
		aws := newAWSBatch(t, s)
		wait.Go(func() {
			for c := range work {
				c.compare(t, s, aws)
			}
		})
	}
	for _, c := range cases {
		work <- c
	}
	close(work)
	wait.Wait()
}

// sideCase is one command line.
type sideCase struct {
	op   *api.Operation
	args []string
	json bool // standard output is JSON
}

func (c sideCase) compare(t *testing.T, s *server, aws *awsBatch) {
	service := c.op.Service.String()
	args := append([]string{awscli.Command(c.op)}, c.args...)
	awsOut, awsErr, awsCode, err := aws.run(append([]string{service}, args...))
	if err != nil {
		t.Error(err)
		return
	}
	out, stderr, code := outcome(s, "weir", args)
	if code != awsCode {
		t.Errorf("weir %s: exit code %d, that of aws is %d\nweir: %s\naws: %s",
			strings.Join(args, " "), code, awsCode, stderr, tail(awsErr))
	}
	if (len(out) == 0) != (len(awsOut) == 0) {
		t.Errorf("weir %s: printed\n%s\naws\n%s", strings.Join(args, " "), out, awsOut)
		return
	}
	if !c.json || len(out) == 0 {
		if !bytes.Equal(out, awsOut) {
			t.Errorf("weir %s: printed\n%s\naws\n%s", strings.Join(args, " "), out, awsOut)
		}
		return
	}
	var got, want any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Errorf("weir %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if err := json.Unmarshal(awsOut, &want); err != nil {
		t.Errorf("aws %s: %v\n%s", strings.Join(args, " "), err, awsOut)
	}
	if !reflect.DeepEqual(still(got, c.op.Input), still(want, c.op.Input)) {
		t.Errorf("weir %s: printed\n%s\naws\n%s", strings.Join(args, " "), out, awsOut)
	}
}

// still replaces what differs from call to call: the token of a session, and the value of an
// enumeration that aws picks at random for a skeleton.
func still(v any, s *api.Shape) any {
	object, ok := v.(map[string]any)
	if !ok {
		if text, ok := v.(string); ok {
			before, _, _ := strings.Cut(text, "?SessionToken=")
			return before
		}
		return v
	}
	for name, inner := range object {
		f := s.Member(name)
		text, isText := inner.(string)
		switch {
		case f == nil:
			object[name] = still(inner, &api.Shape{})
		case f.Shape.Enum != nil && isText:
			for _, value := range f.Shape.Enum {
				if text == value {
					object[name] = "one of the enumeration"
				}
			}
		default:
			object[name] = still(inner, f.Shape)
		}
	}
	return object
}

func outcome(s *server, program string, args []string) (stdout, stderr []byte, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := s.command(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.Bytes(), errs.Bytes(), exit.ExitCode()
	}
	if err != nil {
		return nil, []byte(err.Error()), -1
	}
	return out.Bytes(), errs.Bytes(), 0
}

func tail(text []byte) []byte { return text[max(0, len(text)-400):] }

// generator makes command lines of shapes. None of them changes what another one prints: changes
// fail, or change nothing.
type generator struct {
	dir   string // for files
	files int
	arn   string          // of side1
	seen  map[string]bool // shapes whose forms were all tried
}

// file writes a file and returns what stands for its text on the command line.
func (g *generator) file(text string) string {
	g.files++
	path := filepath.Join(g.dir, fmt.Sprintf("%d.json", g.files))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err) // of the test's own directory
	}
	return "file://" + path
}

// cases are those of one operation.
func (g *generator) cases(op *api.Operation) []sideCase {
	var out []sideCase
	add := func(args ...string) { out = append(out, sideCase{op, args, true}) }
	add("--generate-cli-skeleton")
	base := g.base(op)
	add(base...)
	// aws cannot make this one's output: it puts 0 where the model wants 1 or more
	if op.Name != "DescribeImageGenerationConfiguration" {
		add(append(base, "--generate-cli-skeleton", "output")...)
	}
	add(append(base, "--bogus", "x")...)
	// a session's URL is new each time
	out = append(out, sideCase{op, append(base, "--output", "text"), op.DataAPI != ""})
	if op.DataAPI == "" {
		out = append(out, sideCase{op, append(base, "--output", "table"), false})
		// in whose order?
		out = append(out,
			sideCase{op, append(base, "--query", "{z: @, a: *.*, b: keys(@), c: to_string(@)}"),
				false})
	} else {
		out = out[:len(out)-1]
	}

	// The whole input as JSON: in a file, with a flag that overrides it, with an unknown key, with
	// the wrong type, cut short.
	input := map[string]any{}
	for i := range op.Input.Members {
		if f := &op.Input.Members[i]; f.Required || f.Name == "StreamName" ||
			f.Name == "FragmentSelector" {
			input[f.Name] = g.value(op, f)
		}
	}
	whole := mustJSON(input)
	add("--cli-input-json", g.file(whole))
	add("--cli-input-json", whole[:len(whole)-1])
	input["Unknown"] = 1
	add("--cli-input-json", mustJSON(input))
	delete(input, "Unknown")
	for name := range input {
		input[name] = []any{1.5}
	}
	add("--cli-input-json", mustJSON(input), "--generate-cli-skeleton", "output")
	for i := range op.Input.Members {
		f := &op.Input.Members[i]
		if f.Required {
			add(without(base, "--"+awscli.Flag(*f))...)
			break
		}
	}
	// Each parameter by itself, on an input that is checked and not sent; all forms of its shape
	// once, the first one everywhere.
	for i := range op.Input.Members {
		f := &op.Input.Members[i]
		forms := g.forms(f)
		if g.seen[f.Shape.Name] {
			forms = forms[:1]
		}
		g.seen[f.Shape.Name] = true
		for _, words := range forms {
			args := append(without(base, "--"+awscli.Flag(*f)), "--"+awscli.Flag(*f))
			add(append(append(args, words...), "--generate-cli-skeleton", "output")...)
		}
	}
	if op.Paging != nil {
		for _, args := range [][]string{
			{"--max-items", "1"}, {"--max-items", "2", "--page-size", "1"}, {"--page-size", "1"},
			{"--page-size", "x"}, {"--page-size", "0"},
			{"--no-paginate"}, {"--max-results", "2"}, {"--no-paginate", "--max-items", "1"},
			{"--starting-token",
				"eyJOZXh0VG9rZW4iOiBudWxsLCAiYm90b190cnVuY2F0ZV9hbW91bnQiOiAxfQ=="},
		} {
			add(append(base, args...)...)
		}
		names := op.Paging.Result + "[].[StreamName, FragmentNumber]"
		out = append(out,
			sideCase{op, append(base, "--page-size", "2", "--output", "text", "--query", names),
				false})
		out = append(out, sideCase{op, append(base, "--max-items", "2", "--output", "text"), false})
	}
	return out
}

// base is a command line that works again and again, or fails again and again.
func (g *generator) base(op *api.Operation) []string {
	var args []string
	for i := range op.Input.Members {
		f := &op.Input.Members[i]
		if !f.Required && f.Name != "StreamName" && f.Name != "FragmentSelector" {
			continue
		}
		args = append(args, "--"+awscli.Flag(*f))
		switch v := g.value(op, f).(type) {
		case []any:
			for _, item := range v {
				if text, ok := item.(string); ok {
					args = append(args, text)
				} else {
					args = append(args, mustJSON(item))
				}
			}
		case map[string]any:
			args = append(args, mustJSON(v))
		default:
			args = append(args, fmt.Sprint(v))
		}
	}
	return slices.Clip(args) // for those who append to it
}

// value is a value that fits a parameter, and with which a change changes nothing.
func (g *generator) value(op *api.Operation, f *api.Member) any {
	switch {
	case f.Name == "StreamName":
		return "side1"
	case f.Name == "FragmentSelector":
		return map[string]any{"FragmentSelectorType": "SERVER_TIMESTAMP",
			"TimestampRange": map[string]any{"StartTimestamp": 1, "EndTimestamp": 9e9}}
	case f.Name == "ResourceARN":
		return g.arn
	case f.Name == "StreamARN": // of DeleteStream
		return strings.Replace(g.arn, "side1", "none", 1)
	case f.Name == "CurrentVersion":
		return "notTheVersion"
	case f.Name == "Tags" && f.Shape.Kind == api.KindList:
		return []any{map[string]any{"Key": "site", "Value": "north"}}
	case f.Shape.Kind == api.KindMap:
		return map[string]any{"site": "north"}
	case f.Shape.Kind == api.KindList:
		return []any{"absent", "none"}
	case f.Shape.Enum != nil:
		return f.Shape.Enum[0]
	case f.Shape.Kind == api.KindInteger, f.Shape.Kind == api.KindLong:
		return max(f.Shape.Min, 1)
	}
	return "text"
}

// forms are the ways to give a parameter, right and wrong.
func (g *generator) forms(f *api.Member) [][]string {
	switch f.Shape.Kind {
	case api.KindString:
		if f.Shape.Enum != nil {
			return [][]string{{f.Shape.Enum[0]}}
		}
		forms := [][]string{{""}, {g.file("text")}}
		if f.Required {
			forms = append(forms, []string{"file:///nowhere"}, nil)
		}
		return forms
	case api.KindInteger, api.KindLong:
		return [][]string{{fmt.Sprint(f.Shape.Min)}, {fmt.Sprint(f.Shape.Min - 1)}, {"x"}, {"1.5"}}
	case api.KindMap:
		return [][]string{{"a=b,c=d"}, {"a"}, {`{"a":"b"}`}, {`{"a":1}`}, {"a=b,a=c"},
			{g.file(`{"a":"b"}`)}, {"{}"}, {"[]"}, {`{"a"`}, {"a=b,c"}}
	case api.KindList:
		if awscli.IsComplex(f.Shape) {
			return [][]string{{"Key=a,Value=b"}, {"Key=a,Value=b", "Key=c,Value=d"}, {"Key=a"},
				{`[{"Key":"a","Value":"b"}]`},
				{`{"Key":"a","Value":"b"}`, `{"Key":"c","Value":""}`},
				{"Key=a,Value=b,Other=c"}, {g.file(`[{"Key":"a","Value":"b"}]`)}, {}, {"Key"},
				{"Key=a,Value="}}
		}
		return [][]string{{"a"}, {"a", "b"}, {`["a","b"]`}, {`["a",1]`}, {`["a"`}, {}, {""},
			{g.file(`["a","b"]`)}}
	}
	// A structure: members from the shape, in shorthand and JSON, and wrong ones.
	short, long := g.structure(f.Shape)
	return [][]string{{short}, {mustJSON(long)}, {g.file(mustJSON(long))}, {short + ",Other=x"},
		{short + "}"}, {"x"}, {`{"Other":1}`}, {"[1]"}, {strings.Replace(short, "=", "", 1)},
		{strings.Replace(short, "2024-01-02T03:04:05Z", "soon", 1)}, {
			strings.Replace(short, "2024-01-02T03:04:05Z", "1704164645", 1)}, {
			strings.Replace(short, "=", ` = "`, 1)}}
}

// structure fills a structure, in shorthand and for JSON.
func (g *generator) structure(s *api.Shape) (string, map[string]any) {
	var short []string
	long := map[string]any{}
	for _, f := range s.Members {
		switch {
		case f.Shape.Kind == api.KindStructure:
			inner, v := g.structure(f.Shape)
			short, long[f.Name] = append(short, f.Name+"={"+inner+"}"), v
		case f.Shape.Kind == api.KindTimestamp:
			short, long[f.Name] = append(short, f.Name+"=2024-01-02T03:04:05Z"),
				"2024-01-02T03:04:05Z"
		case f.Shape.Enum != nil:
			short, long[f.Name] = append(short, f.Name+"="+f.Shape.Enum[0]), f.Shape.Enum[0]
		default:
			short, long[f.Name] = append(short, f.Name+"=side"), "side"
		}
	}
	return strings.Join(short, ","), long
}

// without leaves out a flag and the words after it.
func without(args []string, flag string) []string {
	var out []string
	skip := false
	for _, a := range args {
		if strings.HasPrefix(a, "--") {
			skip = a == flag
		}
		if !skip {
			out = append(out, a)
		}
	}
	return out
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps, lists and texts
	}
	return string(text)
}
