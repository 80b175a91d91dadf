package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"weir/internal/client"
)

// exitAWS is the exit code of a call that failed, as of version 1 of the AWS CLI (version 2 has 254 for an error of the service).
const exitAWS = 255

// serverFlags say which server a command calls, and as whom.
type serverFlags struct {
	EndpointURL string `name:"endpoint-url" placeholder:"URL" help:"The server. (AWS_ENDPOINT_URL_KINESIS_VIDEO, AWS_ENDPOINT_URL; else http://127.0.0.1:8480)"`
	Region      string `name:"region" placeholder:"NAME" help:"Region to sign for. (AWS_REGION, AWS_DEFAULT_REGION; else us-west-2)"`
	Profile     string `name:"profile" placeholder:"NAME" help:"Profile of the AWS credentials file. (AWS_PROFILE)"`
}

// client makes the client of the flags and the environment.
func (f *serverFlags) client() (*client.Client, error) {
	c, err := client.Environment{EndpointURL: f.EndpointURL, Region: f.Region, Profile: f.Profile}.Client()
	if errors.Is(err, client.ErrNoCredentials) {
		return nil, withHint(err, `eval "$(weir env)" in the directory where weir serve runs sets the endpoint and a key pair`)
	}
	return c, err
}

// streamFlags name a stream.
type streamFlags struct {
	StreamName string `name:"stream-name" placeholder:"NAME" help:"Name of the stream."`
	StreamARN  string `name:"stream-arn" placeholder:"ARN" help:"ARN of the stream, instead of its name."`
}

func (f *streamFlags) put(b body) {
	b.text("StreamName", f.StreamName)
	b.text("StreamARN", f.StreamARN)
}

// outputFlags say how an answer is printed.
type outputFlags struct {
	Query  string `placeholder:"PATH" help:"Print a part of the answer only: member names with dots, [N] for a list's item. A single value is printed bare, unless --output json."`
	Output string `placeholder:"FORM" enum:"json,text," default:"" help:"json (the default), or text for a single value."`
}

// body is a JSON request that holds what was given on the command line and nothing else: what a value must be like is the
// server's to say.
type body map[string]any

func (b body) text(name, value string) {
	if value != "" {
		b[name] = value
	}
}

func (b body) number(name string, value *int) {
	if value != nil {
		b[name] = *value
	}
}

func (b body) texts(name string, value map[string]string) {
	if value != nil {
		b[name] = value
	}
}

// caller is what every command of the API embeds.
type caller struct {
	serverFlags
	outputFlags
}

// call performs an operation and prints its answer.
func (c *caller) call(ctx context.Context, std stdio, operation string, in any) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := cl.Call(ctx, operation, in, &answer); err != nil {
		return err
	}
	return c.print(std.Out, answer)
}

// print writes an answer as the AWS CLI does: nothing for an empty one.
func (f *outputFlags) print(w io.Writer, answer []byte) error {
	v, err := parseAnswer(answer)
	if err != nil {
		return fmt.Errorf("the answer is not JSON: %w", err)
	}
	if f.Query != "" {
		if v, err = v.query(f.Query); err != nil {
			return err
		}
	}
	if text, ok := v.bare(); ok && (f.Output == "text" || f.Output == "" && f.Query != "") {
		_, err := fmt.Fprintln(w, text)
		return err
	}
	if f.Output == "text" {
		return withHint(errors.New("--output text prints a single value only"), "choose one with --query, or leave out --output")
	}
	if o, ok := v.(object); ok && len(o) == 0 {
		return nil
	}
	text, err := v.append(nil, 0)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// reportAWS prints the errors of calls as the AWS CLI does, and gives its exit code. It leaves other errors alone.
func reportAWS(w io.Writer, err error) (code int, ok bool) {
	var answer *client.Error
	var connect *client.ConnectError
	var hint *hintError
	switch {
	case errors.As(err, &hint):
		return 0, false
	case errors.As(err, &answer):
		fmt.Fprintf(w, "\nAn error occurred (%s) when calling the %s operation: %s\n", answer.Code, answer.Operation, answer.Message)
	case errors.As(err, &connect):
		fmt.Fprintf(w, "\nCould not connect to the endpoint URL: %q (%v)\n", connect.URL, connect.Err)
	default:
		return 0, false
	}
	return exitAWS, true
}

// tagsFlag is a map in the AWS CLI's shorthand, a=b,c=d, or in JSON.
type tagsFlag map[string]string

// UnmarshalText parses it.
func (t *tagsFlag) UnmarshalText(text []byte) error {
	v, err := parseShorthand(string(text))
	if err != nil {
		return err
	}
	*t = tagsFlag{}
	for k, v := range v {
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("the value of %s is not a text", k)
		}
		(*t)[k] = s
	}
	return nil
}

// structFlag is a structure in the AWS CLI's shorthand or in JSON.
type structFlag map[string]any

// UnmarshalText parses it.
func (s *structFlag) UnmarshalText(text []byte) error {
	v, err := parseShorthand(string(text))
	*s = v
	return err
}

// wordsFlag is a list of words up to the next flag, as the AWS CLI takes lists.
type wordsFlag []string

// Decode implements kong.MapperValue.
func (w *wordsFlag) Decode(ctx *kong.DecodeContext) error {
	var first string
	if err := ctx.Scan.PopValueInto("word", &first); err != nil {
		return err
	}
	*w = append(*w, first)
	for {
		next := ctx.Scan.Peek()
		text, ok := next.Value.(string)
		if next.IsEOL() || !ok || next.Type != kong.UntypedToken || strings.HasPrefix(text, "-") {
			return nil
		}
		*w = append(*w, text)
		ctx.Scan.Pop()
	}
}

// parseTimestamp reads a moment as the AWS CLI takes it: seconds since the Unix epoch, with or without a fraction, or ISO 8601;
// without a zone it is local time. Unlike the AWS CLI it does not drop the milliseconds.
func parseTimestamp(text string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 253_402_300_800 {
		return time.UnixMilli(int64(seconds*1000 + 0.5)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "20060102T150405Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a number of seconds since 1970 nor ISO 8601, such as 2026-01-31T12:00:00Z", text)
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
