package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// parseShorthand reads a structure as the AWS CLI takes it on the command line: Key=value,Key={Key=value},Key=[value,value],
// values in single or double quotes where they hold one of ,{}[] or white space at an end; or JSON, when it begins with {.
func parseShorthand(text string) (map[string]any, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		var v map[string]any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, fmt.Errorf("invalid JSON: %w", err)
		}
		return v, nil
	}
	p := shorthand{text: text}
	v, err := p.members(0)
	if err == nil && p.pos < len(p.text) {
		err = fmt.Errorf("unexpected %q", p.text[p.pos:])
	}
	if err != nil {
		return nil, fmt.Errorf("%w in %q; expected Key=value,Key={Key=value} or JSON", err, text)
	}
	return v, nil
}

// shorthand is a parser at a position of its text.
type shorthand struct {
	text string
	pos  int
}

// maxShorthandDepth bounds the nesting; the API needs two levels.
const maxShorthandDepth = 16

func (p *shorthand) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// take passes over a character when it is the next one.
func (p *shorthand) take(c byte) bool {
	p.space()
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// members reads Key=value pairs up to the end or a closing brace, which it leaves.
func (p *shorthand) members(depth int) (map[string]any, error) {
	out := map[string]any{}
	for {
		p.space()
		start := p.pos
		for p.pos < len(p.text) && strings.IndexByte("=,{}[]\"'", p.text[p.pos]) < 0 {
			p.pos++
		}
		key := strings.TrimSpace(p.text[start:p.pos])
		if key == "" {
			return nil, errors.New("a key is missing")
		}
		if !p.take('=') {
			return nil, fmt.Errorf("no = after %q", key)
		}
		if _, ok := out[key]; ok {
			return nil, fmt.Errorf("%q is given twice", key)
		}
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		out[key] = v
		if !p.take(',') {
			return out, nil
		}
	}
}

func (p *shorthand) value(depth int) (any, error) {
	if depth > maxShorthandDepth {
		return nil, errors.New("too much nesting")
	}
	switch {
	case p.take('{'):
		if p.take('}') {
			return map[string]any{}, nil
		}
		v, err := p.members(depth + 1)
		if err == nil && !p.take('}') {
			err = errors.New("a } is missing")
		}
		return v, err
	case p.take('['):
		list := []any{}
		for !p.take(']') {
			if len(list) > 0 && !p.take(',') {
				return nil, errors.New("a ] is missing")
			}
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case p.take('"'):
		return p.quoted('"')
	case p.take('\''):
		return p.quoted('\'')
	}
	p.space()
	start := p.pos
	for p.pos < len(p.text) && strings.IndexByte(",}]", p.text[p.pos]) < 0 {
		p.pos++
	}
	return strings.TrimSpace(p.text[start:p.pos]), nil
}

// quoted reads up to the closing quote; a backslash takes the next quote or backslash as it is.
func (p *shorthand) quoted(quote byte) (string, error) {
	var b strings.Builder
	for ; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		if c == quote {
			p.pos++
			return b.String(), nil
		}
		if c == '\\' && p.pos+1 < len(p.text) && (p.text[p.pos+1] == quote || p.text[p.pos+1] == '\\') {
			p.pos++
			c = p.text[p.pos]
		}
		b.WriteByte(c)
	}
	return "", fmt.Errorf("a %c is missing", quote)
}
