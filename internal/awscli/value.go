// Package awscli does with the inputs and outputs of the table of package api what the AWS command
// line does with its service model: it reads arguments in shorthand and JSON, checks them, makes
// skeletons, and prints answers as JSON, text or a table. Where this package speaks of the AWS
// command line, it means version 1.45.
package awscli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"weir/internal/api"
)

// Value is a JSON value: nil, bool, string, json.Number, List or *Object.
type Value any

// List is a JSON array.
type List []Value

// Object is a JSON object that keeps the order of its members.
type Object struct {
	Members []Member
}

// Member is one member of an Object.
type Member struct {
	Name  string
	Value Value
}

// Get returns a member's value.
func (o *Object) Get(name string) (Value, bool) {
	for _, m := range o.Members {
		if m.Name == name {
			return m.Value, true
		}
	}
	return nil, false
}

// Set changes a member, or adds it at the end.
func (o *Object) Set(name string, v Value) {
	for i := range o.Members {
		if o.Members[i].Name == name {
			o.Members[i].Value = v
			return
		}
	}
	o.Members = append(o.Members, Member{name, v})
}

// MarshalJSON writes the members in their order.
func (o *Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o.Members {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(m.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// maxDepth bounds the nesting of JSON and of shorthand; the API needs three levels.
const maxDepth = 64

var errDepth = errors.New("too much nesting")

// parseJSON reads one JSON value.
func parseJSON(text []byte) (Value, error) {
	if err := validJSON(text); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return parseValue(dec, 0)
}

// validJSON finds what is wrong with a text, as json.Unmarshal would say it, which the tokens of a
// Decoder do not.
func validJSON(text []byte) error {
	var raw json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("%w at byte %d", err, syntax.Offset)
		}
		return err
	}
	return nil
}

func parseValue(dec *json.Decoder, depth int) (Value, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := &Object{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			o.Set(name.(string), v) // the decoder gives nothing else for a name
		}
		_, err := dec.Token()
		return o, err
	case json.Delim('['):
		l := List{}
		for dec.More() {
			v, err := parseValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}
		_, err := dec.Token()
		return l, err
	}
	return Value(token), nil
}

const indentStep = "    "

// writeJSON prints a value as the AWS command line does: four blanks a level, no escapes that only
// HTML needs, numbers without exponents.
func writeJSON(w io.Writer, v Value) error {
	text, err := appendJSON(nil, v, 0)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

func appendJSON(dst []byte, v Value, indent int) ([]byte, error) {
	newline := func(n int) { dst = append(append(dst, '\n'), strings.Repeat(indentStep, n)...) }
	var err error
	switch v := v.(type) {
	case *Object:
		if len(v.Members) == 0 {
			return append(dst, "{}"...), nil
		}
		dst = append(dst, '{')
		for i, m := range v.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			newline(indent + 1)
			if dst, err = appendText(dst, m.Name); err != nil {
				return nil, err
			}
			dst = append(dst, ": "...)
			if dst, err = appendJSON(dst, m.Value, indent+1); err != nil {
				return nil, err
			}
		}
		newline(indent)
		return append(dst, '}'), nil
	case List:
		if len(v) == 0 {
			return append(dst, "[]"...), nil
		}
		dst = append(dst, '[')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			newline(indent + 1)
			if dst, err = appendJSON(dst, item, indent+1); err != nil {
				return nil, err
			}
		}
		newline(indent)
		return append(dst, ']'), nil
	case string:
		return appendText(dst, v)
	case bool:
		return strconv.AppendBool(dst, v), nil
	case json.Number:
		return append(dst, number(v)...), nil
	case nil:
		return append(dst, "null"...), nil
	}
	return nil, fmt.Errorf("shape: a value of type %T cannot be printed", v)
}

// appendText writes a JSON string without escaping what HTML would need.
func appendText(dst []byte, text string) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return nil, err
	}
	return append(dst, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...), nil
}

// isFraction tells a number with a point or an exponent, which Python keeps as a float, from a
// whole one.
func isFraction(n json.Number) bool { return strings.ContainsAny(string(n), ".eE") }

// number prints a number without an exponent, and one that was written with a point with a point.
func number(n json.Number) string {
	if !isFraction(n) {
		return string(n)
	}
	f, err := n.Float64()
	if err != nil {
		return string(n)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// python prints a value as Python's str() does, which the messages and the text output of the AWS
// command line are made with.
func python(v Value) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return number(v)
	}
	return pythonInner(v)
}

func pythonInner(v Value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		quote := "'"
		if strings.Contains(v, "'") && !strings.Contains(v, `"`) {
			quote = `"`
		}
		return quote + strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`, quote,
			`\`+quote).Replace(v) + quote
	case List:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = pythonInner(item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *Object:
		parts := make([]string, len(v.Members))
		for i, m := range v.Members {
			parts[i] = pythonInner(m.Name) + ": " + pythonInner(m.Value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return python(v)
}

// pythonType names a value's type as Python does.
func pythonType(v Value) string {
	name := "NoneType"
	switch v := v.(type) {
	case bool:
		name = "bool"
	case string:
		name = "str"
	case json.Number:
		if name = "int"; isFraction(v) {
			name = "float"
		}
	case List:
		name = "list"
	case *Object:
		name = "dict"
	}
	return "<class '" + name + "'>"
}

// Order drops nulls from an answer, and sorts its members as the shape has them; members that the
// shape does not know follow.
func Order(v Value, s *api.Shape) Value {
	switch v := v.(type) {
	case List:
		var item *api.Shape
		if s != nil {
			item = s.Item
		}
		for i := range v {
			v[i] = Order(v[i], item)
		}
	case *Object:
		kept := v.Members[:0]
		for _, m := range v.Members {
			if m.Value != nil {
				kept = append(kept, Member{m.Name, Order(m.Value, of(s, m.Name))})
			}
		}
		v.Members = kept
		if s != nil && s.Kind == api.KindStructure {
			slices.SortStableFunc(v.Members, func(a, b Member) int {
				return rank(s, a.Name) - rank(s, b.Name)
			})
		}
	}
	return v
}
