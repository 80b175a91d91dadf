package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error says why a document is refused, and where.
type Error struct {
	Line, Column int    // from 1, in bytes; 0 if the fault has no place
	Path         string // "Statement[1].Condition.StringEquals"; "" for the document
	Reason       string
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Column)
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	return b.String() + e.Reason
}

// node is a value of a document with the place where it begins.
type node struct {
	kind    nodeKind
	text    string // of a string, number or boolean
	members []member
	items   []*node
	line    int
	column  int
	path    string
}

type nodeKind int

const (
	nullNode nodeKind = iota
	stringNode
	numberNode
	boolNode
	listNode
	objectNode
)

var kindNames = [...]string{"null", "a string", "a number", "a boolean", "a list", "an object"}

type member struct {
	name  string
	value *node
}

func (n *node) fault(format string, args ...any) *Error {
	return &Error{n.line, n.column, n.path, fmt.Sprintf(format, args...)}
}

// want returns an error unless the node is of the kind.
func (n *node) want(kind nodeKind) error {
	if n.kind != kind {
		return n.fault("must be %s, not %s", kindNames[kind], kindNames[n.kind])
	}
	return nil
}

// list returns the items of a list, or the value alone: for one value, "the brackets are optional"
// (IAM user guide, "Grammar of the IAM JSON policy language"). An empty list is refused: with
// NotAction it would mean everything.
func (n *node) list() ([]*node, error) {
	if n.kind != listNode {
		return []*node{n}, nil
	}
	if len(n.items) == 0 {
		return nil, n.fault("is an empty list")
	}
	return n.items, nil
}

// reader turns a document's text into nodes. Unlike encoding/json, it refuses members that occur
// twice, takes names exactly as written, and knows where each value begins.
type reader struct {
	text    []byte
	decoder *json.Decoder
	line    int // of offset
	start   int // offset of the line's first byte
	offset  int
}

// readJSON parses a whole document, which must be an object. It also returns the text without white
// space outside of strings.
func readJSON(text []byte) (root *node, compact []byte, err error) {
	if len(text) > maxText {
		return nil, nil, &Error{Reason: fmt.Sprintf("%d bytes, more than %d", len(text), maxText)}
	}
	r := &reader{text: text, line: 1}
	if bad := invalidUTF8(text); bad >= 0 {
		r.advance(bad)
		return nil, nil, r.fault("", "is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			r.advance(max(int(syntax.Offset)-1, 0))
		}
		return nil, nil, r.fault("", "is not JSON: "+err.Error())
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, text); err != nil {
		return nil, nil, r.fault("", "is not JSON: "+err.Error())
	}
	r.decoder = json.NewDecoder(bytes.NewReader(text))
	r.decoder.UseNumber()
	if root, err = r.value("", 0); err != nil {
		return nil, nil, err
	}
	return root, buf.Bytes(), root.want(objectNode)
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func (r *reader) fault(path, reason string) *Error {
	return &Error{Line: r.line, Column: r.offset - r.start + 1, Path: path, Reason: reason}
}

// advance moves to an offset that is not before the present one.
func (r *reader) advance(offset int) {
	for offset = min(offset, len(r.text)); r.offset < offset; r.offset++ {
		if r.text[r.offset] == '\n' {
			r.line, r.start = r.line+1, r.offset+1
		}
	}
}

// next returns the next token and moves to where it begins. The text is known to be JSON.
func (r *reader) next() (json.Token, error) {
	at := int(r.decoder.InputOffset())
	for at < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[at]) >= 0 {
		at++
	}
	r.advance(at)
	token, err := r.decoder.Token()
	if err != nil {
		return nil, r.fault("", "is not JSON: "+err.Error())
	}
	return token, nil
}

func (r *reader) value(path string, depth int) (*node, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	n := &node{line: r.line, column: r.offset - r.start + 1, path: path}
	switch token := token.(type) {
	case string:
		n.kind, n.text = stringNode, token
	case json.Number:
		n.kind, n.text = numberNode, token.String()
	case bool:
		n.kind, n.text = boolNode, fmt.Sprint(token)
	case json.Delim:
		if depth == maxDepth {
			return nil, n.fault("is nested too deep")
		}
		if token == '[' {
			return n, r.list(n, depth)
		}
		return n, r.object(n, depth)
	}
	return n, nil
}

// shown returns a name as a path has it: in quotes if it would break a line or a terminal.
func shown(name string) string {
	if quoted := strconv.Quote(name); quoted[1:len(quoted)-1] != name {
		return quoted
	}
	return name
}

func (r *reader) list(n *node, depth int) error {
	n.kind = listNode
	for r.decoder.More() {
		item, err := r.value(fmt.Sprintf("%s[%d]", n.path, len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := r.next() // the bracket
	return err
}

func (r *reader) object(n *node, depth int) error {
	n.kind = objectNode
	seen := map[string]bool{}
	for r.decoder.More() {
		token, err := r.next()
		if err != nil {
			return err
		}
		name := token.(string) // JSON has no other names
		path := strings.TrimPrefix(n.path+"."+shown(name), ".")
		if seen[name] {
			return r.fault(path, "occurs twice")
		}
		seen[name] = true
		value, err := r.value(path, depth+1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{name, value})
	}
	_, err := r.next() // the brace
	return err
}
