package api

import "strings"

// Service is the part of the API that an operation belongs to. At AWS each has an endpoint of its own; one Weir process serves
// them all.
type Service uint8

// The services.
const (
	Control       Service = iota // kinesisvideo: streams
	ArchivedMedia                // kinesis-video-archived-media: playback of what is stored
	Media                        // kinesis-video-media and PutMedia: the media itself
)

// String names the service as its model does.
func (s Service) String() string {
	return [...]string{"kinesisvideo", "kinesis-video-archived-media", "kinesis-video-media"}[s]
}

// Input is what the input structs have in common: &DescribeStreamInput{} and so on.
type Input interface {
	// Validate returns nil or an *Error, of code InvalidArgumentException.
	Validate() error
}

// Operation is one API operation. All are POST.
type Operation struct {
	Name    string  // as IAM policies and SDKs spell it
	Path    string  // case-sensitive at AWS
	Service Service // which endpoint has it
	// NewInput makes the empty input to decode the JSON body into; nil for PutMedia, whose input is in its headers.
	NewInput func() Input
}

// Operations lists what Weir serves.
func Operations() []Operation {
	return []Operation{
		{"CreateStream", "/createStream", Control, func() Input { return new(CreateStreamInput) }},
		{"DescribeStream", "/describeStream", Control, func() Input { return new(DescribeStreamInput) }},
		{"ListStreams", "/listStreams", Control, func() Input { return new(ListStreamsInput) }},
		{"UpdateStream", "/updateStream", Control, func() Input { return new(UpdateStreamInput) }},
		{"DeleteStream", "/deleteStream", Control, func() Input { return new(DeleteStreamInput) }},
		{"UpdateDataRetention", "/updateDataRetention", Control, func() Input { return new(UpdateDataRetentionInput) }},
		{"TagStream", "/tagStream", Control, func() Input { return new(TagStreamInput) }},
		{"UntagStream", "/untagStream", Control, func() Input { return new(UntagStreamInput) }},
		{"ListTagsForStream", "/listTagsForStream", Control, func() Input { return new(ListTagsForStreamInput) }},
		{"TagResource", "/TagResource", Control, func() Input { return new(TagResourceInput) }},
		{"UntagResource", "/UntagResource", Control, func() Input { return new(UntagResourceInput) }},
		{"ListTagsForResource", "/ListTagsForResource", Control, func() Input { return new(ListTagsForResourceInput) }},
		{"GetDataEndpoint", "/getDataEndpoint", Control, func() Input { return new(GetDataEndpointInput) }},
		{"GetHLSStreamingSessionURL", "/getHLSStreamingSessionURL", ArchivedMedia,
			func() Input { return new(GetHLSStreamingSessionURLInput) }},
		{"PutMedia", "/putMedia", Media, nil},
	}
}

// otherOperations are those of the three models that Weir does not serve: path to name.
var otherOperations = map[string]string{
	"/createSignalingChannel":               "CreateSignalingChannel",
	"/deleteEdgeConfiguration":              "DeleteEdgeConfiguration",
	"/deleteSignalingChannel":               "DeleteSignalingChannel",
	"/describeEdgeConfiguration":            "DescribeEdgeConfiguration",
	"/describeImageGenerationConfiguration": "DescribeImageGenerationConfiguration",
	"/describeMappedResourceConfiguration":  "DescribeMappedResourceConfiguration",
	"/describeMediaStorageConfiguration":    "DescribeMediaStorageConfiguration",
	"/describeNotificationConfiguration":    "DescribeNotificationConfiguration",
	"/describeSignalingChannel":             "DescribeSignalingChannel",
	"/describeStreamStorageConfiguration":   "DescribeStreamStorageConfiguration",
	"/getSignalingChannelEndpoint":          "GetSignalingChannelEndpoint",
	"/listEdgeAgentConfigurations":          "ListEdgeAgentConfigurations",
	"/listSignalingChannels":                "ListSignalingChannels",
	"/startEdgeConfigurationUpdate":         "StartEdgeConfigurationUpdate",
	"/updateImageGenerationConfiguration":   "UpdateImageGenerationConfiguration",
	"/updateMediaStorageConfiguration":      "UpdateMediaStorageConfiguration",
	"/updateNotificationConfiguration":      "UpdateNotificationConfiguration",
	"/updateSignalingChannel":               "UpdateSignalingChannel",
	"/updateStreamStorageConfiguration":     "UpdateStreamStorageConfiguration",

	"/getClip":                    "GetClip",
	"/getDASHStreamingSessionURL": "GetDASHStreamingSessionURL",
	"/getImages":                  "GetImages",
	"/getMediaForFragmentList":    "GetMediaForFragmentList",
	"/listFragments":              "ListFragments",

	"/getMedia": "GetMedia",
}

// UnknownOperation is the answer to a path outside Operations: it tells an operation that Weir does not have from a wrong path,
// and names the right spelling when only the case is wrong (a usual mistake: /GetHLSStreamingSessionURL). AWS answers 200 with a
// body that clients take for an empty result.
func UnknownOperation(path string) *Error {
	for _, op := range Operations() {
		if strings.EqualFold(op.Path, path) {
			return Errorf(UnknownOperationException, "There is no operation at this path; the path of %s is %s.", op.Name, op.Path)
		}
	}
	for p, name := range otherOperations {
		if strings.EqualFold(p, path) {
			return Errorf(UnknownOperationException, "%s is an operation of Kinesis Video Streams that Weir does not have.", name)
		}
	}
	return Errorf(UnknownOperationException, "There is no operation at the path '%s'.", echo(path))
}
