package api

// DescribeStreamStorageConfigurationInput is the body of /describeStreamStorageConfiguration.
type DescribeStreamStorageConfigurationInput struct {
	given
	StreamRef
}

// DescribeStreamStorageConfigurationOutput answers /describeStreamStorageConfiguration.
type DescribeStreamStorageConfigurationOutput struct {
	StreamARN                  string                     `json:"StreamARN"`
	StreamName                 string                     `json:"StreamName"`
	StreamStorageConfiguration StreamStorageConfiguration `json:"StreamStorageConfiguration"`
}

// UpdateStreamStorageConfigurationInput is the body of /updateStreamStorageConfiguration.
type UpdateStreamStorageConfigurationInput struct {
	given
	StreamRef
	CurrentVersion             string                      `json:"CurrentVersion,omitempty"`
	StreamStorageConfiguration *StreamStorageConfiguration `json:"StreamStorageConfiguration,omitempty"`
}

// UpdateStreamStorageConfigurationOutput answers /updateStreamStorageConfiguration: {}.
type UpdateStreamStorageConfigurationOutput struct{}
