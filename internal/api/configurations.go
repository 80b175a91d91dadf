package api

import "net/url"

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

// Values of ConfigurationStatus (M-KV).
const (
	StatusEnabled  = "ENABLED"
	StatusDisabled = "DISABLED"
)

// NotificationConfiguration says where a stream's notifications go.
type NotificationConfiguration struct {
	Status            string                         `json:"Status,omitempty"`
	DestinationConfig *NotificationDestinationConfig `json:"DestinationConfig,omitempty"`
}

// NotificationDestinationConfig is a member of NotificationConfiguration.
type NotificationDestinationConfig struct {
	Uri string `json:"Uri,omitempty"`
}

// DescribeNotificationConfigurationInput is the body of /describeNotificationConfiguration.
type DescribeNotificationConfigurationInput struct {
	given
	StreamRef
}

// DescribeNotificationConfigurationOutput answers /describeNotificationConfiguration.
type DescribeNotificationConfigurationOutput struct {
	NotificationConfiguration *NotificationConfiguration `json:"NotificationConfiguration"`
}

// UpdateNotificationConfigurationInput is the body of /updateNotificationConfiguration.
type UpdateNotificationConfigurationInput struct {
	given
	StreamRef
	// absent: the configuration is deleted
	NotificationConfiguration *NotificationConfiguration `json:"NotificationConfiguration,omitempty"`
}

// UpdateNotificationConfigurationOutput answers /updateNotificationConfiguration: {}.
type UpdateNotificationConfigurationOutput struct{}

// rules adds that Weir delivers by HTTP: there is no SNS.
func (in *UpdateNotificationConfigurationInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	if c := in.NotificationConfiguration; c != nil {
		u, err := url.Parse(c.DestinationConfig.Uri)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
			u.User != nil {
			return NewError(InvalidArgumentException, "The Uri of notifications must be an "+
				"http or https URL without a user; Weir has no SNS.")
		}
	}
	return nil
}
