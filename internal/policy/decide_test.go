package policy

import "testing"

func mustParse(t testing.TB, text string) *Document {
	t.Helper()
	doc, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return doc
}

func builtinNamed(t testing.TB, name string) []Named {
	t.Helper()
	for _, n := range Builtin() {
		if n.Name == name {
			return []Named{n}
		}
	}
	t.Fatalf("no policy %s", name)
	return nil
}

const (
	frontDoor = "arn:aws:kinesisvideo:us-east-1:123456789012:stream/front-door/1700000000000"
	backDoor  = "arn:aws:kinesisvideo:us-east-1:123456789012:stream/back-door/1700000000001"
)

func TestBuiltinPolicies(t *testing.T) {
	thing := Context{"credentials-iot:thingname": {"front-door"}}
	for _, c := range []struct {
		policy, action, resource string
		context                  Context
		want                     bool
	}{
		{"administrator", "kinesisvideo:DeleteStream", frontDoor, nil, true},
		{"administrator", "weir:CreateKey", "*", nil, true},
		{"read-only", "kinesisvideo:GetMedia", frontDoor, nil, true},
		{"read-only", "kinesisvideo:ListStreams", "*", nil, true},
		{"read-only", "kinesisvideo:PutMedia", frontDoor, nil, false},
		{"read-only", "kinesisvideo:DeleteStream", frontDoor, nil, false},
		{"read-only", "weir:ListKeys", "*", nil, false},
		{"producer", "kinesisvideo:PutMedia", frontDoor, nil, true},
		{"producer", "kinesisvideo:GetMedia", frontDoor, nil, false},
		{"viewer", "kinesisvideo:GetHLSStreamingSessionURL", frontDoor, nil, true},
		{"viewer", "kinesisvideo:PutMedia", frontDoor, nil, false},
		{"viewer", "kinesisvideo:UntagStream", frontDoor, nil, false},
		{"camera", "kinesisvideo:PutMedia", frontDoor, thing, true},
		{"camera", "kinesisvideo:CreateStream", frontDoor, thing, true},
		{"camera", "kinesisvideo:PutMedia", backDoor, thing, false},
		{"camera", "kinesisvideo:GetMedia", frontDoor, thing, false},
		{"camera", "kinesisvideo:PutMedia", frontDoor, nil, false},
		{"camera", "kinesisvideo:PutMedia", backDoor,
			Context{"credentials-iot:thingname": {"*"}}, false},
	} {
		d := Decide(Request{c.action, c.resource, c.context}, builtinNamed(t, c.policy))
		if d.Allowed != c.want || d.Explicit {
			t.Errorf("%s, %s on %s with %v: %+v", c.policy, c.action, c.resource, c.context, d)
		}
	}
}

func TestDecideCombinesPolicies(t *testing.T) {
	set := func(texts ...string) (out []Named) {
		for i, text := range texts {
			out = append(out, Named{string(rune('a' + i)), mustParse(t, text)})
		}
		return out
	}
	const (
		allowGet  = `{"Statement":{"Sid":"G","Effect":"Allow","Action":"kinesisvideo:Get*","Resource":"*"}}`
		allowAll  = `{"Statement":{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}}`
		denyMedia = `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
			{"Sid":"D","Effect":"Deny","Action":"kinesisvideo:GetMedia","Resource":"*"}]}`
	)
	get := Request{Action: "kinesisvideo:getmedia", Resource: frontDoor}
	put := Request{Action: "kinesisvideo:PutMedia", Resource: frontDoor}
	for _, c := range []struct {
		name     string
		request  Request
		identity []Named
		bounds   [][]Named
		want     Decision
	}{
		{"nothing allows", get, nil, nil, Decision{}},
		{"one allows", get, set(allowGet), nil, Decision{Allowed: true, Policy: "a", Sid: "G"}},
		{"the second allows", put, set(allowGet, allowAll), nil,
			Decision{Allowed: true, Policy: "b", Sid: "A"}},
		{"a later one denies", get, set(allowAll, denyMedia), nil,
			Decision{Explicit: true, Policy: "b", Sid: "D"}},
		{"a bound does not allow", put, set(allowAll), [][]Named{set(allowGet)}, Decision{}},
		{"a bound allows", get, set(allowAll), [][]Named{set(allowGet)},
			Decision{Allowed: true, Policy: "a", Sid: "A"}},
		{"a bound allows, the identity does not", get, nil, [][]Named{set(allowGet)}, Decision{}},
		{"a bound denies", get, set(allowAll), [][]Named{set(denyMedia)},
			Decision{Explicit: true, Policy: "a", Sid: "D"}},
		{"the second bound denies after one did not allow", get, set(allowAll),
			[][]Named{nil, set(denyMedia)}, Decision{Explicit: true, Policy: "a", Sid: "D"}},
		{"an empty bound allows nothing", get, set(allowAll), [][]Named{{}}, Decision{}},
		{"a lost document denies", get, append(set(allowAll), Named{Name: "lost"}), nil,
			Decision{Explicit: true, Policy: "lost"}},
	} {
		if d := Decide(c.request, c.identity, c.bounds...); d != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, d, c.want)
		}
	}
}
