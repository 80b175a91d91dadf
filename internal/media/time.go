package media

import (
	"errors"
	"fmt"
	"math"
)

// NoTime stands for a time that is not known: of a laced frame, or of a next cluster that never
// came.
const NoTime = math.MinInt64

// ErrTime is wrapped by a Clock's error when a fragment's times cannot be expressed: a frame longer
// than 2^32 ticks, or presented more than 2^31 ticks from where it is decoded.
var ErrTime = errors.New("frame times out of range")

// Sample is a block as Matroska delivers it, in decode order.
type Sample struct {
	// presentation time, nanoseconds since the Unix epoch on the producer's clock, or NoTime
	Time int64
	Size uint32 // bytes
	// the container calls it a random access point; ignored if Content is known
	Key     bool
	Content Content // what NALScanner found in it; 0 for other codecs
	open    bool    // the access unit begins an open group of pictures
}

// Clock turns the frames of one track, cluster by cluster, into runs with decode times and
// durations. Each track of a PutMedia connection has its own, because audio keeps a running sample
// position and video learns the usual frame duration. Not for concurrent use.
type Clock interface {
	// Run makes the run of one fragment from its samples (at least one), in decode order, with a
	// frame for each of them. next is the start of the cluster that follows, in nanoseconds since
	// the Unix epoch, or NoTime when the fragment ends for another reason. Every access unit of
	// video lasts at least a tick. A run without a picture begins at the first time in it and has
	// no duration. The error wraps ErrTime; it leaves the clock as it was, and the fragment should
	// be dropped.
	Run(samples []Sample, next int64) (Run, error)
	// Draft begins the fragment that the next call of Run will be for. The draft does not change
	// the clock.
	Draft() Draft
}

// NewClock makes the clock of a track. AAC is timed by counted samples, everything else by its
// timestamps, video with rebuilt decode times. Ticks are of t.Timescale, or of Timescale(t) if that
// is zero. Outside of video, all frames are random access points, whatever the producer flagged
// (SDKs leave audio blocks unflagged beside video).
func NewClock(t *Track) Clock {
	scale := t.Timescale
	if scale == 0 || scale > maxTimescale {
		scale = Timescale(t)
	}
	if t.CodecID == CodecAAC && t.Kind == Audio {
		if c := newSampleClock(t, scale); c != nil {
			return c
		}
	}
	c := &frameClock{
		track:     t.Number,
		scale:     scale,
		video:     t.Kind == Video,
		declared:  ticksOf(min(max(t.DefaultDuration, 0), longestSingle), scale),
		tolerance: max(int64(scale)*3/2000, 1),
		reorder:   -1,
	}
	if sps, err := SPSOf(t); err == nil {
		c.inOrder, c.reorder = sps.InOrder, sps.ReorderFrames
	}
	return c
}

// maxTimescale keeps nanosecond times of any size within 64-bit ticks.
const maxTimescale = 1 << 24

// Timescale returns the timescale that a track should have: VideoTimescale, the core sample rate of
// AAC, the declared sample rate of other audio, 1000 for everything else.
func Timescale(t *Track) uint32 {
	switch t.Kind {
	case Video:
		return VideoTimescale
	case Audio:
		if c, err := AACOf(t); err == nil && c.SampleRate <= maxTimescale {
			return uint32(c.SampleRate)
		}
		if t.SampleRate > 0 && t.SampleRate <= maxTimescale {
			return uint32(t.SampleRate)
		}
	}
	return 1000
}

const second = 1_000_000_000

// ticksOf converts nanoseconds to ticks, rounding to nearest, halves up. It does not overflow for
// any ns and a scale of up to maxTimescale.
func ticksOf(ns int64, scale uint32) int64 {
	s, rest := ns/second, ns%second
	if rest < 0 {
		s, rest = s-1, rest+second
	}
	return s*int64(scale) + (rest*int64(scale)+second/2)/second
}

// duration checks that a frame duration fits its field.
func duration(track int, d int64) (uint32, error) {
	if d < 0 || d > math.MaxUint32 {
		return 0, fmt.Errorf("track %d: %w: frame lasts %d ticks", track, ErrTime, d)
	}
	return uint32(d), nil
}

func offset(track int, d int64) (int32, error) {
	if d < math.MinInt32 || d > math.MaxInt32 {
		return 0, fmt.Errorf("track %d: %w: frame presented %d ticks after it is decoded", track,
			ErrTime, d)
	}
	return int32(d), nil
}
