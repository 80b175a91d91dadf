package policy

import (
	"fmt"
	"strings"
)

// Explanation is a decision and the part that each statement had in it.
type Explanation struct {
	Decision
	Reason     string // one sentence
	Statements []StatementResult
}

// StatementResult says whether a statement applies to a request.
type StatementResult struct {
	Bound   int // 0: one of the identity policies; n: one of the nth set of bounds
	Policy  string
	Sid     string
	Index   int // in its document, from 0
	Deny    bool
	Applies bool
	Why     string // what does not match, if it does not apply
}

// Name identifies the statement for people: its policy, and its Sid or its number.
func (s StatementResult) Name() string {
	if s.Sid != "" {
		return fmt.Sprintf("statement %s of policy %s", s.Sid, s.Policy)
	}
	return fmt.Sprintf("statement %d of policy %s", s.Index+1, s.Policy)
}

// Explain decides like Decide, and says why.
func Explain(r Request, identity []Named, bounds ...[]Named) Explanation {
	e := Explanation{Decision: Decide(r, identity, bounds...)}
	for i, set := range append([][]Named{identity}, bounds...) {
		for _, named := range set {
			e.Statements = append(e.Statements, explainOne(&r, i, named)...)
		}
	}
	e.Reason = e.reason(r, len(bounds))
	return e
}

func explainOne(r *Request, bound int, named Named) (out []StatementResult) {
	if named.Document == nil {
		return nil
	}
	for i := range named.Document.statements {
		s := &named.Document.statements[i]
		m := s.mismatch(r)
		result := StatementResult{Bound: bound, Policy: named.Name, Sid: s.sid, Index: i,
			Deny: s.deny, Applies: m.where == nowhere}
		if !result.Applies {
			result.Why = s.why(r, m)
		}
		out = append(out, result)
	}
	return out
}

func (e *Explanation) reason(r Request, bounds int) string {
	what := fmt.Sprintf("%s on %s", r.Action, r.Resource)
	allowed := make([]bool, bounds+1)
	for _, s := range e.Statements {
		switch {
		case s.Applies && s.Deny:
			return fmt.Sprintf("%s is denied by %s", what, s.Name())
		case s.Applies && e.Allowed:
			return fmt.Sprintf("%s is allowed by %s", what, s.Name())
		case s.Applies:
			allowed[s.Bound] = true
		}
	}
	switch {
	case e.Explicit:
		return fmt.Sprintf("%s is denied: policy %s cannot be read", what, e.Policy)
	case !allowed[0]:
		return fmt.Sprintf("%s is denied: no statement allows it", what)
	}
	return fmt.Sprintf("%s is denied: the session policy or boundary does not allow it", what)
}

// why says which part of a statement does not match a request.
func (s *statement) why(r *Request, m mismatch) string {
	switch m.where {
	case inAction:
		return listed("Action", r.Action, s.notActions, s.actions)
	case inResource:
		for _, p := range s.resources {
			if key := p.missing(r.Context); key != "" { // lower case, as contexts have it
				return fmt.Sprintf("Resource %s: the request has no %s", p.source, key)
			}
		}
		return listed("Resource", r.Resource, s.notResources, s.resources)
	}
	return m.condition.why(r.Context)
}

func listed(element, value string, not bool, patterns []*pattern) string {
	sources := make([]string, len(patterns))
	for i, p := range patterns {
		sources[i] = p.source
	}
	if not {
		return fmt.Sprintf("Not%s: %s is one of %s", element, value, strings.Join(sources, ", "))
	}
	return fmt.Sprintf("%s: %s is not %s", element, value, strings.Join(sources, " or "))
}

func (d *condition) why(c Context) string {
	what := fmt.Sprintf("Condition %s %s %s", d.operator, d.name, quoted(d.values))
	if values := c[d.key.name]; len(values) > 0 {
		return fmt.Sprintf("%s: the request has %s", what, quoted(values))
	}
	return what + ": the request does not have the key"
}

func quoted(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprintf("%q", v)
	}
	return strings.Join(out, ", ")
}

// missing returns a variable of the pattern that a request lacks, "" if it has all.
func (p *pattern) missing(c Context) string {
	for i := range p.pieces {
		if v := &p.pieces[i]; v.missing(c) {
			return v.key
		}
	}
	return ""
}
