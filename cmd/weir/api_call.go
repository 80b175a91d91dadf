package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/api"
	"weir/internal/awscli"
	"weir/internal/client"
)

// runAPI runs an API command and returns the exit code.
func runAPI(ctx context.Context, op *api.Operation, args []string, std stdio) int {
	c := apiCall{op: op, std: std, now: time.Now()}
	err := c.run(ctx, args)
	if err == nil {
		return exitOK
	}
	return reportAPI(std.Err, op, err)
}

// reportAPI prints an error of an API command and returns its exit code: that of the AWS command line.
func reportAPI(w io.Writer, op *api.Operation, err error) int {
	var usage *usageError
	var hint *hintError
	switch {
	case errors.As(err, &usage):
		report(w, withHint(err, "weir %s --help lists the flags, with an example", awscli.Command(op)))
		return exitUsage
	case errors.As(err, &hint):
		report(w, err)
		return exitAWS
	}
	if code, ok := reportAWS(w, err); ok {
		return code
	}
	fmt.Fprintf(w, "\n%v\n", err)
	var argument *awscli.ArgumentError
	var invalid *inputError
	if errors.As(err, &argument) || errors.As(err, &invalid) {
		fmt.Fprintf(w, "weir: hint: weir %s --help shows the form, weir %s --%s a sample in JSON\n", awscli.Command(op), awscli.Command(op), flagSkeleton)
	}
	return exitAWS
}

// apiCall is one run of an API command.
type apiCall struct {
	op    *api.Operation
	std   stdio
	now   time.Time // what "10m ago" is relative to
	args  *arguments
	query *awscli.Query // nil: print all
	form  string        // json, text or table
}

func (c *apiCall) run(ctx context.Context, args []string) error {
	own := operationOptions(c.op)
	var err error
	if c.args, err = parseArguments(args, own); err != nil {
		return err
	}
	if c.args.help {
		return writeHelp(c.std.Out, operationInfo(c.op))
	}
	if c.args.has("query") {
		if c.query, err = awscli.ParseQuery(c.args.word("query")); err != nil {
			return &awsError{err.Error()}
		}
	}
	if url := c.args.word("endpoint-url"); c.args.has("endpoint-url") && !strings.Contains(url, "://") {
		return awsErrorf("Bad value for --endpoint-url %q: scheme is missing.  Must be of the form http://<hostname>/ or https://<hostname>/", url)
	}
	if c.args.err != nil {
		return c.args.err
	}
	if err := c.args.missing(c.op); err != nil {
		return err
	}
	if c.args.unknown != nil {
		return c.unknown(own)
	}
	paged, err := c.paged()
	if err != nil {
		return err
	}
	in, err := c.input()
	if err != nil {
		return err
	}
	if c.args.has(flagSkeleton) && c.args.word(flagSkeleton) != "output" {
		return awscli.WriteJSON(c.std.Out, awscli.Skeleton(c.op.Input))
	}
	environment := client.Environment{
		EndpointURL: c.args.word("endpoint-url"), Region: c.args.word("region"), Profile: c.args.word("profile"),
		CABundle: c.args.word("ca-bundle"), NoVerify: c.args.has("no-verify-ssl"),
	}
	if c.args.has("debug") {
		environment.Debug = c.std.Err
	}
	if c.form = c.args.word("output"); c.form == "" {
		if c.form, err = environment.Output(); err != nil {
			return err
		}
	}
	if c.form == "" {
		c.form = "json"
	}
	if !slices.Contains([]string{"json", "text", "table"}, c.form) {
		return awsErrorf("Unknown output type: %s", c.form)
	}
	if c.args.has(flagSkeleton) {
		if err := c.check(in); err != nil {
			return err
		}
		return c.print(awscli.Sample(c.op.Output))
	}
	var cl *client.Client
	if !paged {
		if err := c.check(in); err != nil {
			return err
		}
	}
	if cl, err = newClient(ctx, environment); err != nil {
		return err
	}
	if paged {
		return c.pages(ctx, cl, in)
	}
	answer, err := c.call(ctx, cl, in)
	if err != nil {
		return err
	}
	return c.print(answer)
}

// unknown tells which words mean nothing, and what may have been meant.
func (c *apiCall) unknown(own []option) error {
	err := fmt.Errorf("Unknown options: %s", strings.Join(c.args.unknown, ", "))
	for _, word := range c.args.unknown {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		for _, o := range slices.Concat(own, globalOptions()) {
			if strings.HasPrefix(word, "--") && similar(name, o.name) {
				return withHint(err, "did you mean --%s?", o.name)
			}
		}
	}
	return withHint(err, "weir %s --help lists the flags; a value that begins with a dash is given as --flag=value", awscli.Command(c.op))
}

// similar reports names that differ by two letters at most.
func similar(a, b string) bool {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)] <= 2
}

// paged tells whether the pages are to be put together: unless one was asked for.
func (c *apiCall) paged() (bool, error) {
	p := c.op.Paging
	if p == nil {
		return false, nil
	}
	if !c.args.has("no-paginate") && !c.args.has(awscli.Hyphenate(p.InputToken)) && !c.args.has(awscli.Hyphenate(p.Limit)) {
		return true, nil
	}
	var used []string
	for _, name := range []string{flagStart, flagPageSize, flagMaxItems} {
		if w := c.args.word(name); w != "" && w != "0" {
			used = append(used, "--"+name)
		}
	}
	if used != nil {
		return false, awsErrorf("Error during pagination: Cannot specify --no-paginate along with pagination arguments: %s", strings.Join(used, ", "))
	}
	return false, nil
}

// input puts together what the flags and --cli-input-json say.
func (c *apiCall) input() (*awscli.Object, error) {
	in := &awscli.Object{}
	for _, f := range c.op.Input.Members {
		if !c.args.has(awscli.Flag(f)) {
			continue
		}
		v, err := awscli.Argument("--"+awscli.Flag(f), f.Shape, c.args.words[awscli.Flag(f)])
		if err != nil {
			return nil, err
		}
		in.Set(f.Name, v)
	}
	if c.args.has(flagInputJSON) {
		more, err := awscli.InputJSON(c.args.word(flagInputJSON))
		if err != nil {
			return nil, err
		}
		for _, m := range more.Members {
			if _, ok := in.Get(m.Name); !ok {
				in.Set(m.Name, m.Value)
			}
		}
	}
	return in, nil
}

// inputError lists what is wrong with an input.
type inputError struct{ wrong []string }

func (e *inputError) Error() string {
	return "Parameter validation failed:\n" + strings.Join(e.wrong, "\n")
}

// check refuses an input that the service's model does not allow, and warns of one that may not mean what it seems to.
func (c *apiCall) check(in *awscli.Object) error {
	wrong, warnings := awscli.Check(in, c.op.Input, c.now)
	if wrong != nil {
		return &inputError{wrong}
	}
	for _, warning := range warnings {
		fmt.Fprintf(c.std.Err, "warning: %s\n", warning)
	}
	return nil
}

// call performs the operation.
func (c *apiCall) call(ctx context.Context, cl *client.Client, in *awscli.Object) (awscli.Value, error) {
	body, err := awscli.Encode(in, c.op.Input, c.now)
	if err != nil {
		return nil, err
	}
	if c.op.DataAPI != "" {
		var stream api.StreamRef
		name, _ := in.Get("StreamName")
		arn, _ := in.Get("StreamARN")
		stream.StreamName, _ = name.(string)
		stream.StreamARN, _ = arn.(string)
		if cl, err = cl.DataEndpoint(ctx, stream, c.op.DataAPI); err != nil {
			return nil, err
		}
	}
	var answer json.RawMessage
	if err := cl.Call(ctx, c.op.Name, body, &answer); err != nil {
		return nil, err
	}
	v, err := awscli.ParseJSON(answer)
	if err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	return awscli.Order(v, c.op.Output), nil
}

// pages performs the operation for every page, and prints the whole: in one piece, or as text page by page.
func (c *apiCall) pages(ctx context.Context, cl *client.Client, in *awscli.Object) error {
	p := c.op.Paging
	token, skip := startingToken(c.args, p)
	if token != "" {
		in.Set(p.InputToken, token)
	}
	if c.args.has(flagPageSize) {
		size, err := awscli.ParseInt(c.args.word(flagPageSize))
		if err != nil {
			return err
		}
		in.Set(p.Limit, size)
	}
	if err := c.check(in); err != nil {
		return err
	}
	left, limited := 0, c.args.has(flagMaxItems)
	if limited {
		var err error
		if left, err = strconv.Atoi(c.args.word(flagMaxItems)); err != nil {
			return awsErrorf("--%s: %v", flagMaxItems, err)
		}
		if left <= 0 {
			fmt.Fprintf(c.std.Err, "warning: Non-positive values for --%s may result in undefined behavior.\n", flagMaxItems)
			left = 0
		}
	}
	all := awscli.List{}
	resume := ""
	for seen := map[string]bool{}; ; skip = 0 {
		answer, err := c.call(ctx, cl, in)
		if err != nil {
			return err
		}
		page, _ := answer.(*awscli.Object)
		if page == nil {
			return errors.New("the answer is not an object")
		}
		found, _ := page.Get(p.Result)
		items, _ := found.(awscli.List)
		items = items[min(skip, len(items)):]
		cut := limited && len(items) > left
		if cut {
			items = items[:left]
			resume = resumeToken(p, token, len(items)+skip)
		}
		if c.form == "text" {
			if err := c.print(&awscli.Object{Members: []awscli.Member{{Name: p.Result, Value: items}}}); err != nil {
				return err
			}
		}
		all, left = append(all, items...), left-len(items)
		next, _ := page.Get(p.OutputToken)
		token, _ = next.(string)
		if cut || token == "" {
			break
		}
		if limited && left == 0 {
			resume = resumeToken(p, token, 0)
			break
		}
		if seen[token] {
			return awsErrorf("Error during pagination: The same next token was received twice: %s", token)
		}
		seen[token] = true
		in.Set(p.InputToken, token)
	}
	if c.form == "text" {
		if resume == "" {
			return nil
		}
		return c.print(&awscli.Object{Members: []awscli.Member{{Name: "NextToken", Value: &awscli.Object{Members: []awscli.Member{{Name: "NextToken", Value: resume}}}}}})
	}
	out := &awscli.Object{Members: []awscli.Member{{Name: p.Result, Value: all}}}
	if resume != "" {
		out.Set("NextToken", resume)
	}
	return c.print(out)
}

// truncated is the member of a resume token that says how many items of the page were printed already.
const truncated = "boto_truncate_amount"

// resumeToken is the token for --starting-token, in the form of the AWS command line, so that each goes on where the other ended.
func resumeToken(p *api.Paging, token string, printed int) string {
	quoted := []byte("null")
	if token != "" {
		quoted, _ = json.Marshal(token) // a string has no error
	}
	text := fmt.Sprintf("{%q: %s", p.InputToken, quoted)
	if printed > 0 || token == "" {
		text += fmt.Sprintf(", %q: %d", truncated, printed)
	}
	return base64.StdEncoding.EncodeToString([]byte(text + "}"))
}

// startingToken reads --starting-token: one of ours or of the AWS command line, or else a NextToken of the service.
func startingToken(a *arguments, p *api.Paging) (token string, skip int) {
	word := a.word(flagStart)
	text, err := base64.StdEncoding.DecodeString(word)
	if err != nil {
		return word, 0
	}
	v, err := awscli.ParseJSON(text)
	o, ok := v.(*awscli.Object)
	if err != nil || !ok {
		return word, 0
	}
	next, _ := o.Get(p.InputToken)
	token, _ = next.(string)
	if n, ok := o.Get(truncated); ok {
		if n, ok := n.(json.Number); ok {
			if i, err := strconv.Atoi(string(n)); err == nil && i > 0 {
				skip = i
			}
		}
	}
	return token, skip
}

// print prints an answer, or what the query finds in it.
func (c *apiCall) print(v awscli.Value) error {
	if c.query != nil {
		var err error
		if v, err = c.query.Search(v); err != nil {
			return err
		}
	}
	switch c.form {
	case "text":
		return awscli.WriteText(c.std.Out, v)
	case "table":
		return awscli.WriteTable(c.std.Out, c.op.Name, v, columns(c.std.Out))
	}
	if o, ok := v.(*awscli.Object); ok && len(o.Members) == 0 {
		return nil
	}
	return awscli.WriteJSON(c.std.Out, v)
}

// columns is the width of a terminal, and 80 for everything else.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}

// describe asks for what the other commands need of a stream.
func describe(ctx context.Context, c *client.Client, stream api.StreamRef) (api.StreamInfo, error) {
	var out struct{ StreamInfo api.StreamInfo }
	err := c.Call(ctx, "DescribeStream", &api.DescribeStreamInput{StreamRef: stream}, &out)
	return out.StreamInfo, err
}
