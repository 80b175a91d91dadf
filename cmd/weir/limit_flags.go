package main

import (
	"fmt"

	"weir/internal/api"
	"weir/internal/clip"
	"weir/internal/fragments"
	"weir/internal/playback"
	"weir/internal/quota"
	"weir/internal/server"
)

// limitFlags are the limits on clients. The flags are the fields of their table.
type limitFlags struct {
	quota.Limits `embed:""`
	Viewers      int `name:"viewers-per-session" default:"1" env:"WEIR_VIEWERS_PER_SESSION" placeholder:"N" help:"How many players may share the URL of a session. It multiplies the limits of a session."`
}

func (f *limitFlags) check() error {
	switch {
	case f.Viewers < 1 || f.Viewers > api.MaxViewers:
		return fmt.Errorf("--viewers-per-session %d is not within 1 and %d", f.Viewers,
			api.MaxViewers)
	case f.ClipFragments > api.MaxClipFragments:
		return fmt.Errorf("--clip-max-fragments %d is more than %d", f.ClipFragments,
			api.MaxClipFragments)
	}
	return f.Check()
}

// playback returns the limits of sessions.
func (f *limitFlags) playback() playback.Limits {
	limits := playback.LimitsOf(&f.Limits)
	limits.Viewers = f.Viewers
	return limits
}

// clips returns the limits of clips.
func (f *limitFlags) clips() clip.Limits {
	return clip.Limits{Fragments: f.ClipFragments, Bytes: int64(f.ClipBytes)}
}

func (f *limitFlags) mediaOptions(st fragments.Store, producers server.Ingest) fragments.Options {
	return fragments.Options{Store: st, Pending: producers.Numbers, Edge: producers.Edge,
		Limits: fragments.Limits{
			ConnectionsPerStream: f.MediaConnections, CallsPerSecond: f.MediaCalls}}
}
