package main

// clipsDirectory is the part of the data directory for the headers of clips. It may be emptied at
// any time.
const clipsDirectory = "clips"

// clipFlags are the flags of weir serve about clips.
type clipFlags struct {
	ClipCache byteSize `name:"clip-cache" default:"256MiB" group:"Playback" env:"WEIR_CLIP_CACHE" placeholder:"SIZE" help:"Space on the disk for headers of long clips, which are kept for the next request. The header of a day takes about 50MB."`
}
