package media

import (
	"errors"
	"math"
	"slices"
)

// sampleClock times AAC. Each frame lasts a fixed number of samples. Block times, which every muxer
// rounds to milliseconds, only show where to begin and when a frame is missing. A block that is off
// by more than a frame moves the position: forwards anywhere (the frame before the gap then lasts
// until its end), backwards only at the start of a run, because a run cannot go back. A block that
// is ahead of later ones, or far ahead of the next cluster, is a slip of the producer's clock.
type sampleClock struct {
	track    int
	scale    uint32
	frame    int64   // ticks per frame
	position int64   // where the next frame begins
	running  bool    // position is valid
	ahead    []int64 // scratch
}

// newSampleClock returns nil if a frame is not a whole number of ticks. That happens only if the
// timescale is not the core sample rate or a multiple of it.
func newSampleClock(t *Track, scale uint32) *sampleClock {
	rate, length := int64(scale), int64(1024)
	if c, err := AACOf(t); err == nil {
		rate, length = int64(c.SampleRate), int64(c.FrameLength)
	}
	frame := length * int64(scale) / rate
	if length*int64(scale)%rate != 0 || frame == 0 || frame > math.MaxUint32 {
		return nil
	}
	return &sampleClock{track: t.Number, scale: scale, frame: frame}
}

func (c *sampleClock) Run(samples []Sample, next int64) (Run, error) {
	if len(samples) == 0 {
		return Run{}, errors.New("no samples")
	}
	position, running := c.position, c.running
	latest := c.latest(samples, next)
	run := Run{Track: c.track, Frames: make([]Frame, len(samples))}
	for i, s := range samples {
		if s.Time != NoTime {
			block := ticksOf(s.Time, c.scale)
			late := block - position
			switch {
			case block > latest[i]:
				if !running {
					position = c.back(samples[i:])
				}
			case !running || i == 0 && late < -c.frame:
				position = block
			case late > c.frame:
				position = block
				if i > 0 {
					d, err := duration(c.track, c.frame+late)
					if err != nil {
						return Run{}, err
					}
					run.Frames[i-1].Duration = d
				}
			}
			running = true
		}
		if i == 0 {
			if !running {
				return Run{}, errors.New("first frame has no time")
			}
			run.BaseDecodeTime = position
		}
		run.Frames[i] = Frame{Duration: uint32(c.frame), Size: s.Size, Key: true}
		position += c.frame
	}
	c.position, c.running = position, true
	return run, nil
}

// latest returns the latest time, in ticks, that the block of each sample can have: the later of
// the next two blocks' times, because one of them may have slipped back. At the end of the run, a
// second after the next cluster's start takes their place.
func (c *sampleClock) latest(samples []Sample, next int64) []int64 {
	latest := room(&c.ahead, len(samples))
	first, second := int64(math.MaxInt64), int64(math.MaxInt64) // of those that follow
	if next != NoTime {
		first = ticksOf(next, c.scale) + int64(c.scale)
		second = first
	}
	for i, s := range slices.Backward(samples) {
		latest[i] = max(first, second)
		if next == NoTime && second == math.MaxInt64 {
			latest[i] = first
		}
		if s.Time != NoTime {
			first, second = ticksOf(s.Time, c.scale), first
		}
	}
	return latest
}

// back returns where the first sample's frame begins if its time is wrong: as many frames before
// the next known block time as there are in between.
func (c *sampleClock) back(samples []Sample) int64 {
	for i := 1; i < len(samples); i++ {
		if t := samples[i].Time; t != NoTime {
			return ticksOf(t, c.scale) - int64(i)*c.frame
		}
	}
	return ticksOf(samples[0].Time, c.scale)
}
