package awscli

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseMoment reads a moment as people type it:
//
//   - seconds since 1970, with or without a fraction: 1704200000.5
//   - a date, a time of day or both, in any form that ParseTimestamp takes, but local without a
//     zone
//   - what is relative to now: now, 10m ago, 1h30m ago, 2 days ago
//   - a time of today or yesterday, local: today, today 14:00, yesterday 9:30:15
func ParseMoment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return epoch(seconds, text)
	}
	if t, ok := spoken(strings.ToLower(text), now); ok {
		return t, nil
	}
	d, err := parseDate(text, now.Year())
	if err == nil {
		if t, known, err := d.in(now, now.Location()); err == nil && known {
			return t, nil
		} else if err == nil {
			return time.Time{}, fmt.Errorf("%q has the unknown zone %s; give it as such as +02:00",
				text, d.zone)
		}
	}
	return time.Time{}, fmt.Errorf("%q is no moment; give seconds since 1970, ISO 8601 such as "+
		"2026-01-31T12:00:00Z, or such as \"10m ago\", \"now\", \"today 14:00\"", text)
}

// ParseTimestamp reads a timestamp parameter of the API as the AWS command line does
// (botocore.utils.parse_to_aware_datetime), in any form that dateutil.parser takes: seconds since
// 1970, 2021-04-06T15:05:00Z, 2021/04/06, 04/06/2021 3:05 PM, Tue Apr 6 2021, 15:05 +0200. Without
// a zone it is in UTC, without a date it is today's. The only names of zones are UTC, GMT, Z and
// those of the local zone of now; any other, such as EST, is taken for UTC too, and returned.
//
// Beyond that it takes what ParseMoment has relative to now, in UTC.
func ParseTimestamp(text string, now time.Time) (t time.Time, unknownZone string, err error) {
	if seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
		if t, err := seconds1970(seconds); err == nil {
			return t, "", nil
		}
	}
	if t, ok := spoken(strings.ToLower(strings.TrimSpace(text)), now.UTC()); ok {
		return t, "", nil
	}
	d, err := parseDate(text, now.Year())
	if err == nil {
		t, known, err := d.in(now, time.UTC)
		if err == nil && !known {
			unknownZone = d.zone
		}
		if err == nil && inYears(float64(t.Unix())) {
			return t, unknownZone, nil
		}
	}
	return time.Time{}, "", fmt.Errorf("%q is no timestamp", text)
}

// seconds1970 returns the time that many seconds after 1970 began, to the microsecond. It must be
// in the years 1 to 9999.
func seconds1970(seconds float64) (time.Time, error) {
	if !inYears(seconds) {
		return time.Time{}, fmt.Errorf("%g s since 1970 is not in the years 1 to 9999", seconds)
	}
	whole, fraction := math.Modf(seconds)
	return time.UnixMicro(int64(whole)*1e6 + int64(math.RoundToEven(fraction*1e6))), nil
}

// inYears reports whether a time in seconds since 1970 is in the years 1 to 9999. It is false for
// NaN.
func inYears(seconds float64) bool {
	return seconds >= startOfTime && seconds < endOfTime
}

// in is the moment that a date means. What the date leaves out comes from now, which also has the
// local zone; zone is that of dates without one. A date in a zone of unknown name is taken to be
// in zone, and known is false.
func (d date) in(now time.Time, zone *time.Location) (t time.Time, known bool, err error) {
	year, month, day := now.Year(), int(now.Month()), now.Day()
	for _, part := range []struct{ to, from *int }{{&year, &d.year}, {&month, &d.month}} {
		if *part.from != unset {
			*part.to = *part.from
		}
	}
	if year < 1 || year > 9999 || month < 1 || month > 12 {
		return time.Time{}, false, errNoDate
	}
	if d.day == unset {
		day = min(day, daysIn(year, month)) // the 31st of a month of 30 days
	} else if day = d.day; day < 1 || day > daysIn(year, month) {
		return time.Time{}, false, errNoDate
	}
	hour, minute, second := max(d.hour, 0), max(d.minute, 0), max(d.second, 0)
	if hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false, errNoDate
	}
	if d.offset <= -24*3600 || d.offset >= 24*3600 {
		return time.Time{}, false, errNoDate
	}
	if d.weekday != unset && d.day == unset { // the next such day, today included
		today := int(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Weekday()+6) % 7
		day += (d.weekday - today + 7) % 7
	}
	at := func(zone *time.Location) time.Time {
		return time.Date(year, time.Month(month), day, hour, minute, second, max(d.micro, 0)*1000,
			zone)
	}
	switch {
	case d.zone == "GMT":
		return at(time.UTC), true, nil
	case d.zone != "" && isZoneOf(now, d.zone):
		return named(at(now.Location()), d.zone), true, nil
	case d.hasOffset:
		return at(time.FixedZone(d.zone, d.offset)), true, nil
	}
	return at(zone), d.zone == "", nil
}

// isZoneOf reports whether a zone's name is one of the local zone's, in winter or in summer.
func isZoneOf(now time.Time, name string) bool {
	for _, month := range []time.Month{time.January, time.July} {
		if n, _ := time.Date(now.Year(), month, 1, 0, 0, 0, 0, now.Location()).Zone(); n == name {
			return true
		}
	}
	return false
}

// named is t. If the clocks were put back, and t's clock time came twice, it is the one of the two
// moments that has the zone's name.
func named(t time.Time, zone string) time.Time {
	for _, shift := range []time.Duration{0, -time.Hour, time.Hour} {
		u := t.Add(shift)
		if name, _ := u.Zone(); name == zone && u.Hour() == t.Hour() && u.Day() == t.Day() {
			return u
		}
	}
	return t
}

// The years 1 to 9999, in seconds since 1970: what is later was meant in milliseconds.
const (
	startOfTime = -62_135_596_800
	endOfTime   = 253_402_300_800
)

func epoch(seconds float64, text string) (time.Time, error) {
	if math.IsNaN(seconds) || seconds < 0 || seconds >= endOfTime {
		return time.Time{}, fmt.Errorf("%s is out of range for seconds since 1970", text)
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))), nil
}

func spoken(text string, now time.Time) (time.Time, bool) {
	if text == "now" {
		return now, true
	}
	if span, ok := strings.CutSuffix(text, "ago"); ok {
		d, ok := duration(strings.ReplaceAll(span, " ", ""))
		return now.Add(-d), ok
	}
	day, clock, _ := strings.Cut(text, " ")
	year, month, date := now.Date()
	switch day {
	case "today":
	case "yesterday":
		date--
	default:
		return time.Time{}, false
	}
	start := time.Date(year, month, date, 0, 0, 0, 0, now.Location())
	if clock = strings.TrimSpace(clock); clock == "" {
		return start, true
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, clock); err == nil {
			return time.Date(year, month, date, t.Hour(), t.Minute(), t.Second(), 0,
				now.Location()), true
		}
	}
	return time.Time{}, false
}

// duration reads 10m, 1h30m, 90seconds, 2days, 1week.
func duration(text string) (time.Duration, bool) {
	units := map[string]time.Duration{
		"s": time.Second, "sec": time.Second, "second": time.Second, "m": time.Minute,
		"min": time.Minute, "minute": time.Minute,
		"h": time.Hour, "hour": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour,
		"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
	}
	var total time.Duration
	for text != "" {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789."))
		rest := text[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		n, err := strconv.ParseFloat(text[:digits], 64)
		name := rest[:letters]
		unit, ok := units[name]
		if !ok {
			unit, ok = units[strings.TrimSuffix(name, "s")]
		}
		if err != nil || !ok || n*unit.Seconds() > endOfTime/100 {
			return 0, false
		}
		total += time.Duration(n * float64(unit))
		text = rest[letters:]
	}
	return total, total > 0
}

// parseTimestamp reads the value of a timestamp parameter. unknownZone is the name of its zone when
// it means nothing.
func parseTimestamp(v Value, now time.Time) (t time.Time, unknownZone string, err error) {
	switch v := v.(type) {
	case string:
		return ParseTimestamp(v, now)
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return time.Time{}, "", err
		}
		t, err = seconds1970(f)
		return t, "", err
	}
	return time.Time{}, "", fmt.Errorf("%s is no timestamp", python(v))
}
