package api

import (
	"strings"
	"testing"
)

// administrationCases are those of the administration API.
func administrationCases() (cases []inputCase) {
	const (
		pattern    = "Member must satisfy regular expression pattern: [a-zA-Z0-9_+=,.@-]+"
		oneHolder  = "Exactly one of UserName, RoleName and ThingName must be specified."
		attachment = `{"PolicyName":"p"`
		simulation = `{"ActionNames":["kinesisvideo:PutMedia"]`
	)
	for op, member := range map[string]string{"CreateKey": "UserName", "GetPolicy": "PolicyName",
		"DeletePolicy": "PolicyName", "GetRole": "RoleName", "DeleteRole": "RoleName",
		"UpdateRole": "RoleName"} {
		shown := decapitalise(member)
		cases = append(cases, []inputCase{
			{op, `{"` + member + `":"a_B+=,.@-9"}`, ""},
			{op, `{}`, wantValidation(violation{"null", shown, notNull})},
			{op, `{"` + member + `":""}`, wantValidation(violation{"''", shown, tooShort},
				violation{"''", shown, pattern})},
			{op, `{"` + member + `":"a/b"}`, wantValidation(violation{"'a/b'", shown, pattern})},
			{op, `{"` + member + `":"*"}`, wantValidation(violation{"'*'", shown, pattern})},
		}...)
	}
	for _, op := range []string{"DescribeKey", "DisableKey", "EnableKey", "DeleteKey",
		"RotateKey"} {
		cases = append(cases, []inputCase{
			{op, `{"Key":"AKIAABCDEFGHIJKLMNOP"}`, ""}, {op, `{"Key":"a profile"}`, ""},
			{op, `{}`, wantValidation(violation{"null", "key", notNull})},
			{op, `{"Key":"\u0000"}`, wantValidation(violation{"'\x00'", "key",
				"Member must satisfy regular expression pattern: [ -~]+"})},
		}...)
	}
	for _, op := range []string{"ListKeys", "ListPolicies", "ListRoles",
		"ListOpenIDConnectProviders"} {
		cases = append(cases, []inputCase{
			{op, `{"MaxResults":1000,"NextToken":"YQ=="}`, ""},
			{op, `{"MaxResults":1001}`, wantValidation(violation{"'1001'", "maxResults",
				"Member must have value less than or equal to 1000"})},
			{op, `{"NextToken":"?"}`, wantValidation(violation{"'?'", "nextToken", tokenPattern})},
		}...)
	}
	for _, op := range []string{"AttachPolicy", "DetachPolicy"} {
		cases = append(cases, []inputCase{
			{op, attachment + `,"UserName":"u"}`, ""}, {op, attachment + `,"RoleName":"r"}`, ""},
			{op, attachment + `,"ThingName":"t"}`, ""}, {op, attachment + `}`, oneHolder},
			{op, attachment + `,"UserName":"u","RoleName":"r"}`, oneHolder},
			{op, attachment + `,"ThingName":"a.b"}`, wantValidation(violation{"'a.b'", "thingName",
				"Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+"})},
		}...)
	}
	return append(cases, []inputCase{
		{"CreateKey", `{"UserName":"WEIRABCDEFGHIJKLMNOP"}`,
			"The user name has the form of an access key ID."},
		{"CreateKey", `{"UserName":"AKIAABCDEFGHIJKLMNO"}`, ""},
		{"CreateKey", `{"UserName":"` + long(65) + `"}`, wantValidation(violation{
			"'" + long(65) + "'", "userName", "Member must have length less than or equal to 64"})},
		{"TagUser", `{"UserName":"u","Tags":{"a":""}}`, ""},
		{"TagUser", `{"UserName":"u"}`, wantValidation(violation{"null", "tags", notNull})},
		{"UntagUser", `{"UserName":"u","TagKeys":["a"]}`, ""},
		{"UntagUser", `{"UserName":"u","TagKeys":[]}`,
			wantValidation(violation{"'[]'", "tagKeys", tooShort})},
		{"PutPolicy", `{"PolicyName":"p","PolicyDocument":"{}","CurrentVersion":"7"}`, ""},
		{"PutPolicy", `{"PolicyName":"p"}`,
			wantValidation(violation{"null", "policyDocument", notNull})},
		{"CreateRole", `{"RoleName":"r","TrustPolicy":"{}","MaxSessionDuration":43200}`, ""},
		{"PutOpenIDConnectProvider", `{"Url":"https://a.example","ClientIDList":["w"]}`, ""},
		{"PutOpenIDConnectProvider", `{"Url":"https://a.example","ClientIDList":[]}`,
			wantValidation(violation{"'[]'", "clientIDList", tooShort})},
		{"DeleteOpenIDConnectProvider", `{"Url":"https://a.example","CurrentVersion":"7"}`, ""},
		{"DeleteOpenIDConnectProvider", `{}`, wantValidation(violation{"null", "url", notNull})},
		{"CreateRole", `{"RoleName":"r"}`,
			wantValidation(violation{"null", "trustPolicy", notNull})},
		{"CreateRole", `{"RoleName":"r","TrustPolicy":"{}","MaxSessionDuration":3599}`,
			wantValidation(violation{"'3599'", "maxSessionDuration",
				"Member must have value greater than or equal to 3600"})},
		{"SimulatePolicy", simulation + `,"UserName":"u","PolicyDocument":"{}"}`, ""},
		{"SimulatePolicy", simulation + `,"PolicyDocument":"{}","ContextEntries":` +
			`[{"Key":"aws:SourceIp","Values":["10.0.0.1"]}]}`, ""},
		{"SimulatePolicy", simulation + `}`, "One of UserName, RoleName, ThingName and " +
			"PolicyDocument must be specified."},
		{"SimulatePolicy", simulation + `,"UserName":"u","RoleName":"r"}`,
			"At most one of UserName, RoleName and ThingName must be specified."},
		{"SimulatePolicy", `{"UserName":"u","ActionNames":["*"]}`, wantValidation(violation{"'[*]'",
			"actionNames", "Member must satisfy constraint: [Member must have length greater " +
				"than or equal to 3, Member must satisfy regular expression pattern: " +
				"[a-zA-Z0-9-]+:[a-zA-Z0-9]+]"})},
	}...)
}

// Actions of the administration API differ from those of AWS by their prefix, and paths by theirs.
func TestAdministrationStandsApart(t *testing.T) {
	for _, op := range Operations() {
		own := op.Service == Administration
		if strings.HasPrefix(op.Path, "/weir/") != own ||
			strings.HasPrefix(op.Action(), "weir:") != own || (op.Command != "") != own {
			t.Errorf("%s: path %s, action %s, command %q", op.Name, op.Path, op.Action(),
				op.Command)
		}
		for _, word := range op.Words {
			if op.Input.Member(word) == nil {
				t.Errorf("%s has no member %s", op.Name, word)
			}
		}
	}
}
