//go:build !linux

package clock

import "time"

// Uptime returns how long this process has run, and an ID of this run.
func Uptime() (boot string, up time.Duration) { return processBoot, time.Since(processStart) }
