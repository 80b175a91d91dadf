package clock

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// bootID is the kernel's name for this run of the machine.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return processBoot
	}
	return strings.TrimSpace(string(b))
})

// Uptime tells how long the machine has run, with the time that it slept (CLOCK_BOOTTIME), and
// names this run of it.
func Uptime() (boot string, up time.Duration) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return processBoot, time.Since(processStart)
	}
	return bootID(), time.Duration(ts.Nano())
}
