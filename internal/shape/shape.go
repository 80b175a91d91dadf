package shape

import "strings"

// Kind is the type of a shape, as the service model has them.
type Kind uint8

// The kinds that the API uses.
const (
	String Kind = iota
	Integer
	Long
	Timestamp
	Structure
	ListOf
	MapOf // of string to string
)

// String names a kind as the AWS documentation does.
func (k Kind) String() string {
	return [...]string{"string", "integer", "long", "timestamp", "structure", "list", "map"}[k]
}

// Shape is the type of a value together with its constraints.
type Shape struct {
	Kind   Kind
	Name   string   // of the shape in the service model, which sample outputs show
	Min    int      // smallest number, or length in characters or items; checked before a call is made when HasMin
	HasMin bool     // whether there is a Min
	Enum   []string // the values that the service takes
	Fields []Field  // of a Structure, in the order of the service model
	Item   *Shape   // of a ListOf, or the values of a MapOf
	Key    *Shape   // of a MapOf
}

// Field is a member of a structure.
type Field struct {
	Name     string
	Shape    *Shape
	Required bool
	Doc      string // one line, for people
}

// Flag is the name of a field on the command line, without dashes: DataRetentionInHours is data-retention-in-hours.
func (f *Field) Flag() string { return Hyphenate(f.Name) }

// Field returns a member of a structure, or nil.
func (s *Shape) Field(name string) *Field {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return &s.Fields[i]
		}
	}
	return nil
}

// of is the shape of what a structure or map has under a name; nil when nothing is known.
func (s *Shape) of(name string) *Shape {
	if s == nil {
		return nil
	}
	if s.Kind == MapOf {
		return s.Item
	}
	if f := s.Field(name); f != nil {
		return f.Shape
	}
	return nil
}

// rank is the position of a member among those of a structure; unknown ones come last.
func (s *Shape) rank(name string) int {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i
		}
	}
	return len(s.Fields)
}

// names lists the members of a structure.
func (s *Shape) names() []string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names
}

// IsComplex reports a shape that takes shorthand: a structure, a map, or a list of such.
func (s *Shape) IsComplex() bool {
	return s.Kind == Structure || s.Kind == MapOf || s.Kind == ListOf && s.Item.IsComplex()
}

// Operation is one operation of the API as a command.
type Operation struct {
	Name    string // as the API spells it
	Doc     string // what it does, one line
	Example string // a command that works
	Input   *Shape // a Structure
	Output  *Shape // a Structure, maybe without members
	Paging  *Paging
	// DataAPI is the APIName to ask GetDataEndpoint for before the operation is called; "" for those of the control endpoint.
	DataAPI string
}

// Paging says how the pages of an operation are asked for.
type Paging struct {
	InputToken, OutputToken string // members of input and output
	Limit                   string // member of the input: size of a page
	Result                  string // member of the output: the list
}

// Command is the name of the operation on the command line, as the AWS command line has it: describe-stream.
func (op *Operation) Command() string { return Hyphenate(op.Name) }

// Hyphenate turns a name of the API into one of the command line: words in lower case with hyphens, a run of capitals being one
// word: GetHLSStreamingSessionURL is get-hls-streaming-session-url, APIName is api-name.
func Hyphenate(name string) string {
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

// Find returns the operation of a command, or nil.
func Find(command string) *Operation {
	ops := Operations()
	for i := range ops {
		if ops[i].Command() == command {
			return &ops[i]
		}
	}
	return nil
}

// Example shows the form in which the command line takes a structure, map or list, in shorthand.
func Example(s *Shape) string { return example(s, true) }

func example(s *Shape, top bool) string {
	switch s.Kind {
	case Structure:
		parts := make([]string, len(s.Fields))
		for i, f := range s.Fields {
			parts[i] = f.Name + "=" + example(f.Shape, false)
		}
		text := strings.Join(parts, ",")
		if !top {
			text = "{" + text + "}"
		}
		return text
	case MapOf:
		return "KEY=VALUE,KEY=VALUE"
	case ListOf:
		return example(s.Item, true) + " ..."
	case Timestamp:
		return "TIME"
	}
	if s.Enum != nil {
		return strings.Join(s.Enum, "|")
	}
	return strings.ToUpper(s.Kind.String())
}
