package recut

import (
	"fmt"
	"math"
	"slices"

	"weir/internal/api"
)

func (c *Recutter) hold(f Frame) {
	c.early = append(c.early, f)
	c.held += len(f.Data)
}

// flushEarly releases the held-back frames up to the time until. Each track's frames keep their
// order: a frame that must wait holds back those of its track after it.
func (c *Recutter) flushEarly(until int64) error {
	var kept []Frame
	stopped := map[int]bool{}
	for _, f := range c.early {
		if f.Time > until || stopped[f.Track] {
			stopped[f.Track] = true
			kept = append(kept, f)
			continue
		}
		c.held -= len(f.Data)
		if !c.open {
			c.dropped++
			continue
		}
		if err := c.emit(f); err != nil {
			return err
		}
	}
	c.early = kept
	return nil
}

func (c *Recutter) releaseUnlessLagging() error {
	if len(c.lagging) > 0 && c.held <= maxHeld {
		return nil
	}
	return c.release()
}

// release opens the fragment that was waiting, if there is one.
func (c *Recutter) release() error {
	if len(c.pending) == 0 {
		return nil
	}
	frames := c.pending
	c.pending, c.lagging = nil, nil
	key := frames[0].Time
	if c.open && key <= c.start {
		return fmt.Errorf("the time of key frames goes from %d ms to %d ms: fragments must "+
			"follow one another in time", c.start, key)
	}
	if !c.open && c.dropped > 0 {
		c.notice(fmt.Sprintf("%d frames before the first key frame were dropped", c.dropped))
	}
	c.first, c.open = !c.open, true
	c.start, c.size, c.newest = key, 0, key
	frames[0].Start = true
	for _, f := range frames {
		c.held -= len(f.Data)
		if err := c.place(f); err != nil {
			return err
		}
	}
	return nil
}

// place puts a frame into the open fragment, or holds it back if it is ahead of the cutting track.
func (c *Recutter) place(f Frame) error {
	if f.Track == c.cutTrack {
		c.newest = max(c.newest, f.Time)
		if err := c.flushEarly(c.newest); err != nil {
			return err
		}
		return c.emit(f)
	}
	if f.Time <= c.newest && !slices.ContainsFunc(c.early, func(e Frame) bool {
		return e.Track == f.Track
	}) {
		return c.emit(f)
	}
	c.hold(f)
	if f.Time-c.newest > maxAhead || c.held > maxHeld {
		return c.flushEarly(math.MaxInt64)
	}
	return nil
}

// emit adds a frame to the open fragment. It returns an error if the fragment would exceed a limit.
func (c *Recutter) emit(f Frame) error {
	related := f.Time - c.start
	if related < -preroll && c.first && f.Track != c.cutTrack {
		c.dropped++
		return nil
	}
	if f.Track != c.cutTrack && related < -maxLate {
		// ffmpeg sends the last sound in its encoder long after the pictures of that time
		if s := c.stats[f.Track]; !s.late {
			s.late = true
			c.notice(fmt.Sprintf("track %d: frames that come more than %d s after the pictures "+
				"of their time are left out, the first one at %d ms", f.Track, maxLate/1000,
				f.Time))
		}
		return nil
	}
	if related > maxRelated {
		return fmt.Errorf("no key frame for more than %d s after the one at %d ms: a fragment "+
			"cannot be longer; give the encoder a shorter key frame interval (ffmpeg: -g)",
			maxRelated/1000, c.start)
	}
	if related < -maxRelated {
		return fmt.Errorf("track %d: the time goes back from %d ms to %d ms", f.Track, c.start,
			f.Time)
	}
	c.size += int64(len(f.Data))
	if c.size > api.MaxFragmentBytes {
		return fmt.Errorf("more than %d MB between the key frame at %d ms and the next: a "+
			"fragment cannot be larger", api.MaxFragmentBytes/1_000_000, c.start)
	}
	c.ready = append(c.ready, f)
	return nil
}

// late returns how far pictures may get ahead while waiting for another track, in milliseconds.
func (c *Recutter) late() int64 {
	return max(maxAhead, minBehind*usual(c.stats[c.cutTrack]))
}
