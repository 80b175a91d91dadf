package clock

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// bootID is the kernel's ID of this boot.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return processBoot
	}
	return strings.TrimSpace(string(b))
})

// Uptime returns how long the machine has run, including the time asleep (CLOCK_BOOTTIME), and the
// ID of this boot.
func Uptime() (boot string, up time.Duration) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return processBoot, time.Since(processStart)
	}
	return bootID(), time.Duration(ts.Nano())
}
