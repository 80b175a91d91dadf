package policy

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// IAM user guide, "IAM JSON policy elements: Resource" and "Action".
func TestResourcesAndActions(t *testing.T) {
	for _, c := range []struct {
		element, action, resource string
		want                      bool
	}{
		{`"Action":"kinesisvideo:Get*","Resource":"*"`, "kinesisvideo:GetMedia", "*", true},
		{`"Action":"kinesisvideo:Get*","Resource":"*"`, "kinesisvideo:Get", "*", true},
		{`"Action":"kinesisvideo:Get*","Resource":"*"`, "kinesisvideo:ListStreams", "*", false},
		{`"Action":"KINESISVIDEO:getmedia","Resource":"*"`, "kinesisvideo:GetMedia", "*", true},
		{`"Action":"kinesisvideo:GetMedia","Resource":"*"`, "KinesisVideo:GETMEDIA", "*", true},
		{`"Action":"kinesisvideo:GetMedia","Resource":"*"`,
			"kinesisvideo:GetMediaForFragmentList", "*", false},
		{`"Action":"kinesisvideo:*Media","Resource":"*"`, "kinesisvideo:PutMedia", "*", true},
		{`"Action":"kinesisvideo:?etMedia","Resource":"*"`, "kinesisvideo:GetMedia", "*", true},
		{`"Action":"kinesisvideo:?utMedia","Resource":"*"`, "kinesisvideo:GetMedia", "*", false},
		{`"Action":"*","Resource":"*"`, "weir:CreateKey", frontDoor, true},
		{`"Action":"kinesis:*","Resource":"*"`, "kinesisvideo:GetMedia", "*", false},
		{`"NotAction":"kinesisvideo:Delete*","Resource":"*"`, "kinesisvideo:GetMedia", "*", true},
		{`"NotAction":["s3:*","kinesisvideo:Delete*"],"Resource":"*"`,
			"kinesisvideo:DeleteStream", "*", false},

		// Calls that name no stream ask for *, which no ARN matches.
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:*:*:stream/*"`,
			"kinesisvideo:ListStreams", "*", false},
		{`"Action":"*","NotResource":"arn:aws:kinesisvideo:*:*:stream/*"`,
			"kinesisvideo:ListStreams", "*", true},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:*:*:stream/front-door/*"`, "a:b", frontDoor,
			true},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:*:*:stream/front-door"`, "a:b", frontDoor,
			false},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:*:*:stream/front-door*"`, "a:b", frontDoor,
			true},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:*:*:stream/Front-Door/*"`, "a:b", frontDoor,
			false},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:*:*:stream/front?door/*"`, "a:b", frontDoor,
			true},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:us-*:123456789012:stream/*/*"`, "a:b",
			frontDoor, true},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:eu-*:123456789012:stream/*/*"`, "a:b",
			frontDoor, false},
		{`"Action":"*","Resource":["arn:aws:s3:::x","arn:aws:kinesisvideo:*"]`, "a:b", frontDoor,
			true},
		{`"Action":"*","NotResource":["arn:aws:s3:::x","arn:aws:kinesisvideo:*"]`, "a:b", frontDoor,
			false},
		{`"Action":"*","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*/test/*"`, "s3:GetObject",
			"arn:aws:s3:::amzn-s3-demo-bucket/1/2/test/3/object.jpg", true},
		{`"Action":"*","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*/test/*"`, "s3:GetObject",
			"arn:aws:s3:::amzn-s3-demo-bucket//test/object.jpg", true},
		{`"Action":"*","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*/test/*"`, "s3:GetObject",
			"arn:aws:s3:::amzn-s3-demo-bucket/1-test/object.jpg", false},
		{`"Action":"*","Resource":"arn:aws:s3:::amzn-s3-demo-bucket/*/test/*"`, "s3:GetObject",
			"arn:aws:s3:::amzn-s3-demo-bucket/test/object.jpg", false},
		// A * that ends a part goes on beyond colons, one within a part does not.
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:*:stream/front-door/*"`, "a:b", frontDoor,
			true},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:u*:stream/front-door/*"`, "a:b", frontDoor,
			true},
		{`"Action":"*","Resource":"arn:aws:kinesisvideo:u*2:stream/front-door/*"`, "a:b", frontDoor,
			false},
	} {
		set := []Named{{"p", mustParse(t, allow(c.element))}}
		if d := Decide(Request{c.action, c.resource, nil}, set); d.Allowed != c.want {
			t.Errorf("%s, %s on %s: %+v", c.element, c.action, c.resource, d)
		}
	}
}

// Compiled patterns of every kind match what the model matches.
func TestGlobAgreesWithTheModel(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(3, 4))}
	word := func(most int, letters ...string) string {
		var b strings.Builder
		for range w.IntN(most) {
			b.WriteString(w.of(letters...))
		}
		return b.String()
	}
	matched := 0
	for range 30_000 {
		source := word(12, "a", "b", "€", ":", ":", "*", "*", "?")
		s := word(14, "a", "b", "€", ":", ":")
		var text []char
		for _, r := range source {
			text = append(text, char{r, false})
		}
		for kind, tokens := range map[wildcards][]token{anyWildcards: wild(text),
			resourceWildcards: resourceTokens(text), arnWildcards: arnTokens(text)} {
			p, err := compile(source, kind, true)
			if err != nil {
				t.Fatal(err)
			}
			want := matches(tokens, s)
			slow := newAutomaton(p.pieces[0].text).matches(s, false)
			if got := glob(p.pieces[0].text, s, false); got != want || slow != want {
				t.Fatalf("kind %d: %q matches %q: %v, %v", kind, source, s, got, slow)
			}
			if want {
				matched++
			}
		}
	}
	if matched < 300 {
		t.Errorf("only %d matches", matched)
	}
}

// The same with patterns of hundreds of elements, for which the automaton needs several words.
func TestLongPatternsAgreeWithTheModel(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(5, 6))}
	matched := 0
	for range 400 {
		var source, s strings.Builder
		var text []char
		for range 100 + w.IntN(200) {
			c := w.of("a", "b", "€", ":", "?", "*", "*")
			source.WriteString(c)
			text = append(text, char{[]rune(c)[0], false})
			if c == "*" || c == "?" { // mostly what matches
				c = w.of("a", "€", ":")
			} else if w.IntN(500) == 0 {
				c = "c"
			}
			s.WriteString(c)
		}
		for kind, tokens := range map[wildcards][]token{anyWildcards: wild(text),
			resourceWildcards: resourceTokens(text), arnWildcards: arnTokens(text)} {
			p, err := compile(source.String(), kind, true)
			if err != nil {
				t.Fatal(err)
			}
			want := matches(tokens, s.String())
			if got := newAutomaton(p.pieces[0].text).matches(s.String(), false); got != want {
				t.Fatalf("kind %d: %q matches %q: %v", kind, &source, &s, got)
			}
			if want {
				matched++
			}
		}
	}
	if matched < 50 || matched > 1100 {
		t.Errorf("%d matches of 1200", matched)
	}
}

// For a pattern that is made to be slow, search gives up, and the automaton decides.
func TestSlowPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		fold, want bool
	}{
		{"*" + strings.Repeat("a", 3000) + "b*", strings.Repeat("a", 1<<14), false, false},
		{"*" + strings.Repeat("a", 3000) + "b*", strings.Repeat("a", 1<<14) + "bc", false, true},
		{"*" + strings.Repeat("?a", 1500) + "b*", strings.Repeat("A", 1<<14), true, false},
		{"*" + strings.Repeat("?a", 1500) + "b*", strings.Repeat("A", 1<<14) + "B", true, true},
		{"*" + strings.Repeat("a?", 1500) + "b", strings.Repeat("a\xff", 1<<13) + "b", false, true},
	} {
		p, err := compile(c.pattern, anyWildcards, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := search(p.pieces[0].text, c.s, c.fold); ok {
			t.Errorf("%.20q… is searched for to the end", c.pattern)
		}
		if got := glob(p.pieces[0].text, c.s, c.fold); got != c.want {
			t.Errorf("%.20q… matches %d bytes: %v", c.pattern, len(c.s), got)
		}
	}
}

// The time for a pattern with many wildcards is in proportion to pattern and string. This one would
// outlast the universe if each * were tried with each other.
func TestGlobDoesNotBacktrackWithoutEnd(t *testing.T) {
	p, err := compile(strings.Repeat("a*", 3000)+"b", anyWildcards, false)
	if err != nil {
		t.Fatal(err)
	}
	if glob(p.pieces[0].text, strings.Repeat("a", 4096), false) {
		t.Error("matches")
	}
}
