package ingest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
)

// Resends is what sessions know of one another, to recognise fragments that a producer sends again after a lost connection
// (producers.md, rule 10). It is shared between sessions, bounded, and safe for concurrent use.
//
// With ABSOLUTE timecodes the store is asked for fragments of the same producer timestamp, so resends are recognised at any
// time and by any process. With RELATIVE ones producer timestamps move with each connection, and timecodes begin again with
// each token, so neither tells a resend: fragments are compared only with those of connections of this process to the same
// stream that ended abnormally in the last minutes, by (SegmentUID, timecode). In both, only equal payload makes a resend: new
// media is never dropped.
type Resends struct {
	clock func() time.Time

	mu    sync.Mutex
	held  map[place]chan struct{}
	ended map[store.StreamID][]endedSession
	next  time.Time // when the next purge is due
}

// place is where fragments compete: a producer timestamp (uid empty) or a document's timecode.
type place struct {
	stream store.StreamID
	uid    string
	at     int64
}

// saved is a fragment that a session stored.
type saved struct {
	uid      string
	timecode int64
	number   store.Number
}

type endedSession struct {
	until time.Time
	saved []saved
}

// maxEnded is how many ended sessions of one stream are remembered.
const maxEnded = 8

// NewResends makes an empty one. A nil clock means time.Now.
func NewResends(clock func() time.Time) *Resends {
	if clock == nil {
		clock = time.Now
	}
	return &Resends{clock: clock, held: map[place]chan struct{}{}, ended: map[store.StreamID][]endedSession{}}
}

// hold waits until nobody else stores a fragment of that place, and keeps others waiting until release is called.
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

// remember keeps the fragments of a session that ended abnormally.
func (r *Resends) remember(id store.StreamID, list []saved) {
	if len(list) == 0 {
		return
	}
	now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.After(r.next) {
		r.next = now.Add(time.Minute)
		for id, sessions := range r.ended {
			sessions = slices.DeleteFunc(sessions, func(e endedSession) bool { return now.After(e.until) })
			if len(sessions) == 0 {
				delete(r.ended, id)
				continue
			}
			r.ended[id] = sessions
		}
	}
	list = slices.Clone(list[max(len(list)-maxSaved, 0):])
	sessions := append(r.ended[id], endedSession{until: now.Add(resendWindow), saved: list})
	r.ended[id] = slices.Clone(sessions[max(len(sessions)-maxEnded, 0):])
}

// find returns the numbers of remembered fragments of a place, newest first.
func (r *Resends) find(p place) []store.Number {
	now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	var numbers []store.Number
	for _, e := range slices.Backward(r.ended[p.stream]) {
		if now.After(e.until) {
			break
		}
		for _, s := range e.saved {
			if s.timecode == p.at && s.uid == p.uid && !slices.Contains(numbers, s.number) {
				numbers = append(numbers, s.number)
			}
		}
	}
	return numbers
}

// maxCandidates is how many stored fragments of one producer timestamp are looked at, the newest.
const maxCandidates = 16

// candidates returns the stored fragments that rec may be a resend of, newest first. A store that cannot tell makes rec a new
// fragment: a duplicate does less harm than a loss.
func (s *Session) candidates(ctx context.Context, p place, rec *store.Record) []store.FragmentInfo {
	id := s.o.Stream.ID
	if s.o.TimecodeType == api.TimecodeRelative {
		if p.uid == "" {
			return nil
		}
		var list []store.FragmentInfo
		for _, n := range s.o.Resends.find(p) {
			if info, err := s.o.Store.Fragment(ctx, id, n); err == nil {
				list = append(list, info)
			}
		}
		return list
	}
	list, err := s.o.Store.List(ctx, id, store.Query{
		Timestamp: store.ProducerTimestamp, Order: store.ByNumberNewest, Limit: maxCandidates,
		Start: p.at, End: max(p.at, 1), // 0 would mean no bound
	})
	if err != nil {
		s.o.Logger.Warn("cannot look for resends", "stream", s.o.Stream.Name, "error", err)
		return nil
	}
	return slices.DeleteFunc(list, func(f store.FragmentInfo) bool { return f.ProducerTimestamp != rec.ProducerTimestamp })
}

// relation is what a new fragment is to a stored one.
type relation uint8

const (
	different relation = iota
	stored             // the stored one has all of the new one
	extends            // the new one has all of the stored one, which is partial
)

// compare tells whether rec must be stored beside old, not at all, or in its place.
func (s *Session) compare(ctx context.Context, old *store.FragmentInfo, rec *store.Record) relation {
	// Most of what differs does so in size.
	longer, shorter := false, false // some track of rec than of old
	match := func(newSize, oldSize int64, newFrames, oldFrames int) {
		longer = longer || newFrames > oldFrames || newSize > oldSize
		shorter = shorter || newFrames < oldFrames || newSize < oldSize
	}
	spans := store.SpansOf(&rec.Fragment)
	for i := range spans {
		var span store.Span // of a track that old has nothing of
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
	m, err := s.o.Store.Open(ctx, s.o.Stream.ID, *old)
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

// sameMedia reports whether of each track the frames of one are the beginning of the other's, in sizes and bytes.
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
		for want := rec.Payload[i][:n]; len(want) > 0; {
			got := buf[:min(len(buf), len(want))]
			if _, err := io.ReadFull(payload, got); err != nil || !bytes.Equal(got, want[:len(got)]) {
				return false
			}
			want = want[len(got):]
		}
	}
	return true
}
