package policy

import (
	"slices"
	"strings"
)

// Trust is the trust policy of a role: who may assume it.
type Trust struct{ doc *Document }

// Text returns the trust policy like Document.Text.
func (t *Trust) Text() []byte { return t.doc.text }

// principals is a Principal element.
type principals struct {
	everyone  bool
	aws       []string // ARNs of users, roles and role sessions
	accounts  []string // their numbers
	federated []string
	service   []string
}

// ParseTrust reads the trust policy of a role, in which each statement has a Principal and actions
// of sts, and no Resource. It returns an *Error for anything that it does not understand.
func ParseTrust(text []byte) (*Trust, error) {
	doc, err := parse(text, true)
	if err != nil {
		return nil, err
	}
	return &Trust{doc}, nil
}

// Caller wants to assume a role: a principal of an account, an identity that a provider vouches
// for, or a service.
type Caller struct {
	// ARNs are the names of the principal: its own ARN and, for the session of a role, the role's,
	// arn:aws:iam::ACCOUNT:role/NAME.
	ARNs    []string
	Account string // of a principal, its number
	// Federated are the names of the provider that vouches for a web identity: the ARN
	// arn:aws:iam::ACCOUNT:oidc-provider/HOST, and its host.
	Federated []string
	Service   string // credentials.iot.amazonaws.com for cameras
}

// TrustDecision is the answer of a role's trust policy.
type TrustDecision struct {
	Decision
	// Account says that the trust policy allows the caller's account and not the caller by name.
	// Then the caller also needs a policy of its own that allows sts:AssumeRole on the role: naming
	// an account "delegates authority to the account" (IAM user guide, "AWS JSON policy elements:
	// Principal").
	Account bool
}

// DecideTrust answers whether a caller may assume a role. The request has an sts action, the role's
// ARN, and keys such as sts:ExternalId.
func DecideTrust(r Request, caller Caller, trust *Trust) (decision TrustDecision) {
	if trust == nil {
		return TrustDecision{Decision: Decision{Explicit: true}}
	}
	for i := range trust.doc.statements {
		s := &trust.doc.statements[i]
		m := s.principals.match(caller)
		if m == notNamed || s.mismatch(&r).where != nowhere {
			continue
		}
		if s.deny {
			return TrustDecision{Decision: Decision{Explicit: true, Sid: s.sid}}
		}
		if !decision.Allowed || decision.Account && m == named {
			decision = TrustDecision{Decision{Allowed: true, Sid: s.sid}, m == accountNamed}
		}
	}
	return decision
}

type principalMatch int

const (
	notNamed principalMatch = iota
	accountNamed
	named
)

func (p *principals) match(c Caller) principalMatch {
	any := func(names, of []string) bool {
		return slices.ContainsFunc(names, func(n string) bool {
			return n != "" && slices.Contains(of, n)
		})
	}
	switch {
	case any(c.ARNs, p.aws), any(c.Federated, p.federated), any([]string{c.Service}, p.service):
		return named
	case any([]string{c.Account}, p.accounts):
		return accountNamed
	case p.everyone && c.Account != "":
		return accountNamed
	case p.everyone:
		return named
	}
	return notNamed
}

// principal reads a Principal element: "*", or lists by kind.
func (p *parser) principal(n *node) (*principals, error) {
	if n.kind == stringNode && n.text == "*" {
		return &principals{everyone: true}, nil
	}
	if n.kind != objectNode {
		return nil, n.fault(`must be "*", or an object with AWS, Federated or Service`)
	}
	if len(n.members) == 0 {
		return nil, n.fault("names nobody")
	}
	out := &principals{}
	for _, m := range n.members {
		items, err := m.value.strings()
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if err := out.add(m.name, item); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (p *principals) add(kind string, n *node) error {
	name := n.text
	switch {
	case kind != "AWS" && kind != "Federated" && kind != "Service":
		return n.fault("%q is not a kind of principal: write AWS, Federated or Service", kind)
	case kind == "AWS" && name == "*":
		p.everyone = true
		return nil
	case name == "" || strings.ContainsAny(name, "*?$"):
		return n.fault("%q: a principal has no wildcards and no variables; "+
			"use a condition on aws:PrincipalArn", name)
	case kind == "Federated":
		p.federated = append(p.federated, name)
		return nil
	case kind == "Service":
		p.service = append(p.service, name)
		return nil
	}
	if isAccount(name) {
		p.accounts = append(p.accounts, name)
		return nil
	}
	part := strings.SplitN(name, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[3] != "" || !isAccount(part[4]) ||
		part[2] != "iam" && part[2] != "sts" || part[5] == "" {
		return n.fault("%q is neither an account of 12 digits nor an ARN of iam or sts", name)
	}
	if part[5] == "root" {
		p.accounts = append(p.accounts, part[4])
		return nil
	}
	p.aws = append(p.aws, name)
	return nil
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}
