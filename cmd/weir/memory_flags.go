package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/ingest"
	"weir/internal/live"
	"weir/internal/server"
)

// memoryFlags are about how much of the machine's memory the server may use.
type memoryFlags struct {
	IngestMemory byteSize `name:"ingest-memory" default:"1GiB" group:"Connections" env:"WEIR_INGEST_MEMORY" placeholder:"SIZE" help:"Memory for incoming fragments of all producers together; beyond it they wait. A fragment may take a fifth of it, and 50 MB at most; a stream half; the streams of a user, role or camera three quarters."`
}

func (f *memoryFlags) check() error {
	if f.IngestMemory < ingest.MinMemory {
		return fmt.Errorf("--ingest-memory %d is less than %d MiB: fragments of usual cameras "+
			"would not fit", f.IngestMemory, ingest.MinMemory>>20)
	}
	return nil
}

// budget makes the memory for fragments, and makes the garbage collector keep the process within
// what docs/operations.md says. Otherwise the heap would grow to twice what is used, most of it
// large fragments. To collect more often costs little, because these contain no pointers. If
// GOMEMLIMIT is set, it decides.
func (f *memoryFlags) budget() *ingest.Memory {
	const others = 256 << 20
	size := int64(f.IngestMemory)
	if os.Getenv("GOMEMLIMIT") == "" && size < math.MaxInt64/2 {
		debug.SetMemoryLimit(size + size/4 + others)
	}
	return ingest.NewMemory(size)
}

// ingest is what the producers' connections share. Slow readers of the live edge may keep stored
// fragments in memory in addition to the memory of their own: as much as one fragment may have.
func (f *memoryFlags) ingest(registry prometheus.Registerer) (server.Ingest, error) {
	metrics, err := ingest.NewMetrics(registry)
	if err != nil {
		return server.Ingest{}, err
	}
	edge, err := live.NewMetrics(registry)
	if err != nil {
		return server.Ingest{}, err
	}
	memory := f.budget()
	return server.Ingest{Memory: memory, Metrics: metrics, Numbers: ingest.NewNumbers(),
		Edge: live.New(live.Options{Held: int64(memory.Largest()), Metrics: edge})}, nil
}
