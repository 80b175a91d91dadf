package main

import (
	"fmt"
	"log/slog"
	"syscall"

	"weir/internal/connections"
)

// connectionFlags are about what clients may take of the machine. The defaults are those of package
// api.
type connectionFlags struct {
	MaxConnections           int `name:"max-connections" default:"4096" env:"WEIR_MAX_CONNECTIONS" placeholder:"N" group:"Connections" help:"Connections at a time. One more takes the place of one that waits, strangers first; when all are at work it is closed at once. Lowered at start to what the limit of open files allows. 0: no other limit than that."`
	MaxConnectionsPerAddress int `name:"max-connections-per-address" default:"1024" env:"WEIR_MAX_CONNECTIONS_PER_ADDRESS" placeholder:"N" group:"Connections" help:"The same of one address, or one /64 of IPv6; this machine's own have no limit but that in all. Raise it where a proxy on another machine stands before the server. 0: no limit."`
}

func (f *connectionFlags) check() error {
	switch {
	case f.MaxConnections < 0:
		return fmt.Errorf("--max-connections %d is negative", f.MaxConnections)
	case f.MaxConnectionsPerAddress < 0:
		return fmt.Errorf("--max-connections-per-address %d is negative",
			f.MaxConnectionsPerAddress)
	}
	return nil
}

// limits returns what the flags say, as far as there are descriptors for it.
func (f *connectionFlags) limits(logger *slog.Logger) connections.Limits {
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
