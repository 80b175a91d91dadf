package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func trustOf(t *testing.T, statements string) *Trust {
	t.Helper()
	trust, err := ParseTrust([]byte(`{"Version":"2012-10-17","Statement":[` + statements + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestTrust(t *testing.T) {
	ann := Caller{ARNs: []string{"arn:aws:iam::123456789012:user/ann"}, Account: "123456789012"}
	session := Caller{ARNs: []string{"arn:aws:sts::123456789012:assumed-role/nvr/one",
		"arn:aws:iam::123456789012:role/nvr"}, Account: "123456789012"}
	web := Caller{Federated: []string{"arn:aws:iam::123456789012:oidc-provider/id.example.com",
		"id.example.com"}}
	camera := Caller{Service: "credentials.iot.amazonaws.com"}

	assume := func(principal, more string) string {
		return fmt.Sprintf(`{"Sid":"S","Effect":"Allow","Action":"sts:AssumeRole",
			"Principal":%s%s}`, principal, more)
	}
	const withWeb = `{"Sid":"S","Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity",
		"Principal":{"Federated":"id.example.com"},
		"Condition":{"StringEquals":{"id.example.com:aud":"weir"}}}`
	const externalID = `,"Condition":{"StringEquals":{"sts:ExternalId":"1234"}}`
	allowed := func(account bool) TrustDecision {
		return TrustDecision{Decision{Allowed: true, Sid: "S"}, account}
	}
	denied := TrustDecision{Decision: Decision{Explicit: true, Sid: "D"}}
	for _, c := range []struct {
		name, statements string
		caller           Caller
		context          Context
		want             TrustDecision
	}{
		{"by name", assume(`{"AWS":"arn:aws:iam::123456789012:user/ann"}`, ``), ann, nil,
			allowed(false)},
		{"another's name", assume(`{"AWS":"arn:aws:iam::123456789012:user/Ann"}`, ``), ann, nil,
			TrustDecision{}},
		{"in a list", assume(`{"AWS":["arn:aws:iam::123456789012:user/bob",
			"arn:aws:iam::123456789012:user/ann"]}`, ``), ann, nil, allowed(false)},
		{"by account", assume(`{"AWS":"123456789012"}`, ``), ann, nil, allowed(true)},
		{"by the account's root", assume(`{"AWS":"arn:aws:iam::123456789012:root"}`, ``), ann, nil,
			allowed(true)},
		{"another account", assume(`{"AWS":"999999999999"}`, ``), ann, nil, TrustDecision{}},
		{"by account and by name", assume(`{"AWS":["123456789012",
			"arn:aws:iam::123456789012:user/ann"]}`, ``), ann, nil, allowed(false)},
		{"by account, then by name", assume(`{"AWS":"123456789012"}`, ``) + `,` +
			strings.Replace(assume(`{"AWS":"arn:aws:iam::123456789012:user/ann"}`, ``), `"Sid":"S",`,
				``, 1), ann, nil, TrustDecision{Decision{Allowed: true}, false}},
		{"everyone", assume(`"*"`, ``), ann, nil, allowed(true)},
		{"everyone of AWS", assume(`{"AWS":"*"}`, ``), ann, nil, allowed(true)},
		{"a session by its role", assume(`{"AWS":"arn:aws:iam::123456789012:role/nvr"}`, ``),
			session, nil, allowed(false)},
		{"a session by itself", assume(`{"AWS":"arn:aws:sts::123456789012:assumed-role/nvr/one"}`,
			``), session, nil, allowed(false)},
		{"another session", assume(`{"AWS":"arn:aws:sts::123456789012:assumed-role/nvr/two"}`, ``),
			session, nil, TrustDecision{}},
		{"an external id", assume(`"*"`, externalID), ann, key("sts:ExternalId", "1234"),
			allowed(true)},
		{"a wrong external id", assume(`"*"`, externalID), ann, key("sts:ExternalId", "12345"),
			TrustDecision{}},
		{"no external id", assume(`"*"`, externalID), ann, nil, TrustDecision{}},
		{"a service", assume(`{"Service":"credentials.iot.amazonaws.com"}`, ``), camera, nil,
			allowed(false)},
		{"another service", assume(`{"Service":"ec2.amazonaws.com"}`, ``), camera, nil,
			TrustDecision{}},
		{"a service is no account", assume(`{"AWS":"123456789012"}`, ``), camera, nil,
			TrustDecision{}},
		{"another action", withWeb, ann, nil, TrustDecision{}},
		{"a denial", assume(`"*"`, ``) + `,{"Sid":"D","Effect":"Deny","Action":"sts:*",
			"Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"}}`, ann, nil, denied},
		{"a denial of the account", `{"Sid":"D","Effect":"Deny","Action":"sts:AssumeRole",
			"Principal":{"AWS":"123456789012"}},` +
			assume(`{"AWS":"arn:aws:iam::123456789012:user/ann"}`, ``), ann, nil, denied},
		{"a denial of another", assume(`"*"`, ``) + `,{"Effect":"Deny","Action":"sts:*",
			"Principal":{"AWS":"arn:aws:iam::123456789012:user/bob"}}`, ann, nil, allowed(true)},
	} {
		r := Request{"sts:AssumeRole", "arn:aws:iam::123456789012:role/r", c.context}
		if d := DecideTrust(r, c.caller, trustOf(t, c.statements)); d != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, d, c.want)
		}
	}

	r := Request{"sts:AssumeRoleWithWebIdentity", "*", key("id.example.com:aud", "weir")}
	if d := DecideTrust(r, web, trustOf(t, withWeb)); d != allowed(false) {
		t.Errorf("web identity: %+v", d)
	}
	r.Context = key("id.example.com:aud", "other")
	if d := DecideTrust(r, web, trustOf(t, withWeb)); d.Allowed {
		t.Errorf("web identity for another audience: %+v", d)
	}
	if d := DecideTrust(r, web, nil); d.Allowed || !d.Explicit {
		t.Errorf("without a trust policy: %+v", d)
	}
	if d := DecideTrust(r, Caller{}, trustOf(t, withWeb)); d.Allowed {
		t.Errorf("nobody: %+v", d)
	}
}

func TestParseTrustRefuses(t *testing.T) {
	for _, c := range []struct{ members, path, reason string }{
		{`"Action":"sts:AssumeRole"`, "", "has no Principal"},
		{`"Action":"sts:AssumeRole","Principal":"*","Resource":"*"`, "", "has a resource"},
		{`"NotAction":"sts:TagSession","Principal":"*"`, "", "has NotAction"},
		{`"Action":"*","Principal":"*"`, ".Action", "is not an action of a trust policy"},
		{`"Action":"kinesisvideo:GetMedia","Principal":"*"`, ".Action", "is not an action of a trust"},
		{`"Principal":{}`, ".Principal", "names nobody"},
		{`"Principal":"ann"`, ".Principal", `must be "*"`},
		{`"Principal":{"AWS":[]}`, ".Principal.AWS", "is an empty list"},
		{`"Principal":{"AWS":"ann"}`, ".Principal.AWS", "is neither an account"},
		{`"Principal":{"AWS":"12345678901"}`, ".Principal.AWS", "is neither an account"},
		{`"Principal":{"AWS":"arn:aws:s3:::bucket"}`, ".Principal.AWS", "is neither an account"},
		{`"Principal":{"AWS":"arn:aws:ec2::123456789012:user/ann"}`, ".Principal.AWS",
			"is neither an account"},
		{`"Principal":{"AWS":"arn:aws:iam::123456789012:"}`, ".Principal.AWS",
			"is neither an account"},
		{`"Principal":{"AWS":["*","arn:aws:iam::123456789012:user/*"]}`, ".Principal.AWS[1]",
			"a principal has no wildcards"},
		{`"Principal":{"Service":"*"}`, ".Principal.Service", "a principal has no wildcards"},
		{`"Principal":{"Federated":""}`, ".Principal.Federated", "a principal has no wildcards"},
		{`"Principal":{"CanonicalUser":"79a59df9"}`, ".Principal.CanonicalUser", "not a kind"},
		{`"NotPrincipal":"*"`, ".NotPrincipal", "is not supported"},
	} {
		_, err := ParseTrust([]byte(allow(c.members)))
		var refused *Error
		if !errors.As(err, &refused) || refused.Path != "Statement[0]"+c.path ||
			!strings.Contains(refused.Reason, c.reason) {
			t.Errorf("%s: %v, want %s: %s", c.members, err, c.path, c.reason)
		}
	}
}
