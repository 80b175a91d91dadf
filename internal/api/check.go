package api

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// regexpNoLineEnds is `.+` as in Java: it matches no line end of Unicode.
var regexpNoLineEnds = regexp.MustCompile(`\A[^\n\r\x{85}\x{2028}\x{2029}]+\z`)

// Input is an input struct of this package: &DescribeStreamInput{} and so on.
type Input interface{ check() *check }

// ruled is an input with rules that no shape of the model states: those between members.
type ruled interface{ rules() error }

// Validate checks an input against its row of the table, and then against the rules between its
// members. It returns nil or an *Error of code InvalidArgumentException.
func Validate(in Input) error {
	v := reflect.ValueOf(in).Elem()
	c := in.check()
	c.members("", v, Find(strings.TrimSuffix(v.Type().Name(), "Input")).Input)
	if err := c.err(); err != nil {
		return err
	}
	if r, ok := in.(ruled); ok {
		return r.rules()
	}
	return nil
}

// check collects what is wrong with an input. Paths are the member names of the model, joined by
// dots; messages show them with a lower-case first letter, as AWS does.
type check struct {
	zeros map[string]bool // see given
	errs  []string
}

func (g *given) check() *check { return &check{zeros: g.zeros} }

// members checks the members of a structure in the order of the model. v is a struct with fields
// that have the members' names.
func (c *check) members(path string, v reflect.Value, s *Shape) {
	for i := range s.Members {
		m := &s.Members[i]
		c.member(join(path, m.Name), v.FieldByName(m.Name), m)
	}
}

func (c *check) member(path string, v reflect.Value, m *Member) {
	present := c.zeros[path] || !v.IsZero()
	if !present {
		// An input that was not decoded cannot distinguish an absent string from an empty one,
		// which may be valid.
		unknown := c.zeros == nil && m.Shape.Kind == KindString && m.Shape.Enum == nil &&
			m.Shape.Min == 0
		if m.Required && !unknown {
			c.failRaw(path, "null", "Member must not be null")
		}
		return
	}
	switch m.Shape.Kind {
	case KindString:
		c.text(path, v.String(), m.Shape)
	case KindInteger, KindLong:
		c.number(path, v.Int(), m.Shape)
	case KindStructure:
		c.members(path, v.Elem(), m.Shape)
	case KindList:
		c.list(path, v, m.Shape)
	case KindMap:
		c.mapping(path, v, m.Shape)
	}
}

// text checks a string that is present.
func (c *check) text(path, v string, s *Shape) {
	for _, constraint := range broken(v, s) {
		c.fail(path, v, constraint)
	}
}

// broken lists what is wrong with a string, in AWS's words and order.
func broken(v string, s *Shape) []string {
	out := brokenLength(int64(utf8.RuneCountInString(v)), s)
	if s.Pattern != nil && !s.Pattern.re.MatchString(v) {
		out = append(out, "Member must satisfy regular expression pattern: "+s.Pattern.text)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		out = append(out, "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
	}
	return out
}

func brokenLength(n int64, s *Shape) (out []string) {
	if s.Max > 0 && n > s.Max {
		out = append(out, fmt.Sprintf("Member must have length less than or equal to %d", s.Max))
	}
	if n < s.Min {
		out = append(out, fmt.Sprintf("Member must have length greater than or equal to %d", s.Min))
	}
	return out
}

// number checks an integer that is present.
func (c *check) number(path string, v int64, s *Shape) {
	if !s.Bounded() {
		return
	}
	shown := strconv.FormatInt(v, 10)
	if v > s.Max {
		c.fail(path, shown, fmt.Sprintf("Member must have value less than or equal to %d", s.Max))
	}
	if v < s.Min {
		c.fail(path, shown, fmt.Sprintf("Member must have value greater than or equal to %d",
			s.Min))
	}
}

// size checks the size of a list or map.
func (c *check) size(path, shown string, n int, s *Shape) {
	for _, constraint := range brokenLength(int64(n), s) {
		c.fail(path, shown, constraint)
	}
}

// list checks a list of strings or structures. It ignores items beyond the maximum length: the list
// is refused for its length anyway, and they would only make the message longer.
func (c *check) list(path string, v reflect.Value, s *Shape) {
	n := min(v.Len(), int(s.Max)+1)
	if s.Item.Kind == KindStructure {
		c.size(path, "["+strconv.Itoa(v.Len())+" "+strings.ToLower(path)+"]", v.Len(), s)
		for i := range n {
			c.members(path+"."+strconv.Itoa(i+1)+".member", v.Index(i), s.Item)
		}
		return
	}
	items := v.Slice(0, n).Interface().([]string)
	shown := "[" + strings.Join(items, ", ") + "]"
	c.size(path, shown, v.Len(), s)
	for _, item := range items {
		if b := broken(item, s.Item); b != nil {
			c.fail(path, shown, "Member must satisfy constraint: ["+strings.Join(b, ", ")+"]")
			return
		}
	}
}

// mapping checks a map from string to string in the order of its keys. It reports the first bad key
// and the first bad value.
func (c *check) mapping(path string, v reflect.Value, s *Shape) {
	m := v.Interface().(map[string]string)
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var text strings.Builder
	for i, k := range keys {
		if text.Len() > maxEcho {
			break
		}
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(k + "=" + m[k])
	}
	shown := "{" + text.String() + "}"
	c.size(path, shown, len(m), s)
	for _, k := range keys {
		if b := broken(k, s.Key); b != nil {
			c.fail(path, shown, "Map keys must satisfy constraint: ["+strings.Join(b, ", ")+"]")
			break
		}
	}
	for _, k := range keys {
		if b := broken(m[k], s.Item); b != nil {
			c.fail(path, shown, "Map value must satisfy constraint: ["+strings.Join(b, ", ")+"]")
			break
		}
	}
}

// maxEcho limits how many bytes of a caller's value an error message repeats.
const maxEcho = 512

// echo returns a caller's value for a message.
func echo(value string) string {
	if len(value) > maxEcho {
		return strings.ToValidUTF8(value[:maxEcho], "") + "..."
	}
	return value
}

func (c *check) fail(path, value string, constraint string) {
	c.failRaw(path, "'"+echo(value)+"'", constraint)
}

func (c *check) failRaw(path, value, constraint string) {
	c.errs = append(c.errs, "Value "+value+" at '"+decapitalise(path)+
		"' failed to satisfy constraint: "+constraint)
}

func decapitalise(path string) string {
	b := []byte(path)
	start := true
	for i, ch := range b {
		if start && ch >= 'A' && ch <= 'Z' {
			b[i] = ch + 'a' - 'A'
		}
		start = ch == '.'
	}
	return string(b)
}

// err returns nil, or the InvalidArgumentException that lists everything.
func (c *check) err() error {
	switch n := len(c.errs); n {
	case 0:
		return nil
	case 1:
		return NewError(InvalidArgumentException, "1 validation error detected: "+c.errs[0])
	default:
		return Errorf(InvalidArgumentException, "%d validation errors detected: %s", n,
			strings.Join(c.errs, "; "))
	}
}
