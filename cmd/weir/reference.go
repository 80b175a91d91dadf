package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"weir/internal/api"
	"weir/internal/awscli"
)

// commandInfo is what help, manual and reference say about a command.
type commandInfo struct {
	name     string
	doc      string     // one line
	more     string     // paragraphs, may be empty
	examples string     // a line that ends in a colon, and indented command lines; may be empty
	words    []flagInfo // what stands without a flag
	// the words come before the flags, because a flag takes all that follows it
	wordsFirst bool
	flags      []flagInfo // the required ones first
	global     []flagInfo // flags that every command of the API has
}

// flagInfo is what help, manual, reference and completion say about a flag.
type flagInfo struct {
	name     string // without dashes
	value    string // what follows it; "": nothing
	doc      string
	values   []string // what may follow; nil: anything
	required bool
	initial  string // value if the flag is not given; "": none
	variable string // environment twin
	group    string // its group in a long list; "": none
}

// text is all that there is to say about a flag.
func (f *flagInfo) text() string {
	text := f.doc
	if f.required {
		text = "Required. " + text
	}
	if f.initial != "" {
		text += " Default: " + f.initial + "."
	}
	if f.variable != "" {
		text += " (" + f.variable + ")"
	}
	return text
}

// usage is a short form of the command line.
func (c *commandInfo) usage() string {
	words := []string{"weir", c.name}
	if c.wordsFirst {
		words = append(words, c.wordUsage()...)
	}
	for _, f := range c.flags {
		if f.required {
			words = append(words, "--"+f.name, f.value)
		}
	}
	if len(c.flags)+len(c.global) > 0 {
		words = append(words, "[flags]")
	}
	if !c.wordsFirst {
		words = append(words, c.wordUsage()...)
	}
	return strings.Join(words, " ")
}

func (c *commandInfo) wordUsage() (words []string) {
	for _, w := range c.words {
		if w.required {
			words = append(words, w.name)
		} else {
			words = append(words, "["+w.name+"]")
		}
	}
	return words
}

// commandInfos lists all commands: our own, then those of the API.
func commandInfos(model *kong.Application) (out []*commandInfo) {
	for _, c := range ownCommands(model) {
		out = append(out, ownInfo(c))
	}
	for _, op := range awscli.Commands() {
		out = append(out, operationInfo(op))
	}
	return out
}

// groupOf lists the commands of a group, such as those that begin with keys; nil if it is not a
// group.
func groupOf(model *kong.Application, group string) (out []*commandInfo) {
	for _, c := range commandInfos(model) {
		if strings.HasPrefix(c.name, group+" ") {
			out = append(out, c)
		}
	}
	return out
}

// findCommand finds a command by its name, or returns nil.
func findCommand(model *kong.Application, name string) *commandInfo {
	if op := awscli.Find(name); op != nil {
		return operationInfo(op)
	}
	for _, c := range ownCommands(model) {
		if commandName(c) == name {
			return ownInfo(c)
		}
	}
	return nil
}

var exampleTitle = regexp.MustCompile(`(?m)^Examples?\b.*:$`)

// ownInfo describes a command whose flags kong reads.
func ownInfo(c *kong.Node) *commandInfo {
	info := &commandInfo{name: commandName(c), doc: c.Help, more: c.Detail}
	if at := exampleTitle.FindStringIndex(c.Detail); at != nil {
		info.more, info.examples = strings.TrimSpace(c.Detail[:at[0]]), c.Detail[at[0]:]
	}
	for _, p := range c.Positional {
		info.words = append(info.words, valueInfo(p, strings.ToUpper(p.Name)))
	}
	for _, f := range c.Flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		flag := valueInfo(f.Value, f.Name)
		if f.Group != nil {
			flag.group = f.Group.Key
		}
		if !f.IsBool() {
			flag.value = f.FormatPlaceHolder()
		}
		info.flags = append(info.flags, flag)
	}
	requiredFirst(info.flags)
	return info
}

func valueInfo(v *kong.Value, name string) flagInfo {
	info := flagInfo{name: name, doc: v.Help, required: v.Required, initial: v.Default}
	if !v.IsBool() {
		info.values = slices.DeleteFunc(strings.Split(v.Enum, ","), func(v string) bool {
			return v == ""
		})
	}
	if len(v.Tag.Envs) > 0 {
		info.variable = v.Tag.Envs[0]
	}
	return info
}

// operationInfo describes a command of the API.
func operationInfo(op *api.Operation) *commandInfo {
	info := &commandInfo{name: awscli.Command(op), doc: op.Doc, examples: "Example:\n\n  " +
		op.Example}
	for _, o := range awscli.OperationOptions(op) {
		info.flags = append(info.flags, optionInfo(&o))
	}
	requiredFirst(info.flags)
	for _, name := range op.Words {
		m := op.Input.Member(name)
		info.words = append(info.words, flagInfo{name: awscli.Word(*m), doc: m.Doc,
			required: m.Required})
	}
	info.wordsFirst = len(op.Words) > 0
	if op.Credentials {
		info.more = "The key pair is printed as a section of ~/.aws/credentials, or in another " +
			"form with --output or --query. Nobody can read the secret a second time."
	}
	if op.Streams {
		info.words = []flagInfo{{name: awscli.OutFile, required: true,
			doc: "File that the answer is written to."}}
	}
	for _, o := range awscli.GlobalOptions() {
		info.global = append(info.global, optionInfo(&o))
	}
	return info
}

// optionInfo describes a flag of a command of the API.
func optionInfo(o *awscli.Option) flagInfo {
	f := flagInfo{name: o.Name, value: o.Value, doc: o.Doc, values: o.Choices}
	if o.Member != nil {
		f.required, f.values = o.Member.Required, o.Member.Shape.Enum
	}
	return f
}

// flagGroup is flags with the same purpose.
type flagGroup struct {
	title string
	flags []flagInfo
}

// grouped returns the flags of each group in order. first is the title for those in no group.
func grouped(first string, flags []flagInfo) []flagGroup {
	groups := []flagGroup{{title: first}}
	for _, f := range flags {
		at := 0
		if f.group != "" {
			at = slices.IndexFunc(groups, func(g flagGroup) bool { return g.title == f.group })
		}
		if at < 0 {
			at = len(groups)
			groups = append(groups, flagGroup{title: f.group})
		}
		groups[at].flags = append(groups[at].flags, f)
	}
	return groups
}

func requiredFirst(flags []flagInfo) {
	slices.SortStableFunc(flags, func(a, b flagInfo) int {
		switch {
		case a.required == b.required:
			return 0
		case a.required:
			return -1
		}
		return 1
	})
}

// exitCodes explains the exit codes for the reference and the manual.
var exitCodes = fmt.Sprintf("Exit codes: 0; 1 when a command fails; 2 when the command line "+
	"cannot be understood; %d when the server refuses "+
	"or cannot be reached,\nand for every other error of an API command, as version 1 of the AWS "+
	"command line has it.", exitAWS)
