package timelinetest

import (
	"math/rand/v2"
	"slices"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// Camera generates what a producer may send: fragments of many lengths, pauses, clocks that are
// set, fragments that are resent, partial, late or without a track. Times are milliseconds.
type Camera struct {
	Random *rand.Rand
	Tracks []media.Track // what it usually sends
	// the same with other codec private data, sent now and then; may be nil
	Other  []media.Track
	Set    func([]media.Track) int64 // number of a track set
	Now    int64                     // server time, which Step moves
	Frames map[store.Number]*media.Fragment

	clock   int64 // the producer's
	number  store.Number
	length  int64
	sent    []int64 // producer timestamps
	held    []store.FragmentInfo
	partial store.Number
}

// Commit is a fragment to be stored.
type Commit struct {
	Info     store.FragmentInfo
	Replaces store.Number // the partial fragment that it replaces; 0: none
}

// NewCamera returns a camera whose clock is right.
func NewCamera(random *rand.Rand, now int64, tracks []media.Track,
	set func([]media.Track) int64) *Camera {
	return &Camera{Random: random, Tracks: tracks, Set: set, Now: now, clock: now,
		Frames: make(map[store.Number]*media.Fragment)}
}

func (c *Camera) chance(percent int) bool { return c.Random.IntN(100) < percent }

// Whole returns a fragment of two seconds with all tracks.
func (c *Camera) Whole() Commit {
	c.length = 2000
	i := c.info(c.Tracks)
	c.pass()
	return Commit{Info: i}
}

// Step makes the next fragment. It returns the fragments that are stored meanwhile, in order.
func (c *Camera) Step() (commits []Commit) {
	c.surprise()
	tracks := c.Tracks
	if c.Other != nil && c.chance(5) {
		tracks = c.Other
	}
	i := c.info(tracks)
	i.Partial = c.chance(5)
	if len(i.Spans) > 1 && c.chance(10) {
		j := c.Random.IntN(2)
		i.Spans = slices.Delete(i.Spans, j, j+1)
	}
	if c.chance(10) {
		i.Spans[0].KeyStart = false
	}
	c.fill(&i, tracks)
	if c.chance(5) { // a slow connection: stored later, or never
		c.held = append(c.held, i)
	} else {
		commits = append(commits, Commit{Info: i})
		if i.Partial {
			c.partial = i.Number
		}
	}
	if len(c.held) > 0 && c.chance(30) {
		commits = append(commits, Commit{Info: c.held[0]})
		c.held = c.held[1:]
	}
	if c.partial != 0 && c.chance(50) { // the producer is back and sends it again
		again := c.info(c.Tracks)
		c.fill(&again, c.Tracks)
		commits = append(commits, Commit{again, c.partial})
		c.partial = 0
	}
	c.pass()
	return commits
}

// surprise decides about the producer's clock and the length of the next fragment.
func (c *Camera) surprise() {
	switch {
	case c.chance(10):
		c.clock += int64(c.Random.IntN(9000)) - 3000
	case c.chance(2): // the clock is set
		c.clock += (int64(c.Random.IntN(9)) - 4) * 40 * 3600 * 1000
	case c.chance(5) && len(c.sent) > 0: // sent again
		c.clock = c.sent[len(c.sent)-1-c.Random.IntN(min(len(c.sent), 8))]
	}
	c.length = 2000
	if c.chance(20) {
		c.length = 1000 + int64(c.Random.IntN(1700))
	}
	if c.chance(2) {
		c.length = 3000 + int64(c.Random.IntN(7000))
	}
}

func (c *Camera) pass() {
	c.sent = append(c.sent, c.clock)
	c.clock += c.length
	c.Now += c.length
}

// info describes the fragment that starts now.
func (c *Camera) info(tracks []media.Track) store.FragmentInfo {
	c.number = max(c.number+1<<12, store.Number((c.Now-1577836800000)*1000<<12))
	i := store.FragmentInfo{Number: c.number, ProducerTimestamp: c.clock, ServerTimestamp: c.Now,
		TrackSet: c.Set(tracks)}
	for _, t := range tracks {
		scale := int64(t.Timescale)
		base := timeline.Rescale(c.clock, 1000, scale)
		i.Spans = append(i.Spans, store.Span{Track: t.Number, BaseDecodeTime: base,
			Duration: timeline.Rescale(c.clock+c.length, 1000, scale) - base,
			Size:     c.length * 100, Frames: int(c.length / 40), KeyStart: true,
			FirstSize: c.length * 10,
			Traits:    media.EqualDurations | media.FirstKeyOnly | media.PresentedInOrder})
	}
	return i
}

// fill gives frames to a fragment that may have to be cut: at random times, with some key frames
// and sometimes a long pause.
func (c *Camera) fill(i *store.FragmentInfo, tracks []media.Track) {
	if c.length <= 2000 {
		return
	}
	whole := &media.Fragment{Tracks: tracks}
	for j := range i.Spans {
		k := slices.IndexFunc(tracks, func(t media.Track) bool {
			return t.Number == i.Spans[j].Track
		})
		whole.Runs = append(whole.Runs, c.run(&i.Spans[j], &tracks[k]))
	}
	i.Spans = store.SpansOf(whole)
	c.Frames[i.Number] = whole
}

func (c *Camera) run(span *store.Span, track *media.Track) media.Run {
	scale := int64(track.Timescale)
	run := media.Run{Track: span.Track,
		BaseDecodeTime: span.BaseDecodeTime + c.Random.Int64N(scale/20)}
	for left := span.Duration; left > 0; {
		f := media.Frame{Duration: 1024, Size: 1 + c.Random.Uint32N(9), Key: true}
		if track.Kind == media.Video {
			f.Duration = uint32(scale/50 + c.Random.Int64N(scale/10))
			f.Key = c.Random.IntN(30) == 0
		}
		if len(run.Frames) == 0 {
			f.Key = span.KeyStart
		}
		if c.chance(1) {
			f.Duration += uint32(c.Random.Int64N(5 * scale))
		}
		run.Frames = append(run.Frames, f)
		left -= int64(f.Duration)
	}
	if track.Kind != media.Video || c.Random.IntN(3) == 0 {
		return run
	}
	// Two frames are presented before the one that is decoded before them.
	for k := c.Random.IntN(3); k+2 < len(run.Frames); k += 3 + c.Random.IntN(2) {
		f := run.Frames[k : k+3]
		f[0].CompositionOffset = int32(f[0].Duration + f[1].Duration)
		f[1].CompositionOffset = -int32(f[0].Duration)
		f[2].CompositionOffset = -int32(f[1].Duration)
	}
	return run
}
