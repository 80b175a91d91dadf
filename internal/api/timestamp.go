package api

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Timestamp is a moment in milliseconds since the Unix epoch. On the wire it is a JSON number of
// epoch seconds (rest-json); ISO 8601 strings are accepted as well. It is always written with three
// decimals and without an exponent.
type Timestamp int64

// maxTimestamp is the end of the year 9999 in milliseconds. It catches callers who send
// milliseconds as seconds.
const maxTimestamp = 253_402_300_799_999

// Time returns the timestamp as a time.Time in UTC.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

// AppendTimestamp appends the epoch seconds with exactly three decimals.
func AppendTimestamp(dst []byte, t Timestamp) []byte {
	v := int64(t)
	if v < 0 {
		dst = append(dst, '-')
		v = -v
	}
	dst = strconv.AppendInt(dst, v/1000, 10)
	ms := v % 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

// MarshalJSON writes the epoch seconds with three decimals.
func (t Timestamp) MarshalJSON() ([]byte, error) { return AppendTimestamp(nil, t), nil }

// UnmarshalJSON reads what DecodeJSON accepts for a timestamp.
func (t *Timestamp) UnmarshalJSON(data []byte) error {
	var v any = json.Number(data)
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		v = s
	}
	ts, err := decodeTimestamp("Timestamp", v)
	if err == nil {
		*t = ts
	}
	return err
}

func decodeTimestamp(path string, v any) (Timestamp, error) {
	switch v := v.(type) {
	case json.Number:
		seconds, err := strconv.ParseFloat(string(v), 64)
		if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > maxTimestamp/1000 {
			return 0, Errorf(SerializationException,
				"The timestamp at '%s' is out of range; it must be in seconds since 1970-01-01.",
				decapitalise(path))
		}
		return Timestamp(math.Round(seconds * 1000)), nil
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700",
			"2006-01-02T15:04Z07:00"} {
			if t, err := time.Parse(layout, v); err == nil && t.Year() >= 0 && t.Year() <= 9999 {
				return Timestamp(t.UnixMilli()), nil
			}
		}
		return 0, Errorf(SerializationException,
			"The timestamp at '%s' is not in ISO 8601 form with a time zone, such as "+
				"2018-12-31T23:59:59.000Z.", decapitalise(path))
	}
	return 0, wrongType(path, v, "a Timestamp")
}
