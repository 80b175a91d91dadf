package ingest

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
)

// Session is one PutMedia connection. Make one with New and call Run once.
type Session struct {
	o       Options
	source  *source
	reader  *mkv.Reader
	acks    *ackQueue
	commits *committer
	origin  origin // who stored what, for Resends
	claim   *claim // on Memory

	// Of the reading goroutine.
	began    time.Time
	doc      *document           // nil until the current document has declared its tracks
	clocks   map[int]*trackClock // by track number
	hints    map[int]hint        // by track number: how large the last fragment's buffers were
	cur      *fragment           // the fragment that comes in, or nil
	pending  []media.Tag         // tags read since the last cluster began
	clusters int                 // clusters begun in the current document
	previous int64               // raw timecode of the last of them
	started  int                 // fragments begun in the session
	marked   bool                // the producer has sent END_OF_FRAGMENT
	cutOff   bool                // the last fragment was not complete
	piece    piece               // what comes in: a fragment, or the header of a document

	failing atomic.Bool // storing has failed: nothing is acknowledged any more but the ERROR
	mu      sync.Mutex
	sum     Summary
}

type hint struct{ bytes, frames int }

// New prepares a session.
func New(o Options) *Session {
	return &Session{o: o.withDefaults(), clocks: map[int]*trackClock{}, hints: map[int]hint{}}
}

// Run reads the body to its end, stores its fragments and acknowledges them. It returns when every fragment that it took has
// been made durable or has failed, and no goroutine of it uses body or acks any more. That can last for Limits.AckDrain after
// the end of the body when the producer does not read.
//
// The result is nil for a body that ended properly, an *Error for what the producer was told in an ERROR acknowledgement,
// ErrIdle, ErrDrained when Options.Drain has ended it, or the cause of ctx's end. When ctx ends the session stops reading, but
// what was received is stored.
func (s *Session) Run(ctx context.Context, body io.Reader, w AckWriter) error {
	o := &s.o
	o.Metrics.requests.Inc()
	o.Metrics.sessions.Inc()
	defer o.Metrics.sessions.Dec()
	s.began = o.Clock()
	s.source = &source{
		body: body, conn: o.Connection, idle: o.Limits.Idle, clock: o.Clock,
		pace: s.checkPace,
		count: func(n int) {
			o.Metrics.bytes.Add(float64(n))
			s.count(func(sum *Summary) { sum.Bytes += int64(n) })
		},
	}
	s.source.last.Store(s.began.UnixNano())
	if o.Connection != nil {
		// Acknowledgements may wait for the whole upload to be read. drainAcks sets the deadline.
		if err := o.Connection.SetWriteDeadline(time.Time{}); err != nil {
			o.Logger.Debug("cannot clear the write deadline", "error", err)
		}
	}
	s.reader = mkv.NewReader(s.source, mkv.DefaultLimits())
	s.acks = newAckQueue(o.Limits.QueuedAcks, s.ackSender(w))

	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hooked := make(chan struct{})
	unhook := context.AfterFunc(running, func() {
		defer close(hooked)
		s.source.stop()
	})
	s.claim = o.Memory.join(owner{stream: o.Stream.ID, key: o.AccessKey}, func(cause error) {
		stop(fail(nil, api.AckInternalError, cause))
	})
	defer o.Memory.leave(s.claim)
	s.reader.SetBudget(budget{s, running})
	s.commits = newCommitter(context.WithoutCancel(ctx), running, s, stop)
	stopIdle := s.startIdleAcks()
	stopDrain := s.awaitDrain()

	err := s.read(running)
	err = s.finish(running, err)
	stopIdle()
	stopDrain()
	s.reader.Close()
	failed := s.commits.close()
	if err == nil && failed == nil && !s.cutOff && !s.sum.Unended {
		o.Resends.forget(o.Stream.ID, &s.origin)
	}
	if !unhook() {
		<-hooked // nothing touches the connection after Run
	}
	if failed != nil {
		err = failed // acknowledged by the committer
		s.linger(body, o.Limits.Linger)()
	} else if e := (*Error)(nil); errors.As(err, &e) {
		hold := o.Hold(e)
		lingered := s.linger(body, hold+o.Limits.Linger)
		s.tell(ctx, e, hold)
		lingered()
	} else if err == ErrDrained {
		s.linger(body, o.Limits.DrainLinger)()
	}
	s.acks.close()
	s.drainAcks()
	if err != nil {
		o.Metrics.failures.Inc()
	}
	return err
}

// Summary tells of a session whose Run has returned.
func (s *Session) Summary() Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum
}

func (s *Session) count(change func(*Summary)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.sum)
}

// read takes events until the body ends or something is wrong.
func (s *Session) read(ctx context.Context) error {
	for {
		ev, err := s.reader.Next()
		if err == nil {
			err = s.event(ctx, &ev)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Session) event(ctx context.Context, ev *mkv.Event) error {
	switch ev.Kind {
	case mkv.DocumentStart:
		if err := s.endFragment(media.NoTime, true); err != nil {
			return err
		}
		s.piece = s.newPiece(s.o.Clock())
		s.doc, s.clusters, s.pending = nil, 0, nil
	case mkv.TracksReady:
		return s.declare()
	case mkv.TagsEvent:
		return s.tags(ev.Tags)
	case mkv.ClusterStart:
		return s.startCluster(ctx, ev.Timecode)
	case mkv.Frame:
		if s.cur == nil || s.cur.complete {
			return failf(nil, api.AckInvalidMKVData, "frame outside of a cluster")
		}
		return s.cur.add(ctx, s, ev)
	case mkv.ClusterEnd:
		if s.cur != nil && ev.Complete {
			s.cur.complete = true
			s.source.end()
			s.piece = s.newPiece(s.o.Clock()) // a pause from now on does not make the fragment slow
		}
	}
	return nil
}

// declare takes a new set of tracks. It ends the fragment before, whose clocks may go: a body may declare any number of sets.
func (s *Session) declare() error {
	if err := s.endFragment(media.NoTime, false); err != nil {
		return err
	}
	tracks := s.reader.Tracks()
	if len(tracks) > s.o.Limits.Tracks {
		return failf(nil, api.AckMoreThanAllowedTracks, "%d tracks, more than %d", len(tracks), s.o.Limits.Tracks)
	}
	s.doc = newDocument(tracks)
	clocks, hints := map[int]*trackClock{}, map[int]hint{}
	for i := range s.doc.tracks {
		t := &s.doc.tracks[i]
		c := s.clocks[t.Number]
		if c == nil || !same(&c.track, t) {
			c = &trackClock{Clock: media.NewClock(t), track: *t}
		}
		clocks[t.Number], hints[t.Number] = c, s.hints[t.Number]
	}
	s.clocks, s.hints = clocks, hints
	return nil
}

// tags takes a Tags element. END_OF_FRAGMENT closes the fragment with the tags since its cluster began; tags that a cluster
// follows are that cluster's (docs/reference/service.md, "Tags of fragments").
func (s *Session) tags(tags []media.Tag) error {
	for _, t := range tags {
		if t.Name == endOfFragment {
			s.marked = true
			if s.cur == nil {
				continue // left over from an earlier session
			}
			s.cur.complete = true
			if err := s.endFragment(media.NoTime, true); err != nil {
				return err
			}
			continue
		}
		if s.doc == nil {
			continue // in front of the tracks they are the document's (GStreamer)
		}
		if s.clusters == 0 {
			// In front of the first cluster they may be the file's; only startCluster can tell, so limits wait as well.
			if len(s.pending) < maxHeaderTags {
				s.pending = append(s.pending, media.Tag{
					Name: clip(t.Name, api.MaxFragmentTagName+1), Value: clip(t.Value, api.MaxFragmentTagValue+1),
				})
			}
			continue
		}
		if err := s.keepTag(t); err != nil {
			return failf(s.unfinished(), api.AckFragmentMetadataLimit, "%w", err)
		}
	}
	return nil
}

// maxHeaderTags is how many tags in front of the first cluster are looked at; more is over any limit if they are metadata.
const maxHeaderTags = 4 * api.MaxFragmentTags

// clip bounds a text that may be thrown away, so that it is still too long if it was.
func clip(text string, most int) string {
	if len(text) > most {
		return strings.Clone(text[:most])
	}
	return text
}

// keepTag adds a tag to those that wait for their fragment. Reserved names are accepted and not kept.
func (s *Session) keepTag(t media.Tag) error {
	if strings.HasPrefix(t.Name, reservedPrefix) {
		return nil
	}
	if err := checkTag(t); err != nil {
		return err
	}
	var err error
	s.pending, err = addTag(s.pending, t)
	return err
}

// unfinished is the fragment that an error belongs to: the current one, unless its cluster has ended.
func (s *Session) unfinished() *fragment {
	if s.cur != nil && !s.cur.complete {
		return s.cur
	}
	return nil
}

// startCluster ends the fragment before and begins one.
func (s *Session) startCluster(ctx context.Context, timecode int64) error {
	now := s.o.Clock()
	if s.doc == nil {
		return failf(nil, api.AckInvalidMKVData, "cluster in front of the tracks")
	}
	s.doc.settle(s.reader)
	if s.cur != nil {
		next := int64(media.NoTime)
		if _, err := s.producerTime(timecode); err == nil && s.cur.doc.scale == s.doc.scale {
			next = s.cur.base + timecode*s.doc.scale
		}
		if err := s.endFragment(next, false); err != nil {
			return err
		}
	}
	select {
	case <-s.o.Drain:
		s.source.drain() // awaitDrain may not have come to it
	default:
	}
	if !s.source.begin() {
		return ErrDrained
	}
	if limit := s.o.Limits.MaxConnection; now.Sub(s.began) > limit {
		return failf(nil, api.AckMaxConnectionDuration, "connection is older than %v", limit)
	}
	number, err := s.o.Store.NextNumber(ctx, s.o.Stream.ID)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, store.ErrNotFound) && s.started == 0:
		return fail(nil, api.AckStreamNotActive, err)
	case errors.Is(err, store.ErrNotFound):
		return fail(nil, api.AckStreamDeleted, err)
	default:
		return fail(nil, api.AckInternalError, err)
	}
	f := &fragment{doc: s.doc, number: number, timecode: timecode, arrived: now, tracks: make([]samples, len(s.doc.tracks))}
	if f.producer, err = s.producerTime(timecode); err != nil {
		return fail(f, api.AckInvalidProducerTimestamp, err)
	}
	if s.o.TimecodeType == api.TimecodeRelative {
		f.base = s.o.ProducerStart * int64(time.Millisecond)
	}
	if limit := now.Add(s.o.Limits.Future).UnixMilli(); f.producer > limit {
		return failf(f, api.AckInvalidProducerTimestamp, "producer timestamp %d ms is more than %v ahead", f.producer, s.o.Limits.Future)
	}
	if s.clusters > 0 && timecode <= s.previous {
		return failf(f, api.AckTimecodeLesserThanBefore, "timecode %d after %d", timecode, s.previous)
	}
	if f.tags, err = s.takeTags(); err != nil {
		return fail(f, api.AckFragmentMetadataLimit, err)
	}
	s.previous = timecode
	s.clusters++
	s.started++
	s.cur = f
	s.piece = s.newPiece(now)
	s.put(ack{kind: ackBuffering, number: number, timecode: timecode, since: now.UnixNano()})
	return nil
}

// takeTags gives the tags that were read in front of a cluster. In front of the first cluster of a document that a muxer of
// files wrote they are the document's, and stay in its header only.
func (s *Session) takeTags() ([]media.Tag, error) {
	tags := s.pending
	s.pending = nil
	if s.clusters > 0 {
		return tags, nil
	}
	if s.doc.file {
		return nil, nil
	}
	for _, t := range tags {
		if err := s.keepTag(t); err != nil {
			return nil, err
		}
	}
	tags, s.pending = s.pending, nil
	return tags, nil
}

// producerTime is the producer timestamp in milliseconds of a cluster, rounded down.
func (s *Session) producerTime(timecode int64) (int64, error) {
	hi, lo := bits.Mul64(uint64(max(timecode, 0)), uint64(s.doc.scale))
	ms := int64(lo / uint64(time.Millisecond))
	if timecode < 0 || hi != 0 || ms > maxMillis {
		return 0, errors.New("timecode is out of range")
	}
	if s.o.TimecodeType == api.TimecodeRelative {
		if s.o.ProducerStart < 0 || s.o.ProducerStart > maxMillis {
			return 0, errors.New("producer start timestamp is out of range")
		}
		ms += s.o.ProducerStart
	}
	if ms > maxMillis {
		return 0, errors.New("producer timestamp is out of range")
	}
	return ms, nil
}

// maxMillis is the end of the year 2199. Nanoseconds since 1970 fit an int64 until 2262.
const maxMillis = 7_258_118_399_999

// endFragment hands the current fragment, which is whole, to the committer. tail says that no cluster follows the tags that were
// read since, so that they are this fragment's.
func (s *Session) endFragment(next int64, tail bool) error {
	if s.cur == nil {
		return nil
	}
	s.source.end()
	if tail {
		// Those in front of the cluster and those behind it were held to the limit by themselves, as the SDK counts them.
		for _, t := range s.pending {
			if !slices.Contains(s.cur.tags, t) {
				s.cur.tags = append(s.cur.tags, t)
			}
		}
		s.pending = nil
	}
	if s.cur.frames == 0 {
		f := s.cur
		s.drop()
		return failf(f, api.AckFramesMissingForTrack, "fragment without a frame")
	}
	return s.hand(next, false, true)
}

// hand gives the current fragment to the committer, waiting while too many are in flight.
func (s *Session) hand(next int64, partial, acknowledge bool) error {
	f := s.cur
	s.cur, s.piece = nil, piece{}
	s.o.Memory.settle(s.claim, f.taken)
	s.cutOff = partial
	f.received = time.Unix(0, s.source.last.Load())
	for i := range f.tracks {
		s.hints[f.doc.tracks[i].Number] = hint{bytes: len(f.tracks[i].payload), frames: len(f.tracks[i].table) + 1}
	}
	rec, err := f.record(s.clocks, next, partial)
	if err != nil {
		f.release(s.o.Memory, s.claim.owner)
		s.became(resultDropped)
		return fail(f, api.AckInvalidMKVData, err)
	}
	m := s.o.Metrics
	m.frames.Add(float64(f.frames))
	s.count(func(sum *Summary) { sum.Frames += int64(f.frames) })
	m.ingestion.Observe(f.received.Sub(f.arrived).Seconds())
	s.commits.jobs <- job{fragment: f, record: rec, acknowledge: acknowledge}
	return nil
}

// drop gives the current fragment up.
func (s *Session) drop() {
	if s.cur == nil {
		return
	}
	s.cutOff = true
	s.o.Memory.settle(s.claim, s.cur.taken)
	s.cur.release(s.o.Memory, s.claim.owner)
	s.cur, s.piece = nil, piece{}
	s.became(resultDropped)
}

// became counts a fragment by its result.
func (s *Session) became(result string) {
	s.o.Metrics.fragments.WithLabelValues(result).Inc()
	s.count(func(sum *Summary) {
		switch result {
		case resultResent:
			sum.Resends++
		case resultDropped:
			sum.Dropped++
		case resultPartial:
			sum.Partials++
			sum.Fragments++
		default:
			sum.Fragments++
		}
	})
}

// put queues an acknowledgement if the producer wants any.
func (s *Session) put(a ack) {
	if !s.o.NoAcks && !s.failing.Load() {
		s.acks.put(a)
	}
}

var ackTypes = [...]api.AckType{
	ackIdle: api.AckIdle, ackBuffering: api.AckBuffering, ackReceived: api.AckReceived, ackPersisted: api.AckPersisted, ackError: api.AckError,
}

// ackSender formats acknowledgements on the writing goroutine.
func (s *Session) ackSender(w AckWriter) func(ack) error {
	var buf []byte
	return func(a ack) error {
		out := api.Ack{Type: ackTypes[a.kind], Timecode: a.timecode, ErrorID: a.errorID}
		if a.number != 0 {
			out.FragmentNumber = s.o.Stream.FormatNumber(a.number)
		}
		buf = api.AppendAck(buf[:0], out)
		if err := w.WriteAck(buf); err != nil {
			return err
		}
		s.o.Metrics.sent(out.Type, a.errorID, a.since, s.o.Clock().UnixNano())
		return nil
	}
}
