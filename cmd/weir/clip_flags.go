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
	ClipFragments int      `name:"clip-max-fragments" default:"0" group:"Playback" env:"WEIR_CLIP_MAX_FRAGMENTS" placeholder:"N" help:"Fragments of a clip: the first so many of its range; the service has 200. 0: all of them."`
	ClipBytes     byteSize `name:"clip-max-size" default:"0" group:"Playback" env:"WEIR_CLIP_MAX_SIZE" placeholder:"SIZE" help:"Media of a clip: the first fragments of its range up to that; the service has 100MB. 0: no limit."`
	ClipCache     byteSize `name:"clip-cache" default:"256MiB" group:"Playback" env:"WEIR_CLIP_CACHE" placeholder:"SIZE" help:"Disk for headers of long clips, which are kept for the next request; that of a day takes about 50MB."`
}

// check finds what no start could succeed with.
func (c *clipFlags) check() error {
	if c.ClipFragments < 0 || c.ClipFragments > api.MaxClipFragments {
		return fmt.Errorf("--clip-max-fragments %d is not within 0 and %d", c.ClipFragments,
			api.MaxClipFragments)
	}
	return nil
}
