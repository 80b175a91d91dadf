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

// candidates are the words that may come next, whatever they begin with.
func candidates(ctx context.Context, model *kong.Application, before []string, last string) []string {
	if len(before) == 0 {
		return commandNames(model)
	}
	var flags []flagInfo
	if c := findCommand(model, before[0]); c != nil {
		flags = slices.Concat(c.flags, c.global)
	}
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
	case "man":
		return commandNames(model)
	}
	return nil
}

func commandNames(model *kong.Application) (names []string) {
	for _, c := range commandInfos(model) {
		names = append(names, c.name)
	}
	return names
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
