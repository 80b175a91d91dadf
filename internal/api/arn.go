package api

import (
	"strconv"
	"strings"
)

// ARN is the name of a resource: arn:PARTITION:kinesisvideo:REGION:ACCOUNT:TYPE/NAME/CREATED.
type ARN struct {
	Partition     string // "aws"
	Region        string
	Account       string // decimal digits
	ResourceType  string // "stream", or "channel" for signalling channels, which Weir does not have
	Name          string
	CreatedMillis int64 // creation time, milliseconds since the Unix epoch
}

// arnStream is ARN.ResourceType of a stream.
const arnStream = "stream"

// FormatARN returns a stream's ARN; created is the creation time in milliseconds since the Unix
// epoch.
func FormatARN(region, account, name string, created int64) string {
	return "arn:aws:kinesisvideo:" + region + ":" + account + ":" + arnStream + "/" + name +
		"/" + strconv.FormatInt(created, 10)
}

// ParseARN reverses FormatARN and also takes other partitions and resource types. Its error is an
// InvalidArgumentException.
func ParseARN(text string) (ARN, error) {
	var c check
	c.text("ResourceARN", text, shapeResourceARN)
	if err := c.err(); err != nil {
		return ARN{}, err
	}
	parts := strings.SplitN(text, ":", 6)
	resource := strings.Split(parts[5], "/")
	created, err := strconv.ParseInt(resource[2], 10, 64)
	if err != nil {
		return ARN{}, NewError(InvalidArgumentException,
			"The creation time in the ARN is out of range.")
	}
	return ARN{
		Partition: parts[1], Region: parts[3], Account: parts[4],
		ResourceType: resource[0], Name: resource[1], CreatedMillis: created,
	}, nil
}
