package policy

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// modelTrust returns what DecideTrust must return, straight from the JSON like the model.
func modelTrust(
	t testing.TB, r Request, caller Caller, trust *Trust,
) (allowed, account, explicit bool) {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(trust.Text(), &doc); err != nil {
		t.Fatal(err)
	}
	byName := false
	for _, s := range asList(doc["Statement"]) {
		s := s.(map[string]any)
		name, member := modelPrincipal(s["Principal"], caller)
		m := &model{r, doc["Version"] == "2012-10-17", s["Effect"] == "Deny"}
		switch {
		case !name && !member || !m.applies(s):
		case m.deny:
			explicit = true
		default:
			allowed, byName = true, byName || name
		}
	}
	if explicit {
		return false, false, true
	}
	return allowed, allowed && !byName, false
}

// modelPrincipal reports whether a caller is named, and whether its account is.
func modelPrincipal(principal any, caller Caller) (name, member bool) {
	kinds, ok := principal.(map[string]any)
	if !ok {
		kinds = map[string]any{"AWS": principal}
	}
	for kind, values := range kinds {
		for _, v := range asList(values) {
			want := asText(v)
			switch {
			case want == "*":
				name, member = name || caller.Account == "", member || caller.Account != ""
			case kind == "AWS" && caller.Account != "" &&
				(want == caller.Account || want == "arn:aws:iam::"+caller.Account+":root"):
				member = true
			case kind == "AWS":
				name = name || strings.Contains("\n"+strings.Join(caller.ARNs, "\n")+"\n",
					"\n"+want+"\n")
			case kind == "Federated":
				name = name || strings.Contains("\n"+strings.Join(caller.Federated, "\n")+"\n",
					"\n"+want+"\n")
			case kind == "Service":
				name = name || want == caller.Service
			}
		}
	}
	return name, member
}

func (w writer) trust(t testing.TB) *Trust {
	t.Helper()
	statements := make([]any, 1+w.IntN(3))
	for i := range statements {
		principal := map[string]any{}
		for range 1 + w.IntN(2) {
			switch kind := w.of("AWS", "AWS", "Federated", "Service"); kind {
			case "AWS":
				principal[kind] = w.list(3, func() string {
					return w.of("111111111111", "222222222222", "arn:aws:iam::111111111111:root",
						"arn:aws:iam::111111111111:user/a", "arn:aws:iam::111111111111:user/A",
						"arn:aws:iam::222222222222:role/r",
						"arn:aws:sts::222222222222:assumed-role/r/s", "*")
				})
			case "Federated":
				principal[kind] = w.list(2, func() string {
					return w.of("id.example.com", "b.com")
				})
			case "Service":
				principal[kind] = w.of("credentials.iot.amazonaws.com", "ec2.amazonaws.com")
			}
		}
		s := map[string]any{"Effect": w.of("Allow", "Allow", "Allow", "Deny"),
			"Principal": principal,
			"Action": w.list(2, func() string {
				return w.of("sts:AssumeRole", "STS:assumerole*", "sts:*Identity", "sts:TagSession")
			}),
			"Condition": w.condition()}
		if w.IntN(8) == 0 {
			s["Principal"] = "*"
		}
		statements[i] = s
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := ParseTrust(text)
	if err != nil {
		return nil // a value that is no ARN
	}
	return trust
}

func TestDecideTrustAgreesWithTheModel(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(5, 6))}
	callers := []Caller{
		{ARNs: []string{"arn:aws:iam::111111111111:user/a"}, Account: "111111111111"},
		{ARNs: []string{"arn:aws:sts::222222222222:assumed-role/r/s",
			"arn:aws:iam::222222222222:role/r"}, Account: "222222222222"},
		{Federated: []string{"arn:aws:iam::111111111111:oidc-provider/id.example.com",
			"id.example.com"}},
		{Service: "credentials.iot.amazonaws.com"},
	}
	counts := map[TrustDecision]int{}
	for range 4000 {
		r, trust := w.request(), w.trust(t)
		if trust == nil {
			continue
		}
		r.Action = w.of("sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:TagSession")
		for _, caller := range callers {
			d := DecideTrust(r, caller, trust)
			allowed, account, explicit := modelTrust(t, r, caller, trust)
			if d.Allowed != allowed || d.Account != account || d.Explicit != explicit {
				t.Fatalf("%s\n%+v, %+v: %+v, the model: allowed %v, account %v, explicit %v",
					trust.Text(), r, caller, d, allowed, account, explicit)
			}
			counts[d]++
		}
	}
	for _, d := range []TrustDecision{{}, {Decision{Allowed: true}, false},
		{Decision{Allowed: true}, true}, {Decision: Decision{Explicit: true}}} {
		if counts[d] < 150 {
			t.Errorf("%+v only %d times: the writer does not try it", d, counts[d])
		}
	}
}
