package policy

import (
	"fmt"
	"testing"
)

// What a signed call costs with policies. The context is like that of a server's call.
func BenchmarkDecide(b *testing.B) {
	c := Context{
		"aws:sourceip": {"203.0.113.9"}, "aws:securetransport": {"true"},
		"aws:currenttime": {"2026-11-29T12:00:00Z"}, "aws:epochtime": {"1795953600"},
		"aws:useragent": {"aws-cli/2"}, "aws:username": {"front-door"}, "aws:userid": {"AIDA1"},
		"aws:principalarn":  {"arn:aws:iam::123456789012:user/front-door"},
		"aws:principaltype": {"User"}, "credentials-iot:thingname": {"front-door"},
		"aws:resourcetag/site": {"north"}, "aws:principaltag/site": {"north"},
	}
	r := Request{"kinesisvideo:PutMedia", frontDoor, c}
	all := policyOf(b, "all", `{"Sid":"Site","Effect":"Allow","Action":"kinesisvideo:*","Resource":
		"arn:aws:kinesisvideo:*:*:stream/*","Condition":{
		"StringEquals":{"aws:ResourceTag/site":"${aws:PrincipalTag/site}"},
		"IpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:db8::/32"]},
		"Bool":{"aws:SecureTransport":"true"},
		"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}}`)
	var ten []Named
	for i := range 10 {
		ten = append(ten, policyOf(b, fmt.Sprint(i), fmt.Sprintf(`{"Effect":"Allow",
			"Action":["kinesisvideo:Get*","kinesisvideo:PutMedia"],
			"Resource":"arn:aws:kinesisvideo:*:*:stream/door-%d/*"},
			{"Effect":"Deny","Action":"kinesisvideo:Delete*","Resource":"*"}`, i)))
	}
	for _, bench := range []struct {
		name     string
		identity []Named
		bounds   [][]Named
		want     bool
	}{
		{"administrator", builtinNamed(b, "administrator"), nil, true},
		{"camera", builtinNamed(b, "camera"), nil, true},
		{"four-conditions", []Named{all}, nil, true},
		{"camera-in-session-policy", builtinNamed(b, "camera"),
			[][]Named{builtinNamed(b, "producer")}, true},
		{"ten-policies-none-allows", ten, nil, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if Decide(r, bench.identity, bench.bounds...).Allowed != bench.want {
					b.Fatal("decides otherwise")
				}
			}
		})
	}
}

func policyOf(t testing.TB, name, statements string) Named {
	t.Helper()
	return Named{name, mustParse(t, `{"Version":"2012-10-17","Statement":[`+statements+`]}`)}
}
