package api

// Operations on the configurations of a stream.

// Shapes of the configurations.
var (
	shapeStorage = structure("StreamStorageConfiguration",
		required("DefaultStorageTier", shapeTier, "The tier."))
	shapeStatus = enum("ConfigurationStatus", StatusEnabled, StatusDisabled)
	shapeURI    = text("DestinationUri", 1, MaxDestinationURI,
		newPattern(`^[a-zA-Z_0-9]+:(//)?([^/]+)/?([^*]*)$`))
	shapeNotification = structure("NotificationConfiguration",
		required("Status", shapeStatus, "Whether there are notifications."),
		required("DestinationConfig", structure("NotificationDestinationConfig",
			required("Uri", shapeURI, "An http or https URL.")), "Where they go."))
	shapeImageGeneration = structure("ImageGenerationConfiguration",
		required("Status", shapeStatus, "Whether images are made."),
		required("ImageSelectorType", shapeImageSelector, "Whose clock the moments are of."),
		required("DestinationConfig", structure("ImageGenerationDestinationConfig",
			required("Uri", shapeURI, "s3://BUCKET/PREFIX: a directory of the server."),
			required("DestinationRegion", text("DestinationRegion", 9, 14,
				newPattern(`^[a-z]+(-[a-z]+)?-[a-z]+-[0-9]$`)), "The server's region.")),
			"Where they go."),
		required("SamplingInterval", shapeSamplingInterval,
			"Milliseconds from one image to the next: 200 or more."),
		required("Format", shapeImageFormat, "How images are encoded."),
		optional("FormatConfig", shapeFormatConfig, docFormatConfig),
		optional("WidthPixels", shapeImageWidth, docWidth),
		optional("HeightPixels", shapeImageHeight, docHeight))
)

var configurationOperations = []*Operation{
	{
		Name: "DescribeStreamStorageConfiguration", Path: "/describeStreamStorageConfiguration",
		Doc:       "Show the storage tier of a stream.",
		Example:   "weir describe-stream-storage-configuration --stream-name cam1",
		Resources: aboutStream,
		Input: structure("DescribeStreamStorageConfigurationInput", memberStreamName,
			memberStreamARN),
		Output: structure("DescribeStreamStorageConfigurationOutput",
			optional("StreamName", shapeStreamName, ""),
			optional("StreamARN", shapeResourceARN, ""),
			optional("StreamStorageConfiguration", shapeStorage, "")),
		NewInput: func() Input { return new(DescribeStreamStorageConfigurationInput) },
	},
	{
		Name: "UpdateStreamStorageConfiguration", Path: "/updateStreamStorageConfiguration",
		Doc: "Change the storage tier of a stream: the disk, or an object store.",
		Example: "weir update-stream-storage-configuration --stream-name cam1 " +
			"--stream-storage-configuration \\\n    DefaultStorageTier=WARM --current-version " +
			exampleVersion,
		Resources: aboutStream,
		Input: structure("UpdateStreamStorageConfigurationInput", memberStreamName,
			memberStreamARN, memberVersion,
			required("StreamStorageConfiguration", shapeStorage, "The storage.")),
		Output:   structure("UpdateStreamStorageConfigurationOutput"),
		NewInput: func() Input { return new(UpdateStreamStorageConfigurationInput) },
	},
	{
		Name: "DescribeNotificationConfiguration", Path: "/describeNotificationConfiguration",
		Doc:       "Show where a stream's notifications go.",
		Example:   "weir describe-notification-configuration --stream-name cam1",
		Resources: aboutStream,
		Input: structure("DescribeNotificationConfigurationInput", memberStreamName,
			memberStreamARN),
		Output: structure("DescribeNotificationConfigurationOutput",
			optional("NotificationConfiguration", shapeNotification, "")),
		NewInput: func() Input { return new(DescribeNotificationConfigurationInput) },
	},
	{
		Name: "UpdateNotificationConfiguration", Path: "/updateNotificationConfiguration",
		Doc: "Say where notifications of tagged fragments go.",
		Example: "weir update-notification-configuration --stream-name cam1 " +
			"--notification-configuration \\\n    " +
			"'Status=ENABLED,DestinationConfig={Uri=https://hooks.example.com/cam1}'",
		Resources: aboutStream,
		Input: structure("UpdateNotificationConfigurationInput", memberStreamName,
			memberStreamARN, optional("NotificationConfiguration", shapeNotification,
				"Whether and where to; absent to delete what there is.")),
		Output:   structure("UpdateNotificationConfigurationOutput"),
		NewInput: func() Input { return new(UpdateNotificationConfigurationInput) },
	},
	{
		Name:      "DescribeImageGenerationConfiguration",
		Path:      "/describeImageGenerationConfiguration",
		Doc:       "Show which images are made of a stream's tagged fragments.",
		Example:   "weir describe-image-generation-configuration --stream-name cam1",
		Resources: aboutStream,
		Input: structure("DescribeImageGenerationConfigurationInput", memberStreamName,
			memberStreamARN),
		Output: structure("DescribeImageGenerationConfigurationOutput",
			optional("ImageGenerationConfiguration", shapeImageGeneration, "")),
		NewInput: func() Input { return new(DescribeImageGenerationConfigurationInput) },
	},
	{
		Name: "UpdateImageGenerationConfiguration",
		Path: "/updateImageGenerationConfiguration",
		Doc:  "Say which images to make of tagged fragments.",
		Example: "weir update-image-generation-configuration --stream-name cam1 " +
			"--image-generation-configuration \\\n    " +
			"'Status=ENABLED,ImageSelectorType=PRODUCER_TIMESTAMP,DestinationConfig=" +
			"{Uri=s3://cam1,DestinationRegion=us-west-2},SamplingInterval=3000,Format=JPEG'",
		Resources: aboutStream,
		Input: structure("UpdateImageGenerationConfigurationInput", memberStreamName,
			memberStreamARN, optional("ImageGenerationConfiguration", shapeImageGeneration,
				"Which and where to; absent to delete what there is.")),
		Output:   structure("UpdateImageGenerationConfigurationOutput"),
		NewInput: func() Input { return new(UpdateImageGenerationConfigurationInput) },
	},
}
