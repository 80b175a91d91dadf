package live

import (
	"slices"
	"sync"
	"time"

	"weir/internal/media"
)

// Hold is a follower's right to read a fragment. It is safe for concurrent use.
type Hold struct {
	fragment *Fragment
	once     sync.Once
}

// State is what has come of a fragment so far. It never changes; a later State has more. Do not
// change it, and do not read it after Hold.Release.
type State struct {
	Tracks []Track // in the order of Head.Tracks
	// Order has the track of each block, in the order of arrival: an index into Tracks.
	Order []uint8
	// Whole is the fragment as it will be stored. It is nil until all frames have come, and stays
	// nil if the fragment breaks off.
	Whole *media.Fragment
	// Differs is as in End. When it is true, no more frames become final.
	Differs bool
}

// Track is what has come of a track.
type Track struct {
	// Final is the beginning of the run that will be stored, as far as it is known: BaseDecodeTime
	// and the frames, one for each block. The stored run begins with exactly that, unless Differs
	// is true in the end.
	Final   media.Run
	Samples []media.Sample // of all blocks so far
	Payload []byte         // of Samples, back to back
}

// final is what is known about the stored runs. It is derived once, for all followers.
type final struct {
	mu      sync.Mutex
	runs    []media.Run // one for each track
	whole   bool        // runs are those of the whole fragment
	differs bool
}

// Hold begins to read the fragment. It returns nil when the edge has dropped the fragment, or when
// followers hold too many bytes of fragments that have ended: the caller then reads from the store.
// The caller must have a Follower of the stream, and must release the Hold.
func (f *Fragment) Hold() *Hold {
	f.edge.mu.Lock()
	defer f.edge.mu.Unlock()
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	if f.dropped || f.edge.held > f.edge.o.Held {
		return nil
	}
	f.holds++
	return &Hold{fragment: f}
}

// Release ends reading: nothing of a State may be read any more, because its payload may be that of
// another fragment now.
func (h *Hold) Release() {
	h.once.Do(func() {
		if free := h.fragment.leave(); free != nil {
			free()
		}
	})
}

// Abandon is Release for a reader whose Write failed. If the client has reset a stream of HTTP/2,
// net/http may still be writing to it then (writeDataFromHandler). So the buffers are never used
// again: the client could get another fragment's bytes. With HTTP/1, which is all that GetMedia and
// the relay have, nothing reads the buffers after Write has returned: Release is enough.
func (h *Hold) Abandon() {
	h.fragment.stream.mu.Lock()
	h.fragment.kept = true
	h.fragment.stream.mu.Unlock()
	h.Release()
}

// leave ends a Hold. It returns what gives the buffers back, if this was the last Hold and ingest
// has released them.
func (f *Fragment) leave() (free func()) {
	f.edge.mu.Lock()
	defer f.edge.mu.Unlock()
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	f.holds--
	if f.holds == 0 && f.free != nil {
		if !f.kept {
			free = f.free
		}
		f.drop()
	}
	return free
}

// Fragment is the one that is held.
func (h *Hold) Fragment() *Fragment { return h.fragment }

// State returns what has come so far. It returns false when the reader is cut off, because the
// fragment has ended long ago: the reader must release the Hold and continue from the store.
func (h *Hold) State() (State, bool) {
	f := h.fragment
	f.final.mu.Lock()
	defer f.final.mu.Unlock()
	f.stream.mu.Lock()
	if f.dropped {
		f.stream.mu.Unlock()
		return State{}, false
	}
	s := State{Tracks: make([]Track, len(f.tracks)), Order: f.order, Whole: f.whole}
	for i := range f.tracks {
		s.Tracks[i].Samples, s.Tracks[i].Payload = f.tracks[i].samples, f.tracks[i].payload
	}
	f.stream.mu.Unlock()
	f.derive(&s)
	for i := range s.Tracks {
		s.Tracks[i].Final = f.final.runs[i]
	}
	s.Differs = f.final.differs
	return s, true
}

// derive adds to f.final what follows from a state. f.final.mu is held.
func (f *Fragment) derive(s *State) {
	d := &f.final
	switch {
	case d.whole || d.differs:
	case s.Whole != nil:
		f.settle(s.Whole)
	default:
		for i := range f.Drafts {
			if samples := s.Tracks[i].Samples; len(samples) > 0 {
				d.runs[i] = f.Drafts[i].Final(samples)
			}
		}
	}
}

// settle makes all frames final, unless the stored run begins differently. f.final.mu is held.
func (f *Fragment) settle(whole *media.Fragment) {
	d := &f.final
	runs := make([]media.Run, len(d.runs))
	for i := range f.Tracks {
		for k := range whole.Runs {
			if whole.Runs[k].Track == f.Tracks[i].Number {
				runs[i] = whole.Runs[k]
			}
		}
		said, is := &d.runs[i], &runs[i]
		if n := len(said.Frames); n > 0 && (n > len(is.Frames) ||
			said.BaseDecodeTime != is.BaseDecodeTime || !slices.Equal(said.Frames, is.Frames[:n])) {
			d.differs = true
		}
	}
	if !d.differs {
		d.runs, d.whole = runs, true
	}
}

// differs reports whether a frame that had been called final is not the same in the stored run.
func (f *Fragment) differs() bool {
	f.final.mu.Lock()
	defer f.final.mu.Unlock()
	f.stream.mu.Lock()
	whole := f.whole
	f.stream.mu.Unlock()
	if whole != nil && !f.final.whole && !f.final.differs {
		f.settle(whole)
	}
	return f.final.differs
}

// Delivered says that a follower has passed on so many blocks of a track, an index into
// Head.Tracks. For the first follower to do so, the time since each block arrived is measured.
func (h *Hold) Delivered(track, blocks int, now time.Time) {
	f := h.fragment
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	t := &f.tracks[track]
	for blocks = min(blocks, len(t.arrived)); t.delivered < blocks; t.delivered++ {
		f.edge.o.Metrics.latency.Observe(
			time.Duration(now.UnixNano() - t.arrived[t.delivered]).Seconds())
	}
}
