package policy

import (
	"encoding/json"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// The model evaluates documents a second time, straight from their JSON, in a different way and
// without regard to speed. It shares nothing with the package except the types of requests. It
// takes only documents that Parse accepts.
type model struct {
	request   Request
	variables bool
	deny      bool // the statement that is evaluated
}

// modelDecide returns what Decide must return.
func modelDecide(
	t testing.TB, r Request, identity []Named, bounds ...[]Named,
) (allowed, explicit bool) {
	t.Helper()
	allowed = true
	for _, set := range append([][]Named{identity}, bounds...) {
		setAllows := false
		for _, named := range set {
			var doc map[string]any
			d := json.NewDecoder(strings.NewReader(string(named.Document.Text())))
			d.UseNumber()
			if err := d.Decode(&doc); err != nil {
				t.Fatal(err)
			}
			for _, s := range asList(doc["Statement"]) {
				s := s.(map[string]any)
				m := &model{r, doc["Version"] == "2012-10-17", s["Effect"] == "Deny"}
				if m.applies(s) {
					explicit = explicit || m.deny
					setAllows = true
				}
			}
		}
		allowed = allowed && setAllows
	}
	return allowed && !explicit, explicit
}

func asList(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

func asText(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "true"
		}
		return "false"
	case json.Number:
		return v.String()
	}
	return v.(string)
}

func (m *model) applies(s map[string]any) bool {
	action := func(v any) bool {
		for _, a := range asList(v) {
			if matches(tokens(strings.ToLower(asText(a))), strings.ToLower(m.request.Action)) {
				return true
			}
		}
		return false
	}
	if a, ok := s["Action"]; ok && !action(a) {
		return false
	}
	if a, ok := s["NotAction"]; ok && action(a) {
		return false
	}
	if r, ok := s["Resource"]; ok && m.resource(r) != yes {
		return false
	}
	if r, ok := s["NotResource"]; ok && !m.not(m.resource(r)) {
		return false
	}
	conditions, _ := s["Condition"].(map[string]any)
	for operator, keys := range conditions {
		for key, values := range keys.(map[string]any) {
			if !m.condition(operator, strings.ToLower(key), asList(values)) {
				return false
			}
		}
	}
	return true
}

// answer says whether something matches. It is unknown where a variable is missing or a value
// cannot be read.
type answer string

const (
	yes     answer = "yes"
	no      answer = "no"
	unknown answer = "unknown"
)

// not negates an answer: what is unknown lets a statement deny, and keeps it from allowing.
func (m *model) not(a answer) bool { return a == no || a == unknown && m.deny }

func anyOf(answers []answer) answer {
	out := no
	for _, a := range answers {
		if a == yes {
			return yes
		}
		if a == unknown {
			out = unknown
		}
	}
	return out
}

func (m *model) resource(v any) answer {
	var answers []answer
	for _, r := range asList(v) {
		text, ok := m.expand(asText(r))
		answers = append(answers, m.glob(resourceTokens(text), ok, m.request.Resource))
	}
	return anyOf(answers)
}

func (m *model) glob(pattern []token, known bool, s string) answer {
	switch {
	case !known:
		return unknown
	case matches(pattern, s):
		return yes
	}
	return no
}

func (m *model) condition(operator, key string, values []any) bool {
	set, operator := cutPrefix(operator, "ForAllValues:", "ForAnyValue:")
	operator, ifExists := strings.CutSuffix(operator, "IfExists")
	has := m.request.Context[key]
	if operator == "Null" {
		return (len(has) == 0) == (strings.ToLower(asText(values[0])) == "true")
	}
	if len(has) == 0 && ifExists {
		return true
	}
	// A negated operator is the positive one, negated.
	positive := strings.Replace(operator, "Not", "", 1)
	negated := positive != operator
	one := func(value string) bool {
		var answers []answer
		for _, v := range values {
			answers = append(answers, m.test(positive, asText(v), value))
		}
		if negated {
			return m.not(anyOf(answers))
		}
		return anyOf(answers) == yes
	}
	holding := 0
	for _, value := range has {
		if one(value) {
			holding++
		}
	}
	nothing := strings.Join(has, "") == ""
	switch set {
	case "ForAllValues:":
		return nothing || holding == len(has)
	case "ForAnyValue:":
		return !nothing && holding > 0
	}
	switch len(has) {
	case 0:
		return negated
	case 1:
		return holding == 1
	}
	return m.deny
}

func cutPrefix(s string, prefixes ...string) (prefix, rest string) {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(s, p); ok {
			return p, rest
		}
	}
	return "", s
}

func compared(known, match bool) answer {
	switch {
	case !known:
		return unknown
	case match:
		return yes
	}
	return no
}

func (m *model) test(operator, want, got string) answer {
	kind, comparison := cutPrefix(operator, "Numeric", "Date")
	holds := func(cmp int) bool {
		return map[string]bool{"Equals": cmp == 0, "LessThan": cmp < 0, "LessThanEquals": cmp <= 0,
			"GreaterThan": cmp > 0, "GreaterThanEquals": cmp >= 0}[comparison]
	}
	switch {
	case kind == "Numeric":
		a, okA := new(big.Rat).SetString(got)
		b, okB := new(big.Rat).SetString(want)
		return compared(okA && okB, okA && okB && holds(a.Cmp(b)))
	case kind == "Date":
		a, okA := moment(got)
		b, okB := moment(want)
		return compared(okA && okB, holds(a.Compare(b)))
	case operator == "Bool":
		got, want = strings.ToLower(got), strings.ToLower(want)
		return compared(got == "true" || got == "false", got == want)
	case operator == "IpAddress":
		ip, network := net.ParseIP(got), block(want)
		return compared(ip != nil, ip != nil && network.Contains(ip))
	}
	text, known := m.expand(want)
	switch operator {
	case "StringEquals":
		return compared(known, plain(text) == got)
	case "StringEqualsIgnoreCase":
		return compared(known, strings.EqualFold(plain(text), got))
	case "StringLike":
		return m.glob(wild(text), known, got)
	}
	return m.glob(arnTokens(text), known, got) // ArnEquals, ArnLike
}

// moment reads a date or the seconds since 1970.
func moment(s string) (time.Time, bool) {
	if seconds, ok := new(big.Int).SetString(s, 10); ok && len(s) != 4 {
		return time.Unix(seconds.Int64(), 0), true
	}
	for _, layout := range []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00",
		"2006-01-02T15:04:05Z07:00"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// block is a range of addresses, or one.
func block(s string) *net.IPNet {
	if _, network, err := net.ParseCIDR(s); err == nil {
		return network
	}
	ip := net.ParseIP(s)
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

// char is a character of a document. Literal ones come from a variable and are not wildcards.
type char struct {
	r       rune
	literal bool
}

// expand replaces the variables of a string.
func (m *model) expand(s string) (out []char, known bool) {
	for s != "" {
		before, after, found := strings.Cut(s, "${")
		if !found || !m.variables {
			before, after = s, ""
		}
		for _, r := range before {
			out = append(out, char{r, false})
		}
		if !found || !m.variables {
			break
		}
		body, rest, _ := strings.Cut(after, "}")
		value := body // ${*}, ${?} and ${$}
		if len(body) > 1 {
			name, fallback, hasFallback := strings.Cut(body, ",")
			switch has := m.request.Context[strings.ToLower(name)]; {
			case len(has) == 1:
				value = has[0]
			case len(has) == 0 && hasFallback:
				value = strings.Trim(strings.TrimPrefix(fallback, " "), "'")
			default:
				return nil, false
			}
		}
		for _, r := range value {
			out = append(out, char{r, true})
		}
		s = rest
	}
	return out, true
}

func plain(text []char) string {
	var b strings.Builder
	for _, c := range text {
		b.WriteRune(c.r)
	}
	return b.String()
}

// token is a character, or a wildcard for one or many, of any kind or without colons.
type token struct {
	r                    rune
	one, many, anyColons bool
}

func tokens(s string) []token {
	var text []char
	for _, r := range s {
		text = append(text, char{r, false})
	}
	return wild(text)
}

func tokenOf(c char, colons bool) token {
	if c.literal {
		return token{r: c.r}
	}
	return token{r: c.r, one: c.r == '?', many: c.r == '*', anyColons: colons}
}

func wild(text []char) (out []token) {
	for _, c := range text {
		out = append(out, tokenOf(c, true))
	}
	return out
}

// arnTokens keeps wildcards within their part, except in the last part.
func arnTokens(text []char) []token { return partTokens(text, false) }

// resourceTokens lets a * at the end of a part extend into the next ones.
func resourceTokens(text []char) []token { return partTokens(text, true) }

func partTokens(text []char, endGoesOn bool) (out []token) {
	colons := 0
	for i, c := range text {
		if c.r == ':' && !c.literal {
			colons++
		}
		atEnd := i+1 == len(text) || endGoesOn && text[i+1] == char{':', false}
		out = append(out, tokenOf(c, colons >= 5 || c.r == '*' && atEnd))
	}
	return out
}

// matches tries every way to match.
func matches(pattern []token, s string) bool {
	text := []rune(s)
	type place struct{ p, t int }
	seen := map[place]bool{}
	var from func(p, t int) bool
	from = func(p, t int) bool {
		if seen[place{p, t}] {
			return false // it was tried, in vain
		}
		seen[place{p, t}] = true
		if p == len(pattern) {
			return t == len(text)
		}
		tok := pattern[p]
		fits := t < len(text) && (tok.anyColons || text[t] != ':')
		switch {
		case tok.many:
			return from(p+1, t) || fits && from(p, t+1)
		case tok.one:
			return fits && from(p+1, t+1)
		}
		return t < len(text) && text[t] == tok.r && from(p+1, t+1)
	}
	return from(0, 0)
}
