package awscli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/internal/api"
)

// Globals are the flags of a command that say which server is called, and as whom. What is empty
// comes from the environment.
type Globals struct {
	EndpointURL, Region, Profile, CABundle string
	NoVerifySSL, Debug                     bool
}

// Caller performs operations on a server.
type Caller interface {
	// Call sends an input that passed Check and Encode, and returns the JSON of the answer.
	Call(ctx context.Context, op *api.Operation, in Value) (json.RawMessage, error)
	// Stream does the same for an operation whose answer is media (api.Operation.Streams): that
	// goes to the file, and the JSON has the members of the output that are headers.
	Stream(ctx context.Context, op *api.Operation, in Value, file string) (json.RawMessage, error)
}

// Runner runs commands as the AWS command line does.
type Runner struct {
	In       io.Reader
	Out, Err io.Writer
	Now      time.Time // what "10m ago" is relative to
	Width    int       // of tables, in columns

	Connect func(ctx context.Context, g Globals) (Caller, error)
	Output  func(g Globals) (string, error) // the form of answers that is configured; "" for none
	Help    func(op *api.Operation) error   // prints what --help prints
}

// Error is printed as the AWS command line prints its own errors, without a name before it.
type Error struct{ text string }

// Error is the text.
func (e *Error) Error() string { return e.text }

func errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// InputError lists what is wrong with an input (Check).
type InputError struct{ Wrong []string }

// Error is in the words of botocore's validation.
func (e *InputError) Error() string {
	return "Parameter validation failed:\n" + strings.Join(e.Wrong, "\n")
}

// UnknownOptionsError is a command line with words that mean nothing.
type UnknownOptionsError struct {
	Words   []string
	Similar string // the flag that may have been meant, without dashes; "" for none
}

// Error is in the words of the AWS command line.
func (e *UnknownOptionsError) Error() string {
	return "Unknown options: " + strings.Join(e.Words, ", ")
}

// Run runs the command of an operation. Its errors are those of this package, of Connect and of the
// Caller.
func (r *Runner) Run(ctx context.Context, op *api.Operation, args []string) error {
	own := OperationOptions(op)
	parsed, err := parseArguments(args, own)
	if err != nil {
		return err
	}
	if parsed.help {
		return r.Help(op)
	}
	parsed.takeWords(op)
	if op.Streams {
		parsed.takeFile()
	}
	c := &call{Runner: r, op: op, args: parsed}
	if err := c.understand(own); err != nil {
		return err
	}
	paged, err := c.paged()
	if err != nil {
		return err
	}
	in, err := c.input()
	if err != nil {
		return err
	}
	if parsed.has(FlagSkeleton) && parsed.word(FlagSkeleton) != "output" {
		return writeJSON(r.Out, Skeleton(op.Input))
	}
	globals := Globals{
		EndpointURL: parsed.word("endpoint-url"), Region: parsed.word("region"),
		Profile:  parsed.word("profile"),
		CABundle: parsed.word("ca-bundle"), NoVerifySSL: parsed.has("no-verify-ssl"),
		Debug: parsed.has("debug"),
	}
	if err := c.chooseForm(globals); err != nil {
		return err
	}
	if !paged || parsed.has(FlagSkeleton) {
		if err := c.check(in); err != nil {
			return err
		}
	}
	if parsed.has(FlagSkeleton) {
		return c.print(Sample(op.Output))
	}
	if c.caller, err = r.Connect(ctx, globals); err != nil {
		return err
	}
	if paged {
		return c.pages(ctx, in)
	}
	answer, err := c.perform(ctx, in)
	if err != nil {
		return err
	}
	if op.Credentials && !parsed.has("output") && !parsed.has("query") {
		return c.printCredentials(answer)
	}
	return c.print(answer)
}

// call is one run of a command.
type call struct {
	*Runner
	op     *api.Operation
	args   *arguments
	caller Caller
	query  *Query // nil: print all
	form   string // json, text or table
}

// understand refuses a command line in the order in which the AWS command line does.
func (c *call) understand(own []Option) (err error) {
	if c.args.has("query") {
		if c.query, err = ParseQuery(c.args.word("query")); err != nil {
			return &Error{err.Error()}
		}
	}
	if url := c.args.word("endpoint-url"); c.args.has("endpoint-url") &&
		!strings.Contains(url, "://") {
		return errorf("Bad value for --endpoint-url %q: scheme is missing.  Must be of the form "+
			"http://<hostname>/ or "+
			"https://<hostname>/", url)
	}
	if c.args.err != nil {
		return c.args.err
	}
	if err := c.args.missing(c.op); err != nil {
		return err
	}
	if c.args.unknown != nil {
		return unknownOptions(c.args.unknown, own)
	}
	return nil
}

// unknownOptions tells which words mean nothing, and what may have been meant.
func unknownOptions(unknown []string, own []Option) error {
	err := &UnknownOptionsError{Words: unknown}
	for _, word := range unknown {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		for _, o := range slices.Concat(own, GlobalOptions()) {
			if strings.HasPrefix(word, "--") && Similar(name, o.Name) {
				err.Similar = o.Name
				return err
			}
		}
	}
	return err
}

// Similar reports names that differ by two letters at most.
func Similar(a, b string) bool {
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

// chooseForm takes the form of the answer from the flags or the configuration.
func (c *call) chooseForm(g Globals) (err error) {
	if c.form = c.args.word("output"); c.form == "" {
		if c.form, err = c.Output(g); err != nil {
			return err
		}
	}
	if c.form == "" {
		c.form = "json"
	}
	if !slices.Contains([]string{"json", "text", "table"}, c.form) {
		return errorf("Unknown output type: %s", c.form)
	}
	return nil
}

// input puts together what the flags and --cli-input-json say.
func (c *call) input() (*Object, error) {
	in := &Object{}
	for _, f := range c.op.Input.Members {
		if !c.args.has(Flag(f)) {
			continue
		}
		words := c.args.words[Flag(f)]
		if f.Shape.Document && len(words) == 1 && words[0] == "-" {
			text, err := readStandardInput(c.In)
			if err != nil {
				return nil, err
			}
			words = []string{text}
		}
		v, err := Argument("--"+Flag(f), f.Shape, words)
		if err != nil {
			return nil, err
		}
		in.Set(f.Name, v)
	}
	if c.args.has(flagInputJSON) {
		more, err := inputJSON(c.args.word(flagInputJSON))
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

// check refuses an input that the service's model does not allow, and warns of one that may not
// mean what it seems to.
func (c *call) check(in *Object) error {
	wrong, warnings := Check(in, c.op.Input, c.Now)
	if wrong != nil {
		return &InputError{wrong}
	}
	for _, warning := range warnings {
		fmt.Fprintf(c.Err, "warning: %s\n", warning)
	}
	return nil
}

// perform calls the operation and orders the answer as the model does.
func (c *call) perform(ctx context.Context, in *Object) (Value, error) {
	body, err := Encode(in, c.op.Input, c.Now)
	if err != nil {
		return nil, err
	}
	var answer json.RawMessage
	if c.op.Streams {
		answer, err = c.caller.Stream(ctx, c.op, body, c.args.file)
	} else {
		answer, err = c.caller.Call(ctx, c.op, body)
	}
	if err != nil {
		return nil, err
	}
	v, err := parseJSON(answer)
	if err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	return unfold(Order(v, c.op.Output), c.op.Output), nil
}

// readStandardInput reads what - stands for, up to the greatest size of a file that stands for an
// argument.
func readStandardInput(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("standard input: %w", err)
	case len(text) > maxFile:
		return "", fmt.Errorf("standard input has more than %d bytes", maxFile)
	}
	return string(text), nil
}

// unfold puts the JSON of documents in the place of their texts, as the AWS command line does with
// the policies of IAM.
func unfold(v Value, s *api.Shape) Value {
	switch v := v.(type) {
	case List:
		if s != nil {
			for i := range v {
				v[i] = unfold(v[i], s.Item)
			}
		}
	case *Object:
		for i, m := range v.Members {
			v.Members[i].Value = unfold(m.Value, of(s, m.Name))
		}
	case string:
		if s != nil && s.Document {
			if document, err := parseJSON([]byte(v)); err == nil {
				return document
			}
		}
	}
	return v
}

// printCredentials prints a key pair as a section of a credentials file of AWS.
func (c *call) printCredentials(v Value) error {
	o, _ := v.(*Object)
	if o == nil {
		return errorf("The answer is no key pair")
	}
	text := func(name string) Value { v, _ := o.Get(name); return v }
	_, err := fmt.Fprintf(c.Out, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
		text("UserName"), text("AccessKeyId"), text("SecretAccessKey"))
	return err
}

// print prints an answer, or what the query finds in it.
func (c *call) print(v Value) error {
	if c.query != nil {
		var err error
		if v, err = c.query.Search(v); err != nil {
			return err
		}
	}
	switch c.form {
	case "text":
		return writeText(c.Out, v)
	case "table":
		return writeTable(c.Out, c.op.Name, v, c.Width)
	}
	if o, ok := v.(*Object); ok && len(o.Members) == 0 {
		return nil
	}
	return writeJSON(c.Out, v)
}
