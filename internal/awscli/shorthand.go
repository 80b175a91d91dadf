//lint:file-ignore ST1005 the texts are those of the AWS command line

package awscli

import (
	"encoding/json"
	"fmt"
	"strings"

	"weir/internal/api"
)

// parseShorthand reads Key=value,Key=[value,value],Key={Key=value}, the short form of structures
// and maps on the AWS command line. Values may be in single or double quotes. A backslash keeps a
// comma or, inside quotes, the quote. If a key is followed by several words, its value is a list:
// Key=a,b. Key@=file://name takes the value from a file, which read reads.
func parseShorthand(text string, read func(string) (string, bool, error)) (*Object, error) {
	p := shorthand{text: text, read: read}
	return p.parameter()
}

// shorthand is a parser at a position of its text.
type shorthand struct {
	text  string
	pos   int
	read  func(string) (string, bool, error)
	files bool // the key was followed by @: the value may be the name of a file
}

// end is what current returns at the end. No text has this byte except within a longer character.
const end = 0xff

func (p *shorthand) current() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return end
}

func (p *shorthand) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n\v\f", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// wrong is the error at the current position, with a mark below the text.
func (p *shorthand) wrong(expected, received string) error {
	return fmt.Errorf("Expected: '%s', received: '%s' for input:\n%s", expected, received,
		p.location(p.pos))
}

func (p *shorthand) location(at int) string {
	before, after := p.text[:at], p.text[at:]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	first, rest, more := strings.Cut(after, "\n")
	mark := before + first + "\n" + strings.Repeat(" ", len([]rune(line))) + "^"
	if more {
		mark += "\n" + rest
	}
	return mark
}

func (p *shorthand) expect(c byte) error {
	if p.pos >= len(p.text) {
		return p.wrong(string(c), "EOF")
	}
	if p.text[p.pos] != c {
		for _, r := range p.text[p.pos:] {
			return p.wrong(string(c), string(r))
		}
	}
	p.pos++
	return nil
}

// between is expect with white space allowed on both sides.
func (p *shorthand) between(c byte) error {
	p.space()
	if err := p.expect(c); err != nil {
		return err
	}
	p.space()
	return nil
}

func (p *shorthand) parameter() (*Object, error) {
	out := &Object{}
	for {
		start := p.pos
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		v, err := p.values()
		if err != nil {
			return nil, err
		}
		if _, ok := out.Get(key); ok {
			return nil, fmt.Errorf("Second instance of key %q encountered for input:\n%s\nThis "+
				"is often because there is a preceding \",\" instead of a space.",
				key, p.location(start))
		}
		out.Set(key, v)
		if p.pos >= len(p.text) {
			return out, nil
		}
		if err := p.between(','); err != nil {
			return nil, err
		}
	}
}

// key reads a key and the = behind it.
func (p *shorthand) key() (string, error) {
	start := p.pos
	for p.pos < len(p.text) && keyCharacter(p.text[p.pos]) {
		p.pos++
	}
	key := p.text[start:p.pos]
	p.space()
	if p.files = p.current() == '@'; p.files {
		p.pos++
	}
	return key, p.between('=')
}

func keyCharacter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("-_.#/:", c) >= 0
}

// values reads what follows a key at the top: a list, a structure, a value, or values with commas
// between them.
func (p *shorthand) values() (Value, error) {
	switch p.current() {
	case end:
		if p.pos >= len(p.text) {
			return "", nil
		}
	case '[':
		return p.list(1)
	case '{':
		return p.structure(1)
	}
	first, err := p.first()
	if err != nil {
		return nil, err
	}
	p.space()
	if p.pos >= len(p.text) || p.text[p.pos] != ',' {
		return first, nil
	}
	comma := p.pos
	if err := p.between(','); err != nil {
		return nil, err
	}
	list := List{first}
	for {
		v, err := p.second()
		if err == nil {
			p.space()
			if p.pos >= len(p.text) {
				list = append(list, v)
				break
			}
			next := p.pos
			if err = p.between(','); err == nil {
				list, comma = append(list, v), next
				continue
			}
		}
		if p.pos >= len(p.text) {
			return nil, err
		}
		p.pos = comma // what looked like a value is the next key
		break
	}
	if len(list) == 1 {
		return first, nil
	}
	return list, nil
}

func (p *shorthand) inner(depth int) (Value, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch p.current() {
	case '[':
		return p.list(depth + 1)
	case '{':
		return p.structure(depth + 1)
	}
	return p.first()
}

func (p *shorthand) list(depth int) (Value, error) {
	if err := p.between('['); err != nil {
		return nil, err
	}
	list := List{}
	for p.current() != ']' {
		v, err := p.inner(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		p.space()
		if p.current() != ']' {
			if err := p.expect(','); err != nil {
				return nil, err
			}
			p.space()
		}
	}
	return list, p.expect(']')
}

func (p *shorthand) structure(depth int) (Value, error) {
	if err := p.between('{'); err != nil {
		return nil, err
	}
	out := &Object{}
	for p.current() != '}' {
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		v, err := p.inner(depth)
		if err != nil {
			return nil, err
		}
		p.space()
		if p.current() != '}' {
			if err := p.expect(','); err != nil {
				return nil, err
			}
			p.space()
		}
		out.Set(key, v)
	}
	return out, p.expect('}')
}

// first reads a value that may be empty.
func (p *shorthand) first() (Value, error) {
	switch c := p.current(); {
	case p.pos < len(p.text) && (c == '\'' || c == '"'):
		return p.quoted(c)
	}
	word := p.word(true)
	return p.resolve(word)
}

// second reads a further value of a list without brackets; it is not empty and has no = in it.
func (p *shorthand) second() (Value, error) {
	if c := p.current(); p.pos < len(p.text) && (c == '\'' || c == '"') {
		return p.quoted(c)
	}
	start := p.pos
	word := p.word(false)
	if p.pos == start {
		return nil, p.wrong("<second>", "<none>")
	}
	return p.resolve(word)
}

// word reads an unquoted value. At the top and in brackets it may contain = { and [; in a list
// without brackets, ] and }.
func (p *shorthand) word(first bool) string {
	start := p.pos
	stop := ",\"']}"
	if !first {
		stop = ",\"'="
	}
	for p.pos < len(p.text) {
		if strings.HasPrefix(p.text[p.pos:], `\,`) {
			p.pos += 2
			continue
		}
		c := p.text[p.pos]
		blank := strings.IndexByte(" \t\r\n\v\f", c) >= 0
		if p.pos == start && (blank || strings.IndexByte(",\"'=[{", c) >= 0) || p.pos > start &&
			strings.IndexByte(stop, c) >= 0 || c < ' ' && !blank {
			break
		}
		p.pos++
	}
	return strings.TrimRight(strings.ReplaceAll(p.text[start:p.pos], `\,`, ","), " \t\r\n\v\f")
}

func (p *shorthand) quoted(quote byte) (Value, error) {
	name := "singled quoted"
	if quote == '"' {
		name = "double quoted"
	}
	for i := p.pos + 1; i < len(p.text); i++ {
		switch p.text[i] {
		case '\\':
			if i+1 < len(p.text) && p.text[i+1] == quote &&
				strings.IndexByte(p.text[i+2:], quote) >= 0 {
				i++
			}
		case quote:
			inner := p.text[p.pos+1 : i]
			p.pos = i + 1
			inner = strings.ReplaceAll(inner, `\`+string(quote), string(quote))
			return p.resolve(strings.ReplaceAll(inner, `\\`, `\`))
		}
	}
	return nil, p.wrong("<"+name+">", "<none>")
}

func (p *shorthand) resolve(word string) (Value, error) {
	if p.files && p.read != nil {
		text, ok, err := p.read(word)
		if err != nil {
			return nil, err
		}
		if ok {
			return text, nil
		}
	}
	return word, nil
}

// coerce gives the words of shorthand the types that a shape wants: numbers, and a list of one
// instead of a single word.
func coerce(v Value, s *api.Shape) (Value, error) {
	var err error
	switch s.Kind {
	case api.KindStructure:
		if o, ok := v.(*Object); ok {
			for i := range o.Members {
				if f := s.Member(o.Members[i].Name); f != nil {
					if o.Members[i].Value, err = coerce(o.Members[i].Value, f.Shape); err != nil {
						return nil, err
					}
				}
			}
		}
	case api.KindList:
		l, ok := v.(List)
		if !ok {
			return List{v}, nil
		}
		for i := range l {
			if l[i], err = coerce(l[i], s.Item); err != nil {
				return nil, err
			}
		}
	case api.KindInteger, api.KindLong:
		if word, ok := v.(string); ok {
			return ParseInt(word)
		}
	}
	return v, nil
}

// ParseInt reads a whole number as Python's int() does.
func ParseInt(word string) (Value, error) {
	text := strings.TrimSpace(word)
	digits := strings.TrimLeft(text, "+-")
	ok := digits != "" && len(text)-len(digits) <= 1 && !strings.HasPrefix(digits, "_") &&
		!strings.HasSuffix(digits, "_") && !strings.Contains(digits, "__")
	digits = strings.ReplaceAll(digits, "_", "")
	if !ok || strings.Trim(digits, "0123456789") != "" {
		return nil, fmt.Errorf("invalid literal for int() with base 10: %s", pythonInner(word))
	}
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return json.Number("0"), nil
	}
	if strings.HasPrefix(text, "-") {
		digits = "-" + digits
	}
	return json.Number(digits), nil
}
