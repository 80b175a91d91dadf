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

// memoryFlags are about what the server may take of the machine's memory.
type memoryFlags struct {
	IngestMemory byteSize `name:"ingest-memory" default:"1GiB" group:"Connections" env:"WEIR_INGEST_MEMORY" placeholder:"SIZE" help:"Memory for fragments that come in, of all producers together; beyond it they wait. A fragment may have a fifth of it, and 50 MB at most; a stream takes half, those of a user, role or camera three quarters."`
}

func (f *memoryFlags) check() error {
	if f.IngestMemory < ingest.MinMemory {
		return fmt.Errorf("--ingest-memory %d is less than %d MiB: fragments of usual cameras "+
			"would not fit", f.IngestMemory, ingest.MinMemory>>20)
	}
	return nil
}

// budget makes the memory for fragments, and tells the garbage collector to keep the process within
// what docs/operations.md says of it. Without that the heap grows to twice what is used, and large
// fragments are most of it; collecting more often costs little, as there are no pointers in them.
// GOMEMLIMIT, where it is set, is left alone.
func (f *memoryFlags) budget() *ingest.Memory {
	const others = 256 << 20
	size := int64(f.IngestMemory)
	if os.Getenv("GOMEMLIMIT") == "" && size < math.MaxInt64/2 {
		debug.SetMemoryLimit(size + size/4 + others)
	}
	return ingest.NewMemory(size)
}

// ingest is what the producers' connections share. What slow readers of the live edge keep of
// fragments that are stored comes on top of their memory: as much as one fragment may have.
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
