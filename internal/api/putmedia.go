package api

import (
	"strconv"
	"strings"
)

// TimecodeType says what a cluster's Timestamp counts from.
type TimecodeType string

// The timecode types (DG20 API_dataplane_PutMedia).
const (
	TimecodeAbsolute TimecodeType = "ABSOLUTE" // the Unix epoch
	TimecodeRelative TimecodeType = "RELATIVE" // the producer start timestamp
)

// Headers of PutMedia.
const (
	HeaderStreamName     = "x-amzn-stream-name"
	HeaderStreamARN      = "x-amzn-stream-arn"
	HeaderTimecodeType   = "x-amzn-fragment-timecode-type"
	HeaderProducerStart  = "x-amzn-producer-start-timestamp"
	HeaderAcknowledgment = "x-amzn-fragment-acknowledgment-required"
)

// PutMediaInput is the input of PutMedia, from its headers.
type PutMediaInput struct {
	StreamRef
	TimecodeType TimecodeType
	// milliseconds since the Unix epoch; 0 when absent, which only ABSOLUTE allows
	ProducerStart int64
	Acks          bool // acknowledgements are wanted; the default
}

// ParsePutMedia reads the headers. values returns all values of a header by its case-insensitive
// name, like http.Header.Values. Errors are InvalidArgumentExceptions.
func ParsePutMedia(values func(name string) []string) (*PutMediaInput, error) {
	c := check{zeros: map[string]bool{}}
	given := map[string]string{}
	for _, m := range Find("PutMedia").Input.Members {
		switch v := values(m.Header); len(v) {
		case 0:
			if m.Required {
				c.failRaw(m.Name, "null", "Member must not be null")
			}
		case 1:
			given[m.Name] = strings.Trim(v[0], " \t")
			if m.Shape.Kind == KindString {
				c.text(m.Name, given[m.Name], m.Shape)
			}
		default:
			c.fail(m.Name, strings.Join(v, ","), "Member must be given only once")
		}
	}
	in := &PutMediaInput{
		StreamRef:    StreamRef{StreamName: given["StreamName"], StreamARN: given["StreamARN"]},
		TimecodeType: TimecodeType(given["FragmentTimecodeType"]), Acks: true,
	}
	const start = "ProducerStartTimestamp"
	if given[start] != "" {
		ms, ok := parseSeconds(given[start])
		if !ok {
			c.fail(start, given[start],
				"Member must be a decimal number of seconds since 1970-01-01")
		}
		in.ProducerStart = ms
	} else if in.TimecodeType == TimecodeRelative {
		c.failRaw(start, "null", "Member must not be null")
	}
	const acks = "FragmentAcknowledgmentRequired"
	switch strings.ToLower(given[acks]) {
	case "", "1", "true":
	case "0", "false":
		in.Acks = false
	default:
		c.text(acks, given[acks], &Shape{Enum: []string{"0", "1"}})
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := in.rules(); err != nil {
		return nil, err
	}
	return in, nil
}

// parseSeconds reads a decimal number of seconds as milliseconds, and cuts off finer digits. The C
// producers write the milliseconds without leading zeros ("1795358897.48" for .048); that looks the
// same as .480, so it is read as a decimal.
func parseSeconds(s string) (int64, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole == "" && fraction == "" || !digits(whole) || !digits(fraction) || len(whole) > 15 {
		return 0, false
	}
	var seconds int64
	if whole != "" {
		seconds, _ = strconv.ParseInt(whole, 10, 64) // at most 15 digits
	}
	ms := seconds * 1000
	for i, unit := 0, int64(100); i < len(fraction) && unit > 0; i, unit = i+1, unit/10 {
		ms += int64(fraction[i]-'0') * unit
	}
	return ms, ms <= maxTimestamp
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
