package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"weir/internal/terminal"
)

// manCmd prints manual pages.
type manCmd struct {
	Dir     string   `placeholder:"DIR" type:"path" help:"Write all pages into this directory, such as /usr/local/share/man/man1, instead."`
	Command []string `arg:"" optional:"" help:"Name of a command, for its own page."`
}

// Help is shown by weir man --help.
func (manCmd) Help() string {
	return `On a terminal the page is shown by man(1); anywhere else its source is printed.

Examples:

  weir man put-media
  weir man --dir /usr/local/share/man/man1`
}

// Run prints or shows a page, or writes all of them.
func (c *manCmd) Run(ctx context.Context, std stdio, model *kong.Application) error {
	if c.Dir != "" {
		if c.Command != nil {
			return errors.New("--dir writes the pages of all commands")
		}
		return c.write(model)
	}
	name, text := "weir", manOverview(model)
	if c.Command != nil {
		command := strings.Join(c.Command, " ")
		info := findCommand(model, command)
		if info == nil {
			return withHint(fmt.Errorf("there is no command %s", command),
				"weir --help lists them")
		}
		name, text = manName(info.name), manPage(info)
	}
	if !terminal.Is(std.Out) {
		_, err := io.WriteString(std.Out, text)
		return err
	}
	return show(ctx, std, name, text)
}

// write writes all pages into the directory.
func (c *manCmd) write(model *kong.Application) error {
	pages := map[string]string{"weir": manOverview(model)}
	for _, info := range commandInfos(model) {
		pages[manName(info.name)] = manPage(info)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(c.Dir, name+".1"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// show makes man(1) show a page.
func show(ctx context.Context, std stdio, name, text string) (err error) {
	dir, err := os.MkdirTemp("", "weir-man")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, name+".1")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "man", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.In, std.Out, std.Err
	if err := cmd.Run(); err != nil {
		return withHint(fmt.Errorf("man: %w", err),
			"weir man --dir DIR writes the pages for another viewer")
	}
	return nil
}

// manName is the name of a command's page.
func manName(command string) string { return "weir-" + strings.ReplaceAll(command, " ", "-") }

// manPage returns the page of a command, in the language of man(7).
func manPage(c *commandInfo) string {
	var b bytes.Buffer
	manHead(&b, manName(c.name), c.doc)
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", breakable.Replace(roff(c.usage())))
	if c.more != "" {
		b.WriteString(".SH DESCRIPTION\n")
		manProse(&b, c.more)
	}
	if title, lines, ok := strings.Cut(c.examples, "\n\n"); ok {
		b.WriteString(".SH EXAMPLES\n")
		if _, rest, ok := strings.Cut(title, ", "); ok {
			fmt.Fprintf(&b, "%s\n", roff(strings.ToUpper(rest[:1])+rest[1:]))
		}
		manLiteral(&b, lines)
	}
	manFlags(&b, ".SH ARGUMENTS", "", c.words)
	section := ".SH "
	for _, g := range grouped("OPTIONS", c.flags) {
		manFlags(&b, section+g.title, "--", g.flags)
		section = ".SS "
	}
	manFlags(&b, ".SH GLOBAL OPTIONS", "--", c.global)
	if c.global != nil {
		b.WriteString(".SH VALUES\n")
		manProse(&b, helpForms)
	}
	b.WriteString(".SH SEE ALSO\n.BR weir (1)\n")
	return b.String()
}

// manOverview returns the page of weir itself.
func manOverview(model *kong.Application) string {
	var b bytes.Buffer
	manHead(&b, "weir", "Self-hosted video stream server.")
	b.WriteString(".SH SYNOPSIS\n.B weir\n.I COMMAND\n[flags]\n.SH DESCRIPTION\n")
	manProse(&b, overview)
	b.WriteString(".SH EXAMPLES\n")
	manLiteral(&b, overviewExample)
	b.WriteString(".SH COMMANDS\n")
	api := false
	for _, c := range commandInfos(model) {
		if c.global != nil && !api {
			api = true
			b.WriteString(".SH COMMANDS OF THE API\nThey have the flags and the output of the " +
				"AWS command line.\n")
		}
		fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(manName(c.name)), roff(c.doc))
	}
	b.WriteString(".SH EXIT STATUS\n")
	manProse(&b, strings.TrimPrefix(exitCodes, "Exit codes: "))
	return b.String()
}

// manHead begins a page. Lines are not filled, because that would break flags and URLs.
func manHead(b *bytes.Buffer, name, doc string) {
	doc = strings.TrimSuffix(doc, ".")
	fmt.Fprintf(b, ".TH %s 1 \"\" \"weir %s\" \"Weir\"\n.nh\n.ad l\n.SH NAME\n%s \\- %s\n",
		strings.ToUpper(roff(name)), roff(version), roff(name),
		roff(strings.ToLower(doc[:1])+doc[1:]))
}

// manProse writes paragraphs.
func manProse(b *bytes.Buffer, text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		fmt.Fprintf(b, "%s\n", roff(paragraph))
	}
}

// manLiteral writes lines unchanged.
func manLiteral(b *bytes.Buffer, lines string) {
	b.WriteString(".nf\n.RS 4\n")
	for line := range strings.Lines(lines) {
		fmt.Fprintf(b, "%s\n", roff(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "  ")))
	}
	b.WriteString(".RE\n.fi\n")
}

func manFlags(b *bytes.Buffer, title, dashes string, flags []flagInfo) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n", title)
	for _, f := range flags {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n",
			breakable.Replace(roff(strings.TrimSpace(dashes+f.name+" "+f.value))), roff(f.text()))
	}
}

// breakable allows line breaks within a long value: after a comma or a bar.
var breakable = strings.NewReplacer(",", `,\:`, "|", `|\:`)

// roffText escapes what man(7) would take for an escape, or would print as a character that a shell
// does not understand.
var roffText = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~",
	`\(ti`, `"`, `\(dq`)

// roff escapes a text, and also beginnings of lines that would be requests.
func roff(text string) string {
	lines := strings.Split(roffText.Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
