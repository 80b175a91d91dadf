package main

import (
	"fmt"

	"weir/internal/fragments"
	"weir/internal/server"
)

// mediaFlags are the limits of GetMedia.
type mediaFlags struct {
	MediaConnections int `name:"media-connections-per-stream" default:"100" group:"Playback" env:"WEIR_MEDIA_CONNECTIONS_PER_STREAM" placeholder:"N" help:"Connections of GetMedia to one stream; the service has 3. 0: no limit."`
	MediaCalls       int `name:"media-call-rate" default:"50" group:"Playback" env:"WEIR_MEDIA_CALL_RATE" placeholder:"N" help:"Calls of GetMedia per second and stream; the service has 5. 0: no limit."`
}

func (f *mediaFlags) check() error {
	switch {
	case f.MediaConnections < 0:
		return fmt.Errorf("--media-connections-per-stream %d is negative", f.MediaConnections)
	case f.MediaCalls < 0:
		return fmt.Errorf("--media-call-rate %d is negative", f.MediaCalls)
	}
	return nil
}

func (f *mediaFlags) mediaOptions(st fragments.Store, producers server.Ingest) fragments.Options {
	return fragments.Options{Store: st, Pending: producers.Numbers, Edge: producers.Edge,
		Limits: fragments.Limits{
			ConnectionsPerStream: f.MediaConnections, CallsPerSecond: f.MediaCalls}}
}
