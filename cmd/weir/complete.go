package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"weir/internal/awscli"
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
  weir completion zsh > "${fpath[1]}/_weir"                        # or once
  weir completion fish > ~/.config/fish/completions/weir.fish`
}

// completeCommand is the command that the scripts call. The words up to the cursor follow it, the
// last one unfinished. It prints what the last word may become, a line each, with a tab and an
// explanation after it if there is one. Without suggestions the scripts offer files.
const completeCommand = "__complete"

// Run prints the script.
func (c *completionCmd) Run(std stdio) error {
	script := map[string]string{
		"bash": `_weir() {
  local IFS=$'\n'
  COMPREPLY=($(weir ` + completeCommand + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -F _weir weir
`,
		"zsh": `#compdef weir
_weir() {
  local -a lines found
  lines=("${(@f)$(weir ` + completeCommand + ` "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -z $lines[1] ]]; then _files; return; fi
  found=("${(@)${(@)lines//:/\\:}/$'\t'/:}")
  _describe weir found
}
if [[ $funcstack[1] == _weir ]]; then _weir "$@"; else compdef _weir weir; fi
`,
		"fish": `function __weir_find
  set -g __weir_found (weir ` + completeCommand +
			` (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
  test (count $__weir_found) -gt 0
end
complete -c weir -n __weir_find -f -a '$__weir_found'
`,
	}[c.Shell]
	_, err := io.WriteString(std.Out, script)
	return err
}

// suggestion is a word that may come next.
type suggestion struct{ word, doc string }

// printCompletions prints what the last of the words may become.
func printCompletions(ctx context.Context, model *kong.Application, words []string, std stdio) {
	if len(words) == 0 {
		words = []string{""}
	}
	before, last, prefix := words[:len(words)-1], words[len(words)-1], ""
	// --flag=value is one word in zsh and fish, and three in bash, which needs only the value.
	switch n := len(before); {
	case last == "=":
		last = ""
	case n > 0 && before[n-1] == "=":
		before = before[:n-1]
	case strings.HasPrefix(last, "--") && strings.Contains(last, "="):
		flag, value, _ := strings.Cut(last, "=")
		before, last, prefix = append(slices.Clone(before), flag), value, flag+"="
	}
	for _, c := range suggest(ctx, model, before, last) {
		if !strings.HasPrefix(c.word, last) {
			continue
		}
		line := prefix + c.word
		if c.doc != "" {
			line += "\t" + c.doc
		}
		fmt.Fprintln(std.Out, line)
	}
}

// suggest returns the words that may come next, whatever they begin with.
func suggest(ctx context.Context, model *kong.Application, before []string,
	last string) []suggestion {
	command, flags := "", []flagInfo(nil)
	if at := commandAt(before); at < len(before) {
		if page := before[at]; (page == "help" || page == "man") && at+1 < len(before) {
			at++ // the name of a command follows
		}
		command = before[at]
		if at+1 < len(before) && groupOf(model, command) != nil {
			command += " " + before[at+1]
		}
		if c := findCommand(model, command); c != nil {
			flags = slices.Concat(c.flags, c.global)
		}
	} else {
		for _, o := range awscli.GlobalOptions() {
			flags = append(flags, optionInfo(&o))
		}
	}
	if len(before) > 0 {
		if name, ok := strings.CutPrefix(before[len(before)-1], "--"); ok {
			i := slices.IndexFunc(flags, func(f flagInfo) bool { return f.name == name })
			if i >= 0 && flags[i].value != "" {
				if name == "stream-name" {
					return namesOf(ctx, "StreamName", before)
				}
				if of := memberShape(command, name); nameLists[of].operation != "" {
					return namesOf(ctx, of, before)
				}
				return words(flags[i].values)
			}
		}
	}
	if strings.HasPrefix(last, "-") {
		var found []suggestion
		for _, f := range flags {
			found = append(found, suggestion{"--" + f.name, brief(f.doc)})
		}
		return found
	}
	switch command {
	case "", "help", "man":
		return commandWords(model, "")
	case "hls", "play":
		return namesOf(ctx, "StreamName", before)
	case "completion":
		return words([]string{"bash", "zsh", "fish"})
	}
	op := awscli.Find(command)
	if op != nil && op.Words != nil && strings.HasSuffix(command, " "+before[len(before)-1]) &&
		!strings.HasPrefix(op.Name, "Create") {
		return namesOf(ctx, op.Words[0], before)
	}
	return commandWords(model, command+" ")
}

// memberShape returns the name of the shape of a flag of an operation's command, "" for other
// flags.
func memberShape(command, flag string) string {
	op := awscli.Find(command)
	if op == nil {
		return ""
	}
	for _, m := range op.Input.Members {
		switch {
		case awscli.Flag(m) != flag:
		case m.Shape.Item != nil:
			return m.Shape.Item.Name
		default:
			return m.Shape.Name
		}
	}
	return ""
}

// commandWords returns the possible next words of a command's name, after a group and a blank or
// after nothing.
func commandWords(model *kong.Application, group string) (found []suggestion) {
	for _, c := range commandInfos(model) {
		rest, ok := strings.CutPrefix(c.name, group)
		word, more, _ := strings.Cut(rest, " ")
		next := suggestion{word, brief(c.doc)}
		if more != "" {
			next.doc = "Commands for " + word
		}
		if ok && !slices.Contains(found, next) {
			found = append(found, next)
		}
	}
	return found
}

// commandAt returns the place of the command, after global flags, or the number of words.
func commandAt(words []string) int {
	globals, i := awscli.GlobalOptions(), 0
	for i < len(words) && strings.HasPrefix(words[i], "-") {
		o, _, joined, err := awscli.Match(words[i], globals)
		if err == nil && o != nil && o.Kind != awscli.NoWord && !joined {
			i++
		}
		i++
	}
	return min(i, len(words))
}

func words(texts []string) (found []suggestion) {
	for _, text := range texts {
		found = append(found, suggestion{word: text})
	}
	return found
}

// brief returns the first sentence of an explanation, or what precedes its first semicolon.
func brief(doc string) string {
	doc, _, _ = strings.Cut(doc, ". ")
	doc, _, _ = strings.Cut(doc, "; ")
	return strings.TrimSuffix(doc, ".")
}

// nameLists say where to get the names for a shape.
var nameLists = map[string]struct{ operation, list, member string }{
	"StreamName": {"ListStreams", "StreamInfoList", "StreamName"},
	"UserName":   {"ListKeys", "KeyInfoList", "UserName"},
	"Key":        {"ListKeys", "KeyInfoList", "UserName"},
	"PolicyName": {"ListPolicies", "PolicyInfoList", "PolicyName"},
	"RoleName":   {"ListRoles", "RoleInfoList", "RoleName"},
	"ThingName":  {"ListCameras", "CameraInfoList", "ThingName"},
}

// completionTimeout limits how long a shell waits for names.
const completionTimeout = 2 * time.Second

// namesOf asks the server, which the words and the environment name, for the names for a shape.
// Without a server there are none.
func namesOf(ctx context.Context, shape string, before []string) []suggestion {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	value := func(flag string) string {
		if i := slices.Index(before, flag); i >= 0 && i+1 < len(before) {
			return before[i+1]
		}
		return ""
	}
	environment := client.Environment{
		EndpointURL: value("--endpoint-url"), Region: value("--region"),
		Profile: value("--profile"), CABundle: value("--ca-bundle"),
		NoVerify: slices.Contains(before, "--no-verify-ssl"),
	}
	c, err := environment.Client(ctx)
	if err != nil {
		return nil
	}
	from := nameLists[shape]
	var out map[string]json.RawMessage
	if err := c.Call(ctx, from.operation, struct{}{}, &out); err != nil {
		return nil
	}
	var items []map[string]any
	if json.Unmarshal(out[from.list], &items) != nil {
		return nil
	}
	var found []suggestion
	for _, item := range items {
		name, _ := item[from.member].(string)
		if next := (suggestion{word: name}); name != "" && !slices.Contains(found, next) {
			found = append(found, next)
		}
	}
	return found
}
