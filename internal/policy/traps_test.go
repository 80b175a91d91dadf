package policy

import (
	"strings"
	"testing"
)

// Every operator, with every set operator and IfExists, on a key that is absent from the request.
func TestEveryOperatorOnAnAbsentKey(t *testing.T) {
	values := map[string]string{"String": "a", "Arn": "arn:aws:iam::123456789012:user/ann",
		"Numeric": "1", "Date": "2026-11-29", "Bool": "true", "Ip": "10.0.0.0/8",
		"NotIp": "10.0.0.0/8"}
	tried := 0
	for name := range operators {
		if name == "Null" {
			continue
		}
		value := ""
		for prefix, v := range values {
			if strings.HasPrefix(name, prefix) {
				value = v
			}
		}
		negated := strings.Contains(name, "Not")
		for _, absent := range []Context{nil, key("aws:userid")} {
			for _, c := range []struct {
				operator string
				want     bool
			}{
				{name, negated},
				{name + "IfExists", true},
				{"ForAllValues:" + name, true},
				{"ForAllValues:" + name + "IfExists", true},
				{"ForAnyValue:" + name, false},
				{"ForAnyValue:" + name + "IfExists", true},
			} {
				check(t, []vector{{`"` + c.operator + `":{"aws:userid":"` + value + `"}`, absent,
					c.want}})
				tried++
			}
		}
	}
	if tried != 12*25 {
		t.Errorf("%d conditions", tried)
	}
}

func TestAddressesInOtherForms(t *testing.T) {
	for _, c := range []struct {
		network, address string
		want             bool
	}{
		{"203.0.113.0/24", "::ffff:cb00:7109", true}, // 203.0.113.9 in hexadecimal
		{"203.0.113.0/24", "0:0:0:0:0:FFFF:203.0.113.9", true},
		{"::ffff:cb00:7100/120", "203.0.113.9", true},
		{"::ffff:203.0.113.9/128", "203.0.113.9", true},
		{"203.0.113.9/32", "203.0.113.9", true},
		{"203.0.113.0/24", "::203.0.113.9", false}, // IPv4-compatible, which is IPv6
		{"203.0.113.0/24", "64:ff9b::203.0.113.9", false},
		{"::ffff:0:0/96", "2001:db8::1", false},
		{"::/0", "::ffff:203.0.113.9", false}, // IPv4
		{"2001:db8::/32", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true},
		{"2001:db8::/32", "2001:db9::", false},
		{"2001:0DB8:0000::/48", "2001:db8::5", true},
		{"127.0.0.0/8", "127.0.0.1", true},
		{"::1", "::1", true},
		{"::1", "127.0.0.1", false},
	} {
		from := key("aws:SourceIp", c.address)
		check(t, []vector{
			{`"IpAddress":{"aws:SourceIp":"` + c.network + `"}`, from, c.want},
			{`"NotIpAddress":{"aws:SourceIp":"` + c.network + `"}`, from, !c.want},
			{`"IpAddressIfExists":{"aws:SourceIp":["192.0.2.1","` + c.network + `"]}`, from, c.want},
		})
	}
}

// The moment 2026-11-29T12:00:00Z in all the forms that a document may have, and in those of
// requests.
func TestDatesInOtherForms(t *testing.T) {
	for _, noon := range []string{`"2026-11-29T12:00:00Z"`, `"2026-11-29T12:00Z"`, `1795953600`,
		`"1795953600"`, `"2026-11-29T12:00:00.000Z"`, `"2026-11-29T12:00:00+00:00"`,
		`"2026-11-29T04:00:00-08:00"`, `"2026-11-30T01:45:00.0+13:45"`} {
		for _, now := range []string{"2026-11-29T12:00:00Z", "1795953600",
			"2026-11-29T12:00:00.000Z"} {
			request := key("aws:CurrentTime", now)
			for operator, want := range map[string]bool{"DateEquals": true, "DateNotEquals": false,
				"DateLessThan": false, "DateLessThanEquals": true, "DateGreaterThan": false,
				"DateGreaterThanEquals": true} {
				check(t, []vector{{`"` + operator + `":{"aws:CurrentTime":` + noon + `}`, request,
					want}})
			}
		}
	}
	check(t, []vector{
		{`"DateGreaterThan":{"aws:CurrentTime":0}`, key("aws:CurrentTime", "1970-01-01T00:00:01Z"),
			true},
		{`"DateLessThan":{"aws:CurrentTime":"1970"}`, key("aws:CurrentTime", "0"), false},
		{`"DateGreaterThan":{"aws:CurrentTime":"2024-02-29"}`, key("aws:CurrentTime", "1795953600"),
			true},
	})
	for _, date := range []string{"2026-11-29t12:00:00Z", "2026-11-29T12:00:00z",
		"2026-11-29 12:00:00Z", "2026-11-29T24:00:00Z", "2026-11-29T12:00:60Z", "2026-11-29T12Z",
		"2026-13-01", "2025-02-29", "20261129T120000Z", "2026-11-29T12:00:00+0100", "26-11-29",
		"2026-11-29T12:00:00,5Z", "-1", "+1795953600", "1795953600.5", "179595360000", " 2026", "",
		"2026-11-29T12:00:00Z\n", "*"} {
		_, err := Parse([]byte(when(`{"DateEquals":{"aws:CurrentTime":"` +
			strings.ReplaceAll(date, "\n", `\n`) + `"}}`)))
		if err == nil || !strings.Contains(err.Error(), "is not a date") {
			t.Errorf("%q: %v", date, err)
		}
	}
}

// Case matters, except in actions, in names of condition keys, and in true and false.
func TestCase(t *testing.T) {
	accepted := []string{
		allow(`"Action":"KINESISVIDEO:PUTMEDIA","Resource":"*"`),
		when(`{"Bool":{"AWS:SECURETRANSPORT":"TRUE"}}`),
		when(`{"Null":{"Aws:Userid":"False"}}`),
		`{"Statement":[{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"},
			{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}]}`,
	}
	for _, text := range accepted {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	refused := []string{
		`{"statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`,
		`{"STATEMENT":{"Effect":"Allow","Action":"*","Resource":"*"}}`,
		`{"Statement":{"effect":"Allow","Action":"*","Resource":"*"}}`,
		`{"Statement":{"Effect":"ALLOW","Action":"*","Resource":"*"}}`,
		`{"Statement":{"Effect":"Allow ","Action":"*","Resource":"*"}}`,
		`{"Statement":{"Effect":"Allow","Action":"*","resource":"*"}}`,
		`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","resource":"*"}}`,
		allow(`"Action":"*","Resource":"ARN:aws:s3:::a"`),
		when(`{"IPAddress":{"aws:SourceIp":"10.0.0.0/8"}}`),
		when(`{"forAnyValue:StringEquals":{"aws:TagKeys":"a"}}`),
		when(`{"StringEqualsifexists":{"aws:userid":"a"}}`),
	}
	for _, text := range refused {
		if doc, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s is accepted", doc.Text())
		}
	}
	check(t, []vector{
		{`"Bool":{"aws:SecureTransport":"TRUE"}`, key("aws:SecureTransport", "true"), true},
		{`"Bool":{"aws:SecureTransport":"true"}`, key("aws:SecureTransport", "True"), true},
		{`"Null":{"aws:userid":"TRUE"}`, nil, true},
	})
}
