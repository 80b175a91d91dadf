package shape

// The shapes of the service models "kinesisvideo" and "kinesis-video-archived-media", version 2017-09-30: names, order, types, and
// the constraints that clients check. What else a value must be like is the server's to say.

func text(name string, least int, values ...string) *Shape {
	return &Shape{Kind: String, Name: name, Min: least, HasMin: values == nil, Enum: values}
}

func whole(kind Kind, name string, least int) *Shape {
	return &Shape{Kind: kind, Name: name, Min: least, HasMin: true}
}

func structure(name string, fields ...Field) *Shape {
	return &Shape{Kind: Structure, Name: name, Fields: fields}
}

func required(name string, s *Shape, doc string) Field {
	return Field{Name: name, Shape: s, Required: true, Doc: doc}
}

func optional(name string, s *Shape, doc string) Field { return Field{Name: name, Shape: s, Doc: doc} }

// Operations lists what Weir serves and the command line calls: all of the API but PutMedia, whose input is a stream.
func Operations() []Operation {
	var (
		streamName  = text("StreamName", 1)
		arn         = text("ResourceARN", 1)
		deviceName  = text("DeviceName", 1)
		mediaType   = text("MediaType", 1)
		kmsKeyID    = text("KmsKeyId", 1)
		version     = text("Version", 1)
		nextToken   = text("NextToken", 0)
		timestamp   = &Shape{Kind: Timestamp, Name: "Timestamp"}
		hours       = whole(Integer, "DataRetentionInHours", 0)
		tagKey      = text("TagKey", 1)
		tagValue    = text("TagValue", 0)
		tags        = &Shape{Kind: MapOf, Name: "ResourceTags", Key: tagKey, Item: tagValue, Min: 1, HasMin: true}
		outputTags  = tags
		tagKeys     = &Shape{Kind: ListOf, Name: "TagKeyList", Item: tagKey, Min: 1, HasMin: true}
		tagList     = &Shape{Kind: ListOf, Name: "TagList", Min: 1, HasMin: true, Item: structure("Tag", required("Key", tagKey, "The key."), required("Value", tagValue, "The value; may be empty."))}
		storageTier = text("DefaultStorageTier", 0, "HOT", "WARM")
		storage     = structure("StreamStorageConfiguration", required("DefaultStorageTier", storageTier, "The tier."))
		condition   = structure("StreamNameCondition",
			optional("ComparisonOperator", text("ComparisonOperator", 0, "BEGINS_WITH"), "How to compare."),
			optional("ComparisonValue", streamName, "What to compare with."))
		timeRange = structure("HLSTimestampRange",
			optional("StartTimestamp", timestamp, "The first moment."), optional("EndTimestamp", timestamp, "The last moment."))
		selector = structure("HLSFragmentSelector",
			optional("FragmentSelectorType", text("HLSFragmentSelectorType", 0, "PRODUCER_TIMESTAMP", "SERVER_TIMESTAMP"), "Whose clock."),
			optional("TimestampRange", timeRange, "From when to when."))
		apiName = text("APIName", 0, "PUT_MEDIA", "GET_MEDIA", "LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST",
			"GET_HLS_STREAMING_SESSION_URL", "GET_DASH_STREAMING_SESSION_URL", "GET_CLIP", "GET_IMAGES")
		info = structure("StreamInfo",
			optional("DeviceName", deviceName, ""), optional("StreamName", streamName, ""), optional("StreamARN", arn, ""),
			optional("MediaType", mediaType, ""), optional("KmsKeyId", kmsKeyID, ""), optional("Version", version, ""),
			optional("Status", text("Status", 0, "CREATING", "ACTIVE", "UPDATING", "DELETING"), ""),
			optional("CreationTime", timestamp, ""), optional("DataRetentionInHours", hours, ""))

		byName   = optional("StreamName", streamName, "Name of the stream.")
		byARN    = optional("StreamARN", arn, "ARN of the stream, instead of its name.")
		resource = required("ResourceARN", arn, "ARN of the stream.")
		page     = optional("NextToken", nextToken, "NextToken of the page before.")
		current  = required("CurrentVersion", version, "The stream's version, which describe-stream shows.")
		nothing  = structure("Output")
	)
	return []Operation{
		{
			Name: "CreateStream", Doc: "Create a stream.",
			Example: "weir create-stream --stream-name cam1 --data-retention-in-hours 24 --tags site=north,floor=2",
			Input: structure("CreateStreamInput",
				optional("DeviceName", deviceName, "Name of the device; kept, without effect."),
				required("StreamName", streamName, "Name of the stream: 1 to 256 of a-z A-Z 0-9 _ . -"),
				optional("MediaType", mediaType, "Such as video/h264,audio/aac; kept, without effect."),
				optional("KmsKeyId", kmsKeyID, "Kept, without effect."),
				optional("DataRetentionInHours", hours, "How long to keep the data; 0, the default, keeps it in memory only and plays nothing back."),
				optional("Tags", tags, "Tags of the stream."),
				optional("StreamStorageConfiguration", storage, "Kept, without effect.")),
			Output: structure("CreateStreamOutput", optional("StreamARN", arn, "")),
		},
		{
			Name: "DescribeStream", Doc: "Describe a stream.",
			Example: "weir describe-stream --stream-name cam1 --query StreamInfo.Version --output text",
			Input:   structure("DescribeStreamInput", byName, byARN),
			Output:  structure("DescribeStreamOutput", optional("StreamInfo", info, "")),
		},
		{
			Name: "ListStreams", Doc: "List the streams, all pages of them.",
			Example: "weir list-streams --stream-name-condition ComparisonOperator=BEGINS_WITH,ComparisonValue=cam --query 'StreamInfoList[].StreamName'",
			Input: structure("ListStreamsInput",
				optional("MaxResults", whole(Integer, "ListStreamsInputLimit", 1), "One page of at most so many, instead of all."),
				optional("NextToken", nextToken, "One page: that after the one with this NextToken."),
				optional("StreamNameCondition", condition, "Only streams whose names begin so.")),
			Output: structure("ListStreamsOutput",
				optional("StreamInfoList", &Shape{Kind: ListOf, Name: "StreamInfoList", Item: info}, ""), optional("NextToken", nextToken, "")),
			Paging: &Paging{InputToken: "NextToken", OutputToken: "NextToken", Limit: "MaxResults", Result: "StreamInfoList"},
		},
		{
			Name: "UpdateStream", Doc: "Change a stream's device name or media type.",
			Example: "weir update-stream --stream-name cam1 --media-type video/h265 \\\n    --current-version \"$(weir describe-stream --stream-name cam1 --query StreamInfo.Version --output text)\"",
			Input: structure("UpdateStreamInput", byName, byARN, current,
				optional("DeviceName", deviceName, "New name of the device."), optional("MediaType", mediaType, "New media type.")),
			Output: nothing,
		},
		{
			Name: "UpdateDataRetention", Doc: "Change how long a stream keeps its data.",
			Example: "weir update-data-retention --stream-name cam1 --operation INCREASE_DATA_RETENTION --data-retention-change-in-hours 24 \\\n    --current-version \"$(weir describe-stream --stream-name cam1 --query StreamInfo.Version --output text)\"",
			Input: structure("UpdateDataRetentionInput", byName, byARN, current,
				required("Operation", text("UpdateDataRetentionOperation", 0, "INCREASE_DATA_RETENTION", "DECREASE_DATA_RETENTION"), "More or less."),
				required("DataRetentionChangeInHours", whole(Integer, "DataRetentionChangeInHours", 1), "By how much.")),
			Output: nothing,
		},
		{
			Name: "DeleteStream", Doc: "Delete a stream and its data.",
			Example: "weir delete-stream --stream-arn \"$(weir describe-stream --stream-name cam1 --query StreamInfo.StreamARN --output text)\"",
			Input: structure("DeleteStreamInput", required("StreamARN", arn, "ARN of the stream, which describe-stream shows."),
				optional("CurrentVersion", version, "Delete only this version.")),
			Output: nothing,
		},
		{
			Name: "TagStream", Doc: "Add tags to a stream.", Example: "weir tag-stream --stream-name cam1 --tags site=north,floor=2",
			Input: structure("TagStreamInput", byARN, byName, required("Tags", tags, "The tags.")), Output: nothing,
		},
		{
			Name: "UntagStream", Doc: "Remove tags from a stream.", Example: "weir untag-stream --stream-name cam1 --tag-key-list site floor",
			Input: structure("UntagStreamInput", byARN, byName, required("TagKeyList", tagKeys, "Keys of the tags to remove.")), Output: nothing,
		},
		{
			Name: "ListTagsForStream", Doc: "List the tags of a stream.", Example: "weir list-tags-for-stream --stream-name cam1",
			Input:  structure("ListTagsForStreamInput", page, byARN, byName),
			Output: structure("ListTagsForStreamOutput", optional("NextToken", nextToken, ""), optional("Tags", outputTags, "")),
		},
		{
			Name: "TagResource", Doc: "Add tags to a stream by its ARN.",
			Example: "weir tag-resource --tags Key=site,Value=north Key=floor,Value=2 \\\n    --resource-arn \"$(weir describe-stream --stream-name cam1 --query StreamInfo.StreamARN --output text)\"",
			Input:   structure("TagResourceInput", resource, required("Tags", tagList, "The tags.")), Output: nothing,
		},
		{
			Name: "UntagResource", Doc: "Remove tags from a stream by its ARN.",
			Example: "weir untag-resource --tag-key-list site floor \\\n    --resource-arn \"$(weir describe-stream --stream-name cam1 --query StreamInfo.StreamARN --output text)\"",
			Input:   structure("UntagResourceInput", resource, required("TagKeyList", tagKeys, "Keys of the tags to remove.")), Output: nothing,
		},
		{
			Name: "ListTagsForResource", Doc: "List the tags of a stream by its ARN.",
			Example: "weir list-tags-for-resource --resource-arn \"$(weir describe-stream --stream-name cam1 --query StreamInfo.StreamARN --output text)\"",
			Input:   structure("ListTagsForResourceInput", page, resource),
			Output:  structure("ListTagsForResourceOutput", optional("NextToken", nextToken, ""), optional("Tags", outputTags, "")),
		},
		{
			Name: "GetDataEndpoint", Doc: "Print the endpoint of a data API of a stream.", Example: "weir get-data-endpoint --stream-name cam1 --api-name PUT_MEDIA",
			Input:  structure("GetDataEndpointInput", byName, byARN, required("APIName", apiName, "The API to call there.")),
			Output: structure("GetDataEndpointOutput", optional("DataEndpoint", &Shape{Kind: String, Name: "DataEndpoint"}, "")),
		},
		{
			Name: "GetHLSStreamingSessionURL", Doc: "Open an HLS session and print its URL.", DataAPI: "GET_HLS_STREAMING_SESSION_URL",
			Example: "weir get-hls-streaming-session-url --stream-name cam1 --playback-mode ON_DEMAND --hls-fragment-selector \\\n    'FragmentSelectorType=PRODUCER_TIMESTAMP,TimestampRange={StartTimestamp=10m ago,EndTimestamp=now}'",
			Input: structure("GetHLSStreamingSessionURLInput", byName, byARN,
				optional("PlaybackMode", text("HLSPlaybackMode", 0, "LIVE", "LIVE_REPLAY", "ON_DEMAND"), "LIVE is the default."),
				optional("HLSFragmentSelector", selector, "Which fragments, by whose clock; absent for all, or the newest when LIVE."),
				optional("ContainerFormat", text("ContainerFormat", 0, "FRAGMENTED_MP4", "MPEG_TS"), "FRAGMENTED_MP4 is the default."),
				optional("DiscontinuityMode", text("HLSDiscontinuityMode", 0, "ALWAYS", "NEVER", "ON_DISCONTINUITY"), "Where playlists tell of discontinuities."),
				optional("DisplayFragmentTimestamp", text("HLSDisplayFragmentTimestamp", 0, "ALWAYS", "NEVER"), "Whether playlists tell the time; NEVER is the default."),
				optional("Expires", whole(Integer, "Expires", 300), "Life of the session in seconds: 300, the default, to 43200."),
				optional("MaxMediaPlaylistFragmentResults", whole(Long, "HLSMaxResults", 1), "Fragments in a playlist: 1 to 5000; 5 by default, 1000 for ON_DEMAND.")),
			Output: structure("GetHLSStreamingSessionURLOutput", optional("HLSStreamingSessionURL", &Shape{Kind: String, Name: "HLSStreamingSessionURL"}, "")),
		},
	}
}
