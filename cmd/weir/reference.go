package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"weir/internal/shape"
)

// manCmd prints the manual page.
type manCmd struct{}

// Help is shown by weir man --help.
func (manCmd) Help() string {
	return `Example:

  weir man | man -l -`
}

// Run prints it.
func (manCmd) Run(std stdio, model *kong.Application) error { return writeMan(std.Out, model) }

// commandInfo is what the references say of a command.
type commandInfo struct {
	name, doc, more string
	flags           []flagInfo
	words           []string // positional ones
}

func commandInfos(model *kong.Application) (out []commandInfo) {
	for _, c := range ownCommands(model) {
		info := commandInfo{name: c.Name, doc: c.Help, more: c.Detail, flags: commandFlags(model, c.Name)}
		for _, p := range c.Positional {
			info.words = append(info.words, strings.ToUpper(p.Name))
		}
		out = append(out, info)
	}
	for _, op := range shape.Operations() {
		flags := commandFlags(model, op.Command())
		out = append(out, commandInfo{name: op.Command(), doc: op.Doc, more: "Example:\n\n  " + op.Example, flags: flags[:len(flags)-len(globalOptions())]})
	}
	return out
}

// writeReference prints docs/cli.md.
func writeReference(w io.Writer, model *kong.Application) error {
	var b strings.Builder
	b.WriteString("# Command line\n\nGenerated from the flags; `go test ./cmd/weir -run Reference -update` writes it anew.\n")
	for _, c := range commandInfos(model) {
		fmt.Fprintf(&b, "\n## weir %s\n\n%s\n", strings.Join(append([]string{c.name}, c.words...), " "), c.doc)
		if c.more != "" {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", c.more)
		}
		referenceFlags(&b, c.flags)
	}
	b.WriteString("\n## Global flags of API commands\n\nEach command that is an operation of the API has them.\n")
	flags := commandFlags(model, "list-streams")
	referenceFlags(&b, flags[len(flags)-len(globalOptions()):])
	fmt.Fprintf(&b, "%s\nExit codes: 0; 1 when a command fails; 2 when the command line cannot be understood; %d when the server refuses or cannot be reached,\nand for every other error of an API command, as version 1 of the AWS command line has it.\n", helpForms, exitAWS)
	_, err := io.WriteString(w, b.String())
	return err
}

func referenceFlags(b *strings.Builder, flags []flagInfo) {
	if len(flags) == 0 {
		return
	}
	b.WriteString("\n| flag | |\n|---|---|\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, f := range flags {
		name := "--" + f.name
		if f.value != "" {
			name += " " + f.value
		}
		doc := f.doc
		if f.required {
			doc = "Required. " + doc
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", cell.Replace(name), cell.Replace(doc))
	}
}

// writeMan prints the manual page in the language of man(7).
func writeMan(w io.Writer, model *kong.Application) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH WEIR 1 \"\" \"weir %s\"\n.SH NAME\nweir \\- self-hosted video stream server\n.SH SYNOPSIS\n.B weir\n.I COMMAND\n[flags]\n.SH COMMANDS\n", roff(version))
	for _, c := range commandInfos(model) {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(strings.Join(append([]string{c.name}, c.words...), " ")), roff(c.doc))
		if c.more != "" {
			fmt.Fprintf(&b, ".PP\n.nf\n%s\n.fi\n", roff(c.more))
		}
		manFlags(&b, c.flags)
	}
	b.WriteString(".SH GLOBAL FLAGS OF API COMMANDS\n")
	flags := commandFlags(model, "list-streams")
	manFlags(&b, flags[len(flags)-len(globalOptions()):])
	fmt.Fprintf(&b, ".PP\n%s\n", roff(strings.TrimSpace(helpForms)))
	_, err := io.WriteString(w, b.String())
	return err
}

func manFlags(b *strings.Builder, flags []flagInfo) {
	for _, f := range flags {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace("--"+f.name+" "+f.value)), roff(f.doc))
	}
}

// roff escapes what man(7) would take for a request or an escape.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
