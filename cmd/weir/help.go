package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"weir/internal/api"
	"weir/internal/awscli"
)

// writeHelp explains a command: what it does, an example that works, then the flags.
func writeHelp(w io.Writer, c *commandInfo) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", c.doc)
	if c.more != "" {
		fmt.Fprintf(&b, "%s\n\n", c.more)
	}
	if c.examples != "" {
		fmt.Fprintf(&b, "%s\n\n", c.examples)
	}
	fmt.Fprintf(&b, "Usage: %s\n", c.usage())
	writeFlags(&b, "Arguments", "", c.words)
	for _, g := range grouped("Flags", c.flags) {
		writeFlags(&b, g.title, "--", g.flags)
	}
	writeFlags(&b, "Global flags", "--", c.global)
	if c.global != nil {
		b.WriteString(helpForms)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// helpForms explains the notation of values, below the flags.
const helpForms = `
Structures and maps are given in shorthand (Key=value,Key={Key=value}), in JSON, or as file://NAME; lists as words with blanks
between them. A timestamp is seconds since 1970, a date in any form that the AWS command line takes (2026-01-31T12:00:00Z, 2026/01/31,
"01/31/2026 3 PM"), or "10m ago", "now", "today 14:00", "yesterday 9:30". Without a zone it is in UTC, as for the AWS command line; the
times of weir hls, weir play and weir put-media are local.
`

// writeFlags prints a list of flags, or another text if there are none, under a title.
func writeFlags(b *strings.Builder, title, dashes string, flags []flagInfo) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n", title)
	for _, f := range flags {
		fmt.Fprintf(b, "  %s\n", strings.TrimSpace(dashes+f.name+" "+f.value))
		for _, line := range wrap(f.text(), 90) {
			fmt.Fprintf(b, "        %s\n", line)
		}
	}
}

// wrap breaks a text at blanks into lines of at most so many characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Texts of the overview, in the help and in the manual.
const (
	overview = "A self-hosted video stream server that speaks the Amazon Kinesis Video " +
		"Streams API."
	overviewExample = `  weir serve &
  eval "$(weir env)"
  weir put-media --stream-name cam1 --create recording.mkv
  weir play cam1`
)

// writeRootHelp lists the commands.
func writeRootHelp(w io.Writer, model *kong.Application) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nExample:\n\n%s\n\nUsage: weir COMMAND [flags]\n\nCommands:\n\n",
		overview, overviewExample)
	for _, c := range ownCommands(model) {
		fmt.Fprintf(&b, "  %-32s %s\n", commandName(c), c.Help)
	}
	b.WriteString("\nThe API, with the flags and the output of the AWS command line:\n\n")
	own := false
	for _, op := range awscli.Commands() {
		if op.Service == api.Administration && !own {
			own = true
			b.WriteString("\nThe administration API, in the same form:\n\n")
		}
		fmt.Fprintf(&b, "  %-32s %s\n", awscli.Command(op), op.Doc)
	}
	b.WriteString("\nweir COMMAND --help says more about each.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// writeGroupHelp lists the commands of a group.
func writeGroupHelp(w io.Writer, group string, commands []*commandInfo) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: weir %s COMMAND\n\nCommands:\n\n", group)
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-32s %s\n", c.name, c.doc)
	}
	fmt.Fprintf(&b, "\nweir %s COMMAND --help says more about each.\n", group)
	_, err := io.WriteString(w, b.String())
	return err
}

// ownCommands are the commands that are not operations of the API, from kong's model: those in
// groups, but not the groups.
func ownCommands(model *kong.Application) []*kong.Node {
	return leaves(model.Children)
}

func leaves(nodes []*kong.Node) (out []*kong.Node) {
	for _, c := range nodes {
		switch {
		case c.Hidden:
		case len(c.Children) > 0:
			out = append(out, leaves(c.Children)...)
		default:
			out = append(out, c)
		}
	}
	return out
}

// commandName returns a command as it is typed, after its group.
func commandName(c *kong.Node) string {
	if c.Parent == nil || c.Parent.Type == kong.ApplicationNode {
		return c.Name
	}
	return commandName(c.Parent) + " " + c.Name
}
