package api

// The rows of the table for what is configured of a stream.

// Shapes of the configurations.
var shapeStorage = structure("StreamStorageConfiguration",
	required("DefaultStorageTier", shapeTier, "The tier."))

var configurationOperations = []*Operation{
	{
		Name: "DescribeStreamStorageConfiguration", Path: "/describeStreamStorageConfiguration",
		Doc:     "Show the storage tier of a stream.",
		Example: "weir describe-stream-storage-configuration --stream-name cam1",
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
		Doc: "Change the storage tier of a stream; kept, without effect.",
		Example: "weir update-stream-storage-configuration --stream-name cam1 " +
			"--stream-storage-configuration \\\n    DefaultStorageTier=WARM --current-version " +
			exampleVersion,
		Input: structure("UpdateStreamStorageConfigurationInput", memberStreamName,
			memberStreamARN, memberVersion,
			required("StreamStorageConfiguration", shapeStorage, "The storage.")),
		Output:   structure("UpdateStreamStorageConfigurationOutput"),
		NewInput: func() Input { return new(UpdateStreamStorageConfigurationInput) },
	},
}
