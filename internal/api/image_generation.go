package api

import (
	"regexp"
	"strings"
	"unicode"
)

// ImageGenerationConfiguration says which images are made of a stream's tagged fragments, and where
// they go.
type ImageGenerationConfiguration struct {
	Status            string                            `json:"Status,omitempty"`
	ImageSelectorType FragmentSelectorType              `json:"ImageSelectorType,omitempty"`
	DestinationConfig *ImageGenerationDestinationConfig `json:"DestinationConfig,omitempty"`
	// milliseconds, at least 200
	SamplingInterval int               `json:"SamplingInterval,omitempty"`
	Format           ImageFormat       `json:"Format,omitempty"`
	FormatConfig     map[string]string `json:"FormatConfig,omitempty"`
	// pixels; absent: in proportion to the other, or as in the video
	WidthPixels  int `json:"WidthPixels,omitempty"`
	HeightPixels int `json:"HeightPixels,omitempty"`
}

// ImageGenerationDestinationConfig is a member of ImageGenerationConfiguration.
type ImageGenerationDestinationConfig struct {
	Uri               string `json:"Uri,omitempty"`
	DestinationRegion string `json:"DestinationRegion,omitempty"`
}

// DescribeImageGenerationConfigurationInput is the body of /describeImageGenerationConfiguration.
type DescribeImageGenerationConfigurationInput struct {
	given
	StreamRef
}

// DescribeImageGenerationConfigurationOutput answers /describeImageGenerationConfiguration.
type DescribeImageGenerationConfigurationOutput struct {
	ImageGenerationConfiguration *ImageGenerationConfiguration `json:"ImageGenerationConfiguration"`
}

// UpdateImageGenerationConfigurationInput is the body of /updateImageGenerationConfiguration.
type UpdateImageGenerationConfigurationInput struct {
	given
	StreamRef
	// absent: the configuration is deleted
	ImageGenerationConfiguration *ImageGenerationConfiguration `json:"ImageGenerationConfiguration,omitempty"`
}

// UpdateImageGenerationConfigurationOutput answers /updateImageGenerationConfiguration: {}.
type UpdateImageGenerationConfigurationOutput struct{}

// rules adds what the model's text says about the interval and FormatConfig, and that images go to
// a bucket, which here is a directory.
func (in *UpdateImageGenerationConfigurationInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	c := in.ImageGenerationConfiguration
	if c == nil {
		return nil
	}
	if err := validateInterval(c.SamplingInterval, true); err != nil {
		return err
	}
	if _, err := JPEGQuality(c.FormatConfig); err != nil {
		return err
	}
	_, err := ImageDirectory(c.DestinationConfig.Uri)
	return err
}

// bucketName is the form of S3's names for buckets (Amazon S3 User Guide, "General purpose bucket
// naming rules").
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ImageDirectory returns the elements of the path that a destination's URI stands for: the bucket,
// then the parts of its prefix between slashes. None is empty, "." or "..", and none has a
// separator or a control character. InvalidArgumentException when the URI is not
// s3://BUCKET/PREFIX.
func ImageDirectory(uri string) ([]string, error) {
	path, ok := strings.CutPrefix(uri, "s3://")
	elements := strings.Split(strings.TrimSuffix(path, "/"), "/")
	ok = ok && bucketName.MatchString(elements[0]) && !strings.Contains(elements[0], "..")
	for _, e := range elements {
		ok = ok && e != "" && e != "." && e != ".." && !strings.ContainsRune(e, '\\') &&
			!strings.ContainsFunc(e, unicode.IsControl)
	}
	if !ok {
		return nil, NewError(InvalidArgumentException, "The Uri of generated images must be "+
			"s3://BUCKET or s3://BUCKET/PREFIX, with nothing empty and no dots between slashes.")
	}
	return elements, nil
}
