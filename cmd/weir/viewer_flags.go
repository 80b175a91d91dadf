package main

import (
	"fmt"

	"weir/internal/api"
	"weir/internal/playback"
)

// viewerFlags are about what players may ask for. The defaults are those of package api.
type viewerFlags struct {
	HLSSessions      int `name:"hls-sessions-per-stream" default:"5" group:"Playback" env:"WEIR_HLS_SESSIONS_PER_STREAM" placeholder:"N" help:"HLS sessions of one stream; one more closes the oldest. 0: no limit."`
	DASHSessions     int `name:"dash-sessions-per-stream" default:"5" group:"Playback" env:"WEIR_DASH_SESSIONS_PER_STREAM" placeholder:"N" help:"DASH sessions of one stream; one more closes the oldest. 0: no limit."`
	PlaylistRate     int `name:"hls-playlist-rate" default:"20" group:"Playback" env:"WEIR_HLS_PLAYLIST_RATE" placeholder:"N" help:"Requests per second and session, of HLS or DASH, for its master playlist, for media playlists or the manifest, and for init segments, each; the service has 5. 0: no limit."`
	FragmentRate     int `name:"hls-fragment-rate" default:"200" group:"Playback" env:"WEIR_HLS_FRAGMENT_RATE" placeholder:"N" help:"Media segments per second and session, of HLS or DASH, beside what a download needs; the service has 20. 0: no limit."`
	Viewers          int `name:"viewers-per-session" default:"1" group:"Playback" env:"WEIR_VIEWERS_PER_SESSION" placeholder:"N" help:"Players that may share the URL of a session: what a session may ask for is multiplied by it."`
	Blocked          int `name:"blocked-requests" default:"8192" group:"Playback" env:"WEIR_BLOCKED_REQUESTS" placeholder:"N" help:"Requests for low-latency playlists and parts that wait for media at a time; a player has two to four. 0: no limit."`
	BlockedPerStream int `name:"blocked-requests-per-stream" default:"4096" group:"Playback" env:"WEIR_BLOCKED_REQUESTS_PER_STREAM" placeholder:"N" help:"The same of one stream. 0: no limit."`
}

// defaultViewers are the flags where no command line is read.
func defaultViewers() viewerFlags {
	return viewerFlags{HLSSessions: api.MaxSessionsPerStream,
		DASHSessions: api.MaxSessionsPerStream, PlaylistRate: api.DefaultPlaylistRate,
		FragmentRate: api.DefaultFragmentRate, Viewers: 1, Blocked: api.DefaultWaiting,
		BlockedPerStream: api.DefaultWaitingPerStream}
}

func (f *viewerFlags) check() error {
	for _, flag := range []struct {
		name  string
		value int
	}{
		{"--hls-sessions-per-stream", f.HLSSessions},
		{"--dash-sessions-per-stream", f.DASHSessions},
		{"--hls-playlist-rate", f.PlaylistRate}, {"--hls-fragment-rate", f.FragmentRate},
		{"--blocked-requests", f.Blocked}, {"--blocked-requests-per-stream", f.BlockedPerStream},
	} {
		if flag.value < 0 {
			return fmt.Errorf("%s %d is negative", flag.name, flag.value)
		}
	}
	if f.Viewers < 1 || f.Viewers > api.MaxViewers {
		return fmt.Errorf("--viewers-per-session %d is not within 1 and %d", f.Viewers,
			api.MaxViewers)
	}
	return nil
}

// limits are those of playback.
func (f *viewerFlags) limits() playback.Limits {
	limits := playback.DefaultLimits()
	limits.HLSSessionsPerStream, limits.DASHSessionsPerStream = f.HLSSessions, f.DASHSessions
	limits.PlaylistsPerSecond, limits.FragmentsPerSecond = f.PlaylistRate, f.FragmentRate
	limits.Viewers, limits.Waiting, limits.WaitingPerStream = f.Viewers, f.Blocked,
		f.BlockedPerStream
	return limits
}
