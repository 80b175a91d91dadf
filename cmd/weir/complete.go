package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"weir/internal/client"
	"weir/internal/shape"
)

// completionCmd prints a script for a shell.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown by weir completion --help.
func (c *completionCmd) Help() string {
	return `Completes commands, flags, values and the names of streams, which the server is asked for.

Examples:

  source <(weir completion bash)                                   # in ~/.bashrc
  source <(weir completion zsh)                                    # in ~/.zshrc, after compinit
  weir completion fish > ~/.config/fish/completions/weir.fish`
}

// completeCommand is what the scripts call: the words up to the cursor follow, the last one unfinished.
const completeCommand = "__complete"

// Run prints the script.
func (c *completionCmd) Run(std stdio) error {
	script := map[string]string{
		"bash": `_weir() {
  local IFS=$'\n'
  COMPREPLY=($(weir ` + completeCommand + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _weir weir
`,
		"zsh": `_weir() {
  local -a found
  found=(${(f)"$(weir ` + completeCommand + ` "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#found )); then compadd -a found; else _files; fi
}
compdef _weir weir
`,
		"fish": `complete -c weir -a '(weir ` + completeCommand + ` (commandline -opc | tail -n +2) (commandline -ct) 2>/dev/null)'
`,
	}[c.Shell]
	_, err := io.WriteString(std.Out, script)
	return err
}

// complete prints what the last of the words may become, a line each.
func complete(ctx context.Context, model *kong.Application, words []string, std stdio) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	for _, c := range candidates(ctx, model, words[:len(words)-1], last) {
		if strings.HasPrefix(c, last) {
			fmt.Fprintln(std.Out, c)
		}
	}
}

// flagInfo is what completion and the reference need of a flag.
type flagInfo struct {
	name, value, doc string
	values           []string // what may follow; nil: anything
	required         bool
}

// candidates are the words that may come next, whatever they begin with.
func candidates(ctx context.Context, model *kong.Application, before []string, last string) []string {
	if len(before) == 0 {
		var names []string
		for _, c := range ownCommands(model) {
			names = append(names, c.Name)
		}
		for _, op := range shape.Operations() {
			names = append(names, op.Command())
		}
		return names
	}
	flags := commandFlags(model, before[0])
	previous := before[len(before)-1]
	if name, ok := strings.CutPrefix(previous, "--"); ok {
		i := slices.IndexFunc(flags, func(f flagInfo) bool { return f.name == name })
		if i >= 0 && flags[i].value != "" {
			if name == "stream-name" {
				return streamNames(ctx)
			}
			return flags[i].values
		}
	}
	if strings.HasPrefix(last, "-") {
		var names []string
		for _, f := range flags {
			names = append(names, "--"+f.name)
		}
		return names
	}
	switch before[0] {
	case "hls", "play":
		return streamNames(ctx)
	case "completion":
		return []string{"bash", "zsh", "fish"}
	}
	return nil
}

// commandFlags lists the flags of a command, of the API or our own.
func commandFlags(model *kong.Application, command string) (out []flagInfo) {
	if op := shape.Find(command); op != nil {
		for _, o := range slices.Concat(operationOptions(op), globalOptions()) {
			f := flagInfo{name: o.name, value: o.value, doc: o.doc, values: o.choices}
			if o.field != nil {
				f.required = o.field.Required
				f.values = o.field.Shape.Enum
			}
			out = append(out, f)
		}
		return out
	}
	for _, c := range ownCommands(model) {
		if c.Name == command {
			for _, f := range c.Flags {
				if f.Hidden || f.Name == "help" {
					continue
				}
				doc := strings.ReplaceAll(f.Help, "${env}", strings.Join(f.Envs, ", "))
				info := flagInfo{name: f.Name, doc: doc, required: f.Required}
				if !f.IsBool() {
					info.value = f.FormatPlaceHolder()
					info.values = slices.DeleteFunc(strings.Split(f.Enum, ","), func(v string) bool { return v == "" })
				}
				out = append(out, info)
			}
		}
	}
	return out
}

// completionTimeout bounds how long a shell waits for the names of streams.
const completionTimeout = 2 * time.Second

// streamNames asks the server for the names of its streams; without a server there are none.
func streamNames(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	c, err := client.Environment{}.Client(ctx)
	if err != nil {
		return nil
	}
	var out struct{ StreamInfoList []struct{ StreamName string } }
	if err := c.Call(ctx, "ListStreams", struct{}{}, &out); err != nil {
		return nil
	}
	var names []string
	for _, s := range out.StreamInfoList {
		names = append(names, s.StreamName)
	}
	return names
}
