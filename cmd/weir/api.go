package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/api"
	"weir/internal/awscli"
	"weir/internal/client"
)

// runAPI runs an API command and returns the exit code.
func runAPI(ctx context.Context, op *api.Operation, args []string, std stdio) int {
	environment := func(g awscli.Globals) client.Environment {
		e := client.Environment{
			EndpointURL: g.EndpointURL, Region: g.Region, Profile: g.Profile, CABundle: g.CABundle,
			NoVerify: g.NoVerifySSL,
		}
		if g.Debug {
			e.Debug = std.Err
		}
		return e
	}
	runner := awscli.Runner{
		In: std.In, Out: std.Out, Err: std.Err, Now: time.Now(), Width: columns(std.Out),
		Connect: func(ctx context.Context, g awscli.Globals) (awscli.Caller, error) {
			c, err := newClient(ctx, environment(g))
			return caller{c}, err
		},
		Output: func(g awscli.Globals) (string, error) { return environment(g).Output() },
		Help:   func(op *api.Operation) error { return writeHelp(std.Out, operationInfo(op)) },
	}
	if err := runner.Run(ctx, op, args); err != nil {
		return reportAPI(std.Err, op, err)
	}
	return exitOK
}

// caller calls operations; those of data APIs at the endpoint that GetDataEndpoint returns.
type caller struct{ client *client.Client }

// Call implements awscli.Caller.
func (c caller) Call(
	ctx context.Context, op *api.Operation, in awscli.Value,
) (json.RawMessage, error) {
	cl, err := c.at(ctx, op, in)
	if err != nil {
		return nil, err
	}
	var answer json.RawMessage
	err = cl.Call(ctx, op.Name, in, &answer)
	return answer, err
}

// Stream implements awscli.Caller.
func (c caller) Stream(ctx context.Context, op *api.Operation, in awscli.Value,
	file string) (json.RawMessage, error) {
	cl, err := c.at(ctx, op, in)
	if err != nil {
		return nil, err
	}
	header, err := streamToFile(ctx, cl, op.Name, in, file)
	if err != nil {
		return nil, err
	}
	members := map[string]string{}
	for _, m := range op.Output.Members {
		if v := header.Get(m.Header); m.Header != "" && v != "" {
			members[m.Name] = v
		}
	}
	return json.Marshal(members)
}

// at returns the client for an operation's endpoint.
func (c caller) at(ctx context.Context, op *api.Operation,
	in awscli.Value) (*client.Client, error) {
	if op.DataAPI == "" {
		return c.client, nil
	}
	var stream api.StreamRef
	if o, ok := in.(*awscli.Object); ok {
		name, _ := o.Get("StreamName")
		arn, _ := o.Get("StreamARN")
		stream.StreamName, _ = name.(string)
		stream.StreamARN, _ = arn.(string)
	}
	return c.client.DataEndpoint(ctx, stream, op.DataAPI)
}

// streamToFile performs an operation whose answer is media, and writes that to a file, which it
// makes when the answer begins. If the answer breaks off, what has come stays in the file.
func streamToFile(ctx context.Context, cl *client.Client, operation string, in any,
	file string) (http.Header, error) {
	w := &lateFile{name: file}
	header, err := cl.Stream(ctx, operation, in, w)
	return header, errors.Join(err, w.close())
}

// lateFile is a file that the first Write makes.
type lateFile struct {
	name string
	f    *os.File
}

func (l *lateFile) Write(p []byte) (int, error) {
	if l.f == nil {
		var err error
		if l.f, err = os.Create(l.name); err != nil {
			return 0, err
		}
	}
	return l.f.Write(p)
}

func (l *lateFile) close() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}

// reportAPI prints an error of an API command and returns its exit code: that of the AWS command
// line.
func reportAPI(w io.Writer, op *api.Operation, err error) int {
	name := awscli.Command(op)
	var usage *awscli.UsageError
	var unknown *awscli.UnknownOptionsError
	var hint *hintError
	switch {
	case errors.As(err, &usage):
		report(w, withHint(err, "weir %s --help lists the flags, with an example", name))
		return exitUsage
	case errors.As(err, &unknown) && unknown.Similar != "":
		report(w, withHint(err, "did you mean --%s?", unknown.Similar))
		return exitAWS
	case errors.As(err, &unknown):
		report(w, withHint(err, "weir %s --help lists the flags; a value that begins with a dash "+
			"is given as --flag=value", name))
		return exitAWS
	case errors.As(err, &hint):
		report(w, err)
		return exitAWS
	}
	if code, ok := reportAWS(w, err); ok {
		return code
	}
	fmt.Fprintf(w, "\n%v\n", err)
	var argument *awscli.ArgumentError
	var invalid *awscli.InputError
	if errors.As(err, &argument) || errors.As(err, &invalid) {
		fmt.Fprintf(w, "weir: hint: weir %s --help shows the form, weir %s --%s a sample in JSON\n",
			name, name, awscli.FlagSkeleton)
	}
	return exitAWS
}

// columns is the width of a terminal, or 80 for everything else.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil &&
			size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}

// exitAWS is the exit code of a call that failed, as of version 1 of the AWS CLI (version 2 has 254
// for an error of the service).
const exitAWS = 255

// serverFlags say which server our own commands call, and as whom. API commands have them as global
// flags.
type serverFlags struct {
	EndpointURL string `name:"endpoint-url" placeholder:"URL" help:"The server. (AWS_ENDPOINT_URL_KINESIS_VIDEO, AWS_ENDPOINT_URL, the AWS config file; else http://127.0.0.1:8480)"`
	Region      string `name:"region" placeholder:"NAME" help:"Region to sign for. (AWS_REGION, AWS_DEFAULT_REGION, the AWS config file; else us-west-2)"`
	Profile     string `name:"profile" placeholder:"NAME" help:"Profile of the AWS config and credentials files. (AWS_PROFILE)"`
	CABundle    string `name:"ca-bundle" placeholder:"FILE" help:"Certificates to trust, in PEM form. (AWS_CA_BUNDLE)"`
	NoVerifySSL bool   `name:"no-verify-ssl" help:"Trust any certificate."`
}

// client makes the client from the flags and the environment.
func (f *serverFlags) client(ctx context.Context) (*client.Client, error) {
	return newClient(ctx, client.Environment{EndpointURL: f.EndpointURL, Region: f.Region,
		Profile: f.Profile, CABundle: f.CABundle, NoVerify: f.NoVerifySSL})
}

// newClient makes a client, or says how to get what it lacks.
func newClient(ctx context.Context, e client.Environment) (*client.Client, error) {
	c, err := e.Client(ctx)
	switch {
	case errors.Is(err, client.ErrNoProfile):
		return nil, withHint(err, "profiles are sections of the AWS config and credentials "+
			"files; weir env prints what needs none")
	case errors.Is(err, client.ErrNoCredentials):
		return nil, withHint(err, `eval "$(weir env)" in the directory where weir serve runs `+
			`sets the endpoint and a key pair`)
	}
	return c, err
}

// streamFlags name a stream.
type streamFlags struct {
	StreamName string `name:"stream-name" placeholder:"NAME" help:"Name of the stream."`
	StreamARN  string `name:"stream-arn" placeholder:"ARN" help:"ARN of the stream, instead of its name."`
}

// answerHints say what to do about an error of the server.
var answerHints = map[api.ErrorCode]string{
	api.ResourceNotFoundException: "weir list-streams shows the streams that there are",
	api.UnrecognizedClientException: `the server does not know this key: eval "$(weir env)" in ` +
		`the directory where it runs sets one that it knows`,
	api.InvalidSignatureException: `the secret is not that of the key, the clocks differ, or a ` +
		`proxy changed the Host; eval "$(weir env)" sets a key pair of the server`,
	api.VersionMismatchException: "weir describe-stream shows the version that the stream has now",
}

// answerHint says what to do about an error, "" for nothing.
func answerHint(answer *client.Error) string {
	op := api.Find(answer.Operation)
	if op == nil || op.Service != api.Administration {
		return answerHints[answer.Code]
	}
	switch group, _, _ := strings.Cut(op.Command, " "); answer.Code {
	case api.ResourceNotFoundException:
		return "weir " + group + " list shows what there is"
	case api.VersionMismatchException:
		return "it was changed meanwhile: look at it again"
	case api.UnrecognizedClientException, api.InvalidSignatureException:
		return answerHints[answer.Code]
	}
	return ""
}

// reportAWS prints the errors of calls as the AWS CLI does, and returns its exit code. It leaves
// other errors alone.
func reportAWS(w io.Writer, err error) (code int, ok bool) {
	var answer *client.Error
	var connect *client.ConnectError
	var hint *hintError
	switch {
	case errors.As(err, &hint):
		return 0, false
	case errors.As(err, &answer):
		fmt.Fprintf(w, "\nAn error occurred (%s) when calling the %s operation: %s\n", answer.Code,
			answer.Operation, answer.Message)
		if hint := answerHint(answer); hint != "" {
			fmt.Fprintf(w, "weir: hint: %s\n", hint)
		}
	case errors.As(err, &connect):
		fmt.Fprintf(w, "\nCould not connect to the endpoint URL: %q (%v)\n", connect.URL,
			connect.Err)
		fmt.Fprintln(w, `weir: hint: weir serve starts a server; eval "$(weir env)" in its `+
			`directory points at the one that runs there`)
	default:
		return 0, false
	}
	return exitAWS, true
}
