package main

import (
	"log/slog"
	"syscall"

	"weir/internal/connections"
)

// connections returns what the flags say, as far as there are descriptors for it.
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

// reservedFiles are kept for the index, the volumes that stay open between reads, those that are
// being sealed or swept, and whatever else is not for a connection.
const reservedFiles = 256

// connectionsFor returns how many connections a limit of open files has room for: each may have a
// file of the store open beside its socket, the volume that a camera writes or the one that a
// viewer reads.
func connectionsFor(files uint64) int {
	const most = 1 << 20
	return int(min((files-min(reservedFiles, files/2))/2, most))
}
