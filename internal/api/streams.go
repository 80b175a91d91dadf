package api

// StreamRef names a stream by its name or its ARN. Most operations demand exactly one of them.
type StreamRef struct {
	StreamName string `json:"StreamName,omitempty"` // 1 to 256 of [a-zA-Z0-9_.-]
	StreamARN  string `json:"StreamARN,omitempty"`  // see ParseARN
}

// rules demands exactly one of name and ARN; inputs inherit it.
func (r *StreamRef) rules() error {
	switch {
	case r.StreamName == "" && r.StreamARN == "":
		return NewError(InvalidArgumentException,
			"Either StreamName or StreamARN must be specified.")
	case r.StreamName != "" && r.StreamARN != "":
		return NewError(InvalidArgumentException,
			"StreamName and StreamARN must not both be specified.")
	}
	return nil
}

// Storage tiers of StreamStorageConfiguration (M-KV DefaultStorageTier).
const (
	StorageTierHot  = "HOT"
	StorageTierWarm = "WARM"
)

// StreamStorageConfiguration says which tier a stream is stored in.
type StreamStorageConfiguration struct {
	DefaultStorageTier string `json:"DefaultStorageTier,omitempty"` // HOT or WARM, required
}

// CreateStreamInput is the body of /createStream.
type CreateStreamInput struct {
	given
	// kept, without effect
	DeviceName string `json:"DeviceName,omitempty"`
	StreamName string `json:"StreamName,omitempty"` // required
	// type/subtype, several with commas
	MediaType string `json:"MediaType,omitempty"`
	// kept, without effect
	KmsKeyId                   string                      `json:"KmsKeyId,omitempty"`
	DataRetentionInHours       int                         `json:"DataRetentionInHours,omitempty"`
	Tags                       map[string]string           `json:"Tags,omitempty"`
	StreamStorageConfiguration *StreamStorageConfiguration `json:"StreamStorageConfiguration,omitempty"`
}

// CreateStreamOutput answers /createStream.
type CreateStreamOutput struct {
	StreamARN string `json:"StreamARN"`
}

// DescribeStreamInput is the body of /describeStream.
type DescribeStreamInput struct {
	given
	StreamRef
}

// Values of StreamInfo.Status (M-KV Status). Producers expect ACTIVE at once and take DELETING for
// fatal (docs/reference/producers.md, "Control calls").
const (
	StatusCreating = "CREATING"
	StatusActive   = "ACTIVE"
	StatusUpdating = "UPDATING"
	StatusDeleting = "DELETING"
)

// StreamInfo describes a stream. As in the service, members are in alphabetical order and absent
// ones are null. Producers scan it as flat text with at most 100 tokens, so it must stay flat and
// small (docs/reference/producers.md, "Control calls").
type StreamInfo struct {
	CreationTime         Timestamp `json:"CreationTime"`
	DataRetentionInHours int       `json:"DataRetentionInHours"`
	DeviceName           *string   `json:"DeviceName"`
	KmsKeyId             *string   `json:"KmsKeyId"`
	MediaType            *string   `json:"MediaType"`
	Status               string    `json:"Status"`
	StreamARN            string    `json:"StreamARN"`
	StreamName           string    `json:"StreamName"`
	Version              string    `json:"Version"`
}

// NullIfEmpty returns nil for "", which is written as null, and otherwise a pointer to s.
func NullIfEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// DescribeStreamOutput answers /describeStream.
type DescribeStreamOutput struct {
	StreamInfo StreamInfo `json:"StreamInfo"`
}

// ComparisonBeginsWith is the only ComparisonOperator of the model.
const ComparisonBeginsWith = "BEGINS_WITH"

// StreamNameCondition filters ListStreams.
type StreamNameCondition struct {
	ComparisonOperator string `json:"ComparisonOperator,omitempty"` // BEGINS_WITH, also when absent
	// the prefix; absent: all streams
	ComparisonValue string `json:"ComparisonValue,omitempty"`
}

// ListStreamsInput is the body of /listStreams.
type ListStreamsInput struct {
	given
	// 1 to 10,000; absent: DefaultListStreams
	MaxResults          int                  `json:"MaxResults,omitempty"`
	NextToken           string               `json:"NextToken,omitempty"`
	StreamNameCondition *StreamNameCondition `json:"StreamNameCondition,omitempty"`
}

// Prefix returns the prefix of the names to list, "" for all.
func (in *ListStreamsInput) Prefix() string {
	if in.StreamNameCondition == nil {
		return ""
	}
	return in.StreamNameCondition.ComparisonValue
}

// Limit returns MaxResults or its default.
func (in *ListStreamsInput) Limit() int {
	if in.MaxResults == 0 {
		return DefaultListStreams
	}
	return in.MaxResults
}

// ListStreamsOutput answers /listStreams. StreamInfoList must not be nil: clients iterate it.
type ListStreamsOutput struct {
	NextToken      *string      `json:"NextToken"` // null on the last page
	StreamInfoList []StreamInfo `json:"StreamInfoList"`
}

// UpdateStreamInput is the body of /updateStream.
type UpdateStreamInput struct {
	given
	StreamRef
	CurrentVersion string `json:"CurrentVersion,omitempty"` // required
	DeviceName     string `json:"DeviceName,omitempty"`     // absent: unchanged
	MediaType      string `json:"MediaType,omitempty"`      // absent: unchanged
}

// UpdateStreamOutput answers /updateStream: {}.
type UpdateStreamOutput struct{}

// DeleteStreamInput is the body of /deleteStream. A stream cannot be deleted by name.
type DeleteStreamInput struct {
	given
	// required; its creation time must be the stream's
	StreamARN      string `json:"StreamARN,omitempty"`
	CurrentVersion string `json:"CurrentVersion,omitempty"` // absent: any version
}

// DeleteStreamOutput answers /deleteStream: {}.
type DeleteStreamOutput struct{}

// Operations of UpdateDataRetention (M-KV UpdateDataRetentionOperation).
const (
	IncreaseDataRetention = "INCREASE_DATA_RETENTION"
	DecreaseDataRetention = "DECREASE_DATA_RETENTION"
)

// UpdateDataRetentionInput is the body of /updateDataRetention.
type UpdateDataRetentionInput struct {
	given
	StreamRef
	CurrentVersion string `json:"CurrentVersion,omitempty"` // required
	Operation      string `json:"Operation,omitempty"`      // required
	// required, 1 or more
	DataRetentionChangeInHours int `json:"DataRetentionChangeInHours,omitempty"`
}

// NewRetention returns the retention in hours after the change, or an InvalidArgumentException when
// that would be outside of 0 to MaxRetentionHours.
func (in *UpdateDataRetentionInput) NewRetention(current int) (int, error) {
	hours := current + in.DataRetentionChangeInHours
	if in.Operation == DecreaseDataRetention {
		hours = current - in.DataRetentionChangeInHours
	}
	if hours < 0 || hours > MaxRetentionHours {
		return 0, Errorf(InvalidArgumentException,
			"The data retention would become %d hours; it must be between 0 and %d.", hours,
			MaxRetentionHours)
	}
	return hours, nil
}

// UpdateDataRetentionOutput answers /updateDataRetention: {}.
type UpdateDataRetentionOutput struct{}

// Values of GetDataEndpointInput.APIName (M-KV APIName).
const (
	APIPutMedia                   = "PUT_MEDIA"
	APIGetMedia                   = "GET_MEDIA"
	APIListFragments              = "LIST_FRAGMENTS"
	APIGetMediaForFragmentList    = "GET_MEDIA_FOR_FRAGMENT_LIST"
	APIGetHLSStreamingSessionURL  = "GET_HLS_STREAMING_SESSION_URL"
	APIGetDASHStreamingSessionURL = "GET_DASH_STREAMING_SESSION_URL"
	APIGetClip                    = "GET_CLIP"
	APIGetImages                  = "GET_IMAGES"
)

// GetDataEndpointInput is the body of /getDataEndpoint.
type GetDataEndpointInput struct {
	given
	StreamRef
	APIName string `json:"APIName,omitempty"` // required
}

// GetDataEndpointOutput answers /getDataEndpoint. DataEndpoint has a scheme and no trailing slash,
// because producers simply append "/putMedia" to it (docs/reference/producers.md, "Control calls").
type GetDataEndpointOutput struct {
	DataEndpoint string `json:"DataEndpoint"`
}
