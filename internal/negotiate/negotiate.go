// Package negotiate reads what a client says it accepts.
package negotiate

import (
	"strconv"
	"strings"
)

// Gzip reports whether an Accept-Encoding header accepts gzip by name (RFC 9110 section 12.5.3).
func Gzip(header string) bool {
	for item := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			_, q, weighted := strings.Cut(params, "=")
			weight, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
			return !weighted || err == nil && weight > 0
		}
	}
	return false
}
