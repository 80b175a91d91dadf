package policy

import (
	"slices"
	"testing"

	"weir/internal/api"
)

func TestWarnings(t *testing.T) {
	actions := []string{"kinesisvideo:GetMedia", "kinesisvideo:PutMedia", "weir:PutPolicy"}
	const all = `"Action":"*","Resource":"*"`
	for _, c := range []struct {
		document string
		want     []string
	}{
		{allow(`"Action":["kinesisvideo:putMEDIA","kinesisvideo:Get*","weir:*","*"],
			"Resource":["*","arn:aws:kinesisvideo:*:*:stream/door/*",
			"arn:aws:kinesisvideo:*:*:stream/door*","arn:aws:kinesisvideo:*:*:stream/d/1",
			"arn:aws:s3:::stream/a"]`), nil},
		{allow(`"Action":["kinesisvideo:PutMedai","s3:GetObject"],"Resource":"*"`), []string{
			"statement 1: there is no action kinesisvideo:PutMedai",
			"statement 1: there is no action s3:GetObject"}},
		{allow(`"Sid":"Door","NotAction":"kinesisvideo:Delete*",
			"Resource":"arn:aws:kinesisvideo:*:*:stream/${aws:username}"`), []string{
			"statement Door: there is no action kinesisvideo:Delete*",
			"statement Door: arn:aws:kinesisvideo:*:*:stream/${aws:username} matches no stream: " +
				"ARNs of streams end with a creation time; write " +
				"arn:aws:kinesisvideo:*:*:stream/${aws:username}/*"}},
		{`{"Statement":{"Effect":"Allow","Action":"*",
			"Resource":"arn:aws:kinesisvideo:*:*:stream/${aws:username}/*",
			"Condition":{"StringLike":{"aws:username":"${*}"}}}}`, []string{
			`statement 1: arn:aws:kinesisvideo:*:*:stream/${aws:username}/*: ` +
				`without "Version": "2012-10-17", variables are plain text`,
			`statement 1: ${*}: without "Version": "2012-10-17", variables are plain text`}},
		{allow(all + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"site"}}`), []string{
			`statement 1: ForAllValues:StringEquals aws:TagKeys also holds without the key: ` +
				`add "Null": {"aws:TagKeys": "false"}`}},
		{allow(all + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"site"},
			"Null":{"aws:tagkeys":"false"}}`), nil},
		{allow(all + `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"site"},
			"ForAnyValue:StringLike":{"aws:tagkeys":"*"}}`), nil},
		{`{"Statement":{"Effect":"Deny",` + all + `,
			"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"site"}}}}`, nil},
	} {
		if got := mustParse(t, c.document).Warnings(actions); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%q, want\n%q", c.document, got, c.want)
		}
	}
}

// The policies that come with Weir name only operations that exist.
func TestBuiltinPoliciesHaveNoWarnings(t *testing.T) {
	var actions []string
	for _, op := range api.Operations() {
		actions = append(actions, op.Action())
	}
	for _, named := range Builtin() {
		if got := named.Document.Warnings(actions); got != nil {
			t.Errorf("%s: %q", named.Name, got)
		}
	}
}
