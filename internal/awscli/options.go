package awscli

import (
	"fmt"
	"slices"
	"strings"

	"weir/internal/api"
)

// The flags of API commands follow the rules of the AWS command line, which are those of Python's
// argparse. A flag may be shortened as long as it is clear which one is meant. --flag=value is
// --flag value. Of several, the last one counts. Flags of the service and global ones may come in
// any order.

// Option is one flag.
type Option struct {
	Name    string      // without dashes
	Kind    OptionKind  // what follows it
	Member  *api.Member // of the input; nil for the other flags
	Choices []string    // nil: anything
	Value   string      // what follows it, for help
	Doc     string      // one line
}

// OptionKind is what follows a flag.
type OptionKind uint8

// The kinds of flags.
const (
	OneWord   OptionKind = iota // a word follows
	OneNumber                   // a whole number
	AnyWords                    // words up to the next flag
	MaybeWord                   // a word may follow
	NoWord                      // nothing follows
)

// GlobalOptions are the flags that every API command has.
func GlobalOptions() []Option {
	return []Option{
		{Name: "endpoint-url", Value: "URL", Doc: "The server. (AWS_ENDPOINT_URL_KINESIS_VIDEO, " +
			"AWS_ENDPOINT_URL, endpoint_url of the AWS config file; else http://127.0.0.1:8480)"},
		{Name: "region", Value: "NAME", Doc: "Region to sign for. (AWS_REGION, " +
			"AWS_DEFAULT_REGION, the AWS config file; else us-west-2)"},
		{Name: "profile", Value: "NAME",
			Doc: "Profile of the AWS config and credentials files. (AWS_PROFILE)"},
		{Name: "output", Value: "FORM",
			Doc:     "json (the default), text or table. (AWS_DEFAULT_OUTPUT)",
			Choices: []string{"json", "text", "table"}},
		{Name: "query", Value: "JMESPATH", Doc: "Print a part of the answer only, in JMESPath."},
		{Name: "no-paginate", Kind: NoWord, Doc: "Ask for one page, not for all of them."},
		{Name: "ca-bundle", Value: "FILE",
			Doc: "Certificates to trust, in PEM form. (AWS_CA_BUNDLE)"},
		{Name: "no-verify-ssl", Kind: NoWord, Doc: "Trust any certificate."},
		{Name: "debug", Kind: NoWord, Doc: "Tell of each request and answer on standard error."},
	}
}

// FlagSkeleton is the flag that prints a sample of an input or output.
const FlagSkeleton = "generate-cli-skeleton"

// Other flags beside those of the input and the global ones.
const (
	flagInputJSON = "cli-input-json"
	flagStart     = "starting-token"
	flagPageSize  = "page-size"
	flagMaxItems  = "max-items"
)

// OperationOptions are the flags of one command: the members of its input, in order, and those that
// all have.
func OperationOptions(op *api.Operation) []Option {
	var out []Option
	for i := range op.Input.Members {
		f := &op.Input.Members[i]
		if slices.Contains(op.Words, f.Name) {
			continue
		}
		o := Option{Name: Flag(*f), Member: f, Doc: f.Doc,
			Value: strings.ToUpper(f.Shape.Kind.String())}
		switch f.Shape.Kind {
		case api.KindList:
			o.Kind, o.Value = AnyWords, "ITEM ..."
		case api.KindLong:
			o.Kind = OneNumber
		}
		if IsComplex(f.Shape) || f.Shape.Kind == api.KindList {
			o.Value = Example(f.Shape)
		}
		if f.Shape.Enum != nil {
			o.Doc = strings.TrimSpace(o.Doc + " One of " + strings.Join(f.Shape.Enum, ", ") + ".")
		}
		out = append(out, o)
	}
	if op.Streams { // the AWS command line has neither flag where it writes a file
		return out
	}
	out = append(out,
		Option{Name: flagInputJSON, Value: "JSON",
			Doc: "All parameters as JSON, or file://NAME; other flags override it."},
		Option{Name: FlagSkeleton, Kind: MaybeWord, Value: "[input|output]",
			Choices: []string{"input", "output"}, Doc: "Print a sample of the input, or check " +
				"the input and print a sample of the output; nothing is called."})
	if op.Paging != nil {
		out = append(out,
			Option{Name: flagStart, Value: "TOKEN",
				Doc: "Continue where an answer with this NextToken ended."},
			Option{Name: flagPageSize, Kind: OneNumber, Value: "N",
				Doc: "Size of the pages to ask for; the answer is the same."},
			Option{Name: flagMaxItems, Kind: OneNumber, Value: "N",
				Doc: "Print at most so many, and a NextToken for --starting-token."})
	}
	return out
}

// UsageError is a command line that cannot be understood. The AWS command line exits with 2.
type UsageError struct{ text string }

// Error is in the words of argparse.
func (e *UsageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// arguments is a command line taken apart.
type arguments struct {
	help    bool
	words   map[string][]string // flag to the words that follow it; present when the flag is
	unknown []string            // words that mean nothing
	file    string              // where an answer that is media goes
	// of the command's own flags; that of a global flag is returned at once
	err error
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

// FindIn finds the operation that a command line names, and returns it with the words after the
// name; nil if there is none.
func FindIn(args []string) (*api.Operation, []string) {
	globals, group := GlobalOptions(), -1
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			switch {
			case group >= 0:
				return Find(args[group] + " " + args[i]),
					slices.Concat(args[:group], args[group+1:i], args[i+1:])
			case !Group(args[i]):
				return Find(args[i]), slices.Concat(args[:i], args[i+1:])
			}
			group = i
			continue
		}
		o, _, joined, err := Match(args[i], globals)
		if o == nil || err != nil {
			return nil, nil
		}
		if o.Kind != NoWord && !joined {
			i++
		}
	}
	return nil, nil
}

// Match finds the flag that a word is, by its name or by the beginning of its name. joined says
// that a value follows after a =. Match returns nil if the word is not a flag, and a *UsageError
// if it may be several.
func Match(word string, options []Option) (o *Option, value string, joined bool, err error) {
	name, value, joined := strings.Cut(word, "=")
	name, ok := strings.CutPrefix(name, "--")
	if !ok || name == "" {
		return nil, "", false, nil
	}
	var found []int
	for i := range options {
		if options[i].Name == name {
			return &options[i], value, joined, nil
		}
		if strings.HasPrefix(options[i].Name, name) {
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
		names = append(names, "--"+options[i].Name)
	}
	return nil, "", false, usagef("ambiguous option: --%s could match %s", name,
		strings.Join(names, ", "))
}

// isFlag reports whether a word is a flag and not a value: values do not begin with a dash, except
// numbers and texts with blanks.
func isFlag(word string) bool {
	if len(word) < 2 || word[0] != '-' {
		return false
	}
	if strings.Trim(word[1:], "0123456789.") == "" {
		return false
	}
	return !strings.Contains(word, " ") || strings.HasPrefix(word, "--") &&
		strings.Contains(word, "=")
}

// parseArguments takes apart what follows a command.
func parseArguments(args []string, own []Option) (*arguments, error) {
	a := &arguments{words: map[string][]string{}}
	if len(args) > 0 && args[0] == "help" || slices.Contains(args, "--help") ||
		slices.Contains(args, "-h") {
		a.help = true
		return a, nil
	}
	globals := GlobalOptions()
	for i := 0; i < len(args); i++ {
		if !isFlag(args[i]) {
			a.unknown = append(a.unknown, args[i])
			continue
		}
		o, value, joined, err := Match(args[i], globals)
		if err != nil {
			return nil, err
		}
		global := o != nil
		if o == nil {
			if o, value, joined, err = Match(args[i], own); err != nil {
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
			most := map[OptionKind]int{OneWord: 1, OneNumber: 1, MaybeWord: 1,
				AnyWords: len(args)}[o.Kind]
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
		a.words[o.Name] = words
	}
	return a, nil
}

// OutFile is the name of the argument that an operation has whose answer is media.
const OutFile = "outfile"

// takeWords takes the first words that follow no flag as members of the input that need no flag.
func (a *arguments) takeWords(op *api.Operation) {
	for _, name := range op.Words {
		i := slices.IndexFunc(a.unknown, func(word string) bool { return !isFlag(word) })
		if i < 0 {
			return
		}
		a.words[Flag(*op.Input.Member(name))] = []string{a.unknown[i]}
		a.unknown = slices.Delete(a.unknown, i, i+1)
	}
	if len(a.unknown) == 0 {
		a.unknown = nil
	}
}

// takeFile takes the first word that follows no flag as the file that an answer goes to.
func (a *arguments) takeFile() {
	i := slices.IndexFunc(a.unknown, func(word string) bool { return !isFlag(word) })
	if i < 0 {
		return
	}
	a.file = a.unknown[i]
	if a.unknown = slices.Delete(a.unknown, i, i+1); len(a.unknown) == 0 {
		a.unknown = nil
	}
}

// fail keeps the first error.
func (a *arguments) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// check refuses words that a flag cannot have.
func (o *Option) check(words []string) error {
	switch {
	case o.Kind == NoWord && len(words) > 0:
		return usagef("argument --%s: ignored explicit argument '%s'", o.Name, words[0])
	case (o.Kind == OneWord || o.Kind == OneNumber) && len(words) == 0:
		return usagef("argument --%s: expected one argument", o.Name)
	case o.Kind == OneNumber:
		if _, err := ParseInt(words[0]); err != nil {
			return usagef("argument --%s: invalid int Value: '%s'", o.Name, words[0])
		}
	case o.Choices != nil && len(words) > 0 && !slices.Contains(o.Choices, words[0]):
		return usagef("argument --%s: Invalid choice, valid choices are: %s", o.Name,
			strings.Join(o.Choices, ", "))
	}
	return nil
}

// missing lists what is required and was not given: flags, unless the whole input comes in another
// way, and the file of an answer that is media.
func (a *arguments) missing(op *api.Operation) error {
	var names []string
	skeleton := a.has(FlagSkeleton) && a.word(FlagSkeleton) != "output"
	if !a.has(flagInputJSON) && !skeleton {
		for _, f := range op.Input.Members {
			switch {
			case !f.Required || a.has(Flag(f)):
			case slices.Contains(op.Words, f.Name):
				names = append(names, Word(f))
			default:
				names = append(names, "--"+Flag(f))
			}
		}
	}
	if op.Streams && a.file == "" && !a.has(FlagSkeleton) {
		names = append(names, OutFile)
	}
	if names == nil {
		return nil
	}
	return usagef("the following arguments are required: %s", strings.Join(names, ", "))
}
