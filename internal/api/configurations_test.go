package api

// configurationCases are those of the operations on what is configured of a stream.
func configurationCases() []inputCase {
	const storage = `,"CurrentVersion":"v1","StreamStorageConfiguration":{"DefaultStorageTier":"WARM"}`
	const update = "UpdateStreamStorageConfiguration"
	cases := streamRefCases("DescribeStreamStorageConfiguration", "")
	return append(append(cases, streamRefCases(update, storage)...), []inputCase{
		{update, `{` + ref + `}`, wantValidation(violation{"null", "currentVersion", notNull},
			violation{"null", "streamStorageConfiguration", notNull})},
		{update, `{` + ref + `,"CurrentVersion":"v1","StreamStorageConfiguration":{}}`,
			wantValidation(violation{"null", "streamStorageConfiguration.defaultStorageTier", notNull})},
		{update, `{` + ref + `,"CurrentVersion":"v1","StreamStorageConfiguration":` +
			`{"DefaultStorageTier":"COLD"}}`, wantValidation(violation{"'COLD'",
			"streamStorageConfiguration.defaultStorageTier",
			"Member must satisfy enum value set: [HOT, WARM]"})},
	}...)
}
