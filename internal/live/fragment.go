package live

import (
	"math"
	"slices"
	"time"

	"weir/internal/media"
	"weir/internal/store"
)

// Head is what is known about a fragment when it begins. It does not change afterwards.
type Head struct {
	Number            store.Number // greater than those of the fragments that the stream stored
	ProducerTimestamp int64        // milliseconds since the Unix epoch
	ServerTimestamp   int64        // milliseconds since the Unix epoch: when its first byte arrived
	Timecode          int64        // the raw Cluster Timestamp
	Tracks            []media.Track
	Tags              []media.Tag // those that came before the fragment; others may follow it
	Header            []byte      // as in media.Fragment
	// Drafts has one draft for each track, in the order of the tracks. They belong to the edge from
	// now on. Without Drafts no frame is final before all frames are.
	Drafts []media.Draft
}

// End is what became of a fragment.
type End struct {
	// Stored says that the store has the fragment under its number. Otherwise it never will: the
	// fragment broke off, could not be stored, or was a resend, which the store has under another
	// number.
	Stored bool
	Info   store.FragmentInfo // if Stored
	// Differs says that a frame that had been called final is not the same in the stored run: a
	// later frame with an irregular time has changed earlier ones.
	Differs bool
}

// Fragment is a fragment that is being received. Ingest adds what arrives, and followers read it
// through Holds. It is safe for concurrent use.
type Fragment struct {
	Head
	edge    *Edge
	id      store.StreamID
	stream  *stream
	brought bool // another process receives it

	// These fields, and those of each track, are guarded by stream.mu.
	tracks  []track
	order   []uint8         // each block's track, an index into Head.Tracks, as they arrived
	whole   *media.Fragment // set when all frames have come
	end     *End
	holds   int
	bytes   int64  // the size of the buffers that ingest has released and followers still hold
	free    func() // gives these buffers back
	kept    bool   // a failed Write may read the buffers for ever: they are not used again
	dropped bool   // the buffers are gone

	final final
}

// track is what has come of a track.
type track struct {
	samples   []media.Sample
	payload   []byte
	arrived   []int64 // when each block arrived, Unix nanoseconds
	delivered int     // blocks that some follower has passed on
}

// Add shows one more block of a track, which is an index into Head.Tracks. samples and payload are
// those of all blocks of the track so far; arrived is when the new one arrived. Both slices may
// grow in place afterwards, but what is in them must not change.
func (f *Fragment) Add(track int, samples []media.Sample, payload []byte, arrived time.Time) {
	if f == nil {
		return
	}
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	if f.dropped {
		return
	}
	t := &f.tracks[track]
	t.samples, t.payload = samples, payload
	if t.arrived == nil { // as many blocks are expected as samples has room for
		t.arrived = make([]int64, 0, cap(samples))
		f.order = slices.Grow(f.order, cap(samples))
	}
	t.arrived = append(t.arrived, arrived.UnixNano())
	f.order = append(f.order, uint8(track))
	f.stream.wake()
}

// heard is when something of the fragment last came, in Unix nanoseconds. stream.mu is held.
func (f *Fragment) heard() int64 {
	last := f.ServerTimestamp * 1_000_000
	for i := range f.tracks {
		if n := len(f.tracks[i].arrived); n > 0 {
			last = max(last, f.tracks[i].arrived[n-1])
		}
	}
	return last
}

// Move replaces the buffer of a track's payload with one that begins with the same bytes. It
// reports whether the old one may be used again at once: whether nobody can be reading it.
func (f *Fragment) Move(track int, payload []byte) (free bool) {
	if f == nil {
		return true
	}
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	t := &f.tracks[track]
	t.payload = payload[:len(t.payload)]
	return f.holds == 0 && !f.kept
}

// Held reports whether somebody may be reading the buffers, so that Move would return false.
func (f *Fragment) Held() bool {
	if f == nil {
		return false
	}
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	return f.holds > 0 || f.kept
}

// Whole says that all frames have come, and how they will be stored. A fragment that breaks off is
// never whole, even if the frames that had come are stored.
func (f *Fragment) Whole(as *media.Fragment) {
	if f == nil {
		return
	}
	f.stream.mu.Lock()
	f.whole = as
	burst, dropped := f.burst(), f.dropped
	f.stream.wake()
	f.stream.mu.Unlock()
	if !dropped {
		f.edge.noteBurst(f.id, burst)
	}
}

// burst tells how unevenly the blocks came. Every block arrives some time after its presentation
// time; burst is the difference between the longest and the shortest such delay. So sound that
// comes later than its pictures counts too. stream.mu is held.
func (f *Fragment) burst() time.Duration {
	earliest, latest := int64(math.MaxInt64), int64(math.MinInt64)
	for i := range f.tracks {
		t := &f.tracks[i]
		if kind := f.Tracks[i].Kind; kind != media.Video && kind != media.Audio {
			continue // no player waits for it
		}
		for j := range t.samples {
			if j >= len(t.arrived) || t.samples[j].Time == media.NoTime {
				continue
			}
			late := t.arrived[j] - t.samples[j].Time
			earliest, latest = min(earliest, late), max(latest, late)
		}
	}
	if latest < earliest {
		return 0
	}
	return time.Duration(latest - earliest)
}

// Stored ends a fragment that is in the store now.
func (f *Fragment) Stored(info store.FragmentInfo) {
	if f != nil {
		f.finish(&End{Stored: info.Number == f.Number, Info: info})
	}
}

// BrokenOff ends a fragment that will not be in the store.
func (f *Fragment) BrokenOff() {
	if f != nil {
		f.finish(&End{})
	}
}

// finish shows the end of the fragment, if anybody follows. Only the first call counts.
func (f *Fragment) finish(end *End) {
	end.Differs = f.differs()
	f.stream.mu.Lock()
	if f.end != nil {
		f.stream.mu.Unlock()
		return
	}
	f.end = end
	followed := f.stream.followers > 0
	f.stream.wake()
	f.stream.mu.Unlock()
	if followed {
		time.AfterFunc(f.edge.o.Linger, func() { f.edge.remove(f) })
	} else {
		f.edge.remove(f)
	}
}

// Release ends ingest's use of the buffers, after the fragment's end; size is their capacity. It
// calls free when nobody can be reading them: at once, or when the last Hold is released. If a
// reader was cut off, or abandoned its Hold, free is not called, and the garbage collector takes
// the buffers.
func (f *Fragment) Release(size int64, free func()) {
	if f == nil || f.release(size, free) {
		free()
	}
}

// release reports whether Release may call free at once. Otherwise the last Hold calls it, unless
// the buffers must not be used again.
func (f *Fragment) release(size int64, free func()) (now bool) {
	f.edge.mu.Lock()
	defer f.edge.mu.Unlock()
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	if f.holds == 0 {
		f.drop()
		return !f.kept
	}
	if !f.dropped {
		f.bytes, f.free = size, free
		f.edge.held += size
	}
	return false
}

// drop gives up the buffers. Edge.mu and stream.mu are held.
func (f *Fragment) drop() {
	f.edge.held -= f.bytes
	f.bytes, f.free, f.dropped = 0, nil, true
	for i := range f.tracks {
		f.tracks[i] = track{}
	}
	f.order = nil
}

// IsWhole reports whether all frames of the fragment have come, or it has ended.
func (f *Fragment) IsWhole() bool {
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	return f.whole != nil || f.end != nil
}

// reorder is how many blocks at most follow one that is presented later than they are: H.264 and
// H.265 allow so many pictures.
const reorder = 16

// Latest is the latest presentation time of the newest blocks of a track, an index into
// Head.Tracks: nanoseconds since the Unix epoch on the producer's clock, media.NoTime before the
// first one. It costs less than a State, and tells whether a new State would have more.
func (f *Fragment) Latest(track int) int64 {
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	latest := int64(media.NoTime)
	samples := f.tracks[track].samples
	for i := max(0, len(samples)-reorder-1); i < len(samples); i++ {
		latest = max(latest, samples[i].Time)
	}
	return latest
}

// End returns what became of the fragment, and false while that is not known.
func (f *Fragment) End() (End, bool) {
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	if f.end == nil {
		return End{}, false
	}
	return *f.end, true
}
