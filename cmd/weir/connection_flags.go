package main

import (
	"log/slog"
	"syscall"

	"weir/internal/connections"
)

// connections returns the limits of the flags, as far as there are file descriptors.
func (f *limitFlags) connections(logger *slog.Logger) connections.Limits {
	limits := connections.Limits{Total: f.MaxConnections,
		PerAddress: f.MaxConnectionsPerAddress}
	var files syscall.Rlimit // the soft limit, which the runtime has raised to the hard one
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		logger.Warn("the limit of open files is not known", "error", err)
		return limits
	}
	if most := connectionsFor(uint64(files.Cur)); limits.Total == 0 || limits.Total > most {
		if limits.Total > 0 {
			logger.Warn(
				"fewer connections than --max-connections: the limit of open files is too low",
				"connections", most, "open_files", files.Cur)
		}
		limits.Total = most
	}
	return limits
}

// reservedFiles are kept for the index, for volumes that stay open between reads or are being
// sealed or swept, and for anything else but connections.
const reservedFiles = 256

// connectionsFor returns how many connections a limit of open files allows. Each may have a file of
// the store open besides its socket: the volume that a camera writes or a viewer reads.
func connectionsFor(files uint64) int {
	const most = 1 << 20
	return int(min((files-min(reservedFiles, files/2))/2, most))
}
