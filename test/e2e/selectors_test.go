package e2e_test

import (
	"fmt"
	"time"
)

// everything selects the last twelve hours and the next eleven, which only producer timestamps may
// reach into.
func everything(kind string) string {
	return selector(kind, time.Now().Add(-12*time.Hour), time.Now().Add(11*time.Hour))
}

// everythingPast selects the last twenty minutes up to now, as server timestamps must.
func everythingPast(kind string) string {
	return selector(kind, time.Now().Add(-20*time.Minute), time.Now())
}

func selector(kind string, from, to time.Time) string {
	return fmt.Sprintf("FragmentSelectorType=%s,TimestampRange={StartTimestamp=%s,EndTimestamp=%s}",
		kind, from.UTC().Format("2006-01-02T15:04:05.000Z"),
		to.UTC().Format("2006-01-02T15:04:05.000Z"))
}
