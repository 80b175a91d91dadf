package api

import (
	"math"
	"slices"
)

// The table of the API: every operation of the service models kinesisvideo,
// kinesis-video-archived-media, kinesis-video-media, kinesis-video-signaling and
// kinesis-video-webrtc-storage, and PutMedia, which has no model (developer guide, PutMedia). The
// operations of Weir's own administration follow them. Routes, checks, the command line, its help
// and docs/compatibility.md are made or checked from it. A test compares it with the models that
// the AWS command line installs.
//
// An operation that Weir serves has its input and output here, its structs in the file of its kind,
// and its handler in package server.

func text(name string, least, most int64, pattern *Pattern) *Shape {
	return &Shape{Kind: KindString, Name: name, Min: least, Max: most, Pattern: pattern}
}

func enum(name string, values ...string) *Shape {
	return &Shape{Kind: KindString, Name: name, Enum: values}
}

func number(kind Kind, name string, least, most int64) *Shape {
	return &Shape{Kind: kind, Name: name, Min: least, Max: most}
}

func structure(name string, members ...Member) *Shape {
	return &Shape{Kind: KindStructure, Name: name, Members: members}
}

func required(name string, s *Shape, doc string) Member {
	return Member{Name: name, Shape: s, Required: true, Doc: doc}
}

func optional(name string, s *Shape, doc string) Member {
	return Member{Name: name, Shape: s, Doc: doc}
}

func (m Member) header(name string) Member {
	m.Header = name
	return m
}

func (m Member) flag(name string) Member {
	m.Flag = name
	return m
}

var (
	patternName  = newPattern(`[a-zA-Z0-9_.-]+`)
	patternToken = newPattern(`[a-zA-Z0-9+/=]*`)
)

// Shapes of the models that several members share.
var (
	shapeStreamName = text("StreamName", 1, MaxStreamName, patternName)
	shapeDeviceName = text("DeviceName", 1, MaxDeviceName, patternName)
	shapeMediaType  = text("MediaType", 1, MaxMediaType,
		newPattern(`[\w\-\.\+]+/[\w\-\.\+]+(,[\w\-\.\+]+/[\w\-\.\+]+)*`))
	shapeResourceARN = text("ResourceARN", 1, MaxARN,
		newPattern(`arn:[a-z\d-]+:kinesisvideo:[a-z0-9-]+:[0-9]+:[a-z]+/[a-zA-Z0-9_.-]+/[0-9]+`))
	shapeVersion   = text("Version", 1, MaxVersion, newPattern(`[a-zA-Z0-9]+`))
	shapeNextToken = text("NextToken", 0, MaxListStreamsNextToken, patternToken)
	// The dot in Java's patterns matches fewer line ends than that in Go's.
	shapeKmsKeyID  = text("KmsKeyId", 1, MaxKmsKeyID, &Pattern{`.+`, regexpNoLineEnds})
	shapeTimestamp = &Shape{Kind: KindTimestamp, Name: "Timestamp"}
	shapeHours     = number(KindInteger, "DataRetentionInHours", 0, MaxRetentionHours)
	shapeTier      = enum("DefaultStorageTier", StorageTierHot, StorageTierWarm)

	shapeTagKey   = text("TagKey", 1, MaxTagKey, newPattern(`^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`))
	shapeTagValue = text("TagValue", 0, MaxTagValue, newPattern(`[\p{L}\p{Z}\p{N}_.:/=+\-@]*`))
	shapeTags     = &Shape{Kind: KindMap, Name: "ResourceTags", Min: 1, Max: MaxStreamTags,
		Key: shapeTagKey, Item: shapeTagValue}
	shapeTagKeys = &Shape{Kind: KindList, Name: "TagKeyList", Min: 1, Max: MaxStreamTags,
		Item: shapeTagKey}
	shapeTagList = &Shape{Kind: KindList, Name: "TagList", Min: 1, Max: MaxStreamTags,
		Item: structure("Tag",
			required("Key", shapeTagKey, "The key."),
			required("Value", shapeTagValue, "The value; may be empty."))}

	shapeStreamInfo = structure("StreamInfo",
		optional("DeviceName", shapeDeviceName, ""),
		optional("StreamName", shapeStreamName, ""),
		optional("StreamARN", shapeResourceARN, ""),
		optional("MediaType", shapeMediaType, ""),
		optional("KmsKeyId", shapeKmsKeyID, ""),
		optional("Version", shapeVersion, ""),
		optional("Status", enum("Status", StatusCreating, StatusActive, StatusUpdating,
			StatusDeleting), ""),
		optional("CreationTime", shapeTimestamp, ""),
		optional("DataRetentionInHours", shapeHours, ""))
)

// Members that several inputs share.
var (
	memberStreamName = optional("StreamName", shapeStreamName, "Name of the stream.")
	memberStreamARN  = optional("StreamARN", shapeResourceARN,
		"ARN of the stream, instead of its name.")
	memberResource  = required("ResourceARN", shapeResourceARN, "ARN of the stream.")
	memberNextToken = optional("NextToken", shapeNextToken, "NextToken of the page before.")
	memberVersion   = required("CurrentVersion", shapeVersion,
		"The stream's version, which describe-stream shows.")
)

// What command-line examples have for a version or an ARN.
const (
	exampleVersion = "\"$(weir describe-stream --stream-name cam1 --query StreamInfo.Version " +
		"--output text)\""
	exampleARN = "\"$(weir describe-stream --stream-name cam1 --query StreamInfo.StreamARN " +
		"--output text)\""
)

// operations is the table; table_archived.go has the operations that read the archive.
var operations = slices.Concat([]*Operation{
	// Streams.
	{
		Name: "CreateStream", Path: "/createStream", Doc: "Create a stream.",
		Example: "weir create-stream --stream-name cam1 --data-retention-in-hours 24 --tags " +
			"site=north,floor=2",
		Resources: aboutNewStream,
		Input: structure("CreateStreamInput",
			optional("DeviceName", shapeDeviceName, "Name of the device; kept, without effect."),
			required("StreamName", shapeStreamName,
				"Name of the stream: 1 to 256 of a-z A-Z 0-9 _ . -"),
			optional("MediaType", shapeMediaType,
				"Such as video/h264,audio/aac; kept, without effect."),
			optional("KmsKeyId", shapeKmsKeyID,
				"Kept. With serve --encrypt: the name of a key in its key file."),
			optional("DataRetentionInHours", shapeHours,
				"How long to keep the data; 0, the default, keeps it in memory only and plays "+
					"nothing back."),
			optional("Tags", shapeTags, "Tags of the stream."),
			optional("StreamStorageConfiguration", shapeStorage, "The storage tier.")),
		Output:   structure("CreateStreamOutput", optional("StreamARN", shapeResourceARN, "")),
		NewInput: func() Input { return new(CreateStreamInput) },
	},
	{
		Name: "DescribeStream", Path: "/describeStream", Doc: "Describe a stream.",
		Example: "weir describe-stream --stream-name cam1 --query StreamInfo.Version " +
			"--output text",
		Resources: aboutStream,
		Input:     structure("DescribeStreamInput", memberStreamName, memberStreamARN),
		Output:    structure("DescribeStreamOutput", optional("StreamInfo", shapeStreamInfo, "")),
		NewInput:  func() Input { return new(DescribeStreamInput) },
	},
	{
		Name: "ListStreams", Path: "/listStreams", Doc: "List the streams, all pages of them.",
		Example: "weir list-streams --stream-name-condition " +
			"ComparisonOperator=BEGINS_WITH,ComparisonValue=cam " +
			"--query 'StreamInfoList[].StreamName'",
		Resources: aboutNothing,
		Input: structure("ListStreamsInput",
			optional("MaxResults", number(KindInteger, "ListStreamsInputLimit", 1, MaxListStreams),
				"One page of at most so many, instead of all."),
			optional("NextToken", shapeNextToken,
				"One page: the one after that with this NextToken."),
			optional("StreamNameCondition", structure("StreamNameCondition",
				optional("ComparisonOperator", enum("ComparisonOperator", ComparisonBeginsWith),
					"How to compare."),
				optional("ComparisonValue", shapeStreamName, "What to compare with.")),
				"Only streams whose names begin with this.")),
		Output: structure("ListStreamsOutput",
			optional("StreamInfoList", &Shape{Kind: KindList, Name: "StreamInfoList",
				Item: shapeStreamInfo}, ""),
			optional("NextToken", shapeNextToken, "")),
		Paging: &Paging{InputToken: "NextToken", OutputToken: "NextToken", Limit: "MaxResults",
			Result: "StreamInfoList"},
		NewInput: func() Input { return new(ListStreamsInput) },
	},
	{
		Name: "UpdateStream", Path: "/updateStream",
		Doc: "Change a stream's device name or media type.",
		Example: "weir update-stream --stream-name cam1 --media-type video/h265 \\\n    " +
			"--current-version " + exampleVersion,
		Resources: aboutStream,
		Input: structure("UpdateStreamInput", memberStreamName, memberStreamARN, memberVersion,
			optional("DeviceName", shapeDeviceName, "New name of the device."),
			optional("MediaType", shapeMediaType, "New media type.")),
		Output:   structure("UpdateStreamOutput"),
		NewInput: func() Input { return new(UpdateStreamInput) },
	},
	{
		Name: "UpdateDataRetention", Path: "/updateDataRetention",
		Doc: "Change how long a stream keeps its data.",
		Example: "weir update-data-retention --stream-name cam1 --operation " +
			"INCREASE_DATA_RETENTION " +
			"--data-retention-change-in-hours 24 \\\n    --current-version " + exampleVersion,
		Resources: aboutStream,
		Input: structure("UpdateDataRetentionInput", memberStreamName, memberStreamARN,
			memberVersion,
			required("Operation", enum("UpdateDataRetentionOperation", IncreaseDataRetention,
				DecreaseDataRetention), "More or less."),
			required("DataRetentionChangeInHours", number(KindInteger, "DataRetentionChangeInHours",
				1, math.MaxInt32), "By how much.")),
		Output:   structure("UpdateDataRetentionOutput"),
		NewInput: func() Input { return new(UpdateDataRetentionInput) },
	},
	{
		Name: "DeleteStream", Path: "/deleteStream", Doc: "Delete a stream and its data.",
		Example:   "weir delete-stream --stream-arn " + exampleARN,
		Resources: aboutStreamARN,
		Input: structure("DeleteStreamInput",
			required("StreamARN", shapeResourceARN,
				"ARN of the stream, which describe-stream shows."),
			optional("CurrentVersion", shapeVersion, "Delete only this version.")),
		Output:   structure("DeleteStreamOutput"),
		NewInput: func() Input { return new(DeleteStreamInput) },
	},

	// Tags.
	{
		Name: "TagStream", Path: "/tagStream", Doc: "Add tags to a stream.",
		Example:   "weir tag-stream --stream-name cam1 --tags site=north,floor=2",
		Resources: aboutStream,
		Input: structure("TagStreamInput", memberStreamARN, memberStreamName,
			required("Tags", shapeTags, "The tags.")),
		Output:   structure("TagStreamOutput"),
		NewInput: func() Input { return new(TagStreamInput) },
	},
	{
		Name: "UntagStream", Path: "/untagStream", Doc: "Remove tags from a stream.",
		Example:   "weir untag-stream --stream-name cam1 --tag-key-list site floor",
		Resources: aboutStream,
		Input: structure("UntagStreamInput", memberStreamARN, memberStreamName,
			required("TagKeyList", shapeTagKeys, "Keys of the tags to remove.")),
		Output:   structure("UntagStreamOutput"),
		NewInput: func() Input { return new(UntagStreamInput) },
	},
	{
		Name: "ListTagsForStream", Path: "/listTagsForStream", Doc: "List the tags of a stream.",
		Example:   "weir list-tags-for-stream --stream-name cam1",
		Resources: aboutStream,
		Input: structure("ListTagsForStreamInput", memberNextToken, memberStreamARN,
			memberStreamName),
		Output: structure("ListTagsForStreamOutput",
			optional("NextToken", shapeNextToken, ""), optional("Tags", shapeTags, "")),
		NewInput: func() Input { return new(ListTagsForStreamInput) },
	},
	{
		Name: "TagResource", Path: "/TagResource", Doc: "Add tags to a stream by its ARN.",
		Example: "weir tag-resource --tags Key=site,Value=north Key=floor,Value=2 \\\n    " +
			"--resource-arn " + exampleARN,
		Resources: aboutResourceARN,
		Input: structure("TagResourceInput", memberResource,
			required("Tags", shapeTagList, "The tags.")),
		Output:   structure("TagResourceOutput"),
		NewInput: func() Input { return new(TagResourceInput) },
	},
	{
		Name: "UntagResource", Path: "/UntagResource", Doc: "Remove tags from a stream by its ARN.",
		Example: "weir untag-resource --tag-key-list site floor \\\n    --resource-arn " +
			exampleARN,
		Resources: aboutResourceARN,
		Input: structure("UntagResourceInput", memberResource,
			required("TagKeyList", shapeTagKeys, "Keys of the tags to remove.")),
		Output:   structure("UntagResourceOutput"),
		NewInput: func() Input { return new(UntagResourceInput) },
	},
	{
		Name: "ListTagsForResource", Path: "/ListTagsForResource",
		Doc:       "List the tags of a stream by its ARN.",
		Example:   "weir list-tags-for-resource --resource-arn " + exampleARN,
		Resources: aboutResourceARN,
		Input:     structure("ListTagsForResourceInput", memberNextToken, memberResource),
		Output: structure("ListTagsForResourceOutput",
			optional("NextToken", shapeNextToken, ""), optional("Tags", shapeTags, "")),
		NewInput: func() Input { return new(ListTagsForResourceInput) },
	},

	// Media.
	{
		Name: "GetDataEndpoint", Path: "/getDataEndpoint",
		Doc:       "Print the endpoint of a data API of a stream.",
		Example:   "weir get-data-endpoint --stream-name cam1 --api-name PUT_MEDIA",
		Resources: aboutStream,
		Input: structure("GetDataEndpointInput", memberStreamName, memberStreamARN,
			required("APIName", enum("APIName", APIPutMedia, APIGetMedia, APIListFragments,
				APIGetMediaForFragmentList,
				APIGetHLSStreamingSessionURL, APIGetDASHStreamingSessionURL, APIGetClip,
				APIGetImages), "The API to call there.")),
		Output: structure("GetDataEndpointOutput",
			optional("DataEndpoint", &Shape{Kind: KindString, Name: "DataEndpoint"}, "")),
		NewInput: func() Input { return new(GetDataEndpointInput) },
	},
	{
		Name: "PutMedia", Path: "/putMedia", Service: Media,
		Doc:       "Send media to a stream and receive acknowledgements.",
		DataAPI:   APIPutMedia,
		Resources: aboutStream,
		Input: structure("PutMediaInput",
			memberStreamName.header(HeaderStreamName),
			memberStreamARN.header(HeaderStreamARN),
			required("FragmentTimecodeType", enum("FragmentTimecodeType", string(TimecodeAbsolute),
				string(TimecodeRelative)),
				"What the clusters' timestamps count from.").header(HeaderTimecodeType),
			optional("ProducerStartTimestamp", shapeTimestamp,
				"When the producer began; required for RELATIVE.").header(HeaderProducerStart),
			optional("FragmentAcknowledgmentRequired",
				&Shape{Kind: KindString, Name: "FragmentAcknowledgmentRequired"},
				"0 for no acknowledgements.").header(HeaderAcknowledgment)),
	},
	{
		Name: "GetHLSStreamingSessionURL", Path: "/getHLSStreamingSessionURL",
		Service: ArchivedMedia,
		Doc:     "Open an HLS session and print its URL.", DataAPI: APIGetHLSStreamingSessionURL,
		Example: "weir get-hls-streaming-session-url --stream-name cam1 --playback-mode " +
			"ON_DEMAND --hls-fragment-selector \\\n" +
			"    'FragmentSelectorType=PRODUCER_TIMESTAMP,TimestampRange={StartTimestamp=10m " +
			"ago,EndTimestamp=now}'",
		Resources: aboutStream,
		Input: structure("GetHLSStreamingSessionURLInput", memberStreamName, memberStreamARN,
			optional("PlaybackMode", enum("HLSPlaybackMode", string(PlaybackModeLive),
				string(PlaybackModeLiveReplay),
				string(PlaybackModeOnDemand)), "LIVE is the default."),
			optional("HLSFragmentSelector", structure("HLSFragmentSelector",
				optional("FragmentSelectorType",
					enum("HLSFragmentSelectorType", string(SelectorProducerTimestamp),
						string(SelectorServerTimestamp)), "Whose clock."),
				optional("TimestampRange", structure("HLSTimestampRange",
					optional("StartTimestamp", shapeTimestamp, "The first moment."),
					optional("EndTimestamp", shapeTimestamp, "The last moment.")),
					"From when to when.")),
				"Which fragments, by whose clock; absent for all, or the newest when LIVE."),
			optional("ContainerFormat", enum("ContainerFormat", string(ContainerFragmentedMP4),
				string(ContainerMPEGTS)),
				"FRAGMENTED_MP4 is the default."),
			optional("DiscontinuityMode", enum("HLSDiscontinuityMode", string(DiscontinuityAlways),
				string(DiscontinuityNever),
				string(DiscontinuityOnDiscontinuity)), "Where playlists tell of discontinuities."),
			optional("DisplayFragmentTimestamp",
				enum("HLSDisplayFragmentTimestamp", string(DisplayTimestampAlways),
					string(DisplayTimestampNever)),
				"Whether playlists tell the time; NEVER is the default."),
			optional("Expires", number(KindInteger, "Expires", MinExpires, MaxExpires),
				"Life of the session in seconds: 300, the default, to 43200."),
			optional("MaxMediaPlaylistFragmentResults",
				number(KindLong, "HLSMaxResults", MinMaxFragmentResults, MaxMaxFragmentResults),
				"Fragments in a playlist: 1 to 5000; 5 by default, 1000 for ON_DEMAND.")),
		Output: structure("GetHLSStreamingSessionURLOutput",
			optional("HLSStreamingSessionURL",
				&Shape{Kind: KindString, Name: "HLSStreamingSessionURL"}, "")),
		NewInput: func() Input { return new(GetHLSStreamingSessionURLInput) },
	},
	operationGetImages,

	// What Weir does not serve.

	{Name: "DescribeMappedResourceConfiguration", Path: "/describeMappedResourceConfiguration"},
	{Name: "DescribeMediaStorageConfiguration", Path: "/describeMediaStorageConfiguration"},
	{Name: "UpdateMediaStorageConfiguration", Path: "/updateMediaStorageConfiguration"},

	{Name: "DeleteEdgeConfiguration", Path: "/deleteEdgeConfiguration"},
	{Name: "DescribeEdgeConfiguration", Path: "/describeEdgeConfiguration"},
	{Name: "ListEdgeAgentConfigurations", Path: "/listEdgeAgentConfigurations"},
	{Name: "StartEdgeConfigurationUpdate", Path: "/startEdgeConfigurationUpdate"},

	{Name: "CreateSignalingChannel", Path: "/createSignalingChannel"},
	{Name: "DeleteSignalingChannel", Path: "/deleteSignalingChannel"},
	{Name: "DescribeSignalingChannel", Path: "/describeSignalingChannel"},
	{Name: "GetSignalingChannelEndpoint", Path: "/getSignalingChannelEndpoint"},
	{Name: "ListSignalingChannels", Path: "/listSignalingChannels"},
	{Name: "UpdateSignalingChannel", Path: "/updateSignalingChannel"},
	{Name: "GetIceServerConfig", Path: "/v1/get-ice-server-config", Service: Signaling},
	{Name: "SendAlexaOfferToMaster", Path: "/v1/send-alexa-offer-to-master", Service: Signaling},
	{Name: "JoinStorageSession", Path: "/joinStorageSession", Service: WebRTCStorage},
	{Name: "JoinStorageSessionAsViewer", Path: "/joinStorageSessionAsViewer",
		Service: WebRTCStorage},
}, archivedOperations, configurationOperations, administrationOperations,
	sessionOperations, cameraOperations, providerOperations, statusOperations)
