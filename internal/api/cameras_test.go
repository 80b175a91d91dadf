package api

// cameraCases are those of the operations on cameras.
func cameraCases() (cases []inputCase) {
	const pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+"
	for op, more := range map[string]string{"AddCamera": "", "DescribeCamera": "",
		"RenewCamera": `,"CertificateSigningRequest":"c"`, "DisableCamera": "", "EnableCamera": "",
		"DeleteCamera": "", "RevokeCameraCertificate": `,"SerialNumber":"0a"`} {
		cases = append(cases, []inputCase{
			{op, `{"ThingName":"a_B-9"` + more + `}`, ""},
			{op, `{"ThingName":"a.b"` + more + `}`,
				wantValidation(violation{"'a.b'", "thingName", pattern})},
			{op, `{"ThingName":"` + long(129) + `"` + more + `}`, wantValidation(violation{
				"'" + long(129) + "'", "thingName",
				"Member must have length less than or equal to 128"})},
		}...)
	}
	return append(cases, []inputCase{
		{"ListCameras", `{"MaxResults":1000,"NextToken":"YQ=="}`, ""},
		{"ListCameras", `{"NextToken":"?"}`,
			wantValidation(violation{"'?'", "nextToken", tokenPattern})},
		{"AddCamera", `{"ThingName":"a","CertificateDays":3650}`, ""},
		{"AddCamera", `{"ThingName":"a","CertificateDays":3651}`, wantValidation(violation{"'3651'",
			"certificateDays", "Member must have value less than or equal to 3650"})},
		{"RenewCamera", `{"ThingName":"a"}`,
			wantValidation(violation{"null", "certificateSigningRequest", notNull})},
		{"RenewCamera", `{"ThingName":"a","CertificateSigningRequest":"c","OverlapSeconds":-1}`,
			wantValidation(violation{"'-1'", "overlapSeconds",
				"Member must have value greater than or equal to 0"})},
		{"RevokeCameraCertificate", `{"ThingName":"a","SerialNumber":"0A:0b"}`, ""},
		{"RevokeCameraCertificate", `{"ThingName":"a","SerialNumber":"0"}`,
			wantValidation(violation{"'0'", "serialNumber",
				"Member must have length greater than or equal to 2"},
				violation{"'0'", "serialNumber",
					"Member must satisfy regular expression pattern: ([0-9A-Fa-f]{2}:?)+"})},
	}...)
}
