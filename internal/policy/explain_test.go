package policy

import "testing"

func TestExplain(t *testing.T) {
	cameras := policyOf(t, "cameras", `{"Effect":"Allow","Action":["kinesisvideo:Get*","s3:*"],
			"Resource":"*"},
		{"Sid":"Own","Effect":"Allow","Action":"kinesisvideo:PutMedia",
			"Resource":"arn:aws:kinesisvideo:*:*:stream/${credentials-iot:ThingName}/*"},
		{"Sid":"Site","Effect":"Allow","NotAction":"kinesisvideo:Delete*","Resource":"*",
			"Condition":{"StringEquals":{"aws:ResourceTag/Site":["north","south"]}}}`)
	guard := policyOf(t, "guard", `{"Sid":"Office","Effect":"Deny","Action":"*","NotResource":
		"arn:aws:kinesisvideo:*:*:stream/back-door/*",
		"Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`)
	only := policyOf(t, "session", `{"Effect":"Allow","Action":"kinesisvideo:Get*","Resource":"*"}`)
	put := func(c Context) Request { return Request{"kinesisvideo:PutMedia", frontDoor, c} }
	inside := func(site ...string) Context {
		return Context{"aws:sourceip": {"10.1.2.3"}, "aws:resourcetag/site": site}
	}
	const what = "kinesisvideo:PutMedia on " + frontDoor + " is "
	for _, c := range []struct {
		name    string
		request Request
		bounds  [][]Named
		reason  string
		why     map[int]string // of some statements; "" for those that apply
	}{
		{"allowed", put(inside("north")), nil, what + "allowed by statement Site of policy cameras",
			map[int]string{
				0: "Action: kinesisvideo:PutMedia is not kinesisvideo:Get* or s3:*",
				1: "Resource arn:aws:kinesisvideo:*:*:stream/${credentials-iot:ThingName}/*: " +
					"the request has no credentials-iot:thingname",
				2: "",
				3: `Condition NotIpAddress aws:SourceIp "10.0.0.0/8": the request has "10.1.2.3"`,
			}},
		{"not allowed", put(inside("east")), nil, what + "denied: no statement allows it",
			map[int]string{2: `Condition StringEquals aws:ResourceTag/Site "north", "south": ` +
				`the request has "east"`}},
		{"without the tag", put(inside()), nil, what + "denied: no statement allows it",
			map[int]string{2: `Condition StringEquals aws:ResourceTag/Site "north", "south": ` +
				`the request does not have the key`}},
		{"denied", put(Context{"aws:sourceip": {"203.0.113.9"}, "aws:resourcetag/site": {"north"}}),
			nil, what + "denied by statement Office of policy guard", map[int]string{3: ""}},
		{"another resource",
			Request{"kinesisvideo:DeleteStream", backDoor, inside("north")}, nil,
			"kinesisvideo:DeleteStream on " + backDoor + " is denied: no statement allows it",
			map[int]string{2: "NotAction: kinesisvideo:DeleteStream is one of kinesisvideo:Delete*",
				3: "NotResource: " + backDoor +
					" is one of arn:aws:kinesisvideo:*:*:stream/back-door/*"}},
		{"a bound", put(inside("north")), [][]Named{{only}},
			what + "denied: the session policy or boundary does not allow it",
			map[int]string{2: "", 4: "Action: kinesisvideo:PutMedia is not kinesisvideo:Get*"}},
		{"a lost document", put(inside("north")), [][]Named{{{Name: "lost"}}},
			what + "denied: policy lost cannot be read", nil},
	} {
		identity := []Named{cameras, guard}
		e := Explain(c.request, identity, c.bounds...)
		if e.Reason != c.reason {
			t.Errorf("%s: %s, want %s", c.name, e.Reason, c.reason)
		}
		if e.Decision != Decide(c.request, identity, c.bounds...) {
			t.Errorf("%s: %+v is not the decision", c.name, e.Decision)
		}
		for i, why := range c.why {
			if s := e.Statements[i]; s.Why != why || s.Applies != (why == "") {
				t.Errorf("%s, %s: %q, want %q", c.name, s.Name(), s.Why, why)
			}
		}
	}
}
