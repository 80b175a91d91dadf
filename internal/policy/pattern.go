package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Wildcards in the text of a pattern are bytes that never occur in UTF-8, so every character of a
// document or a request stands for itself.
const (
	manyWild     = '\xff' // *: any characters
	oneWild      = '\xfe' // ?: one character
	manyPartWild = '\xfd' // *: any characters but a colon
	onePartWild  = '\xfc' // ?: one character but a colon
)

// pattern is a string of a document that requests are compared with: text with wildcards and
// variables.
type pattern struct {
	source string
	pieces []piece // text and variables in turn
}

// piece is text, or a variable where key is not empty.
type piece struct {
	text        string
	key         string // lower case
	fallback    string // of the variable, if hasFallback
	hasFallback bool
}

// wildcards says what * and ? mean in a pattern.
type wildcards int

const (
	noWildcards  wildcards = iota // themselves: StringEquals
	anyWildcards                  // any characters: StringLike, Action
	// As in Resource: within the parts of an ARN before the fifth colon, wildcards stay within
	// their part, but "if the * wildcard is the last character of a resource ARN segment, it can
	// expand to match beyond the colon boundaries" (IAM user guide, "IAM JSON policy elements:
	// Resource").
	resourceWildcards
	// As in ArnLike: "Each of the six colon-delimited components of the ARN is checked separately"
	// (IAM user guide, "Condition operators").
	arnWildcards
)

// compile reads a string of a document. Variables are read where the document's version has them
// (IAM user guide, "Variables and tags": from 2012-10-17 on). The error is the reason.
func compile(source string, wild wildcards, variables bool) (*pattern, error) {
	p := &pattern{source: source}
	var text strings.Builder
	colons := 0
	for i := 0; i < len(source); i++ {
		c := source[i]
		if variables && c == '$' && i+1 < len(source) && source[i+1] == '{' {
			end := strings.IndexByte(source[i:], '}')
			if end < 0 {
				return nil, fmt.Errorf("%q: a variable has no closing brace", source)
			}
			body := source[i+2 : i+end]
			i += end
			if body == "*" || body == "?" || body == "$" {
				text.WriteString(body)
				continue
			}
			v, err := variable(body)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", source, err)
			}
			if wild == resourceWildcards && colons < 5 {
				return nil, fmt.Errorf("%q: a variable may only follow the fifth colon", source)
			}
			p.pieces = append(p.pieces, piece{text: text.String()}, v)
			text.Reset()
			continue
		}
		if c == ':' {
			colons++
		}
		text.WriteByte(wild.mark(c, colons, source[i+1:]))
	}
	p.pieces = append(p.pieces, piece{text: text.String()})
	return p, nil
}

// mark returns the byte of a pattern that stands for a byte of its source, after so many colons and
// before the rest.
func (w wildcards) mark(c byte, colons int, rest string) byte {
	if w == noWildcards || (c != '*' && c != '?') {
		return c
	}
	part := w != anyWildcards && colons < 5
	// A * at the end of a part, or of the whole, may extend beyond it; with ArnLike, only that of
	// the last part may.
	last := rest == "" || (w == resourceWildcards && rest[0] == ':')
	switch {
	case c == '*' && part && !last:
		return manyPartWild
	case c == '*':
		return manyWild
	case part:
		return onePartWild
	}
	return oneWild
}

// variable reads what is between the braces: a key, and maybe a default after a comma and a space,
// in single quotes.
func variable(body string) (piece, error) {
	name, fallback, hasFallback := strings.Cut(body, ",")
	if hasFallback {
		quoted := strings.TrimPrefix(fallback, " ")
		if len(quoted) < 2 || quoted[0] != '\'' || quoted[len(quoted)-1] != '\'' ||
			strings.Contains(quoted[1:len(quoted)-1], "'") {
			return piece{}, fmt.Errorf("a variable's default is written ${%s, 'default'}", name)
		}
		fallback = quoted[1 : len(quoted)-1]
	}
	key, err := parseKey(name)
	if err != nil {
		return piece{}, fmt.Errorf("variable ${%s}: %w", body, err)
	}
	if key.many {
		return piece{}, fmt.Errorf("variable ${%s}: the key may have several values", body)
	}
	return piece{key: key.name, fallback: fallback, hasFallback: hasFallback}, nil
}

// resolve returns the pattern's text for a request, and whether the request has all its variables.
func (p *pattern) resolve(c Context) (string, bool) {
	if len(p.pieces) == 1 {
		return p.pieces[0].text, true
	}
	var b strings.Builder
	for i := range p.pieces {
		v := &p.pieces[i]
		if v.key == "" {
			b.WriteString(v.text)
			continue
		}
		if v.missing(c) {
			return "", false
		}
		value := v.fallback
		if values := c[v.key]; len(values) == 1 {
			value = values[0]
		}
		if !utf8.ValidString(value) { // it might have the bytes of wildcards
			value = strings.ToValidUTF8(value, string(utf8.RuneError))
		}
		b.WriteString(value)
	}
	return b.String(), true
}

// missing reports whether a request has no value for a variable, and the variable no default. One
// of several values is none.
func (v *piece) missing(c Context) bool {
	n := len(c[v.key])
	return v.key != "" && (n > 1 || n == 0 && !v.hasFallback)
}

// glob reports whether a pattern's text matches a string. With fold, ASCII letters of the string
// are compared without case; the pattern's must be lower case.
func glob(pattern, s string, fold bool) bool {
	match, ok := search(pattern, s, fold)
	if !ok {
		return newAutomaton(pattern).matches(s, fold)
	}
	return match
}

// search is glob, but it gives up (ok is false) when it takes much longer than to read both texts:
// patterns can be made so that it does.
//
// It is the usual greedy search, in which only the last wildcard for many characters is ever
// lengthened, because to lengthen an earlier one leaves less for what follows. A wildcard that ends
// at a colon cannot be lengthened beyond it. Then the last one without that limit is.
func search(pattern, s string, fold bool) (match, ok bool) {
	left := 4*(len(pattern)+len(s)) + 64 // steps
	i, j := 0, 0                         // in pattern and s
	// After the last wildcard of either kind, and how far it has been taken; -1: there was none.
	many, manyEnd, part, partEnd := -1, 0, -1, 0
	for ; left > 0; left-- {
		if i < len(pattern) {
			switch c := pattern[i]; c {
			case manyWild:
				if i++; i == len(pattern) {
					return true, true
				}
				many, manyEnd, part = i, j, -1
				continue
			case manyPartWild:
				i++
				part, partEnd = i, j
				continue
			default:
				if j < len(s) && c == s[j] {
					i, j = i+1, j+1
					continue
				}
				if n := step(c, s[j:], fold); n > 0 {
					i, j = i+1, j+n
					continue
				}
			}
		} else if j == len(s) {
			return true, true
		}
		switch {
		case part >= 0 && partEnd < len(s) && s[partEnd] != ':':
			partEnd += runeLen(s[partEnd:])
			i, j = part, partEnd
		case many >= 0 && manyEnd < len(s):
			manyEnd += runeLen(s[manyEnd:])
			if c := pattern[many]; c < utf8.RuneSelf && !fold { // it goes on where c is
				next := strings.IndexByte(s[manyEnd:], c)
				if next < 0 {
					return false, true
				}
				manyEnd += next
			}
			i, j, part = many, manyEnd, -1
		default:
			return false, true
		}
	}
	return false, false
}

// step returns how many bytes at the beginning of s a byte of a pattern takes that is not the same
// byte: a wildcard for one character, or a letter in other case. 0: it does not match.
func step(c byte, s string, fold bool) int {
	if s == "" {
		return 0
	}
	switch {
	case c == onePartWild && s[0] == ':':
		return 0
	case c == oneWild || c == onePartWild:
		return runeLen(s)
	case fold && 'A' <= s[0] && s[0] <= 'Z' && c == s[0]+'a'-'A':
		return 1
	}
	return 0
}

func runeLen(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}
