package api

// statusCases are those of the operations for the console.
func statusCases() []inputCase {
	credentials := `"AccessKeyId":"ASIAABCDEFGHIJKLMNOP","SecretAccessKey":"s","Expiration":1`
	const tags = "ListFragmentTags"
	return []inputCase{
		{"GetStreamStatus", `{"StreamNames":["cam1","cam.2"]}`, ""},
		{"GetStreamStatus", `{}`, wantValidation(violation{"null", "streamNames", notNull})},
		{"GetStreamStatus", `{"StreamNames":[]}`,
			wantValidation(violation{"'[]'", "streamNames", tooShort})},
		{tags, `{` + ref + `,"FragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP",
			"TimestampRange":{"StartTimestamp":1,"EndTimestamp":2}}}`, ""},
		{tags, `{` + ref + `,"NextToken":"AAAA"}`, ""},
		{tags, `{` + ref + `}`, "FragmentSelector is required when NextToken is not specified."},
		{tags, `{` + ref + `,"FragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP",
			"TimestampRange":{"StartTimestamp":2,"EndTimestamp":1}}}`,
			"EndTimestamp must not be earlier than StartTimestamp."},
		{tags, `{` + ref + `,"NextToken":"AAAA","MaxResults":1001}`,
			wantValidation(violation{"'1001'", "maxResults",
				"Member must have value less than or equal to 1000"})},
		{"GetServerStatus", `{}`, ""},
		{"GetServerStatus", `{"Minutes":1440}`, ""},
		{"GetServerStatus", `{"Minutes":1441}`, wantValidation(violation{"'1441'", "minutes",
			"Member must have value less than or equal to 1440"})},
		{"GetPermissions", `{"Questions":[{"ActionName":"weir:ListKeys","ResourceARN":"*"}]}`, ""},
		{"GetPermissions", `{}`, wantValidation(violation{"null", "questions", notNull})},
		{"CreateSignInCode", `{` + credentials + `,"SessionToken":"t","DurationSeconds":3600}`, ""},
		{"CreateSignInCode", `{` + credentials + `}`,
			wantValidation(violation{"null", "sessionToken", notNull})},
		{"CreateSignInCode", `{` + credentials + `,"SessionToken":"t","DurationSeconds":3601}`,
			wantValidation(violation{"'3601'", "durationSeconds",
				"Member must have value less than or equal to 3600"})},
	}
}
