package main

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/live"
	"weir/internal/playback"
)

// lowLatencyFlags are about what players see of fragments that are being received.
type lowLatencyFlags struct {
	LowLatency string        `name:"low-latency" default:"on" enum:"on,off" group:"Playback" env:"WEIR_LOW_LATENCY" placeholder:"on|off" help:"Whether new HLS sessions of mode LIVE in fragmented MP4 list a fragment in parts while it comes in (low-latency HLS)."`
	PartTarget time.Duration `name:"part-target" default:"200ms" group:"Playback" env:"WEIR_PART_TARGET" placeholder:"DURATION" help:"About how long such parts are. A part has as many whole frames as fit, and at least one. Players stay three parts behind the camera."`
}

// parts reports whether any session has parts.
func (f *lowLatencyFlags) parts() bool { return f.LowLatency == "on" }

func (f *lowLatencyFlags) check() error {
	if f.parts() &&
		(f.PartTarget < 50*time.Millisecond || f.PartTarget > 2*time.Second) {
		return errors.New("--part-target must be between 50ms and 2s")
	}
	return nil
}

// configure sets playback's options about parts.
func (f *lowLatencyFlags) configure(o *playback.Options, edge *live.Edge,
	registry *prometheus.Registry) (err error) {
	o.Edge = edge
	if f.parts() {
		o.PartTarget = f.PartTarget
	}
	o.Metrics, err = playback.NewMetrics(registry)
	return err
}
