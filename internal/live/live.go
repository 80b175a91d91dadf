// Package live is the live edge: the fragments that the process is receiving now, frame by frame,
// before they are stored. Ingest reports when a fragment begins, each of its frames, and when it
// ends; followers see what has come so far and then every frame.
//
//	live.go      Edge: which fragments a stream is receiving
//	fragment.go  Fragment: what ingest tells of one
//	hold.go      Hold: how a follower reads one
//	lists.go     which of several
//	remote.go    what other processes receive
//	metrics.go   what is counted
//
// Ingest waits for nobody: to report a frame it takes a lock, copies some slice headers, and closes
// one channel, which wakes all who wait. Media is never copied: a follower takes a Hold and reads
// the buffers that ingest fills. When the last Hold is released the buffers are used again. A
// follower that holds a fragment long after its end is cut off and reads from the store; what it
// held is left to the garbage collector.
//
// The number of fragments is bounded, per stream and in all. A fragment beyond the bounds is not
// shown; followers find it in the store.
package live

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"weir/internal/media"
	"weir/internal/store"
)

// Options of an Edge. A zero field means its default.
type Options struct {
	PerStream int           // fragments shown of a stream, ended ones included; default 16
	Fragments int           // shown in all; default 16,384
	Linger    time.Duration // for how long the end of a fragment is shown; default 5 s
	// Held bounds the bytes of fragments that have ended and are still held; default 256 MiB.
	// Beyond it, nobody gets a Hold.
	Held    int64
	Metrics *Metrics // nil: none
}

// silence is how long nothing has come of a fragment that is given up when others need its place.
// Ingest waits longer, a minute and a half: a camera that comes back again and again, from
// connections that die in silence, would have no place left.
const silence = 10 * time.Second

// Edge has the fragments that are being received. It is safe for concurrent use. A nil Edge has
// none.
type Edge struct {
	o      Options
	remote Remote // nil: nothing else receives

	mu      sync.Mutex
	streams map[store.StreamID]*stream
	bursts  map[store.StreamID]bursts
	shown   int   // fragments in streams
	held    int64 // bytes of fragments that have ended and are held
}

// stream is what is shown of a stream. It is in Edge.streams while it has fragments or followers.
type stream struct {
	followers int // guarded by Edge.mu and mu: either is enough to read it

	mu        sync.Mutex
	fragments []*Fragment   // by number
	changed   chan struct{} // closed at the next change; nil when nobody waits
}

// New makes an edge.
func New(o Options) *Edge {
	def(&o.PerStream, 16)
	def(&o.Fragments, 16_384)
	def(&o.Linger, 5*time.Second)
	def(&o.Held, 256<<20)
	if o.Metrics == nil {
		o.Metrics = newMetrics()
	}
	return &Edge{o: o, streams: make(map[store.StreamID]*stream),
		bursts: make(map[store.StreamID]bursts)}
}

// bursts are those of the last two fragments of a stream.
type bursts [2]time.Duration

// Burst tells how unevenly a stream's frames come. Every frame arrives some time after its
// presentation time; Burst is the difference between the longest and the shortest such delay in the
// last fragment that came completely, or in the one before if that came more evenly. If a producer
// sends a whole fragment at a time, it is the length of the fragments. It is 0 when nothing is
// known.
func (e *Edge) Burst(id store.StreamID) time.Duration {
	if e == nil {
		return 0
	}
	e.mu.Lock()
	b, known := e.bursts[id]
	e.mu.Unlock()
	if !known && e.remote != nil {
		return e.remote.Burst(id)
	}
	return min(b[0], b[1])
}

// OwnBurst is Burst of what this process receives.
func (e *Edge) OwnBurst(id store.StreamID) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.bursts[id]
	return min(b[0], b[1])
}

func (e *Edge) noteBurst(id store.StreamID, d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, known := e.bursts[id]
	if !known {
		b[0] = d
		for other := range e.bursts {
			if len(e.bursts) < e.o.Fragments {
				break
			}
			delete(e.bursts, other)
		}
	}
	e.bursts[id] = bursts{d, b[0]}
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Follower sees the fragments that a stream is receiving. It is safe for concurrent use, and one is
// enough for any number of readers of a stream. A nil one sees nothing.
type Follower struct {
	edge   *Edge
	id     store.StreamID
	stream *stream
	own    bool            // what others receive is not shown
	ready  <-chan struct{} // from Remote.Follow; nil: nothing else receives
	leave  func()
	once   sync.Once
}

// Follow begins to follow a stream, wherever it is received. The caller must close the follower.
func (e *Edge) Follow(id store.StreamID) *Follower {
	if e == nil {
		return nil
	}
	w := e.follow(id)
	e.o.Metrics.followers.Inc()
	w.leave = e.o.Metrics.followers.Dec
	if e.remote != nil {
		ready, leave := e.remote.Follow(id)
		w.ready = ready
		w.leave = func() { leave(); e.o.Metrics.followers.Dec() }
	}
	return w
}

func (e *Edge) follow(id store.StreamID) *Follower {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers++
	return &Follower{edge: e, id: id, stream: s}
}

// Close ends following. Holds stay.
func (w *Follower) Close() {
	if w == nil {
		return
	}
	w.once.Do(func() {
		e, s := w.edge, w.stream
		defer w.leave()
		e.mu.Lock()
		defer e.mu.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.followers--
		e.tidy(w.id, s)
	})
}

// Fragments returns the fragments that the stream is receiving, and those that ended a short while
// ago, by number. It also returns a channel that is closed when there is one more or one less, when
// one of them has more frames, or when one has ended; then call it again. The channel is nil for a
// nil follower. Only those who follow when a fragment ends see its end.
//
// Fragments of several connections overlap, and end in any order.
func (w *Follower) Fragments() ([]*Fragment, <-chan struct{}) {
	if w == nil {
		return nil, nil
	}
	s := w.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	fragments := slices.Clone(s.fragments)
	if w.own {
		fragments = slices.DeleteFunc(fragments, func(f *Fragment) bool { return f.brought })
	}
	return fragments, s.changed
}

// of returns what is shown of a stream. e.mu is held.
func (e *Edge) of(id store.StreamID) *stream {
	s := e.streams[id]
	if s == nil {
		s = new(stream)
		e.streams[id] = s
	}
	return s
}

// tidy forgets a stream that has neither fragments nor followers. e.mu and s.mu are held.
func (e *Edge) tidy(id store.StreamID, s *stream) {
	if len(s.fragments) == 0 && s.followers == 0 {
		delete(e.streams, id)
	}
}

// wake tells those who wait that something has changed. s.mu is held.
func (s *stream) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Begin shows a fragment whose first byte has arrived. It returns nil when e is nil or shows enough
// already: the methods that ingest calls then do nothing.
func (e *Edge) Begin(id store.StreamID, h Head) *Fragment {
	if e == nil {
		return nil
	}
	return e.begin(id, h, false)
}

func (e *Edge) begin(id store.StreamID, h Head, brought bool) *Fragment {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fragments) >= e.o.PerStream {
		// fragments that have ended make room for new ones, then those whose connections have died
		ended := func(f *Fragment) bool { return f.end != nil }
		died := func(f *Fragment) bool {
			return h.ServerTimestamp*1_000_000-f.heard() > silence.Nanoseconds()
		}
		at := slices.IndexFunc(s.fragments, ended)
		if at < 0 {
			at = slices.IndexFunc(s.fragments, died)
		}
		if at >= 0 {
			e.removeLocked(s.fragments[at])
		}
	}
	if e.shown >= e.o.Fragments || len(s.fragments) >= e.o.PerStream {
		return nil
	}
	f := &Fragment{Head: h, edge: e, id: id, stream: s, brought: brought,
		tracks: make([]track, len(h.Tracks)), final: final{runs: make([]media.Run, len(h.Tracks))}}
	at, _ := slices.BinarySearchFunc(s.fragments, h.Number,
		func(f *Fragment, n store.Number) int { return cmp.Compare(f.Number, n) })
	s.fragments = slices.Insert(s.fragments, at, f)
	e.shown++
	s.wake()
	return f
}

// remove removes a fragment whose end was shown for long enough, if it is still there. Those who
// hold it are cut off.
func (e *Edge) remove(f *Fragment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	e.removeLocked(f)
	e.tidy(f.id, f.stream)
}

func (e *Edge) removeLocked(f *Fragment) {
	at := slices.Index(f.stream.fragments, f)
	if at < 0 {
		return
	}
	f.stream.fragments = slices.Delete(f.stream.fragments, at, at+1)
	e.shown--
	f.drop()
	f.stream.wake()
	e.o.Metrics.cutOff.Add(float64(f.holds))
}
