package policy

import (
	"fmt"
	"testing"
)

// vector is a condition, a request, and whether the condition holds.
type vector struct {
	condition string // JSON without the outer braces
	context   Context
	want      bool
}

// check puts the condition into a statement that allows and one that denies. Both must agree.
func check(t *testing.T, vectors []vector) {
	t.Helper()
	for _, v := range vectors {
		for _, deny := range []bool{false, true} {
			if got := holds(t, v.condition, deny, v.context); got != v.want {
				t.Errorf("{%s} with %v, deny %v: %v, want %v", v.condition, v.context, deny, got,
					v.want)
			}
		}
	}
}

func holds(t *testing.T, condition string, deny bool, c Context) bool {
	t.Helper()
	effect := "Allow"
	if deny {
		effect = "Deny"
	}
	doc := mustParse(t, fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":%q,
		"Action":"*","Resource":"*","Condition":{%s}}}`, effect, condition))
	d := Decide(Request{"kinesisvideo:GetMedia", frontDoor, c}, []Named{{"p", doc}})
	return d.Allowed || d.Explicit
}

func key(name string, values ...string) Context {
	c := Context{}
	c.Set(name, values...)
	return c
}

// IAM user guide, "Condition operators", "String condition operators".
func TestStringConditions(t *testing.T) {
	site := func(values ...string) Context { return key("aws:ResourceTag/site", values...) }
	check(t, []vector{
		{`"StringEquals":{"aws:ResourceTag/site":"north"}`, site("north"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"north"}`, site("North"), false},
		{`"StringEquals":{"aws:ResourceTag/site":"north"}`, site("northern"), false},
		{`"StringEquals":{"aws:ResourceTag/site":"n*"}`, site("north"), false},
		{`"StringEquals":{"aws:ResourceTag/site":"n*"}`, site("n*"), true},
		{`"StringEquals":{"aws:ResourceTag/site":["south","north"]}`, site("north"), true},
		{`"StringEquals":{"aws:ResourceTag/site":""}`, site(""), true},
		{`"StringEquals":{"aws:ResourceTag/site":7}`, site("7"), true},
		{`"StringEquals":{"aws:ResourceTag/site":true}`, site("true"), true},
		// Names of keys are compared without case, including those of tags; values with it.
		{`"StringEquals":{"AWS:resourceTAG/SITE":"north"}`, site("north"), true},
		{`"StringEquals":{"aws:ResourceTag/Straße":"a"}`, key("aws:resourcetag/STRAßE", "a"), true},

		{`"StringNotEquals":{"aws:ResourceTag/site":"north"}`, site("south"), true},
		{`"StringNotEquals":{"aws:ResourceTag/site":"north"}`, site("north"), false},
		// Several values of a negated operator are a NOR.
		{`"StringNotEquals":{"aws:ResourceTag/site":["north","south"]}`, site("south"), false},
		{`"StringNotEquals":{"aws:ResourceTag/site":["north","south"]}`, site("east"), true},

		{`"StringEqualsIgnoreCase":{"aws:ResourceTag/site":"nORTH"}`, site("North"), true},
		{`"StringEqualsIgnoreCase":{"aws:ResourceTag/site":"ÉTAGE"}`, site("étage"), true},
		{`"StringEqualsIgnoreCase":{"aws:ResourceTag/site":"n*"}`, site("north"), false},
		{`"StringNotEqualsIgnoreCase":{"aws:ResourceTag/site":"nORTH"}`, site("North"), false},
		{`"StringNotEqualsIgnoreCase":{"aws:ResourceTag/site":"nORTH"}`, site("south"), true},

		{`"StringLike":{"aws:ResourceTag/site":"n*th"}`, site("north"), true},
		{`"StringLike":{"aws:ResourceTag/site":"n*th"}`, site("North"), false},
		{`"StringLike":{"aws:ResourceTag/site":"nort?"}`, site("north"), true},
		{`"StringLike":{"aws:ResourceTag/site":"north?"}`, site("north"), false},
		{`"StringLike":{"aws:ResourceTag/site":"north*"}`, site("north"), true},
		{`"StringLike":{"aws:ResourceTag/site":"nor"}`, site("north"), false},
		{`"StringLike":{"aws:ResourceTag/site":"?*"}`, site(""), false},
		{`"StringLike":{"aws:ResourceTag/site":"*"}`, site(""), true},
		{`"StringLike":{"aws:ResourceTag/site":"?"}`, site("€"), true}, // a character, not a byte
		{`"StringLike":{"aws:ResourceTag/site":"*??"}`, site("€"), false},
		{`"StringLike":{"aws:ResourceTag/site":"[a-z]*"}`, site("north"), false},
		{`"StringLike":{"aws:ResourceTag/site":"a*b*c"}`, site("abXcbYc"), true},
		{`"StringLike":{"aws:ResourceTag/site":"a\nb*"}`, site("a\nbc"), true},
		{`"StringNotLike":{"aws:ResourceTag/site":"n*"}`, site("north"), false},
		{`"StringNotLike":{"aws:ResourceTag/site":"n*"}`, site("south"), true},
	})
}

// "If the key that you specify in a policy condition is not present in the request context, the
// values do not match and the condition is false. If the policy condition requires that the key is
// not matched […] the condition is true" (IAM user guide, "Condition operators").
func TestConditionsOnAbsentKeys(t *testing.T) {
	negated := []string{"StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike"}
	positive := []string{"StringEquals", "StringEqualsIgnoreCase", "StringLike"}
	for _, absent := range []Context{nil, {}, key("aws:ResourceTag/site")} {
		for _, op := range positive {
			check(t, []vector{
				{`"` + op + `":{"aws:ResourceTag/site":"north"}`, absent, false},
				{`"` + op + `":{"aws:ResourceTag/site":""}`, absent, false},
				{`"` + op + `IfExists":{"aws:ResourceTag/site":"north"}`, absent, true},
				{`"ForAnyValue:` + op + `":{"aws:ResourceTag/site":"north"}`, absent, false},
				{`"ForAllValues:` + op + `":{"aws:ResourceTag/site":"north"}`, absent, true},
			})
		}
		for _, op := range negated {
			check(t, []vector{
				{`"` + op + `":{"aws:ResourceTag/site":"north"}`, absent, true},
				{`"` + op + `IfExists":{"aws:ResourceTag/site":"north"}`, absent, true},
				{`"ForAnyValue:` + op + `":{"aws:ResourceTag/site":"north"}`, absent, false},
				{`"ForAllValues:` + op + `":{"aws:ResourceTag/site":"north"}`, absent, true},
			})
		}
		check(t, []vector{
			{`"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}`, absent, false},
			{`"NotIpAddress":{"aws:SourceIp":"0.0.0.0/0"}`, absent, true},
			{`"Bool":{"aws:SecureTransport":"false"}`, absent, false},
			{`"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`, absent, true},
			{`"DateLessThan":{"aws:TokenIssueTime":"2026-01-01T00:00:00Z"}`, absent, false},
			{`"DateNotEquals":{"aws:TokenIssueTime":"2026-01-01T00:00:00Z"}`, absent, true},
			{`"NumericLessThan":{"aws:MultiFactorAuthAge":3600}`, absent, false},
			{`"NumericNotEquals":{"aws:MultiFactorAuthAge":3600}`, absent, true},
			{`"ArnLike":{"aws:SourceArn":"arn:*:*:*:*:*"}`, absent, false},
			{`"ArnNotLike":{"aws:SourceArn":"arn:*:*:*:*:*"}`, absent, true},
			{`"Null":{"aws:ResourceTag/site":"true"}`, absent, true},
			{`"Null":{"aws:ResourceTag/site":"false"}`, absent, false},
			{`"Null":{"aws:TagKeys":true}`, absent, true},
		})
	}
	check(t, []vector{
		{`"StringEqualsIfExists":{"aws:ResourceTag/site":"north"}`,
			key("aws:ResourceTag/site", "south"), false},
		{`"Null":{"aws:ResourceTag/site":"true"}`, key("aws:ResourceTag/site", "a"), false},
		{`"Null":{"aws:ResourceTag/site":"false"}`, key("aws:ResourceTag/site", "a"), true},
		// A tag without a value exists.
		{`"Null":{"aws:ResourceTag/site":false}`, key("aws:ResourceTag/site", ""), true},
		// All operators and all keys of an operator must hold.
		{`"StringEquals":{"aws:username":"ann","aws:ResourceTag/site":"north"}`,
			Context{"aws:username": {"ann"}, "aws:resourcetag/site": {"north"}}, true},
		{`"StringEquals":{"aws:username":"ann","aws:ResourceTag/site":"north"}`,
			key("aws:username", "ann"), false},
		{`"StringEquals":{"aws:username":"ann"},"Bool":{"aws:SecureTransport":"true"}`,
			Context{"aws:username": {"ann"}, "aws:securetransport": {"false"}}, false},
		{``, nil, true},
	})
}

// The tables of the IAM user guide, "Multivalued context key examples", and the page "Single-valued
// vs. multivalued context keys".
func TestSetOperators(t *testing.T) {
	tags := func(values ...string) Context { return key("aws:TagKeys", values...) }
	check(t, []vector{
		{`"ForAllValues:StringNotLike":{"aws:TagKeys":"key1*"}`, tags("key1:legal"), false},
		{`"ForAllValues:StringNotLike":{"aws:TagKeys":"key1*"}`,
			tags("key1:hr", "key1:personnel"), false},
		{`"ForAllValues:StringNotLike":{"aws:TagKeys":"key1*"}`, tags("key2:audit"), true},
		{`"ForAllValues:StringNotLike":{"aws:TagKeys":"key1*"}`, nil, true},
		{`"ForAllValues:StringNotLike":{"aws:TagKeys":["key1*","key2*"]}`,
			tags("key1:legal", "key2:audit"), false},
		{`"ForAllValues:StringNotLike":{"aws:TagKeys":["key1*","key2*"]}`,
			tags("key3:legal", "key3:audit"), true},
		{`"ForAllValues:StringNotLike":{"aws:TagKeys":["key1*","key2*"]}`,
			tags("key3:legal", "key2:audit"), false},

		{`"ForAllValues:StringEquals":{"aws:TagKeys":["site","floor"]}`, tags("site"), true},
		{`"ForAllValues:StringEquals":{"aws:TagKeys":["site","floor"]}`,
			tags("floor", "site"), true},
		{`"ForAllValues:StringEquals":{"aws:TagKeys":["site","floor"]}`,
			tags("floor", "owner"), false},
		{`"ForAllValues:StringEquals":{"aws:TagKeys":["site","floor"]}`, tags("Site"), false},
		{`"ForAllValues:StringLike":{"aws:TagKeys":"PostDateTime"}`,
			tags("PostDateTime", "UserName"), false},

		{`"ForAnyValue:StringEquals":{"aws:TagKeys":["site","floor"]}`,
			tags("floor", "owner"), true},
		{`"ForAnyValue:StringEquals":{"aws:TagKeys":["site","floor"]}`, tags("owner"), false},
		{`"ForAnyValue:StringEquals":{"aws:TagKeys":["ID","PostDateTime"]}`,
			tags("UserName", "Message", "PostDateTime"), true},
		{`"ForAnyValue:StringNotEquals":{"aws:TagKeys":"site"}`, tags("site"), false},
		{`"ForAnyValue:StringNotEquals":{"aws:TagKeys":"site"}`, tags("site", "owner"), true},
		{`"ForAnyValue:StringNotEquals":{"aws:TagKeys":["site","owner"]}`,
			tags("site", "owner"), false},

		// "If the key values in the request resolve to an empty data set (for example, an empty
		// string)".
		{`"ForAllValues:StringEquals":{"aws:RequestTag/site":"a"}`,
			key("aws:RequestTag/site", ""), true},
		{`"ForAnyValue:StringEquals":{"aws:RequestTag/site":""}`,
			key("aws:RequestTag/site", ""), false},
		{`"ForAnyValue:StringNotEquals":{"aws:RequestTag/site":"a"}`,
			key("aws:RequestTag/site", ""), false},
		{`"ForAllValues:StringEquals":{"aws:TagKeys":"a"}`, tags("", "b"), false},

		// "If the key is not present, evaluate the condition element as true."
		{`"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":"site"}`, nil, true},
		{`"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":"site"}`, tags("owner"), false},
		{`"ForAllValues:StringEqualsIfExists":{"aws:TagKeys":"site"}`, nil, true},
		{`"ForAllValues:StringEqualsIfExists":{"aws:TagKeys":"site"}`, tags("owner"), false},
		{`"ForAllValues:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:TagKeys":"false"}`,
			nil, false},
		{`"ForAnyValue:IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`,
			key("aws:SourceIp", "10.1.1.1"), true},
		{`"ForAnyValue:Bool":{"aws:SecureTransport":"true"}`,
			key("aws:SecureTransport", "true"), true},
	})
}

// IAM user guide, "Condition operators", "IP address condition operators".
func TestAddressConditions(t *testing.T) {
	from := func(address string) Context { return key("aws:SourceIp", address) }
	in := func(network string) string { return `"IpAddress":{"aws:SourceIp":` + network + `}` }
	check(t, []vector{
		{in(`"203.0.113.0/24"`), from("203.0.113.0"), true},
		{in(`"203.0.113.0/24"`), from("203.0.113.255"), true},
		{in(`"203.0.113.0/24"`), from("203.0.114.0"), false},
		{in(`"203.0.113.7"`), from("203.0.113.7"), true},
		{in(`"203.0.113.7"`), from("203.0.113.8"), false},
		{in(`"203.0.113.7/24"`), from("203.0.113.9"), true}, // bits of the host do not matter
		{in(`["203.0.113.0/24","2001:DB8:1234:5678::/64"]`), from("2001:db8:1234:5678::9"), true},
		{in(`["203.0.113.0/24","2001:DB8:1234:5678::/64"]`), from("2001:db8:1234:5679::9"), false},
		{in(`"2001:db8::1"`), from("2001:DB8:0:0::1"), true},
		{in(`"0.0.0.0/0"`), from("203.0.113.7"), true},
		{in(`"0.0.0.0/0"`), from("2001:db8::1"), false},
		{in(`"::/0"`), from("2001:db8::1"), true},
		{in(`"::/0"`), from("203.0.113.7"), false},
		// IPv4 within IPv6, as from a listener for both.
		{in(`"203.0.113.0/24"`), from("::ffff:203.0.113.9"), true},
		{in(`"::ffff:203.0.113.0/120"`), from("203.0.113.9"), true},
		{in(`"::ffff:203.0.113.0/120"`), from("203.0.114.9"), false},
		{in(`"::ffff:203.0.113.7"`), from("203.0.113.7"), true},
		{in(`"::ffff:0:0/96"`), from("203.0.113.7"), true},
		{in(`"fe80::/10"`), from("fe80::1%eth0"), true},

		{`"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, from("203.0.113.9"), false},
		{`"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, from("::ffff:203.0.113.9"), false},
		{`"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, from("198.51.100.1"), true},
		{`"NotIpAddress":{"aws:SourceIp":["203.0.113.0/24","198.51.100.0/24"]}`,
			from("198.51.100.1"), false},
	})
}

// IAM user guide, "Condition operators", "Date condition operators".
func TestDateConditions(t *testing.T) {
	now := func(s string) Context { return key("aws:CurrentTime", s) }
	const noon = "2026-11-29T12:00:00Z" // 1795953600
	check(t, []vector{
		{`"DateLessThan":{"aws:CurrentTime":"2026-11-29T12:00:01Z"}`, now(noon), true},
		{`"DateLessThan":{"aws:CurrentTime":"2026-11-29T12:00:00Z"}`, now(noon), false},
		{`"DateLessThanEquals":{"aws:CurrentTime":"2026-11-29T12:00:00Z"}`, now(noon), true},
		{`"DateGreaterThan":{"aws:CurrentTime":"2026-11-29T12:00:00Z"}`, now(noon), false},
		{`"DateGreaterThan":{"aws:CurrentTime":"2026-11-29T11:59:59.999Z"}`, now(noon), true},
		{`"DateGreaterThanEquals":{"aws:CurrentTime":"2026-11-29T12:00:00Z"}`, now(noon), true},
		{`"DateEquals":{"aws:CurrentTime":"2026-11-29T13:00:00+01:00"}`, now(noon), true},
		{`"DateEquals":{"aws:CurrentTime":"2026-11-29T12:00Z"}`, now(noon), true},
		{`"DateNotEquals":{"aws:CurrentTime":"2026-11-29T12:00:00Z"}`, now(noon), false},
		{`"DateNotEquals":{"aws:CurrentTime":"2026-11-29"}`, now(noon), true},
		{`"DateGreaterThan":{"aws:CurrentTime":"2026-11-29"}`, now(noon), true},
		{`"DateLessThan":{"aws:CurrentTime":"2026-12"}`, now(noon), true},
		{`"DateLessThan":{"aws:CurrentTime":"2027"}`, now(noon), true}, // a year
		{`"DateLessThan":{"aws:CurrentTime":2027}`, now(noon), true},
		// Seconds since 1970, on both sides.
		{`"DateEquals":{"aws:CurrentTime":"1795953600"}`, now(noon), true},
		{`"DateEquals":{"aws:CurrentTime":1795953600}`, now(noon), true},
		{`"DateLessThan":{"aws:CurrentTime":1795953600}`, now(noon), false},
		{`"DateLessThan":{"aws:EpochTime":"2026-11-29T12:00:01Z"}`,
			key("aws:EpochTime", "1795953600"), true},
		{`"DateGreaterThanEquals":{"aws:EpochTime":1795953600}`,
			key("aws:EpochTime", "1795953600"), true},
		{`"NumericGreaterThanEquals":{"aws:EpochTime":1795953600}`,
			key("aws:EpochTime", "1795953600"), true},
		// Between two dates.
		{`"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"},
			"DateLessThan":{"aws:CurrentTime":"2026-12-31T23:59:59Z"}`, now(noon), true},
		{`"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"},
			"DateLessThan":{"aws:CurrentTime":"2026-06-30T23:59:59Z"}`, now(noon), false},
	})
}

func TestNumericAndBoolConditions(t *testing.T) {
	age := func(s string) Context { return key("aws:MultiFactorAuthAge", s) }
	check(t, []vector{
		{`"NumericEquals":{"aws:MultiFactorAuthAge":10}`, age("10.0"), true},
		{`"NumericEquals":{"aws:MultiFactorAuthAge":"10"}`, age("010"), true},
		{`"NumericNotEquals":{"aws:MultiFactorAuthAge":[10,20]}`, age("20"), false},
		{`"NumericLessThan":{"aws:MultiFactorAuthAge":10}`, age("9"), true}, // not as text
		{`"NumericLessThan":{"aws:MultiFactorAuthAge":9}`, age("10"), false},
		{`"NumericLessThanEquals":{"aws:MultiFactorAuthAge":"10"}`, age("10"), true},
		{`"NumericGreaterThan":{"aws:MultiFactorAuthAge":-1.5}`, age("-1.4"), true},
		{`"NumericGreaterThan":{"aws:MultiFactorAuthAge":9007199254740992}`,
			age("9007199254740993"), true}, // a float64 has no such number

		{`"Bool":{"aws:SecureTransport":"true"}`, key("aws:SecureTransport", "true"), true},
		{`"Bool":{"aws:SecureTransport":true}`, key("aws:SecureTransport", "true"), true},
		{`"Bool":{"aws:SecureTransport":"false"}`, key("aws:SecureTransport", "true"), false},
		{`"Bool":{"aws:SecureTransport":"false"}`, key("aws:SecureTransport", "false"), true},
		{`"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`, nil, true},
	})
}

// IAM user guide, "Condition operators", "Amazon Resource Name (ARN) condition operators".
func TestARNConditions(t *testing.T) {
	const finance = "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:" +
		"finance/document.txt"
	who := func(arn string) Context { return key("aws:PrincipalArn", arn) }
	const ann = "arn:aws:iam::123456789012:user/ann"
	check(t, []vector{
		{`"StringLike":{"aws:PrincipalArn":"arn:aws:someservice:*:111122223333:finance/*"}`,
			who(finance), true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:someservice:*:111122223333:finance/*"}`,
			who(finance), false},
		{`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/ann"}`, who(ann), true},
		{`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/*"}`, who(ann), true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/a??"}`, who(ann), true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:*:*:*:*:*"}`, who(ann), true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/Ann"}`, who(ann), false},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/*"}`, who(ann), false},
		{`"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/*"}`, who(ann), true},
		{`"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:user/ann"}`, who(ann), false},
		// The last part may have colons.
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:s:::a*z"}`, who("arn:aws:s:::a:b:z"), true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:s:?::x"}`, who("arn:aws:s::::x"), false},
	})
}

// Where the guide leaves the meaning open, a statement that allows does not apply, and one that
// denies does.
func TestUnclearConditionsFailClosed(t *testing.T) {
	for _, c := range []struct {
		condition string
		context   Context
	}{
		{`"StringNotEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/site}"}`,
			key("aws:ResourceTag/site", "north")},
		{`"StringNotLike":{"aws:ResourceTag/site":["a","${aws:PrincipalTag/site}"]}`,
			key("aws:ResourceTag/site", "north")},
		{`"ForAnyValue:StringNotEquals":{"aws:TagKeys":"${aws:username}"}`,
			key("aws:TagKeys", "a", "b")},
		{`"ForAllValues:StringNotEquals":{"aws:TagKeys":"${aws:username}"}`,
			key("aws:TagKeys", "a", "b")},
		{`"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, key("aws:SourceIp", "pipe")},
		{`"DateNotEquals":{"aws:CurrentTime":"2026-11-29"}`, key("aws:CurrentTime", "noon")},
		{`"NumericNotEquals":{"aws:EpochTime":1}`, key("aws:EpochTime", "1e3")},
		{`"StringEquals":{"aws:username":"a"}`, key("aws:username", "a", "b")},
		{`"StringNotEquals":{"aws:username":"a"}`, key("aws:username", "b", "c")},
	} {
		if holds(t, c.condition, false, c.context) {
			t.Errorf("{%s} with %v allows", c.condition, c.context)
		}
		if !holds(t, c.condition, true, c.context) {
			t.Errorf("{%s} with %v does not deny", c.condition, c.context)
		}
	}
	check(t, []vector{ // but these are clear
		{`"StringNotEquals":{"aws:ResourceTag/site":["north","${aws:PrincipalTag/site}"]}`,
			key("aws:ResourceTag/site", "north"), false},
		{`"StringEquals":{"aws:ResourceTag/site":["north","${aws:PrincipalTag/site}"]}`,
			key("aws:ResourceTag/site", "north"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/site}"}`,
			key("aws:ResourceTag/site", "north"), false},
		{`"StringNotEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/site}"}`, nil, true},
		{`"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}`, key("aws:SourceIp", "pipe"), false},
	})
}

// IAM user guide, "Variables and tags".
func TestVariables(t *testing.T) {
	c := func(site string) Context {
		return Context{"aws:resourcetag/site": {site}, "aws:username": {"ann"},
			"aws:principaltag/cost center": {"n*"}, "aws:principaltag/mixed": {"UP"},
			"aws:tagkeys": {"a"}, "aws:principalarn": {"arn:aws:iam::123456789012:user/ann"}}
	}
	check(t, []vector{
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:username}"}`, c("ann"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"x-${AWS:UserName}-y"}`, c("x-ann-y"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/MIXED}"}`, c("UP"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/MIXED}"}`, c("up"), false},
		// A request's values are text, never patterns.
		{`"StringLike":{"aws:ResourceTag/site":"${aws:PrincipalTag/cost center}"}`, c("north"), false},
		{`"StringLike":{"aws:ResourceTag/site":"${aws:PrincipalTag/cost center}"}`, c("n*"), true},
		{`"StringLike":{"aws:ResourceTag/site":"${aws:PrincipalTag/cost center}*"}`, c("n*x"), true},
		{`"StringEqualsIgnoreCase":{"aws:ResourceTag/site":"${aws:username}"}`, c("ANN"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/none, 'all'}"}`, c("all"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:username, 'all'}"}`, c("all"), false},
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:username, 'all'}"}`, c("ann"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/none, ''}"}`, c(""), true},
		{`"StringLike":{"aws:ResourceTag/site":"${aws:PrincipalTag/none, '*'}"}`, c("a"), false},
		{`"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/none}"}`, c(""), false},
		{`"StringLike":{"aws:ResourceTag/site":"${*}${?}${$}*"}`, c("*?$"), true},
		{`"StringLike":{"aws:ResourceTag/site":"${*}x"}`, c("ax"), false},
		{`"StringEquals":{"aws:ResourceTag/site":"${*}"}`, c("*"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"$5 {a}"}`, c("$5 {a}"), true},
		{`"StringEquals":{"aws:ResourceTag/site":"$${$}{x}"}`, c("$${x}"), true},
		{`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/${aws:username}"}`,
			c(""), true},
		{`"ArnLike":{"aws:PrincipalArn":"${aws:PrincipalArn}"}`, c(""), true},
	})
	// One of several values is none, and not a reason to take the default.
	check(t, []vector{{`"StringEquals":{"aws:ResourceTag/site":"${aws:userid, 'all'}"}`,
		Context{"aws:resourcetag/site": {"all"}, "aws:userid": {"a", "b"}}, false}})
	// Bytes that are not characters do not become wildcards.
	bytes := Context{"aws:resourcetag/site": {"anything"}, "aws:useragent": {"\xff"}}
	check(t, []vector{{`"StringLike":{"aws:ResourceTag/site":"${aws:UserAgent}"}`, bytes, false}})
}

// A stream may have both tags site and Site, which conditions do not distinguish.
func TestTagsThatDifferInCase(t *testing.T) {
	c := key("aws:ResourceTag/site", "from before")
	c.SetTags("aws:ResourceTag/", map[string]string{"site": "north", "Site": "south", "floor": "1"})
	const onSite = `"StringEquals":{"aws:ResourceTag/site":"north"}`
	if holds(t, onSite, false, c) {
		t.Errorf("%v allows", c)
	}
	if !holds(t, onSite, true, c) {
		t.Errorf("%v does not deny", c)
	}
	check(t, []vector{{`"StringEquals":{"aws:ResourceTag/floor":"1"}`, c, true}})
	c.SetTags("aws:ResourceTag/", map[string]string{"site": "north", "SITE": "north"})
	check(t, []vector{{onSite, c, true}})
}
