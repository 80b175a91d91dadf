package api

import "strconv"

// ImageFormat is how images are encoded (M-AM Format).
type ImageFormat string

// The values of ImageFormat.
const (
	ImageJPEG ImageFormat = "JPEG"
	ImagePNG  ImageFormat = "PNG"
)

// ImageError is why an image is missing (M-AM ImageError).
type ImageError string

// The values of ImageError.
const (
	ImageNoMedia    ImageError = "NO_MEDIA"
	ImageMediaError ImageError = "MEDIA_ERROR"
)

// formatJPEGQuality is the one key of FormatConfig.
const formatJPEGQuality = "JPEGQuality"

// JPEGQuality returns the quality in a FormatConfig, DefaultJPEGQuality when there is none.
// InvalidArgumentException when it is not a whole number from 1 to 100.
func JPEGQuality(config map[string]string) (int, error) {
	text, ok := config[formatJPEGQuality]
	if !ok {
		return DefaultJPEGQuality, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > MaxJPEGQuality {
		return 0, Errorf(InvalidArgumentException,
			"JPEGQuality must be a whole number from 1 to %d, not '%s'.", MaxJPEGQuality,
			echo(text))
	}
	return n, nil
}

// GetImagesInput is the body of /getImages. After ApplyDefaults only NextToken and the size may be
// absent.
type GetImagesInput struct {
	given
	StreamRef
	ImageSelectorType FragmentSelectorType `json:"ImageSelectorType,omitempty"`
	StartTimestamp    *Timestamp           `json:"StartTimestamp,omitempty"`
	EndTimestamp      *Timestamp           `json:"EndTimestamp,omitempty"`
	// milliseconds, at least 200; absent: DefaultSamplingInterval
	SamplingInterval int               `json:"SamplingInterval,omitempty"`
	Format           ImageFormat       `json:"Format,omitempty"`
	FormatConfig     map[string]string `json:"FormatConfig,omitempty"`
	// pixels; absent: in proportion to the other, or as in the video
	WidthPixels  int `json:"WidthPixels,omitempty"`
	HeightPixels int `json:"HeightPixels,omitempty"`
	// 1 to 100; a page has at most 25 of these, which is also the default
	MaxResults int    `json:"MaxResults,omitempty"`
	NextToken  string `json:"NextToken,omitempty"`
}

// rules adds what the model's text says about the range and the interval, and that FormatConfig has
// a number.
func (in *GetImagesInput) rules() error {
	if err := in.StreamRef.rules(); err != nil {
		return err
	}
	if err := validateInterval(in.SamplingInterval, in.zeros["SamplingInterval"]); err != nil {
		return err
	}
	switch length := int64(*in.EndTimestamp - *in.StartTimestamp); {
	case length < 0:
		return NewError(InvalidArgumentException,
			"EndTimestamp must not be before StartTimestamp.")
	case length > MaxImagesRange.Milliseconds():
		return Errorf(InvalidArgumentException,
			"EndTimestamp must be within %d seconds of StartTimestamp.",
			int(MaxImagesRange.Seconds()))
	}
	_, err := JPEGQuality(in.FormatConfig)
	return err
}

// validateInterval refuses a sampling interval that is too short; explicit says that a 0 was sent.
func validateInterval(millis int, explicit bool) error {
	if (millis != 0 || explicit) && millis < MinSamplingInterval {
		return Errorf(InvalidArgumentException,
			"SamplingInterval must be at least %d milliseconds.", MinSamplingInterval)
	}
	return nil
}

// ApplyDefaults fills in absent members. Call it after Validate.
func (in *GetImagesInput) ApplyDefaults() {
	if in.SamplingInterval == 0 {
		in.SamplingInterval = DefaultSamplingInterval
	}
	if in.MaxResults == 0 || in.MaxResults > MaxImagesPage {
		in.MaxResults = MaxImagesPage
	}
}
