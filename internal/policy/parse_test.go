package policy

import (
	"errors"
	"strings"
	"testing"
)

// allow makes a document with one statement that allows and has the given members.
func allow(members string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + members + `}]}`
}

// when makes a document with a Condition element.
func when(condition string) string {
	return allow(`"Action":"*","Resource":"*","Condition":` + condition)
}

func TestParseAccepts(t *testing.T) {
	for _, text := range []string{
		allow(`"Action":"*","Resource":"*"`),
		allow(`"Action":["kinesisvideo:Get*","KinesisVideo:listSTREAMS","a:b?"],"Resource":["*"]`),
		allow(`"NotAction":"s3:*","NotResource":"arn:aws:s3:::*"`),
		allow(`"Action":"*:*","Resource":"arn:*"`),
		allow(`"Action":"*","Resource":"*","Condition":{}`),
		allow(`"Action":"*","Resource":"*","Sid":""`),
		allow(`"Action":"*","Resource":"arn:aws:kinesisvideo:*:*:stream/${aws:username, 'x'}/*"`),
		`{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`,
		`{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"},"Version":"2008-10-17"}`,
		`{"Id":"a label","Version":"2012-10-17","Statement":[
			{"Effect":"Deny","Action":"*","Resource":"*"},{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		when(`{"StringLike":{"token.example.com:sub":"cam-*","login.example.com/realms/a:aud":"weir",
			"localhost:8080:sub":"x"},"ForAnyValue:StringEquals":{"token.example.com:amr":"mfa"}}`),
		// Without variables, as before 2012-10-17, braces are text.
		`{"Statement":{"Effect":"Deny","Action":"*","Resource":"arn:aws:x:::${"}}`,
	} {
		doc, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		again, err := Parse(doc.Text())
		if err != nil || string(again.Text()) != string(doc.Text()) {
			t.Errorf("%s: read again: %v", doc.Text(), err)
		}
	}
}

func TestTextIsTheDocumentWithoutWhiteSpace(t *testing.T) {
	doc := mustParse(t, "{ \"Statement\" : {\n\"Resource\":\"*\", \"Effect\":\"Allow\",\t"+
		"\"Action\":\"*\",\"Condition\":{\"StringEquals\":{\"aws:userid\":\"a  b\"}} } }\n")
	const want = `{"Statement":{"Resource":"*","Effect":"Allow","Action":"*",` +
		`"Condition":{"StringEquals":{"aws:userid":"a  b"}}}}`
	if string(doc.Text()) != want {
		t.Errorf("%s, want %s", doc.Text(), want)
	}
}

// Each document is refused, at the given path and for the given reason.
func TestParseRefuses(t *testing.T) {
	const condition = "Statement[0].Condition."
	for _, c := range []struct{ text, path, reason string }{
		{``, "", "is not JSON"},
		{`{"Statement":[}`, "", "is not JSON"},
		{allow(`"Action":"*","Resource":"*"`) + `{}`, "", "is not JSON"},
		{"{\"Statement\":\"\xff\"}", "", "is not UTF-8"},
		{`[]`, "", "must be an object, not a list"},
		{`{}`, "", "has no Statement"},
		{`{"Statement":[]}`, "Statement", "is an empty list"},
		{`{"Statement":["*"]}`, "Statement[0]", "must be an object, not a string"},
		{`{"Statement":null}`, "Statement", "must be an object, not null"},
		{`{"Version":"2012-10-18","Statement":{}}`, "Version", "must be"},
		{`{"Version":20121017,"Statement":{}}`, "Version", "must be a string"},
		{`{"version":"2012-10-17","Statement":{}}`, "version", "is not an element"},
		{`{"Id":1}`, "Id", "must be a string"},
		{`{"Id\n\u001b[2J":1}`, `"Id\n\x1b[2J"`, "is not an element"},
		{strings.Repeat(`{"Statement":[`, 9) + strings.Repeat(`]}`, 9), "", "nested too deep"},
		{`{"Statement":{"Effect":"Allow"},"Statement":{}}`, "Statement", "occurs twice"},

		{allow(`"Action":"*"`), "Statement[0]", "either Resource or NotResource"},
		{allow(`"Action":"*","Resource":"*","NotResource":"*"`), "Statement[0]", "either Resource"},
		{allow(`"Resource":"*"`), "Statement[0]", "either Action or NotAction"},
		{allow(`"Action":"*","NotAction":"*","Resource":"*"`), "Statement[0]", "either Action"},
		{`{"Statement":{"Action":"*","Resource":"*"}}`, "Statement", "has no Effect"},
		{allow(`"Action":"*","Resource":"*","Principal":"*"`), "Statement[0]", "has a Principal"},
		{allow(`"Action":"*","Resource":"*","NotPrincipal":"*"`), "Statement[0].NotPrincipal",
			"is not supported"},
		{allow(`"action":"*"`), "Statement[0].action", "is not an element of a statement"},
		{allow(`"Effect":"Deny"`), "Statement[0].Effect", "occurs twice"},
		{allow(`"Action":"*","Act\u0069on":"s3:*"`), "Statement[0].Action", "occurs twice"},
		{`{"Statement":{"Effect":"allow"}}`, "Statement.Effect", `"Allow" or "Deny", not "allow"`},
		{`{"Statement":{"Effect":["Allow"]}}`, "Statement.Effect", "must be a string, not a list"},
		{allow(`"Sid":"two words"`), "Statement[0].Sid", "letters and digits"},
		{`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Sid":"A"},{"Sid":"A"}]}`,
			"Statement[1].Sid", "is the Sid of an earlier statement"},

		{allow(`"Action":[]`), "Statement[0].Action", "is an empty list"},
		{allow(`"NotAction":[]`), "Statement[0].NotAction", "is an empty list"},
		{allow(`"Action":[["*"]]`), "Statement[0].Action[0]", "must be a string, not a list"},
		{allow(`"Action":null`), "Statement[0].Action", "must be a string, not null"},
		{allow(`"Action":["*","PutMedia"]`), "Statement[0].Action[1]", "is not an action"},
		{allow(`"Action":"kinesisvideo:"`), "Statement[0].Action", "is not an action"},
		{allow(`"Action":":PutMedia"`), "Statement[0].Action", "is not an action"},
		{allow(`"Action":""`), "Statement[0].Action", "is not an action"},
		{allow(`"Action":"a:b:c"`), "Statement[0].Action", "is not an action"},
		{allow(`"Action":"a:${aws:username}"`), "Statement[0].Action", "is not an action"},
		{allow(`"Action":"kinesisvideo:Put Media"`), "Statement[0].Action", "is not an action"},

		{allow(`"Resource":[]`), "Statement[0].Resource", "is an empty list"},
		{allow(`"NotResource":[]`), "Statement[0].NotResource", "is an empty list"},
		{allow(`"Resource":"front-door"`), "Statement[0].Resource", "is not an ARN"},
		{allow(`"Resource":"**"`), "Statement[0].Resource", "is not an ARN"},
		{allow(`"Resource":"arn:aws:kinesisvideo:stream/x"`), "Statement[0].Resource", "not an ARN"},
		{allow(`"Resource":"arn:aws:kinesisvideo:${aws:username}:*:stream/*"`),
			"Statement[0].Resource", "only follow the fifth colon"},
		{allow(`"Resource":"arn:aws:s3:::${aws:username"`), "Statement[0].Resource",
			"no closing brace"},
		{allow(`"Resource":"arn:aws:s3:::${}"`), "Statement[0].Resource", "not a condition key"},
		{allow(`"Resource":"arn:aws:s3:::${username}"`), "Statement[0].Resource",
			"not a condition key"},
		{allow(`"Resource":"arn:aws:s3:::${aws:TagKeys}"`), "Statement[0].Resource",
			"may have several values"},
		{allow(`"Resource":"arn:aws:s3:::${aws:username,x}"`), "Statement[0].Resource",
			"default is written"},
		{allow(`"Resource":"arn:aws:s3:::${aws:username, 'a'b'}"`), "Statement[0].Resource",
			"default is written"},

		{when(`[]`), "Statement[0].Condition", "must be an object"},
		{when(`{"StringEquals":{}}`), condition + "StringEquals", "names no condition key"},
		{when(`{"StringEquals":"x"}`), condition + "StringEquals", "must be an object"},
		{when(`{"StringEquals":{"aws:userid":[]}}`), condition + "StringEquals.aws:userid",
			"is an empty list"},
		{when(`{"StringEquals":{"aws:userid":null}}`), condition + "StringEquals.aws:userid",
			"not null"},
		{when(`{"StringEquals":{"aws:userid":{}}}`), condition + "StringEquals.aws:userid",
			"not an object"},
		{when(`{"stringEquals":{"aws:userid":"a"}}`), condition + "stringEquals.aws:userid",
			"did you mean StringEquals?"},
		{when(`{"StringMatches":{"aws:userid":"a"}}`), condition + "StringMatches.aws:userid",
			"is not a condition operator"},
		{when(`{"BinaryEquals":{"aws:userid":"YQ=="}}`), condition + "BinaryEquals.aws:userid",
			"is not a condition operator"},
		{when(`{"IfExists":{"aws:userid":"a"}}`), condition + "IfExists.aws:userid",
			"is not a condition operator"},
		{when(`{"ForSomeValues:StringLike":{"aws:userid":"a"}}`),
			condition + "ForSomeValues:StringLike.aws:userid", "is not a condition operator"},
		{when(`{"StringEquals":{"aws:userid":"a","AWS:UserId":"b"}}`),
			condition + "StringEquals.AWS:UserId", "occurs twice"},
		{when(`{"StringEquals":{"aws:TagKeys":"a"}}`), condition + "StringEquals.aws:TagKeys",
			"write ForAllValues:StringEquals or ForAnyValue:StringEquals"},
		{when(`{"StringEquals":{"aws:RessourceTag/a":"a"}}`),
			condition + "StringEquals.aws:RessourceTag/a", "not a condition key that Weir knows"},
		{when(`{"StringEquals":{"aws:ResourceTag":"a"}}`), condition + "StringEquals.aws:ResourceTag",
			"needs a tag key"},
		{when(`{"StringEquals":{"aws:ResourceTag/${TagKey}":"a"}}`),
			condition + "StringEquals.aws:ResourceTag/${TagKey}", "no variables"},
		{when(`{"StringEquals":{"aws:userid/x":"a"}}`), condition + "StringEquals.aws:userid/x",
			"not a condition key"},
		{when(`{"StringEquals":{"s3:prefix":"a"}}`), condition + "StringEquals.s3:prefix",
			"not a condition key"},
		{when(`{"NullIfExists":{"aws:userid":"true"}}`), condition + "NullIfExists.aws:userid",
			"Null takes neither"},
		{when(`{"ForAnyValue:Null":{"aws:TagKeys":"true"}}`),
			condition + "ForAnyValue:Null.aws:TagKeys", "Null takes neither"},
		{when(`{"Null":{"aws:userid":["true","false"]}}`), condition + "Null.aws:userid",
			"takes one value"},
		{when(`{"Null":{"aws:userid":"maybe"}}`), condition + "Null.aws:userid", "neither true"},
		{when(`{"Bool":{"aws:SecureTransport":["true","false"]}}`),
			condition + "Bool.aws:SecureTransport", "takes one value"},
		{when(`{"Bool":{"aws:SecureTransport":"yes"}}`), condition + "Bool.aws:SecureTransport",
			"neither true nor false"},
		{when(`{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","10.0.0.0/33"]}}`),
			condition + "IpAddress.aws:SourceIp[1]", "neither an address nor a range"},
		{when(`{"IpAddress":{"aws:SourceIp":"10.*"}}`), condition + "IpAddress.aws:SourceIp",
			"neither an address nor a range"},
		{when(`{"IpAddress":{"aws:SourceIp":"010.0.0.1"}}`), condition + "IpAddress.aws:SourceIp",
			"neither an address nor a range"},
		{when(`{"IpAddress":{"aws:SourceIp":"::ffff:10.0.0.0/95"}}`),
			condition + "IpAddress.aws:SourceIp", "begins at /96"},
		{when(`{"IpAddress":{"aws:SourceIp":"fe80::1%eth0"}}`), condition + "IpAddress.aws:SourceIp",
			"zone"},
		{when(`{"DateLessThan":{"aws:CurrentTime":"2026-11-29T12:00:00"}}`),
			condition + "DateLessThan.aws:CurrentTime", "is not a date"},
		{when(`{"DateLessThan":{"aws:CurrentTime":"2026-02-30"}}`),
			condition + "DateLessThan.aws:CurrentTime", "is not a date"},
		{when(`{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`),
			condition + "DateLessThan.aws:CurrentTime", "is not a date"},
		{when(`{"DateLessThan":{"aws:CurrentTime":"${aws:CurrentTime}"}}`),
			condition + "DateLessThan.aws:CurrentTime", "is not a date"},
		{when(`{"NumericEquals":{"aws:EpochTime":"1e9999"}}`),
			condition + "NumericEquals.aws:EpochTime", "is not a number"},
		{when(`{"ArnLike":{"aws:PrincipalArn":"*"}}`), condition + "ArnLike.aws:PrincipalArn",
			"not an ARN of six parts"},

		{strings.Repeat(" ", maxText+1), "", "65537 bytes, more than 65536"},
		{allow(`"Action":["` + strings.Repeat(`a:b","`, 1100) + `a:b"],"Resource":"*"`), "",
			"characters, more than 6144"},
	} {
		_, err := Parse([]byte(c.text))
		var refused *Error
		switch {
		case err == nil:
			t.Errorf("%.200s is accepted", c.text)
		case !errors.As(err, &refused):
			t.Errorf("%.200s: %T", c.text, err)
		case c.path != "" && refused.Path != c.path || !strings.Contains(refused.Reason, c.reason):
			t.Errorf("%.200s:\n%v\nwant %s: %s", c.text, err, c.path, c.reason)
		}
	}
}

func TestErrorsTellTheLine(t *testing.T) {
	_, err := Parse([]byte("{\n  \"Statement\": [\n    {\"Effect\": \"Allow\", \"Action\": " +
		"\"*\",\n     \"Resource\": [\"*\",\n  \"door\"]}\n  ]\n}"))
	const want = `line 5, column 3: Statement[0].Resource[1]: "door" is not an ARN: ` +
		`write arn:aws:kinesisvideo:*:*:stream/NAME/*, or *`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = Parse([]byte("{\n \"Statement\": ,\n}"))
	if err == nil || !strings.HasPrefix(err.Error(), "line 2, column 15: is not JSON: ") {
		t.Errorf("%v", err)
	}
}

// Variables are text in documents of 2008-10-17 and in those without a version.
func TestVersionDecidesAboutVariables(t *testing.T) {
	const statement = `"Statement":{"Effect":"Allow","Action":"*",
		"Resource":"arn:aws:kinesisvideo:*:*:stream/${aws:username}/*"}`
	c := Context{"aws:username": {"front-door"}}
	for version, want := range map[string]bool{
		``: false, `"Version":"2008-10-17",`: false, `"Version":"2012-10-17",`: true} {
		doc := mustParse(t, `{`+version+statement+`}`)
		if d := Decide(Request{"kinesisvideo:PutMedia", frontDoor, c},
			[]Named{{"p", doc}}); d.Allowed != want {
			t.Errorf("%q: %+v", version, d)
		}
	}
	doc := mustParse(t, `{`+statement+`,"Version":"2012-10-17"}`) // after the statement
	r := Request{"kinesisvideo:PutMedia", frontDoor, c}
	if d := Decide(r, []Named{{"p", doc}}); !d.Allowed {
		t.Errorf("version after the statement: %+v", d)
	}
}
