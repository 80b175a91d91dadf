package api

// Shapes of images.
var (
	shapeImageSelector = enum("ImageSelectorType", string(SelectorProducerTimestamp),
		string(SelectorServerTimestamp))
	shapeSamplingInterval = number(KindInteger, "SamplingInterval", 0, 0)
	shapeImageFormat      = enum("Format", string(ImageJPEG), string(ImagePNG))
	shapeFormatConfig     = &Shape{Kind: KindMap, Name: "FormatConfig", Min: 1, Max: 1,
		Key:  enum("FormatConfigKey", formatJPEGQuality),
		Item: text("FormatConfigValue", 0, 256, newPattern(`^[a-zA-Z_0-9]+`))}
	shapeImageWidth  = number(KindInteger, "WidthPixels", 1, MaxImageWidth)
	shapeImageHeight = number(KindInteger, "HeightPixels", 1, MaxImageHeight)
)

const (
	docSamplingInterval = "Milliseconds from one image to the next: 200 or more; 3000 by default."
	docFormatConfig     = "JPEGQuality from 1 to 100; 80 by default."
	docWidth            = "Width in pixels. By default, from the height and the video's shape."
	docHeight           = "Height in pixels. By default, from the width and the video's shape."
)

var operationGetImages = &Operation{
	Name: "GetImages", Path: "/getImages", Service: ArchivedMedia,
	Doc: "Get still images of a stream, all pages of them.", DataAPI: APIGetImages,
	Example: "weir get-images --stream-name cam1 --image-selector-type PRODUCER_TIMESTAMP " +
		"--start-timestamp '10m ago' \\\n    --end-timestamp '6m ago' --sampling-interval 60000 " +
		"--format JPEG --width-pixels 320 --query 'Images[].[TimeStamp,Error]'",
	Resources: aboutStream,
	Input: structure("GetImagesInput", memberStreamName, memberStreamARN,
		required("ImageSelectorType", shapeImageSelector, "Whose clock the moments are of."),
		required("StartTimestamp", shapeTimestamp, "The first moment."),
		required("EndTimestamp", shapeTimestamp,
			"The last moment; at most 300 seconds after the first."),
		optional("SamplingInterval", shapeSamplingInterval, docSamplingInterval),
		required("Format", shapeImageFormat, "How images are encoded."),
		optional("FormatConfig", shapeFormatConfig, docFormatConfig),
		optional("WidthPixels", shapeImageWidth, docWidth),
		optional("HeightPixels", shapeImageHeight, docHeight),
		optional("MaxResults", number(KindLong, "GetImagesMaxResults", 1, MaxImagesResults),
			"One page of at most so many, and never more than 25, instead of all."),
		optional("NextToken", shapePageToken,
			"One page: the one after that with this NextToken.")),
	Output: structure("GetImagesOutput",
		optional("Images", &Shape{Kind: KindList, Name: "Images", Item: structure("Image",
			optional("TimeStamp", shapeTimestamp, ""),
			optional("Error", enum("ImageError", string(ImageNoMedia),
				string(ImageMediaError)), ""),
			optional("ImageContent", &Shape{Kind: KindString, Name: "ImageContent", Min: 1,
				Max: 6 << 20}, ""))}, ""),
		optional("NextToken", shapePageToken, "")),
	Paging: &Paging{InputToken: "NextToken", OutputToken: "NextToken", Limit: "MaxResults",
		Result: "Images"},
	NewInput: func() Input { return new(GetImagesInput) },
}
