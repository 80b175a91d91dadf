package api

// sessionCases are those of the operations on sessions, their keys and the audit log.
func sessionCases() []inputCase {
	const one = "Either SessionId, or StreamName, Principal or both must be specified."
	id := `"SessionId":"00112233445566778899aabbccddeeff"`
	return []inputCase{
		{"ListSessions", `{}`, ""},
		{"ListSessions", `{` + ref + `,"Principal":"arn:aws:iam::000000000000:root","MaxResults":1}`,
			""},
		{"ListSessions", `{"MaxResults":0}`, wantValidation(violation{"'0'", "maxResults",
			"Member must have value greater than or equal to 1"})},
		{"CloseSessions", `{` + id + `}`, ""},
		{"CloseSessions", `{` + ref + `,"Principal":"p"}`, ""},
		{"CloseSessions", `{}`, one},
		{"CloseSessions", `{` + ref + `,` + id + `}`, one},
		{"CloseSessions", `{"SessionId":"0011223344556677889900112233445G"}`,
			wantValidation(violation{"'0011223344556677889900112233445G'", "sessionId",
				"Member must satisfy regular expression pattern: [0-9a-f]+"})},
		{"RotateTokenKey", `{}`, ""},
		{"RotateTokenKey", `{"OlderKeys":"REVOKE"}`, ""},
		{"RotateTokenKey", `{"OlderKeys":"DROP"}`, wantValidation(violation{"'DROP'", "olderKeys",
			"Member must satisfy enum value set: [KEEP, REVOKE]"})},
		{"ListAuditEvents", `{"StartTime":1,"EndTime":2,"ActionName":"weir:CreateKey",` +
			`"Decision":"denied","Principal":"ann",` + ref + `}`, ""},
		{"ListAuditEvents", `{"Decision":"no"}`, wantValidation(violation{"'no'", "decision",
			"Member must satisfy enum value set: [allowed, denied]"})},
		{"ListAuditEvents", `{"ActionName":"*"}`, wantValidation(violation{"'*'", "actionName",
			"Member must satisfy regular expression pattern: [a-zA-Z0-9:-]+"})},
	}
}
