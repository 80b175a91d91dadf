package awscli

import (
	"cmp"
	"slices"
	"strings"

	"weir/internal/api"
)

// Commands lists the operations that are commands: all that Weir serves but PutMedia, whose input
// is a stream.
func Commands() (out []*api.Operation) {
	for _, op := range api.Operations() {
		if op.NewInput != nil {
			out = append(out, op)
		}
	}
	return out
}

// Find returns the operation of a command, or nil.
func Find(command string) *api.Operation {
	for _, op := range Commands() {
		if Command(op) == command {
			return op
		}
	}
	return nil
}

// Command is the name of an operation on the command line: describe-stream, or keys create.
func Command(op *api.Operation) string { return cmp.Or(op.Command, hyphenate(op.Name)) }

// Group reports whether a word is the first one of a command's name, such as keys.
func Group(word string) bool {
	return slices.ContainsFunc(Commands(), func(op *api.Operation) bool {
		return strings.HasPrefix(op.Command, word+" ")
	})
}

// Flag is the name of a member on the command line, without dashes: DataRetentionInHours is
// data-retention-in-hours.
func Flag(m api.Member) string { return cmp.Or(m.Flag, hyphenate(m.Name)) }

// Word is what help calls a member that needs no flag.
func Word(m api.Member) string { return strings.ToUpper(Flag(m)) }

// hyphenate turns a name of the API into one of the command line: words in lower case with hyphens,
// a run of capitals being one word: GetHLSStreamingSessionURL is get-hls-streaming-session-url,
// APIName is api-name.
func hyphenate(name string) string {
	upper := func(i int) bool { return i < len(name) && name[i] >= 'A' && name[i] <= 'Z' }
	var b strings.Builder
	for i := range len(name) {
		if i > 0 && upper(i) && (!upper(i-1) || i+1 < len(name) && !upper(i+1)) {
			b.WriteByte('-')
		}
		b.WriteByte(name[i])
	}
	return strings.ToLower(b.String())
}

// of is the shape of what a structure or map has under a name; nil when nothing is known.
func of(s *api.Shape, name string) *api.Shape {
	if s == nil {
		return nil
	}
	if s.Kind == api.KindMap {
		return s.Item
	}
	if m := s.Member(name); m != nil {
		return m.Shape
	}
	return nil
}

// rank is the position of a member among those of a structure; unknown ones come last.
func rank(s *api.Shape, name string) int {
	for i := range s.Members {
		if s.Members[i].Name == name {
			return i
		}
	}
	return len(s.Members)
}

// names lists the members of a structure.
func names(s *api.Shape) []string {
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = m.Name
	}
	return names
}

// IsComplex reports a shape that takes shorthand: a structure, a map, or a list of such.
func IsComplex(s *api.Shape) bool {
	return s.Kind == api.KindStructure || s.Kind == api.KindMap || s.Kind == api.KindList &&
		IsComplex(s.Item)
}

// Example shows the form in which the command line takes a structure, map or list, in shorthand.
func Example(s *api.Shape) string { return example(s, true) }

func example(s *api.Shape, top bool) string {
	switch s.Kind {
	case api.KindStructure:
		parts := make([]string, len(s.Members))
		for i, f := range s.Members {
			parts[i] = f.Name + "=" + example(f.Shape, false)
		}
		text := strings.Join(parts, ",")
		if !top {
			text = "{" + text + "}"
		}
		return text
	case api.KindMap:
		return "KEY=VALUE,KEY=VALUE"
	case api.KindList:
		return example(s.Item, true) + " ..."
	case api.KindTimestamp:
		return "TIME"
	}
	if s.Enum != nil {
		return strings.Join(s.Enum, "|")
	}
	return strings.ToUpper(s.Kind.String())
}
