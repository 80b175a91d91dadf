package api

// imageCases are those of GetImages.
func imageCases() []inputCase {
	const op = "GetImages"
	const base = `"ImageSelectorType":"SERVER_TIMESTAMP","Format":"PNG",` +
		`"StartTimestamp":5,"EndTimestamp":5`
	const least, most = "Member must have value greater than or equal to ",
		"Member must have value less than or equal to "
	body := func(members string) string { return `{` + ref + `,` + base + members + `}` }
	const interval = "SamplingInterval must be at least 200 milliseconds."
	quality := func(text string) string {
		return "JPEGQuality must be a whole number from 1 to 100, not '" + text + "'."
	}
	return append(streamRefCases(op, ","+base), []inputCase{
		{op, body(``), ""},
		{op, body(`,"SamplingInterval":200,"FormatConfig":{"JPEGQuality":"100"},` +
			`"WidthPixels":3840,"HeightPixels":2160,"MaxResults":100,"NextToken":"aZ09+/=="`), ""},
		{op, `{` + ref + `}`, wantValidation(
			violation{"null", "imageSelectorType", notNull},
			violation{"null", "startTimestamp", notNull},
			violation{"null", "endTimestamp", notNull},
			violation{"null", "format", notNull})},
		{op, body(`,"Format":"GIF"`), wantValidation(violation{"'GIF'", "format",
			"Member must satisfy enum value set: [JPEG, PNG]"})},
		{op, body(`,"SamplingInterval":199`), interval},
		{op, body(`,"SamplingInterval":0`), interval},
		{op, body(`,"SamplingInterval":-9`), interval},
		{op, body(`,"SamplingInterval":3600000`), ""},
		{op, body(`,"EndTimestamp":305`), ""},
		{op, body(`,"EndTimestamp":305.001`),
			"EndTimestamp must be within 300 seconds of StartTimestamp."},
		{op, body(`,"EndTimestamp":4.999`), "EndTimestamp must not be before StartTimestamp."},
		{op, body(`,"FormatConfig":{"JPEGQuality":"0"}`), quality("0")},
		{op, body(`,"FormatConfig":{"JPEGQuality":"101"}`), quality("101")},
		{op, body(`,"FormatConfig":{"JPEGQuality":"high"}`), quality("high")},
		{op, body(`,"FormatConfig":{}`),
			wantValidation(violation{"'{}'", "formatConfig", tooShort})},
		{op, body(`,"FormatConfig":{"Quality":"1"}`), wantValidation(violation{"'{Quality=1}'",
			"formatConfig", "Map keys must satisfy constraint: [Member must satisfy enum value " +
				"set: [JPEGQuality]]"})},
		{op, body(`,"WidthPixels":0`),
			wantValidation(violation{"'0'", "widthPixels", least + "1"})},
		{op, body(`,"WidthPixels":3841`),
			wantValidation(violation{"'3841'", "widthPixels", most + "3840"})},
		{op, body(`,"HeightPixels":2161`),
			wantValidation(violation{"'2161'", "heightPixels", most + "2160"})},
		{op, body(`,"MaxResults":101`),
			wantValidation(violation{"'101'", "maxResults", most + "100"})},
		{op, body(`,"NextToken":"?"`), wantValidation(violation{"'?'", "nextToken",
			"Member must satisfy regular expression pattern: [a-zA-Z0-9+/]+={0,2}"})},
	}...)
}
