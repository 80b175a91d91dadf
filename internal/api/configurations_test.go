package api

// configurationCases are those of the operations on what is configured of a stream.
func configurationCases() []inputCase {
	const storage = `,"CurrentVersion":"v1","StreamStorageConfiguration":{"DefaultStorageTier":"WARM"}`
	const update = "UpdateStreamStorageConfiguration"
	const notify = "UpdateNotificationConfiguration"
	notification := func(uri string) string {
		return `{` + ref + `,"NotificationConfiguration":{"Status":"ENABLED","DestinationConfig":{"Uri":"` +
			uri + `"}}}`
	}
	const noURL = "The Uri of notifications must be an http or https URL without a user; Weir " +
		"has no SNS."
	const pattern = "Member must satisfy regular expression pattern: " +
		"^[a-zA-Z_0-9]+:(//)?([^/]+)/?([^*]*)$"
	cases := streamRefCases("DescribeStreamStorageConfiguration", "")
	cases = append(cases, streamRefCases("DescribeNotificationConfiguration", "")...)
	cases = append(cases, streamRefCases(notify, "")...)
	return append(append(cases, streamRefCases(update, storage)...), []inputCase{
		{notify, notification("https://a.example/b?c=d"), ""},
		{notify, notification("http://10.0.0.1:8080"), ""},
		{notify, notification("arn:aws:sns:us-west-2:123456789012:topic"), noURL},
		{notify, notification("https://user@a.example/"), noURL},
		{notify, notification("ftp://a.example/"), noURL},
		{notify, notification("https://a/*"), wantValidation(violation{"'https://a/*'",
			"notificationConfiguration.destinationConfig.uri", pattern})},
		{notify, `{` + ref + `,"NotificationConfiguration":{}}`, wantValidation(
			violation{"null", "notificationConfiguration.status", notNull},
			violation{"null", "notificationConfiguration.destinationConfig", notNull})},
		{update, `{` + ref + `}`, wantValidation(violation{"null", "currentVersion", notNull},
			violation{"null", "streamStorageConfiguration", notNull})},
		{update, `{` + ref + `,"CurrentVersion":"v1","StreamStorageConfiguration":{}}`,
			wantValidation(violation{"null", "streamStorageConfiguration.defaultStorageTier",
				notNull})},
		{update, `{` + ref + `,"CurrentVersion":"v1","StreamStorageConfiguration":` +
			`{"DefaultStorageTier":"COLD"}}`, wantValidation(violation{"'COLD'",
			"streamStorageConfiguration.defaultStorageTier",
			"Member must satisfy enum value set: [HOT, WARM]"})},
	}...)
}
