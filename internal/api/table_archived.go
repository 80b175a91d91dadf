package api

// Operations that read what is stored, except those of HLS.

// Shapes of M-AM that several members share.
var (
	shapeFragmentNumber = text("FragmentNumberString", 1, MaxFragmentNumberLength,
		newPattern(`^[0-9]+$`))
	shapePageToken = text("NextToken", 1, MaxArchivedNextToken,
		newPattern(`[a-zA-Z0-9+/]+={0,2}`))
	shapeFragmentSelector = structure("FragmentSelector",
		required("FragmentSelectorType", enum("FragmentSelectorType",
			string(SelectorProducerTimestamp), string(SelectorServerTimestamp)), "Whose clock."),
		required("TimestampRange", structure("TimestampRange",
			required("StartTimestamp", shapeTimestamp, "The first moment."),
			required("EndTimestamp", shapeTimestamp, "The last moment.")),
			"From when to when."))
	// The type of what streams.
	memberContentType = optional("ContentType", text("ContentType", 1, MaxContentType,
		newPattern(`^[a-zA-Z0-9_\.\-]+$`)), "").header("Content-Type")

	shapeFragment = structure("Fragment",
		optional("FragmentNumber", shapeFragmentNumber, ""),
		optional("FragmentSizeInBytes", &Shape{Kind: KindLong, Name: "Long"}, ""),
		optional("ProducerTimestamp", shapeTimestamp, ""),
		optional("ServerTimestamp", shapeTimestamp, ""),
		optional("FragmentLengthInMilliseconds", &Shape{Kind: KindLong, Name: "Long"}, ""))
)

var archivedOperations = []*Operation{
	{
		Name: "GetDASHStreamingSessionURL", Path: "/getDASHStreamingSessionURL",
		Service: ArchivedMedia,
		Doc:     "Open an MPEG-DASH session and print its URL.",
		DataAPI: APIGetDASHStreamingSessionURL,
		Example: "weir get-dash-streaming-session-url --stream-name cam1 --playback-mode " +
			"ON_DEMAND --dash-fragment-selector \\\n" +
			"    'FragmentSelectorType=PRODUCER_TIMESTAMP,TimestampRange={StartTimestamp=10m " +
			"ago,EndTimestamp=now}'",
		Resources: aboutStream,
		Input: structure("GetDASHStreamingSessionURLInput", memberStreamName, memberStreamARN,
			optional("PlaybackMode", enum("DASHPlaybackMode", string(PlaybackModeLive),
				string(PlaybackModeLiveReplay), string(PlaybackModeOnDemand)),
				"LIVE is the default."),
			optional("DisplayFragmentTimestamp", enum("DASHDisplayFragmentTimestamp",
				string(DisplayTimestampAlways), string(DisplayTimestampNever)),
				"Whether manifests tell each fragment's time; NEVER is the default."),
			optional("DisplayFragmentNumber", enum("DASHDisplayFragmentNumber",
				string(DisplayNumberAlways), string(DisplayNumberNever)),
				"Whether manifests tell each fragment's number; NEVER is the default."),
			optional("DASHFragmentSelector", structure("DASHFragmentSelector",
				optional("FragmentSelectorType", enum("DASHFragmentSelectorType",
					string(SelectorProducerTimestamp), string(SelectorServerTimestamp)),
					"Whose clock."),
				optional("TimestampRange", structure("DASHTimestampRange",
					optional("StartTimestamp", shapeTimestamp, "The first moment."),
					optional("EndTimestamp", shapeTimestamp, "The last moment.")),
					"From when to when.")),
				"Which fragments, by whose clock; absent for all, or the newest when LIVE."),
			optional("Expires", number(KindInteger, "Expires", MinExpires, MaxExpires),
				"Life of the session in seconds: 300, the default, to 43200."),
			optional("MaxManifestFragmentResults", number(KindLong, "DASHMaxResults",
				MinMaxFragmentResults, MaxMaxFragmentResults),
				"Fragments in a manifest: 1 to 5000; 5 by default, 1000 for ON_DEMAND.")),
		Output: structure("GetDASHStreamingSessionURLOutput",
			optional("DASHStreamingSessionURL",
				&Shape{Kind: KindString, Name: "DASHStreamingSessionURL"}, "")),
		NewInput: func() Input { return new(GetDASHStreamingSessionURLInput) },
	},
	{
		Name: "ListFragments", Path: "/listFragments", Service: ArchivedMedia,
		Doc:     "List the fragments that begin in a range of time, all pages of them.",
		DataAPI: APIListFragments,
		Example: "weir list-fragments --stream-name cam1 --fragment-selector \\\n" +
			"    'FragmentSelectorType=SERVER_TIMESTAMP,TimestampRange={StartTimestamp=10m " +
			"ago,EndTimestamp=now}'",
		Resources: aboutStream,
		Input: structure("ListFragmentsInput", memberStreamName, memberStreamARN,
			optional("MaxResults", number(KindLong, "ListFragmentsMaxResults", 1,
				MaxListFragments), "One page of at most so many, instead of all."),
			optional("NextToken", shapePageToken,
				"One page: the one after that with this NextToken."),
			optional("FragmentSelector", shapeFragmentSelector,
				"Which fragments, by whose clock; required without NextToken.")),
		Output: structure("ListFragmentsOutput",
			optional("Fragments", &Shape{Kind: KindList, Name: "FragmentList",
				Item: shapeFragment}, ""),
			optional("NextToken", shapePageToken, "")),
		Paging: &Paging{InputToken: "NextToken", OutputToken: "NextToken", Limit: "MaxResults",
			Result: "Fragments"},
		NewInput: func() Input { return new(ListFragmentsInput) },
	},
	{
		Name: "GetClip", Path: "/getClip", Service: ArchivedMedia,
		Doc:     "Download an MP4 file of what was recorded in a range of time.",
		DataAPI: APIGetClip,
		Example: "weir get-clip --stream-name cam1 --clip-fragment-selector \\\n" +
			"    'FragmentSelectorType=PRODUCER_TIMESTAMP,TimestampRange={StartTimestamp=10m " +
			"ago,EndTimestamp=now}' \\\n    clip.mp4",
		Resources: aboutStream,
		Input: structure("GetClipInput", memberStreamName, memberStreamARN,
			required("ClipFragmentSelector", structure("ClipFragmentSelector",
				required("FragmentSelectorType", enum("ClipFragmentSelectorType",
					string(SelectorProducerTimestamp), string(SelectorServerTimestamp)),
					"Whose clock."),
				required("TimestampRange", structure("ClipTimestampRange",
					required("StartTimestamp", shapeTimestamp, "The first moment."),
					required("EndTimestamp", shapeTimestamp, "The last moment.")),
					"From when to when.")),
				"The range in which fragments begin, and by whose clock.")),
		Output: structure("GetClipOutput",
			optional("ContentType", &Shape{Kind: KindString, Name: "ContentType"},
				"").header("Content-Type")),
		Streams:  true,
		NewInput: func() Input { return new(GetClipInput) },
	},
	{
		Name: "GetMediaForFragmentList", Path: "/getMediaForFragmentList", Service: ArchivedMedia,
		Doc: "Write fragments as Matroska to a file, in the order of their numbers on the " +
			"line.",
		DataAPI: APIGetMediaForFragmentList,
		Example: "weir get-media-for-fragment-list --stream-name cam1 out.mkv --fragments \\\n   " +
			" " +
			"$(weir list-fragments --stream-name cam1 --query 'Fragments[].FragmentNumber' " +
			"--output text \\\n        --fragment-selector " +
			"'FragmentSelectorType=SERVER_TIMESTAMP," +
			"TimestampRange={StartTimestamp=1m ago,EndTimestamp=now}')",
		Resources: aboutStream,
		Input: structure("GetMediaForFragmentListInput", memberStreamName, memberStreamARN,
			required("Fragments", &Shape{Kind: KindList, Name: "FragmentNumberList", Min: 1,
				Max: MaxFragmentList, Item: shapeFragmentNumber},
				"The numbers, which list-fragments lists.")),
		Output:   structure("GetMediaForFragmentListOutput", memberContentType),
		Streams:  true,
		NewInput: func() Input { return new(GetMediaForFragmentListInput) },
	},
	{
		Name: "GetMedia", Path: "/getMedia", Service: Media,
		Doc: "Write a stream as Matroska to a file: what is stored from some moment on, and then " +
			"what comes, until you stop it.",
		DataAPI: APIGetMedia,
		Example: "weir get-media --stream-name cam1 --start-selector StartSelectorType=NOW " +
			"/dev/stdout | ffplay -",
		Resources: aboutStream,
		Input: structure("GetMediaInput", memberStreamName,
			optional("StreamARN", text("ResourceARN", 1, MaxARN, newPattern(
				`arn:aws:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+`)),
				memberStreamARN.Doc),
			required("StartSelector", structure("StartSelector",
				required("StartSelectorType", enum("StartSelectorType",
					string(StartFragmentNumber), string(StartServerTimestamp),
					string(StartProducerTimestamp), string(StartNow), string(StartEarliest),
					string(StartContinuationToken)), "What to go by."),
				optional("AfterFragmentNumber", shapeFragmentNumber,
					"The number after which to start, with FRAGMENT_NUMBER."),
				optional("StartTimestamp", shapeTimestamp,
					"The moment, with SERVER_TIMESTAMP and PRODUCER_TIMESTAMP."),
				optional("ContinuationToken", text("ContinuationToken", 1, MaxContinuationToken,
					newPattern(`^[a-zA-Z0-9_\.\-]+$`)),
					"The token after which to go on, with CONTINUATION_TOKEN.")),
				"Where to start.")),
		Output:   structure("GetMediaOutput", memberContentType),
		Streams:  true,
		NewInput: func() Input { return new(GetMediaInput) },
	},
}
