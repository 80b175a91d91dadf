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
//   - ISO 8601: 2026-01-31T12:00:00Z, 2026-01-31 12:00; local time without a zone, the start of the day without a time
//   - what is relative to now: now, 10m ago, 1h30m ago, 2 days ago
//   - a time of today or yesterday, local: today, today 14:00, yesterday 9:30:15
func ParseMoment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return epoch(seconds, text)
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "20060102T150405Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700", time.RFC1123, time.RFC1123Z} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02", "20060102T150405"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, ok := spoken(strings.ToLower(text), now); ok {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is no moment; give seconds since 1970, ISO 8601 such as 2026-01-31T12:00:00Z, or such as \"10m ago\", \"now\", \"today 14:00\"", text)
}

// endOfTime is the year 10000, in seconds since 1970: what is later was meant in milliseconds.
const endOfTime = 253_402_300_800

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
			return time.Date(year, month, date, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), true
		}
	}
	return time.Time{}, false
}

// duration reads 10m, 1h30m, 90seconds, 2days, 1week.
func duration(text string) (time.Duration, bool) {
	units := map[string]time.Duration{
		"s": time.Second, "sec": time.Second, "second": time.Second, "m": time.Minute, "min": time.Minute, "minute": time.Minute,
		"h": time.Hour, "hour": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
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

func parseMoment(v Value, now time.Time) (time.Time, error) {
	switch v := v.(type) {
	case string:
		return ParseMoment(v, now)
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return time.Time{}, err
		}
		return epoch(f, string(v))
	}
	return time.Time{}, fmt.Errorf("%s is no moment", python(v))
}
