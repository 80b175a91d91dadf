package ingest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
)

// Resends is what the connections of a process know of one another, to recognise fragments that a
// producer sends again after a lost connection (docs/reference/producers.md, "Reconnecting"). It is
// shared between connections, bounded, and safe for concurrent use.
//
// With ABSOLUTE timecodes the store is asked for fragments of the same producer timestamp, so
// resends are recognised at any time and by any process. With RELATIVE ones producer timestamps
// move with each connection, and timecodes begin again with each token, so neither shows a resend.
// A fragment is compared with those of the same (SegmentUID, timecode) that another connection to
// the stream stored in the last minutes, if that connection is still open or ended abnormally. In
// both cases only equal payload makes a resend: new media is never dropped. Between processes the
// store decides (store.Arrival); a store that has Arrivals knows the RELATIVE places of all
// processes.
type Resends struct {
	clock   func() time.Time
	started time.Time

	mu      sync.Mutex
	held    map[place]chan struct{}
	streams map[store.StreamID]*sent
	next    time.Time // when the next purge is due
}

// place is where fragments compete: a producer timestamp (uid empty) or a document's timecode.
type place struct {
	stream store.StreamID
	uid    string
	at     int64
}

// origin is the connection that a fragment came on; only its identity matters.
type origin struct{ _ byte }

// saved is a fragment that a connection stored, or found stored already.
type saved struct {
	from     *origin
	uid      string
	timecode int64
	number   store.Number
	at       int64 // when, in Unix milliseconds
}

// sent is what may be sent again to a stream: oldest first, nothing of connections that ended
// properly.
type sent struct {
	list     []saved
	recalled bool // what the process before this one stored is in it
}

// How many fragments are remembered: at most and at least of each stream, and of all streams
// together if the least of each allows it.
const (
	maxSaved      = 512
	minSaved      = 32
	maxSavedInAll = 1 << 19 // 25 MB
)

// NewResends makes an empty one. A nil clock means time.Now.
func NewResends(clock func() time.Time) *Resends {
	if clock == nil {
		clock = time.Now
	}
	return &Resends{
		clock: clock, started: clock(), held: map[place]chan struct{}{},
		streams: map[store.StreamID]*sent{},
	}
}

// hold waits until nobody else stores a fragment at that place, and keeps others waiting until
// release is called.
func (r *Resends) hold(p place) (release func()) {
	for {
		r.mu.Lock()
		busy, taken := r.held[p]
		if !taken {
			mine := make(chan struct{})
			r.held[p] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.held, p)
				r.mu.Unlock()
				close(mine)
			}
		}
		r.mu.Unlock()
		<-busy
	}
}

// add remembers a fragment. It must be called while its place is held, so that the next one to hold
// it finds it.
func (r *Resends) add(id store.StreamID, f saved) {
	now := r.clock()
	f.at = now.UnixMilli()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.purge(now)
	s := r.of(id)
	most := min(max(maxSavedInAll/len(r.streams), minSaved), maxSaved)
	if len(s.list) >= most {
		s.list = slices.Delete(s.list, 0, len(s.list)-most+1)
	}
	s.list = append(s.list, f)
}

func (r *Resends) of(id store.StreamID) *sent {
	s := r.streams[id]
	if s == nil {
		s = &sent{}
		r.streams[id] = s
	}
	return s
}

// purge forgets, once a minute, what is too old to be resent.
func (r *Resends) purge(now time.Time) {
	if !now.After(r.next) {
		return
	}
	r.next = now.Add(time.Minute)
	for id, s := range r.streams {
		s.list = slices.DeleteFunc(s.list, func(f saved) bool { return tooOld(f, now) })
		if len(s.list) == 0 {
			delete(r.streams, id)
		}
	}
}

func tooOld(f saved, now time.Time) bool {
	return now.UnixMilli()-f.at > store.ResendWindow.Milliseconds()
}

// forget drops what came on a connection that ended properly: its producer has all acknowledgements
// and resends nothing, and equal media that comes later is new.
func (r *Resends) forget(id store.StreamID, from *origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.streams[id]; s != nil {
		s.list = slices.DeleteFunc(s.list, func(f saved) bool { return f.from == from })
	}
}

// find returns the numbers of remembered fragments of a place that came on other connections,
// newest first.
func (r *Resends) find(p place, self *origin) []store.Number {
	now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[p.stream]
	if s == nil {
		return nil
	}
	var numbers []store.Number
	for _, f := range slices.Backward(s.list) {
		if f.timecode == p.at && f.uid == p.uid && f.from != self && !tooOld(f, now) &&
			!slices.Contains(numbers, f.number) {
			if numbers = append(numbers, f.number); len(numbers) == maxPossibleResends {
				break
			}
		}
	}
	return numbers
}

// maxPossibleResends is how many stored fragments of one producer timestamp are looked at, the
// newest.
const maxPossibleResends = 16

// possibleResends returns the stored fragments that rec may be a resend of, newest first. With the
// Arrival the store can tell whether another one has come to its place since; it is nil if nobody
// else can store there. If the store cannot be asked, rec is new: a duplicate does less harm than a
// loss.
func (c *Connection) possibleResends(ctx context.Context, p place,
	rec *store.Record) ([]store.FragmentInfo, *store.Arrival) {
	if c.o.TimecodeType == api.TimecodeRelative {
		switch {
		case p.uid == "":
			return nil, nil
		case c.arrivals != nil:
			return c.sharedResends(ctx, p)
		}
		c.recall(ctx)
		var list []store.FragmentInfo
		for _, n := range c.o.Resends.find(p, &c.origin) {
			if info, err := c.o.Store.Fragment(ctx, c.o.Stream.ID, n); err == nil {
				list = append(list, info)
			}
		}
		return list, nil
	}
	arrival := &store.Arrival{Seen: c.sequence(ctx)}
	list, err := c.o.Store.List(ctx, c.o.Stream.ID, store.Query{
		Range: &store.TimeRange{Clock: store.ProducerTimestamp, Start: p.at, End: p.at},
		Order: store.ByNumberNewest, Limit: maxPossibleResends,
	})
	if err != nil {
		c.cannotLook(err)
		return nil, arrival
	}
	list = slices.DeleteFunc(list, func(f store.FragmentInfo) bool {
		return f.ProducerTimestamp != rec.ProducerTimestamp
	})
	for i := range list {
		arrival.Seen = max(arrival.Seen, list[i].Sequence)
	}
	return list, arrival
}

// sharedResends is possibleResends for a RELATIVE place when the store knows what other processes
// took.
func (c *Connection) sharedResends(ctx context.Context,
	p place) ([]store.FragmentInfo, *store.Arrival) {
	id := c.o.Stream.ID
	arrival := &store.Arrival{Seen: c.sequence(ctx), Document: p.uid, Connection: c.name}
	found, err := c.arrivals.Arrived(ctx, id, *arrival, p.at, maxPossibleResends)
	if err != nil {
		c.cannotLook(err)
	}
	var list []store.FragmentInfo
	for _, f := range found {
		arrival.Seen = max(arrival.Seen, f.Sequence)
		if info, err := c.o.Store.Fragment(ctx, id, f.Number); err == nil {
			list = append(list, info)
		}
	}
	return list, arrival
}

// sequence returns a commit sequence of the stream that every List from now on has seen.
func (c *Connection) sequence(ctx context.Context) int64 {
	if c.seen == 0 { // nothing was stored yet on this connection
		seen, err := c.o.Store.Wait(ctx, c.o.Stream.ID, -1)
		if err != nil {
			c.cannotLook(err)
		}
		c.seen = seen
	}
	return c.seen
}

func (c *Connection) cannotLook(err error) {
	c.o.Logger.Warn("cannot look for resends", "stream", c.o.Stream.Name, "error", err)
}

// ended forgets what came on a connection that ended properly.
func (c *Connection) ended(ctx context.Context) {
	c.o.Resends.forget(c.o.Stream.ID, &c.origin)
	if c.arrivals == nil || c.o.TimecodeType != api.TimecodeRelative {
		return
	}
	// If it is not forgotten, equal media that a renewed token brings to the same timecode may be
	// taken for a resend.
	err := c.arrivals.EndConnection(context.WithoutCancel(ctx), c.o.Stream.ID, c.name)
	if err != nil {
		c.o.Logger.Warn("cannot forget what a connection brought", "stream", c.o.Stream.Name,
			"error", err)
	}
}

// relation is what a new fragment is to a stored one.
type relation uint8

const (
	different relation = iota
	stored             // the stored one has all of the new one
	extends            // the new one has all of the stored one, which is partial
)

// compare reports whether rec must be stored beside old, not at all, or in its place.
func (c *Connection) compare(ctx context.Context, old *store.FragmentInfo,
	rec *store.Record) relation {
	// Most fragments that differ do so in size.
	longer, shorter := false, false // some track of rec than of old
	match := func(newSize, oldSize int64, newFrames, oldFrames int) {
		longer = longer || newFrames > oldFrames || newSize > oldSize
		shorter = shorter || newFrames < oldFrames || newSize < oldSize
	}
	spans := store.SpansOf(&rec.Fragment)
	for i := range spans {
		var span store.Span // if old has nothing of the track
		if j := spanOf(old.Spans, spans[i].Track); j >= 0 {
			span = old.Spans[j]
		}
		match(spans[i].Size, span.Size, spans[i].Frames, span.Frames)
	}
	for i := range old.Spans {
		if span := &old.Spans[i]; spanOf(spans, span.Track) < 0 {
			match(0, span.Size, 0, span.Frames)
		}
	}
	result := different
	switch {
	case longer && shorter:
		return different
	case longer && old.Partial:
		result = extends
	case shorter && rec.Partial:
		result = stored
	case longer, shorter:
		return different
	case old.Partial && !rec.Partial:
		result = extends // the same frames, now known to be all
	default:
		result = stored
	}
	m, err := c.o.Store.Open(ctx, c.o.Stream.ID, *old)
	if err != nil {
		return different // gone or damaged
	}
	defer m.Close()
	if !sameMedia(m, rec) {
		return different
	}
	return result
}

func spanOf(spans []store.Span, track int) int {
	return slices.IndexFunc(spans, func(s store.Span) bool { return s.Track == track })
}

// sameMedia reports whether, in each track that both have, one begins with the frames of the other:
// the same sizes, the same bytes.
func sameMedia(m store.Media, rec *store.Record) bool {
	old := m.Fragment()
	buf := make([]byte, 32<<10)
	for i := range rec.Runs {
		r := &rec.Runs[i]
		j := slices.IndexFunc(old.Runs, func(o media.Run) bool { return o.Track == r.Track })
		if j < 0 {
			continue
		}
		a, b := old.Track(r.Track), rec.Track(r.Track)
		if a == nil || b == nil || !same(a, b) {
			return false
		}
		var n int64
		for k := range min(len(r.Frames), len(old.Runs[j].Frames)) {
			if r.Frames[k].Size != old.Runs[j].Frames[k].Size {
				return false
			}
			n += int64(r.Frames[k].Size)
		}
		payload, err := m.Payload(j)
		if err != nil {
			return false
		}
		for off := int64(0); off < n; {
			got := buf[:min(int64(len(buf)), n-off)]
			want := rec.Payload[i][off:][:len(got)]
			if k, _ := payload.ReadAt(got, off); k < len(got) || !bytes.Equal(got, want) {
				return false
			}
			off += int64(len(got))
		}
	}
	return true
}
