package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// node is a part of an answer that is to be printed as the AWS CLI does: without nulls, members in the order of the service
// model, numbers without exponents.
type node interface {
	append(dst []byte, indent int) ([]byte, error)
	query(path string) (node, error)
	bare() (string, bool) // a single value as text
}

type member struct {
	name  string
	value node
}

type (
	object []member
	list   []node
	scalar struct{ v any } // nil, bool, json.Number or string
)

// memberOrder is the order of members in the models of the service, over all structures; others follow as the server sent them.
var memberOrder = []string{
	"DeviceName", "StreamName", "StreamARN", "MediaType", "KmsKeyId", "Version", "Status", "CreationTime", "DataRetentionInHours",
	"StreamInfo", "StreamInfoList", "NextToken", "Tags",
}

// parseAnswer reads an answer.
func parseAnswer(answer []byte) (node, error) {
	dec := json.NewDecoder(bytes.NewReader(answer))
	dec.UseNumber()
	v, err := parseNode(dec, true)
	if err == nil {
		if _, end := dec.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("text after the end")
		}
	}
	return v, err
}

// parseNode reads a value; model tells that members are those of the service's model, and not a user's map.
func parseNode(dec *json.Decoder, model bool) (node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := object{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := parseNode(dec, model && name != "Tags")
			if err != nil {
				return nil, err
			}
			if s, ok := v.(scalar); ok && s.v == nil {
				continue
			}
			o = append(o, member{name.(string), v}) // the decoder gives nothing else for a name
		}
		_, err := dec.Token()
		if model {
			slices.SortStableFunc(o, func(a, b member) int { return rank(a.name) - rank(b.name) })
		}
		return o, err
	case json.Delim('['):
		l := list{}
		for dec.More() {
			v, err := parseNode(dec, model)
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}
		_, err := dec.Token()
		return l, err
	}
	return scalar{token}, nil
}

func rank(name string) int {
	if i := slices.Index(memberOrder, name); i >= 0 {
		return i
	}
	return len(memberOrder)
}

const indentStep = "    "

func (o object) append(dst []byte, indent int) ([]byte, error) {
	if len(o) == 0 {
		return append(dst, "{}"...), nil
	}
	dst = append(dst, '{')
	for i, m := range o {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, '\n'), strings.Repeat(indentStep, indent+1)...)
		var err error
		if dst, err = appendText(dst, m.name); err != nil {
			return nil, err
		}
		dst = append(dst, ": "...)
		if dst, err = m.value.append(dst, indent+1); err != nil {
			return nil, err
		}
	}
	dst = append(append(dst, '\n'), strings.Repeat(indentStep, indent)...)
	return append(dst, '}'), nil
}

func (l list) append(dst []byte, indent int) ([]byte, error) {
	if len(l) == 0 {
		return append(dst, "[]"...), nil
	}
	dst = append(dst, '[')
	for i, v := range l {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, '\n'), strings.Repeat(indentStep, indent+1)...)
		var err error
		if dst, err = v.append(dst, indent+1); err != nil {
			return nil, err
		}
	}
	dst = append(append(dst, '\n'), strings.Repeat(indentStep, indent)...)
	return append(dst, ']'), nil
}

func (s scalar) append(dst []byte, _ int) ([]byte, error) {
	if text, ok := s.v.(string); ok {
		return appendText(dst, text)
	}
	text, _ := s.bare()
	return append(dst, text...), nil
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

func (o object) bare() (string, bool) { return "", false }
func (l list) bare() (string, bool)   { return "", false }

func (s scalar) bare() (string, bool) {
	switch v := s.v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		text := v.String()
		if !strings.ContainsAny(text, ".eE") {
			return text, true
		}
		f, err := v.Float64()
		if err != nil {
			return text, true
		}
		text = strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text, true
	}
	return "null", true
}

// nextStep takes the first step off a path: a name or [N].
func nextStep(path string) (step, rest string) {
	path = strings.TrimPrefix(path, ".")
	if strings.HasPrefix(path, "[") {
		if i := strings.IndexByte(path, ']'); i > 0 {
			return path[:i+1], path[i+1:]
		}
		return path, ""
	}
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// query follows a path. What is not there is null, as in the AWS CLI.
func (o object) query(path string) (node, error) {
	step, rest := nextStep(path)
	if err := checkStep(step); err != nil {
		return nil, err
	}
	for _, m := range o {
		if m.name == step {
			if rest == "" {
				return m.value, nil
			}
			return m.value.query(rest)
		}
	}
	return scalar{}, nil
}

func (l list) query(path string) (node, error) {
	step, rest := nextStep(path)
	if err := checkStep(step); err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(strings.Trim(step, "[]"))
	if err != nil || !strings.HasPrefix(step, "[") {
		return scalar{}, nil
	}
	if i < 0 {
		i += len(l)
	}
	if i < 0 || i >= len(l) {
		return scalar{}, nil
	}
	if rest == "" {
		return l[i], nil
	}
	return l[i].query(rest)
}

func (s scalar) query(path string) (node, error) {
	step, _ := nextStep(path)
	return scalar{}, checkStep(step)
}

// checkStep refuses the rest of JMESPath instead of misreading it.
func checkStep(step string) error {
	inner := strings.TrimSuffix(strings.TrimPrefix(step, "["), "]")
	if strings.HasPrefix(step, "[") {
		if _, err := strconv.Atoi(inner); err == nil && strings.HasSuffix(step, "]") {
			return nil
		}
	} else if inner != "" && strings.Trim(inner, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
		return nil
	}
	return fmt.Errorf("--query %q: only member names with dots and [N] are understood", step)
}
