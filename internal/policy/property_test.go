package policy

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// writer makes up documents and requests from so few words that they often match.
type writer struct{ *rand.Rand }

func (w writer) of(words ...string) string { return words[w.IntN(len(words))] }

func (w writer) list(most int, word func() string) any {
	if w.IntN(2) == 0 {
		return word()
	}
	out := make([]any, 1+w.IntN(most))
	for i := range out {
		out[i] = word()
	}
	return out
}

// text is a short pattern of few different letters.
func (w writer) text() string {
	var b strings.Builder
	for range w.IntN(5) {
		b.WriteString(w.of("a", "b", "a", "b", "é", ":", "*", "*", "?", "${*}", "${aws:username}",
			"${aws:userid}", "${aws:userid, 'ab'}", "${aws:PrincipalTag/b}"))
	}
	return b.String()
}

func (w writer) value() string {
	var b strings.Builder
	for range w.IntN(4) {
		b.WriteString(w.of("a", "b", "A", "é", ":", "*"))
	}
	return b.String()
}

func (w writer) action() string {
	return w.of("*", "kinesisvideo:*", "kinesisvideo:Get*", "KINESISVIDEO:getmedia", "k*:?etM*a",
		"kinesisvideo:PutMedia", "s3:*")
}

func (w writer) resource() string {
	switch w.IntN(4) {
	case 0:
		return "*"
	case 1:
		return w.of("arn:*", "arn:aws:kin*", "arn:aws:*:stream/a/1", "arn:aws:*o:*:stream/*",
			"arn:aws:kinesisvideo:*-1:*:stream/a/*", "arn:?ws:kinesisvideo:*:*:stream/?/1")
	}
	return "arn:aws:kinesisvideo:" + w.of("*", "us-east-1", "us-*") + ":" + w.of("*", "1", "?") +
		":stream/" + w.text() + w.of("", "/*")
}

func (w writer) condition() map[string]any {
	out := map[string]any{}
	for range w.IntN(3) {
		kind := w.of("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringLike",
			"StringNotEqualsIgnoreCase", "StringNotLike", "ArnLike", "ArnNotEquals", "IpAddress",
			"NotIpAddress", "Bool", "Null", "DateLessThan", "DateNotEquals",
			"DateGreaterThanEquals", "NumericLessThanEquals", "NumericNotEquals",
			"NumericGreaterThan")
		operator := kind
		if kind != "Null" {
			operator = w.of("", "", "ForAllValues:", "ForAnyValue:") + kind +
				w.of("", "", "IfExists")
		}
		key := w.of("aws:username", "AWS:UserName", "aws:userid", "aws:PrincipalTag/B")
		value := w.text
		switch {
		case strings.HasPrefix(operator, "For") && w.IntN(2) == 0:
			key = "aws:TagKeys"
		case strings.HasPrefix(kind, "Arn"):
			key, value = "aws:PrincipalArn", func() string {
				return w.of("${aws:PrincipalArn}", "arn:*:iam::1:user/"+w.text(),
					"arn:aws:*:a::"+w.text())
			}
		}
		words := map[string][]string{
			"Ip": {"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "::/0", "0.0.0.0/0",
				"::ffff:10.1.0.0/112"},
			"Not": {"10.0.0.0/8", "10.1.2.3", "2001:db8::/32"},
			"Boo": {"true", "false"}, "Nul": {"true", "false"},
			"Dat": {"2026", "2026-11-29T12:00:00Z", "1795953600", "2026-11-29T13:00:00.5+01:00"},
			"Num": {"5", "5.0", "-1", "10", "1795953600"},
		}
		for prefix, words := range words {
			if strings.HasPrefix(kind, prefix) {
				value = func() string { return w.of(words...) }
				if prefix == "Not" || prefix == "Ip" {
					key = "aws:SourceIp"
				} else if prefix != "Nul" {
					key = "aws:EpochTime"
				}
			}
		}
		values := any(value())
		if kind != "Bool" && kind != "Null" {
			values = w.list(3, value)
		}
		out[operator] = map[string]any{key: values}
	}
	return out
}

func (w writer) document() *Document {
	statements := make([]any, 1+w.IntN(3))
	for i := range statements {
		s := map[string]any{
			"Effect":                        w.of("Allow", "Allow", "Deny"),
			w.of("Action", "NotAction"):     w.list(2, w.action),
			w.of("Resource", "NotResource"): w.list(2, w.resource),
			"Condition":                     w.condition(),
		}
		statements[i] = s
	}
	text, err := json.Marshal(map[string]any{
		"Version": w.of("2012-10-17", "2012-10-17", "2008-10-17"), "Statement": statements})
	if err != nil {
		panic(err)
	}
	doc, err := Parse(text)
	if err != nil {
		return nil // a value that is no ARN
	}
	return doc
}

func (w writer) request() Request {
	c := Context{}
	values := map[string]func() string{
		"aws:username": w.value, "aws:userid": w.value, "aws:principaltag/b": w.value,
		"aws:tagkeys": w.value,
		"aws:sourceip": func() string {
			return w.of("10.1.2.3", "10.9.9.9", "::ffff:10.1.2.3", "2001:db8::1", "x")
		},
		"aws:epochtime": func() string {
			return w.of("1795953600", "5", "true", "False", "2026-11-29T12:00:00Z")
		},
		"aws:principalarn": func() string {
			return w.of("arn:aws:iam::1:user/", "arn:aws:s:a::") + w.value()
		},
	}
	for _, key := range slices.Sorted(maps.Keys(values)) { // in order: the seed decides
		many := 1
		switch w.IntN(5) {
		case 0:
			continue
		case 1:
			many = w.IntN(3)
		}
		for range many {
			c[key] = append(c[key], values[key]())
		}
	}
	resource := "arn:aws:kinesisvideo:us-east-1:1:stream/" + w.value() + w.of("", "/1")
	return Request{w.of("kinesisvideo:GetMedia", "kinesisvideo:PutMedia"), w.of(resource, resource,
		"*"), c}
}

func (w writer) set() (out []Named) {
	for range 1 + w.IntN(2) {
		if doc := w.document(); doc != nil {
			out = append(out, Named{"p", doc})
		}
	}
	return out
}

// Decide agrees with the model on everything that the writer makes up, and Explain agrees with
// Decide.
func TestDecideAgreesWithTheModel(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(1, 2))}
	counts := map[Decision]int{}
	for range 3000 {
		r, identity := w.request(), w.set()
		var bounds [][]Named
		if w.IntN(3) == 0 {
			bounds = append(bounds, w.set())
		}
		d := Decide(r, identity, bounds...)
		allowed, explicit := modelDecide(t, r, identity, bounds...)
		if d.Allowed != allowed || d.Explicit != explicit {
			for _, n := range append(identity, flat(bounds)...) {
				t.Logf("%s", n.Document.Text())
			}
			t.Fatalf("%+v: %+v, the model: allowed %v, explicit %v", r, d, allowed, explicit)
		}
		if e := Explain(r, identity, bounds...); e.Decision != d {
			t.Fatalf("%+v: %+v, explained as %+v", r, d, e.Decision)
		}
		counts[Decision{Allowed: allowed, Explicit: explicit}]++
	}
	for _, result := range []Decision{{Allowed: true}, {Explicit: true}, {}} {
		if counts[result] < 150 {
			t.Errorf("%+v only %d times: the writer does not try it", result, counts[result])
		}
	}
}

func flat(sets [][]Named) (out []Named) {
	for _, set := range sets {
		out = append(out, set...)
	}
	return out
}
