package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzDecide parses anything. A refusal is an *Error. What is accepted is accepted again as Text
// returns it, and decides like the model, for requests of all kinds.
func FuzzDecide(f *testing.F) {
	files, err := filepath.Glob("builtin/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "kinesisvideo:PutMedia", frontDoor, "front-door")
	}
	f.Fuzz(func(t *testing.T, text []byte, action, resource, value string) {
		// A model for bytes that are not characters would say nothing about requests: HTTP has
		// none.
		action, resource = strings.ToValidUTF8(action, "?"), strings.ToValidUTF8(resource, "?")
		value = strings.ToValidUTF8(value, "?")
		if len(action)+len(resource)+len(value) > 300 {
			return // the model is slow
		}
		fuzzTrust(t, text, Request{action, resource, Context{"sts:externalid": {value}}})
		doc, err := Parse(text)
		if err != nil {
			if refused := new(Error); !errors.As(err, &refused) || refused.Reason == "" {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again, err := Parse(doc.Text())
		if err != nil || string(again.Text()) != string(doc.Text()) {
			t.Fatalf("%s: read again: %v", doc.Text(), err)
		}
		set := []Named{{"p", doc}}
		for _, c := range []Context{
			nil,
			{"aws:username": {value}, "credentials-iot:thingname": {value}, "aws:userid": {value},
				"aws:resourcetag/site": {value}, "aws:tagkeys": {value, "site"},
				"aws:sourceip": {"203.0.113.9"}, "aws:epochtime": {"1795953600"},
				"aws:currenttime": {"2026-11-29T12:00:00Z"}, "aws:securetransport": {"true"},
				"aws:principalarn": {"arn:aws:iam::123456789012:user/ann"}},
			{"aws:username": {"a", value}, "aws:tagkeys": {""}, "aws:sourceip": {"2001:db8::1"}},
		} {
			r := Request{action, resource, c}
			e := Explain(r, set)
			allowed, explicit := modelDecide(t, r, set)
			if e.Allowed != allowed || e.Explicit != explicit || e.Decision != Decide(r, set) {
				t.Fatalf("%s\n%+v: %+v, the model: allowed %v, explicit %v", doc.Text(), r, e,
					allowed, explicit)
			}
		}
	})
}

// fuzzTrust does the same for trust policies.
func fuzzTrust(t *testing.T, text []byte, r Request) {
	t.Helper()
	trust, err := ParseTrust(text)
	if err != nil {
		if !errors.As(err, new(*Error)) {
			t.Fatalf("%T: %v", err, err)
		}
		return
	}
	for _, caller := range []Caller{
		{ARNs: []string{"arn:aws:iam::123456789012:user/ann"}, Account: "123456789012"},
		{Federated: []string{"id.example.com"}},
		{Service: "credentials.iot.amazonaws.com"},
	} {
		d := DecideTrust(r, caller, trust)
		allowed, account, explicit := modelTrust(t, r, caller, trust)
		if d.Allowed != allowed || d.Account != account || d.Explicit != explicit {
			t.Fatalf("%s\n%+v, %+v: %+v, the model: allowed %v, account %v, explicit %v",
				trust.Text(), r, caller, d, allowed, account, explicit)
		}
	}
}
