package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Document is a policy document: parsed, checked and immutable.
type Document struct {
	text       []byte
	variables  bool // the version has them
	statements []statement
}

// Text returns the document as it was put, without white space outside of strings. Callers must not
// change it.
func (d *Document) Text() []byte { return d.text }

// statement is one element of Statement.
type statement struct {
	sid          string
	deny         bool
	actions      []*pattern // lower case
	notActions   bool
	resources    []*pattern // none in a trust policy
	notResources bool
	principals   *principals // in a trust policy only
	conditions   []condition
}

// Parse reads a policy document of a user, a role or a session. It returns an *Error for anything
// that it does not understand.
func Parse(text []byte) (*Document, error) { return parse(text, false) }

func parse(text []byte, trust bool) (*Document, error) {
	root, compact, err := readJSON(text)
	if err != nil {
		return nil, err
	}
	limit := MaxDocument
	if trust {
		limit = maxTrust
	}
	if n := utf8.RuneCount(compact); n > limit {
		return nil, &Error{Reason: fmt.Sprintf("%d characters, more than %d", n, limit)}
	}
	p := parser{trust: trust, sids: map[string]bool{}}
	doc := &Document{text: compact}
	// Variables exist from 2012-10-17 on, and the version may follow the statements.
	for _, m := range root.members {
		if m.name == "Version" {
			if err := p.version(m.value); err != nil {
				return nil, err
			}
		}
	}
	doc.variables = p.variables
	for _, m := range root.members {
		switch m.name {
		case "Version":
		case "Id": // a label, without effect
			err = m.value.want(stringNode)
		case "Statement":
			doc.statements, err = p.statements(m.value)
		default:
			err = m.value.fault("is not an element of a policy document")
		}
		if err != nil {
			return nil, err
		}
	}
	if doc.statements == nil {
		return nil, root.fault("has no Statement")
	}
	return doc, nil
}

type parser struct {
	trust     bool
	variables bool
	sids      map[string]bool
}

func (p *parser) version(n *node) error {
	if err := n.want(stringNode); err != nil {
		return err
	}
	if n.text != "2012-10-17" && n.text != "2008-10-17" {
		return n.fault(`must be "2012-10-17" or "2008-10-17", not %q`, n.text)
	}
	p.variables = n.text == "2012-10-17"
	return nil
}

func (p *parser) statements(n *node) (out []statement, err error) {
	items, err := n.list()
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		s, err := p.statement(item)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (p *parser) statement(n *node) (s statement, err error) {
	if err := n.want(objectNode); err != nil {
		return s, err
	}
	has := map[string]bool{}
	for _, m := range n.members {
		has[m.name] = true
		switch m.name {
		case "Sid":
			s.sid, err = p.sid(m.value)
		case "Effect":
			s.deny, err = effect(m.value)
		case "Action", "NotAction":
			s.notActions = m.name == "NotAction"
			s.actions, err = p.actions(m.value)
		case "Resource", "NotResource":
			s.notResources = m.name == "NotResource"
			s.resources, err = p.resources(m.value)
		case "Condition":
			s.conditions, err = parseCondition(m.value, p.variables)
		case "Principal":
			s.principals, err = p.principal(m.value)
		case "NotPrincipal":
			err = m.value.fault("is not supported: deny by a condition on aws:PrincipalArn")
		default:
			err = m.value.fault("is not an element of a statement")
		}
		if err != nil {
			return s, err
		}
	}
	return s, p.complete(n, has)
}

// complete refuses statements that lack an element, or have two of a pair.
func (p *parser) complete(n *node, has map[string]bool) error {
	switch {
	case !has["Effect"]:
		return n.fault("has no Effect")
	case has["Action"] == has["NotAction"]:
		return n.fault("must have either Action or NotAction")
	case p.trust && has["NotAction"]:
		return n.fault("has NotAction, which a trust policy may not have")
	case p.trust && (has["Resource"] || has["NotResource"]):
		return n.fault("has a resource: that of a trust policy is its role")
	case p.trust && !has["Principal"]:
		return n.fault("has no Principal")
	case !p.trust && has["Principal"]:
		return n.fault("has a Principal: that of a policy is the user or role it is attached to")
	case !p.trust && has["Resource"] == has["NotResource"]:
		return n.fault("must have either Resource or NotResource")
	}
	return nil
}

// sid reads a statement's name: letters and digits, unique in its document.
func (p *parser) sid(n *node) (string, error) {
	if err := n.want(stringNode); err != nil {
		return "", err
	}
	if strings.ContainsFunc(n.text, func(r rune) bool { return !isAlphanumeric(r) }) {
		return "", n.fault("must be letters and digits, not %q", n.text)
	}
	if n.text != "" && p.sids[n.text] {
		return "", n.fault("%q is the Sid of an earlier statement", n.text)
	}
	p.sids[n.text] = true
	return n.text, nil
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func effect(n *node) (deny bool, err error) {
	if err := n.want(stringNode); err != nil {
		return false, err
	}
	if n.text != "Allow" && n.text != "Deny" {
		return false, n.fault(`must be "Allow" or "Deny", not %q`, n.text)
	}
	return n.text == "Deny", nil
}

// strings returns the strings of a node, which is one string or a list.
func (n *node) strings() ([]*node, error) {
	items, err := n.list()
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if err := item.want(stringNode); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// actions reads actions: service:Name with wildcards, or *.
func (p *parser) actions(n *node) (out []*pattern, err error) {
	items, err := n.strings()
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		service, name, ok := strings.Cut(item.text, ":")
		legal := func(r rune) bool { return isAlphanumeric(r) || strings.ContainsRune("-_.*?", r) }
		if item.text != "*" && (!ok || service == "" || name == "" ||
			strings.ContainsFunc(service+name, func(r rune) bool { return !legal(r) })) {
			return nil, item.fault("%q is not an action: write service:Name, or *", item.text)
		}
		if p.trust && !strings.EqualFold(service, "sts") {
			return nil, item.fault("%q is not an action of a trust policy: write sts:AssumeRole",
				item.text)
		}
		a, err := compile(strings.ToLower(item.text), anyWildcards, false)
		if err != nil {
			return nil, item.fault("%v", err)
		}
		a.source = item.text
		out = append(out, a)
	}
	return out, nil
}

// resources reads resources: ARNs with wildcards and variables, or *.
func (p *parser) resources(n *node) (out []*pattern, err error) {
	items, err := n.strings()
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		r, err := compile(item.text, resourceWildcards, p.variables)
		if err != nil {
			return nil, item.fault("%v", err)
		}
		whole := strings.Count(item.text, ":") >= 5 || strings.HasSuffix(item.text, "*")
		if item.text != "*" && (!strings.HasPrefix(item.text, "arn:") || !whole) {
			return nil, item.fault("%q is not an ARN: write "+
				"arn:aws:kinesisvideo:*:*:stream/NAME/*, or *", item.text)
		}
		out = append(out, r)
	}
	return out, nil
}
