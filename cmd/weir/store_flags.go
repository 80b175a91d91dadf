package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"weir/internal/store/local"
)

// storeFlags are the flags of weir serve that the store hears of.
type storeFlags struct {
	MinFree   byteSize `name:"min-free" default:"1GiB" group:"Storage" env:"WEIR_MIN_FREE" placeholder:"SIZE" help:"Space to keep free on the disk of the data directory; when it is reached, fragments are refused."`
	WhenFull  string   `name:"when-full" default:"stop" enum:"stop,delete-oldest" group:"Storage" env:"WEIR_WHEN_FULL" placeholder:"HOW" help:"What to do when it is reached: stop refuses fragments until there is space, delete-oldest deletes the oldest recordings of all streams."`
	ScrubRate byteSize `name:"scrub-rate" default:"4MB" group:"Storage" env:"WEIR_SCRUB_RATE" placeholder:"SIZE" help:"Bytes per second to read in the background, to find what the disk has damaged. 0: nothing is read."`
}

// options fills in what the flags say.
func (f *storeFlags) options(o *local.Options) {
	o.MinFree, o.WhenFull, o.ScrubRate = int64(f.MinFree), local.FullPolicy(f.WhenFull),
		int64(f.ScrubRate)
}

// byteSize is a number of bytes on the command line: a number with or without kB, MB, GB, TB
// (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024).
type byteSize int64

var sizeUnits = map[string]float64{
	"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1 << 10, "mib": 1 << 20,
	"gib": 1 << 30, "tib": 1 << 40,
}

// UnmarshalText reads a size.
func (s *byteSize) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(strings.ToLower(string(text)), "kmgtib")
	number, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	unit, ok := sizeUnits[strings.ToLower(string(text))[len(digits):]]
	bytes := number * unit
	if err != nil || !ok || !(bytes >= 0 && bytes < math.MaxInt64) {
		return fmt.Errorf("%q is not a size such as 500MB or 2GiB", text)
	}
	*s = byteSize(bytes)
	return nil
}
