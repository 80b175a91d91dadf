package awscli

import (
	"slices"
	"strings"
	"unicode"
)

// dateLexer cuts a date into words, numbers and single other characters, as _timelex of
// dateutil.parser 2.9 does. A dot may be a separator (6.Apr.2021) or a decimal point (15:05:30.25);
// so may a comma after two digits.
type dateLexer struct {
	in      []rune
	pending []string // of a token that turned out to be several
}

// dateTokens are all tokens of a text.
func dateTokens(text string) []string {
	lexer := &dateLexer{in: []rune(strings.ReplaceAll(text, "\x00", ""))}
	var tokens []string
	for {
		token := lexer.next()
		if token == "" {
			return tokens
		}
		tokens = append(tokens, token)
	}
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// next is the next token, or "" at the end.
func (l *dateLexer) next() string {
	if len(l.pending) > 0 {
		token := l.pending[0]
		l.pending = l.pending[1:]
		return token
	}
	if len(l.in) == 0 {
		return ""
	}
	first := l.in[0]
	if unicode.IsSpace(first) {
		l.in = l.in[1:]
		return " "
	}
	if !unicode.IsLetter(first) && !isDigit(first) {
		l.in = l.in[1:]
		return string(first)
	}
	token, letters, dotted := l.scan()
	last := token[len(token)-1]
	if dotted && (letters || strings.Count(token, ".") > 1 || last == '.' || last == ',') {
		parts := splitKeeping(token)
		token, l.pending = parts[0], parts[1:]
	}
	if isDigit(first) && !strings.Contains(token, ".") {
		token = strings.ReplaceAll(token, ",", ".")
	}
	return token
}

// scan takes a word or a number with what is joined to it by dots. letters: it has letters, and not
// only as its last character.
func (l *dateLexer) scan() (token string, letters, dotted bool) {
	word := unicode.IsLetter(l.in[0])
	end := 1
	for ; end < len(l.in); end++ {
		r, before := l.in[end], l.in[end-1]
		letters = letters || word
		switch {
		case r == '.', r == ',' && !word && !dotted && end >= 2:
			dotted = true
		case word && unicode.IsLetter(r), !word && isDigit(r):
		case dotted && before == '.' && (unicode.IsLetter(r) || isDigit(r)):
			word = !word
		default:
			token = string(l.in[:end])
			l.in = l.in[end:]
			return token, letters, dotted
		}
	}
	token = string(l.in)
	l.in = nil
	return token, letters, dotted
}

// splitKeeping cuts at dots and commas, which are tokens too.
func splitKeeping(token string) []string {
	var parts []string
	for token != "" {
		n := strings.IndexAny(token, ".,")
		if n < 0 {
			n = len(token)
		}
		parts = append(parts, token[:n])
		if n < len(token) {
			parts = append(parts, token[n:n+1])
			n++
		}
		token = token[n:]
	}
	return slices.DeleteFunc(parts, func(part string) bool { return part == "" })
}
