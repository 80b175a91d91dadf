package main

import (
	"fmt"
	"slices"
	"strings"

	"weir/internal/api"
	"weir/internal/awscli"
)

// Reading the flags of API commands. The rules are those of the AWS command line, which are those of Python's argparse: a flag may be
// cut short while it is clear which one is meant, --flag=value is --flag value, the last one of several counts, and flags of the
// service and global ones may come in any order.

// option is one flag.
type option struct {
	name    string      // without dashes
	kind    optionKind  // what follows it
	field   *api.Member // of the input; nil for the other flags
	choices []string    // nil: anything
	value   string      // what follows it, for help
	doc     string      // one line
}

type optionKind uint8

const (
	oneWord   optionKind = iota // a word follows
	oneNumber                   // a whole number
	anyWords                    // words up to the next flag
	maybeWord                   // a word may follow
	noWord                      // nothing follows
)

// globalOptions are the flags that every API command has.
func globalOptions() []option {
	return []option{
		{name: "endpoint-url", value: "URL", doc: "The server. (AWS_ENDPOINT_URL_KINESIS_VIDEO, AWS_ENDPOINT_URL, endpoint_url of the AWS config file; else http://127.0.0.1:8480)"},
		{name: "region", value: "NAME", doc: "Region to sign for. (AWS_REGION, AWS_DEFAULT_REGION, the AWS config file; else us-west-2)"},
		{name: "profile", value: "NAME", doc: "Profile of the AWS config and credentials files. (AWS_PROFILE)"},
		{name: "output", value: "FORM", doc: "json (the default), text or table. (AWS_DEFAULT_OUTPUT)", choices: []string{"json", "text", "table"}},
		{name: "query", value: "JMESPATH", doc: "Print a part of the answer only, in JMESPath."},
		{name: "no-paginate", kind: noWord, doc: "Ask for one page, not for all of them."},
		{name: "ca-bundle", value: "FILE", doc: "Certificates to trust, in PEM form. (AWS_CA_BUNDLE)"},
		{name: "no-verify-ssl", kind: noWord, doc: "Trust any certificate."},
		{name: "debug", kind: noWord, doc: "Tell of each request and answer on standard error."},
	}
}

// Flags beside those of the input and the global ones.
const (
	flagInputJSON = "cli-input-json"
	flagSkeleton  = "generate-cli-skeleton"
	flagStart     = "starting-token"
	flagPageSize  = "page-size"
	flagMaxItems  = "max-items"
)

// operationOptions are the flags of one command: the members of its input, in order, and those that all have.
func operationOptions(op *api.Operation) []option {
	var out []option
	for i := range op.Input.Members {
		f := &op.Input.Members[i]
		o := option{name: awscli.Flag(*f), field: f, doc: f.Doc, value: strings.ToUpper(f.Shape.Kind.String())}
		switch f.Shape.Kind {
		case api.KindList:
			o.kind, o.value = anyWords, "ITEM ..."
		case api.KindLong:
			o.kind = oneNumber
		}
		if awscli.IsComplex(f.Shape) || f.Shape.Kind == api.KindList {
			o.value = awscli.Example(f.Shape)
		}
		if f.Shape.Enum != nil {
			o.doc = strings.TrimSpace(o.doc + " One of " + strings.Join(f.Shape.Enum, ", ") + ".")
		}
		out = append(out, o)
	}
	out = append(out,
		option{name: flagInputJSON, value: "JSON", doc: "All parameters as JSON, or file://NAME; other flags go before."},
		option{name: flagSkeleton, kind: maybeWord, value: "[input|output]", choices: []string{"input", "output"}, doc: "Print a sample of the input, or check the input and print a sample of the output; nothing is called."})
	if op.Paging != nil {
		out = append(out,
			option{name: flagStart, value: "TOKEN", doc: "Go on where an answer with this NextToken ended."},
			option{name: flagPageSize, kind: oneNumber, value: "N", doc: "Size of the pages to ask for; the answer is the same."},
			option{name: flagMaxItems, kind: oneNumber, value: "N", doc: "Print at most so many, and a NextToken for --starting-token."})
	}
	return out
}

// usageError is a command line that cannot be understood; its exit code is exitUsage, as in the AWS command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// awsError is an error that is printed as the AWS command line does, without a name before it, with exit code exitAWS.
type awsError struct{ text string }

func (e *awsError) Error() string { return e.text }

func awsErrorf(format string, args ...any) error { return &awsError{fmt.Sprintf(format, args...)} }

// arguments is a command line taken apart.
type arguments struct {
	help    bool
	words   map[string][]string // flag to the words that follow it; present when the flag is
	unknown []string            // words that mean nothing
	err     error               // of the command's own flags; that of a global flag is returned at once
}

// has reports whether a flag was given.
func (a *arguments) has(name string) bool { _, ok := a.words[name]; return ok }

// word is the word behind a flag, or "".
func (a *arguments) word(name string) string {
	if w := a.words[name]; len(w) > 0 {
		return w[0]
	}
	return ""
}

// apiCommand finds the operation that a command line names, and what is left of it without the name.
func apiCommand(args []string) (*api.Operation, []string) {
	globals := globalOptions()
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			op := awscli.Find(args[i])
			return op, slices.Concat(args[:i], args[i+1:])
		}
		o, _, joined, err := match(args[i], globals)
		if o == nil || err != nil {
			return nil, nil
		}
		if o.kind != noWord && !joined {
			i++
		}
	}
	return nil, nil
}

// match finds the flag that a word is: by its name or by the beginning of its name. joined tells that a value follows after a =.
func match(word string, options []option) (o *option, value string, joined bool, err error) {
	name, value, joined := strings.Cut(word, "=")
	name, ok := strings.CutPrefix(name, "--")
	if !ok || name == "" {
		return nil, "", false, nil
	}
	var found []int
	for i := range options {
		if options[i].name == name {
			return &options[i], value, joined, nil
		}
		if strings.HasPrefix(options[i].name, name) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 0:
		return nil, "", false, nil
	case 1:
		return &options[found[0]], value, joined, nil
	}
	var names []string
	for _, i := range found {
		names = append(names, "--"+options[i].name)
	}
	return nil, "", false, usagef("ambiguous option: --%s could match %s", name, strings.Join(names, ", "))
}

// isFlag tells a flag from a value: values do not begin with a dash, but for numbers and texts with blanks.
func isFlag(word string) bool {
	if len(word) < 2 || word[0] != '-' {
		return false
	}
	if strings.Trim(word[1:], "0123456789.") == "" {
		return false
	}
	return !strings.Contains(word, " ") || strings.HasPrefix(word, "--") && strings.Contains(word, "=")
}

// parseArguments takes apart what follows a command.
func parseArguments(args []string, own []option) (*arguments, error) {
	a := &arguments{words: map[string][]string{}}
	if len(args) > 0 && args[0] == "help" || slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		a.help = true
		return a, nil
	}
	globals := globalOptions()
	for i := 0; i < len(args); i++ {
		if !isFlag(args[i]) {
			a.unknown = append(a.unknown, args[i])
			continue
		}
		o, value, joined, err := match(args[i], globals)
		if err != nil {
			return nil, err
		}
		global := o != nil
		if o == nil {
			if o, value, joined, err = match(args[i], own); err != nil {
				a.fail(err)
				continue
			}
		}
		if o == nil {
			a.unknown = append(a.unknown, args[i])
			continue
		}
		var words []string
		if joined {
			words = []string{value}
		} else {
			most := map[optionKind]int{oneWord: 1, oneNumber: 1, maybeWord: 1, anyWords: len(args)}[o.kind]
			for len(words) < most && i+1 < len(args) && !isFlag(args[i+1]) {
				i++
				words = append(words, args[i])
			}
		}
		if err := o.check(words); err != nil {
			if global {
				return nil, err
			}
			a.fail(err)
		}
		a.words[o.name] = words
	}
	return a, nil
}

// fail keeps the first error.
func (a *arguments) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// check refuses words that a flag cannot have.
func (o *option) check(words []string) error {
	switch {
	case o.kind == noWord && len(words) > 0:
		return usagef("argument --%s: ignored explicit argument '%s'", o.name, words[0])
	case (o.kind == oneWord || o.kind == oneNumber) && len(words) == 0:
		return usagef("argument --%s: expected one argument", o.name)
	case o.kind == oneNumber:
		if _, err := awscli.ParseInt(words[0]); err != nil {
			return usagef("argument --%s: invalid int value: '%s'", o.name, words[0])
		}
	case o.choices != nil && len(words) > 0 && !slices.Contains(o.choices, words[0]):
		return usagef("argument --%s: Invalid choice, valid choices are: %s", o.name, strings.Join(o.choices, ", "))
	}
	return nil
}

// missing lists the flags that are required and were not given, unless the whole input comes in another way.
func (a *arguments) missing(op *api.Operation) error {
	if a.has(flagInputJSON) || a.has(flagSkeleton) && a.word(flagSkeleton) != "output" {
		return nil
	}
	var names []string
	for _, f := range op.Input.Members {
		if f.Required && !a.has(awscli.Flag(f)) {
			names = append(names, "--"+awscli.Flag(f))
		}
	}
	if names == nil {
		return nil
	}
	return usagef("the following arguments are required: %s", strings.Join(names, ", "))
}
