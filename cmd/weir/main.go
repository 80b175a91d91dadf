// Command weir is a self-hosted video stream server that speaks the Amazon Kinesis Video Streams
// API, and its small command-line client. This file parses the command line and reports errors.
// Each command is a struct with a Run method in a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"weir/internal/awscli"
)

// version is the release; the Makefile may set another with -ldflags.
var version = "0.1.0-dev"

// Exit codes, part of the command line's contract.
const (
	exitOK    = 0
	exitError = 1 // the command failed
	exitUsage = 2 // the command line is invalid
)

// cli is the root of the command line: one field per command. The operations of the API are
// commands too, read by rules of their own (package awscli).
type cli struct {
	Serve serveCmd `cmd:"" help:"Run the server."`
	Demo  demoCmd  `cmd:"" help:"Run the server with a sample camera, and tell how to watch it."`
	Env   envCmd   `cmd:"" help:"Print the environment variables that point AWS clients at this server."`

	Open     openCmd     `cmd:"" help:"Open the console in the browser, signed in."`
	PutMedia putMediaCmd `cmd:"" help:"Send Matroska from a file or pipe to a stream."`
	Play     playCmd     `cmd:"" help:"Open a stream in the player page, or in WEIR_PLAYER."`
	HLS      hlsCmd      `cmd:"" name:"hls" help:"Print the URL of an HLS session, and nothing else."`
	Clip     clipCmd     `cmd:"" help:"Download an MP4 file of a range of time, or print a link to it."`
	Images   imagesCmd   `cmd:"" help:"Write still images of a range of time to files."`

	Keys keysCmd `cmd:"" help:"Manage keys."`

	Camera cameraCmd `cmd:"" help:"Add and renew cameras that have certificates."`

	Check   checkCmd   `cmd:"" help:"Verify a data directory or a cluster, and repair it."`
	Inspect inspectCmd `cmd:"" help:"Print a volume, a segment or Matroska as text."`
	Migrate migrateCmd `cmd:"" help:"Copy a data directory into a cluster."`

	Completion completionCmd `cmd:"" help:"Print a script that completes command lines in bash, zsh or fish."`
	Man        manCmd        `cmd:"" help:"Print or show a manual page, or write all of them."`
	Version    versionCmd    `cmd:"" help:"Print the version."`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version and exit."`
}

// versionCmd prints the version.
type versionCmd struct{}

// Run prints what --version prints.
func (versionCmd) Run(std stdio) error {
	_, err := fmt.Fprintln(std.Out, version)
	return err
}

// stdio is where a command reads and writes; tests pass buffers.
type stdio struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// hintError is an error and what the user can do about it.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// withHint adds a hint, one sentence that says what to do, to an error.
func withHint(err error, format string, args ...any) error {
	return &hintError{err: err, hint: fmt.Sprintf(format, args...)}
}

func main() {
	// The first signal asks the command to finish. The second one gets the default action again,
	// and ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// run parses args, runs the command and returns the exit code.
func run(ctx context.Context, args []string, std stdio) int {
	if len(args) > 1 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	if op, rest := awscli.FindIn(args); op != nil {
		return runAPI(ctx, op, rest, std)
	}
	var root cli
	exited := -1
	parser, err := kong.New(&root,
		kong.Name("weir"),
		kong.Description(overview),
		kong.Vars{"version": version},
		kong.Writers(std.Out, std.Err),
		kong.Exit(func(code int) { exited = code; panic(exitRequest{}) }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
		kong.Help(func(_ kong.HelpOptions, ctx *kong.Context) error {
			return writeHelp(std.Out, ownInfo(ctx.Selected()))
		}),
	)
	if err != nil {
		report(std.Err, err)
		return exitError
	}
	if len(args) > 0 && args[0] == completeCommand {
		printCompletions(ctx, parser.Model, args[1:], std)
		return exitOK
	}
	if len(args) == 0 || args[0] == "help" && len(args) == 1 || args[0] == "--help" ||
		args[0] == "-h" {
		if err := writeRootHelp(std.Out, parser.Model); err != nil {
			report(std.Err, err)
			return exitError
		}
		if len(args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	if code, ok := runGroup(parser.Model, args, std); ok {
		return code
	}
	command, code := parse(parser, args, std, &exited)
	if command == nil {
		return code
	}
	if err := command.Run(parser.Model); err != nil {
		if code, ok := reportAWS(std.Err, err); ok {
			return code
		}
		report(std.Err, err)
		var coded interface{ code() int }
		if errors.As(err, &coded) {
			return coded.code()
		}
		return exitError
	}
	return exitOK
}

// runGroup answers a command line with only a group of commands, such as keys, or with a command
// that the group does not have.
func runGroup(model *kong.Application, args []string, std stdio) (code int, ok bool) {
	group := args[0]
	commands := groupOf(model, group)
	switch {
	case commands == nil || len(args) > 1 && findCommand(model, group+" "+args[1]) != nil:
		return 0, false
	case len(args) == 1 || slices.Contains([]string{"help", "--help", "-h"}, args[1]):
		if err := writeGroupHelp(std.Out, group, commands); err != nil {
			report(std.Err, err)
			return exitError, true
		}
		if len(args) == 1 {
			return exitUsage, true
		}
		return exitOK, true
	}
	err := fmt.Errorf("there is no command %s %s", group, args[1])
	report(std.Err, withHint(err, "weir %s --help lists the commands", group))
	return exitUsage, true
}

// exitRequest unwinds kong's parser after --help and --version, which want to leave the process.
type exitRequest struct{}

// parse returns the chosen command, or nil and the exit code when there is nothing to run.
func parse(
	parser *kong.Kong, args []string, std stdio, exited *int,
) (command *kong.Context, code int) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exitRequest); !ok {
				panic(r)
			}
			command, code = nil, *exited
		}
	}()
	command, err := parser.Parse(args)
	if err != nil {
		report(std.Err, misread(parser.Model, args, err))
		return nil, exitUsage
	}
	return command, exitOK
}

// misread says what is wrong with a command line of our own commands, in fewer words than kong's.
func misread(model *kong.Application, args []string, err error) error {
	name := args[0]
	if groupOf(model, name) != nil && len(args) > 1 {
		name += " " + args[1]
	}
	at := slices.IndexFunc(args, func(word string) bool { return awscli.Find(word) != nil })
	switch c := findCommand(model, name); {
	case c != nil:
		for _, w := range c.words {
			if err.Error() == fmt.Sprintf("expected %q", "<"+strings.ToLower(w.name)+">") {
				err = errors.New(w.name + " is missing")
			}
		}
		return withHint(err, "weir %s --help lists the flags, with an example", name)
	case strings.HasPrefix(name, "-"):
		return withHint(err, "weir --help lists the commands, weir COMMAND --help the flags of one")
	case strings.HasPrefix(name, "kinesis") && at > 0: // spelt as in the AWS command line
		return withHint(fmt.Errorf("there is no command %s", name),
			"no service is named here: weir %s", args[at])
	}
	err = fmt.Errorf("there is no command %s", name)
	for _, c := range commandInfos(model) {
		if awscli.Similar(name, c.name) {
			return withHint(err, "did you mean %s?", c.name)
		}
	}
	return withHint(err, "weir --help lists the commands")
}

// report prints an error in the way of all commands.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "weir: error: %v\n", err)
	var h *hintError
	if errors.As(err, &h) {
		fmt.Fprintf(w, "weir: hint: %s\n", h.hint)
	}
}
