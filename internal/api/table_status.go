package api

// What a console wants to know beyond AWS's API: how streams and the server are, and what the
// caller may do; and how a browser is signed in.

var (
	shapeInteger     = &Shape{Kind: KindInteger, Name: "Integer"}
	shapeTrackStatus = structure("TrackStatus",
		optional("TrackNumber", shapeInteger, ""),
		optional("Kind", enum("TrackKind", KindVideoTrack, KindAudioTrack, KindOtherTrack), ""),
		optional("Codec", shapeFree, ""),
		optional("Width", shapeInteger, ""),
		optional("Height", shapeInteger, ""),
		optional("SamplingRate", shapeInteger, ""),
		optional("Channels", shapeInteger, ""))
	shapeStreamStatus = structure("StreamStatus",
		optional("StreamName", shapeStreamName, ""),
		optional("StreamARN", shapeResourceARN, ""),
		optional("State", enum("StreamState", StateReceiving, StateSilent, StateNoData), ""),
		optional("FirstFragmentTime", shapeTimestamp, ""),
		optional("LastFragmentTime", shapeTimestamp, ""),
		optional("LastReceivedTime", shapeTimestamp, ""),
		optional("LastFragmentNumber", shapeFree, ""),
		optional("Tracks", &Shape{Kind: KindList, Name: "Tracks", Item: shapeTrackStatus}, ""),
		optional("BitRate", shapeLong, ""),
		optional("StoredBytes", shapeLong, ""),
		optional("StoredBytesLimit", shapeLong, ""),
		optional("StorageState", shapeDiskState, ""),
		optional("DataRetentionInHours", shapeHours, ""),
		optional("Tags", shapeTags, ""))
	shapeDiskState = enum("DiskState", DiskWritable, DiskFull)
	shapeSample    = structure("ServerSample",
		optional("Time", shapeTimestamp, ""),
		optional("IngestBytes", shapeLong, ""),
		optional("IngestFragments", shapeLong, ""),
		optional("SentBytes", shapeLong, ""),
		optional("Producers", shapeLong, ""),
		optional("StoreMicros", shapeLong, ""),
		optional("LatencyMicros", shapeLong, ""),
		optional("FreeBytes", shapeLong, ""))
	shapePermission = structure("Permission",
		optional("ActionName", shapeFree, ""),
		optional("ResourceARN", shapeFree, ""),
		optional("Decision", enum("AuditDecision", DecisionAllowed, DecisionDenied), ""))
)

var statusOperations = []*Operation{
	{
		Name: "GetStreamStatus", Path: "/weir/getStreamStatus", Service: Administration,
		Command: "status streams",
		Doc:     "Tell whether streams receive, what they hold and what it takes.",
		Example: "weir status streams --stream-names cam1 cam2 --output table \\\n" +
			"    --query 'StreamStatusList[].[StreamName,State,LastReceivedTime,StoredBytes]'",
		Resources: aboutStreams,
		Input: structure("GetStreamStatusInput", required("StreamNames",
			&Shape{Kind: KindList, Name: "StreamNames", Min: 1, Max: MaxStatusStreams,
				Item: shapeStreamName}, "Names of the streams.")),
		Output: structure("GetStreamStatusOutput", optional("StreamStatusList",
			&Shape{Kind: KindList, Name: "StreamStatusList", Item: shapeStreamStatus}, "")),
		NewInput: func() Input { return new(GetStreamStatusInput) },
	},
	{
		Name: "GetServerStatus", Path: "/weir/getServerStatus", Service: Administration,
		Command:   "status server",
		Doc:       "Tell how the server is: its disk, and what came and went in the last hour.",
		Example:   "weir status server --minutes 5",
		Resources: aboutNothing,
		Input: structure("GetServerStatusInput", optional("Minutes",
			number(KindInteger, "Minutes", 1, MaxStatusMinutes),
			"How many minutes of the past to tell of; 60, the default, to 1440.")),
		Output: structure("GetServerStatusOutput",
			optional("Version", shapeFree, ""),
			optional("CurrentTime", shapeTimestamp, ""),
			optional("StartTime", shapeTimestamp, ""),
			optional("Disk", structure("DiskStatus",
				optional("FreeBytes", shapeLong, ""),
				optional("TotalBytes", shapeLong, ""),
				optional("State", shapeDiskState, ""),
				optional("FullTime", shapeTimestamp, "")), ""),
			optional("CertificateEndTime", shapeTimestamp, ""),
			optional("Samples", &Shape{Kind: KindList, Name: "Samples", Item: shapeSample}, "")),
		NewInput: func() Input { return new(GetServerStatusInput) },
	},
	{
		Name: "GetPermissions", Path: "/weir/getPermissions", Service: Administration,
		Command: "policies permissions", Doc: "Tell what the caller may do.",
		Example: "weir policies permissions " +
			"--questions ActionName=kinesisvideo:CreateStream,ResourceARN='*'",
		Resources: aboutCaller,
		Input: structure("GetPermissionsInput", required("Questions",
			&Shape{Kind: KindList, Name: "Questions", Min: 1, Max: MaxPermissionQuestions,
				Item: structure("PermissionQuestion",
					required("ActionName", text("ActionName", 3, MaxPolicyName,
						newPattern(`[a-zA-Z0-9-]+:[a-zA-Z0-9]+`)), "The action."),
					required("ResourceARN", text("ResourceARN", 1, MaxARN, nil),
						"ARN of the resource, or *."))},
			"Actions and resources.")),
		Output: structure("GetPermissionsOutput", optional("Permissions",
			&Shape{Kind: KindList, Name: "Permissions", Item: shapePermission}, "")),
		NewInput: func() Input { return new(GetPermissionsInput) },
	},
	{
		Name: "CreateSignInCode", Path: "/weir/createSignInCode", Service: Administration,
		Command: "keys sign-in-code",
		Doc: "Make a code that hands temporary credentials to a browser, once; weir open does " +
			"it all.",
		Example: "weir keys sign-in-code --access-key-id \"$ID\" " +
			"--secret-access-key \"$SECRET\" \\\n" +
			"    --session-token \"$TOKEN\" --expiration 2026-11-29T15:00:00Z",
		Resources: aboutCaller,
		Input: structure("CreateSignInCodeInput",
			required("AccessKeyId", text("AccessKeyId", 16, MaxUserName,
				newPattern(`[A-Z0-9]+`)), "Of the temporary credentials."),
			required("SecretAccessKey", text("SecretAccessKey", 1, MaxPolicyName,
				newPattern(`[ -~]+`)), "Of the temporary credentials."),
			required("SessionToken", text("SessionToken", 1, MaxSessionToken,
				newPattern(`[ -~]+`)), "Of the temporary credentials."),
			required("Expiration", shapeTimestamp, "When the credentials end."),
			optional("DurationSeconds", number(KindInteger, "DurationSeconds", 1,
				MaxSignInCodeSeconds),
				"How long the code waits to be used; 60, the default, to 3600.")),
		Output: structure("CreateSignInCodeOutput", optional("Code", shapeFree, ""),
			optional("ExpirationTime", shapeTimestamp, "")),
		NewInput: func() Input { return new(CreateSignInCodeInput) },
	},
}
