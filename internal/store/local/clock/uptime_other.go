//go:build !linux

package clock

import "time"

// Uptime tells how long this process has run, and names this run.
func Uptime() (boot string, up time.Duration) { return processBoot, time.Since(processStart) }
