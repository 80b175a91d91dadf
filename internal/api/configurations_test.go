package api

// configurationCases are those of the operations on a stream's configurations.
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
	const generate = "UpdateImageGenerationConfiguration"
	images := func(uri, more string) string {
		return `{` + ref + `,"ImageGenerationConfiguration":{"Status":"ENABLED","ImageSelectorType":` +
			`"SERVER_TIMESTAMP","Format":"PNG","DestinationConfig":{"Uri":"` + uri +
			`","DestinationRegion":"us-west-2"}` + more + `}}`
	}
	const every = `,"SamplingInterval":200`
	const noBucket = "The Uri of generated images must be s3://BUCKET or s3://BUCKET/PREFIX, " +
		"with nothing empty and no dots between slashes."
	generation := append(streamRefCases("DescribeImageGenerationConfiguration", ""),
		streamRefCases(generate, "")...)
	for _, uri := range []string{"s3://bucket", "s3://bucket/", "s3://b.1/a b/c"} {
		generation = append(generation, inputCase{generate, images(uri, every), ""})
	}
	for _, uri := range []string{"s3://..", "s3://a..b", "s3://bucket/../x", "s3://bucket/./x",
		"s3://bucket//x", "https://bucket/x", "s3:bucket", "s3://Bucket", `s3://bucket/a\\b`,
		`s3://bucket/a\u0000b`, "s3://bucket/.."} {
		generation = append(generation, inputCase{generate, images(uri, every), noBucket})
	}
	generation = append(generation,
		inputCase{generate, images("s3://bucket", `,"SamplingInterval":199`),
			"SamplingInterval must be at least 200 milliseconds."},
		inputCase{generate, images("s3://bucket", every+`,"FormatConfig":{"JPEGQuality":"0"}`),
			"JPEGQuality must be a whole number from 1 to 100, not '0'."},
		inputCase{generate,
			images("s3://bucket", every+`,"WidthPixels":3840,"HeightPixels":2160`), ""},
		inputCase{generate, images("s3://bucket", ""), wantValidation(violation{"null",
			"imageGenerationConfiguration.samplingInterval", notNull})})
	cases := append(generation, streamRefCases("DescribeStreamStorageConfiguration", "")...)
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
