// Package media has the types that every other package shares: tracks, frames and fragments. It
// also parses the parameter sets of the codecs that Weir packages (H.264, H.265, AAC), makes their
// RFC 6381 names, and computes the times inside a fragment. It does no I/O and imports nothing of
// Weir.
//
//	media.go                          Track, Frame, Run, Fragment
//	codec.go                          whether a track can be packaged, its RFC 6381 name and size
//	avc.go hevc.go aac.go g711.go     decoder configuration records and parameter sets
//	nal.go bits.go                    NAL units, bit reader
//	content.go units.go               what a block holds, and which blocks make one access unit
//	time.go                           Clock: turns a track's timestamps into runs
//	frameclock.go sampleclock.go      its two kinds: by timestamps, and by counted samples (AAC)
package media

import "slices"

// Kind is the kind of a track, with Matroska's TrackType values (RFC 9559 section 5.1.4.1.3).
type Kind uint8

// The kinds that Weir knows. Any other TrackType is stored and listed, never packaged.
const (
	Video Kind = 1
	Audio Kind = 2
)

// VideoTimescale is the timescale of every video track, in ticks per second.
const VideoTimescale = 90_000

// Matroska codec IDs (draft-ietf-cellar-codec, sections on video and audio mappings) of the codecs
// that playback packages.
const (
	CodecAVC  = "V_MPEG4/ISO/AVC"
	CodecHEVC = "V_MPEGH/ISO/HEVC"
	CodecAAC  = "A_AAC"
)

// Track describes one elementary stream as the producer declared it.
type Track struct {
	Number       int    // Matroska TrackNumber, 1 or more; the TrackNumber of the HLS URLs
	Kind         Kind   // video, audio, or another TrackType
	CodecID      string // Matroska CodecID without trailing NULs
	CodecPrivate []byte // avcC, hvcC or AudioSpecificConfig; empty when the producer sent none
	Name         string // Matroska Name, may be empty
	Timescale    uint32 // ticks per second: what the function Timescale returns
	// pixels as Matroska declares them, 0 when absent (the SPS is authoritative)
	Width, Height   int
	SampleRate      int   // Hz as Matroska declares it (the core rate for HE-AAC), 0 for video
	Channels        int   // audio channels as Matroska declares them (default 1), 0 for video
	DefaultDuration int64 // nanoseconds per frame, 0 when absent
}

// Frame is one block as the producer sent it: as a rule a coded picture or an audio frame. An
// access unit that came in several blocks is as many frames, all but the first marked Joined;
// Run.Units puts them together. Frames are in decode order, and their bytes follow one another in
// the payload of their run.
type Frame struct {
	// ticks until the decode time of the next access unit; 0 for a block that is marked Joined or
	// Bare
	Duration uint32
	// ticks from decode to presentation time, negative for some B-frames; 0 for Joined and Bare too
	CompositionOffset int32
	Size              uint32 // bytes
	// decoding may begin here, and nothing that follows needs what is before; false for Joined and
	// Bare
	Key   bool
	Marks Marks
}

// Run is one track's part of a fragment: its frames in decode order, back to back in the payload.
type Run struct {
	Track int // Track.Number
	// decode time of the first frame, ticks of the track's timescale since the Unix epoch, on the
	// producer's clock
	BaseDecodeTime int64
	Frames         []Frame // at least one
}

// Duration returns the sum of the run's frame durations in ticks.
func (r *Run) Duration() int64 {
	var d int64
	for i := range r.Frames {
		d += int64(r.Frames[i].Duration)
	}
	return d
}

// Size returns the number of payload bytes of the run.
func (r *Run) Size() int64 {
	var n int64
	for i := range r.Frames {
		n += int64(r.Frames[i].Size)
	}
	return n
}

// Tag is one name and value of a fragment's metadata (KVS fragment metadata, Matroska SimpleTag).
type Tag struct {
	Name  string
	Value string
}

// Fragment describes one Matroska cluster: everything but its payload bytes.
type Fragment struct {
	// milliseconds since the Unix epoch: when the producer says the fragment starts
	ProducerTimestamp int64
	ServerTimestamp   int64   // milliseconds since the Unix epoch: when its first byte arrived
	Timecode          int64   // the raw Cluster Timestamp, in the producer's TimestampScale units
	Tracks            []Track // every track the producer declared, in declaration order
	Runs              []Run   // one per track that has frames, in the order of Tracks
	Tags              []Tag   // fragment metadata, in the order received
	// the producer's Matroska bytes before the first cluster: EBML header, Segment header, Info,
	// Tracks, …
	Header []byte
	// the cluster ended without a sign that it was complete (docs/reference/producers.md, "End of a
	// stream")
	Partial bool
}

// Track returns the description of the track with the given number, or nil.
func (f *Fragment) Track(number int) *Track {
	for i := range f.Tracks {
		if f.Tracks[i].Number == number {
			return &f.Tracks[i]
		}
	}
	return nil
}

// RunOf returns the index of the run of the track with the given number, or -1.
func (f *Fragment) RunOf(track int) int {
	return slices.IndexFunc(f.Runs, func(r Run) bool { return r.Track == track })
}
