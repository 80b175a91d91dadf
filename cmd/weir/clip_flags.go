package main

import (
	"fmt"

	"weir/internal/api"
)

// clipsDirectory is where the data directory has the headers of clips; it may be emptied at any
// time.
const clipsDirectory = "clips"

// clipFlags are those of weir serve about clips.
type clipFlags struct {
	ClipFragments int   `name:"clip-max-fragments" default:"0" group:"Playback" env:"WEIR_CLIP_MAX_FRAGMENTS" placeholder:"N" help:"Fragments of a clip: the first so many of its range; the service has 200. 0: all of them."`
	ClipBytes     int64 `name:"clip-max-size" default:"0" group:"Playback" env:"WEIR_CLIP_MAX_SIZE" placeholder:"MB" help:"Size of the media of a clip in MB of 2^20 bytes: the first fragments of its range up to that; the service has 100. 0: no limit."`
	ClipCache     int64 `name:"clip-cache" default:"256" group:"Playback" env:"WEIR_CLIP_CACHE" placeholder:"MB" help:"Headers of long clips that are kept on disk, in MB of 2^20 bytes: that of a day takes about 40."`
}

// check finds what no start could succeed with.
func (c *clipFlags) check() error {
	switch {
	case c.ClipFragments < 0 || c.ClipFragments > api.MaxClipFragments:
		return fmt.Errorf("--clip-max-fragments %d is not within 0 and %d", c.ClipFragments,
			api.MaxClipFragments)
	case c.ClipBytes < 0 || c.ClipBytes > 1<<30:
		return fmt.Errorf("--clip-max-size %d is not within 0 and %d", c.ClipBytes, 1<<30)
	case c.ClipCache < 0 || c.ClipCache > 1<<30:
		return fmt.Errorf("--clip-cache %d is not within 0 and %d", c.ClipCache, 1<<30)
	}
	return nil
}
