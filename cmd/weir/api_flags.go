package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"weir/internal/api"
	"weir/internal/client"
)

// exitAWS is the exit code of a call that failed, as of version 1 of the AWS CLI (version 2 has 254 for an error of the service).
const exitAWS = 255

// serverFlags say which server a command of our own calls, and as whom. API commands have them as global flags.
type serverFlags struct {
	EndpointURL string `name:"endpoint-url" placeholder:"URL" help:"The server. (AWS_ENDPOINT_URL_KINESIS_VIDEO, AWS_ENDPOINT_URL, the AWS config file; else http://127.0.0.1:8480)"`
	Region      string `name:"region" placeholder:"NAME" help:"Region to sign for. (AWS_REGION, AWS_DEFAULT_REGION, the AWS config file; else us-west-2)"`
	Profile     string `name:"profile" placeholder:"NAME" help:"Profile of the AWS config and credentials files. (AWS_PROFILE)"`
	CABundle    string `name:"ca-bundle" placeholder:"FILE" help:"Certificates to trust, in PEM form. (AWS_CA_BUNDLE)"`
	NoVerifySSL bool   `name:"no-verify-ssl" help:"Trust any certificate."`
}

// client makes the client of the flags and the environment.
func (f *serverFlags) client(ctx context.Context) (*client.Client, error) {
	return newClient(ctx, client.Environment{EndpointURL: f.EndpointURL, Region: f.Region, Profile: f.Profile, CABundle: f.CABundle, NoVerify: f.NoVerifySSL})
}

// newClient makes a client, or says how to come by what it needs.
func newClient(ctx context.Context, e client.Environment) (*client.Client, error) {
	c, err := e.Client(ctx)
	switch {
	case errors.Is(err, client.ErrNoProfile):
		return nil, withHint(err, "profiles are sections of the AWS config and credentials files; weir env prints what needs none")
	case errors.Is(err, client.ErrNoCredentials):
		return nil, withHint(err, `eval "$(weir env)" in the directory where weir serve runs sets the endpoint and a key pair`)
	}
	return c, err
}

// streamFlags name a stream.
type streamFlags struct {
	StreamName string `name:"stream-name" placeholder:"NAME" help:"Name of the stream."`
	StreamARN  string `name:"stream-arn" placeholder:"ARN" help:"ARN of the stream, instead of its name."`
}

// answerHints say what to do about an answer of the server.
var answerHints = map[api.ErrorCode]string{
	api.ResourceNotFoundException:   "weir list-streams shows the streams that there are",
	api.UnrecognizedClientException: `the server does not know this key: eval "$(weir env)" in the directory where it runs sets one that it knows`,
	api.InvalidSignatureException:   `the secret is not that of the key, the clocks differ, or a proxy changed the Host; eval "$(weir env)" sets a key pair of the server`,
	api.VersionMismatchException:    "weir describe-stream shows the version that the stream has now",
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
		if hint := answerHints[answer.Code]; hint != "" {
			fmt.Fprintf(w, "weir: hint: %s\n", hint)
		}
	case errors.As(err, &connect):
		fmt.Fprintf(w, "\nCould not connect to the endpoint URL: %q (%v)\n", connect.URL, connect.Err)
		fmt.Fprintln(w, `weir: hint: weir serve starts a server; eval "$(weir env)" in its directory points at the one that runs there`)
	default:
		return 0, false
	}
	return exitAWS, true
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
