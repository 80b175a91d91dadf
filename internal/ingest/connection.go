package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/api"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
)

// Connection is one PutMedia connection. Make one with New and call Run once.
type Connection struct {
	o       Options
	source  *source
	reader  *mkv.Reader
	acks    *ackQueue
	commits *committer
	origin  origin // who stored what, for Resends
	claim   *claim // on Memory

	arrivals Arrivals // of a store of many processes; nil: Resends knows all
	name     string   // of this connection, for arrivals
	seen     int64    // commit sequence of the last fragment; owned by the committer

	// Owned by the reading goroutine.
	began    time.Time
	doc      *document           // nil until the current document has declared its tracks
	clocks   map[int]*trackClock // by track number
	hints    map[int]hint        // by track number: how large the last fragment's buffers were
	cur      *fragment           // the fragment being read, or nil
	pending  []media.Tag         // tags read since the last cluster began
	wants    Wants               // what reserved tags among them ask for
	clusters int                 // clusters begun in the current document
	previous int64               // raw timecode of the last of them
	started  int                 // fragments begun in the connection
	marked   bool                // the producer has sent END_OF_FRAGMENT
	cutOff   bool                // the last fragment was not complete
	told     map[int]bool        // track numbers for which Options.Unplayable was called
	piece    piece               // what is being read, for checkPace

	failing atomic.Bool // storing has failed: only the ERROR is still sent
	mu      sync.Mutex
	sum     Summary
}

type hint struct{ bytes, frames int }

// New prepares a connection.
func New(o Options) *Connection {
	c := &Connection{o: o.withDefaults(), clocks: map[int]*trackClock{}, hints: map[int]hint{}}
	if c.arrivals, _ = o.Store.(Arrivals); c.arrivals != nil {
		c.name = rand.Text()
	}
	return c
}

// Run reads the body to its end, stores its fragments and acknowledges them. It returns when every
// fragment is durable or has failed, and none of its goroutines uses body or w any more. That may
// take until ackDrain after the end of the body if the producer does not read.
//
// It returns nil for a body that ended properly, the *Error that the producer was sent as an ERROR
// acknowledgement, ErrIdle, ErrDrained if Options.Drain ended it, or the cause of ctx's end. When
// ctx ends, the connection stops reading but stores what it has received.
func (c *Connection) Run(ctx context.Context, body io.Reader, w AckWriter) error {
	o := &c.o
	o.Metrics.requests.Inc()
	o.Metrics.connections.Inc()
	defer o.Metrics.connections.Dec()
	defer o.Edge.Receive(o.Stream.ID)()
	c.began = o.Clock()
	c.source = &source{
		body: body, deadlines: o.Deadlines, idle: api.PutMediaIdle, clock: o.Clock,
		pace: c.checkPace,
		count: func(n int) {
			o.Metrics.bytes.Add(float64(n))
			c.count(func(sum *Summary) { sum.Bytes += int64(n) })
		},
	}
	c.source.last.Store(c.began.UnixNano())
	if o.Deadlines != nil {
		// Acknowledgements may wait for the whole upload to be read. drainAcks sets the deadline.
		if err := o.Deadlines.SetWriteDeadline(time.Time{}); err != nil {
			o.Logger.Debug("cannot clear the write deadline", "error", err)
		}
	}
	elements := mkv.DefaultLimits()
	elements.Fragment -= int64(max(api.MaxFragmentBytes-o.Limits.FragmentBytes, 0))
	c.reader = mkv.NewReader(c.source, elements)
	c.acks = newAckQueue(queuedAcks, c.ackSender(w))

	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hooked := make(chan struct{})
	unhook := context.AfterFunc(running, func() {
		defer close(hooked)
		c.source.stop()
	})
	c.claim = o.Memory.join(owner{stream: o.Stream.ID, principal: o.Principal}, func(cause error) {
		stop(fail(nil, api.AckInternalError, cause))
	})
	defer o.Memory.leave(c.claim)
	c.reader.SetBudget(budget{c, running})
	c.commits = newCommitter(context.WithoutCancel(ctx), running, c, stop)
	stopIdle := c.startIdleAcks()
	stopDrain := c.awaitDrain()

	err := c.read(running)
	err = c.finish(running, err)
	stopIdle()
	stopDrain()
	c.reader.Close()
	failed := c.commits.close()
	if err == nil && failed == nil && !c.cutOff && !c.sum.Unended {
		c.ended(ctx)
	}
	if !unhook() {
		<-hooked // nothing touches the connection after Run
	}
	if failed != nil {
		err = failed // acknowledged by the committer
		c.linger(body, o.Limits.Linger)()
	} else if e := (*Error)(nil); errors.As(err, &e) {
		hold := o.Hold(e)
		lingered := c.linger(body, hold+o.Limits.Linger)
		c.tell(ctx, e, hold)
		lingered()
	} else if err == ErrDrained {
		c.linger(body, o.Limits.DrainLinger)()
	}
	c.acks.close()
	c.drainAcks()
	if err != nil {
		o.Metrics.failures.Inc()
	}
	return err
}

// Summary says what became of the body. Run must have returned.
func (c *Connection) Summary() Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sum
}

func (c *Connection) count(change func(*Summary)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.sum)
}

// read handles events until the body ends or something is wrong.
func (c *Connection) read(ctx context.Context) error {
	for {
		ev, err := c.reader.Next()
		if err == nil {
			err = c.event(ctx, &ev)
		}
		if err != nil {
			return err
		}
	}
}

func (c *Connection) event(ctx context.Context, ev *mkv.Event) error {
	switch ev.Kind {
	case mkv.DocumentStart:
		if err := c.endFragment(media.NoTime, true); err != nil {
			return err
		}
		c.piece = c.newPiece(c.o.Clock())
		c.doc, c.clusters, c.pending, c.wants = nil, 0, nil, Wants{}
	case mkv.TracksReady:
		return c.declare()
	case mkv.TagsEvent:
		return c.tags(ev.Tags)
	case mkv.ClusterStart:
		return c.startCluster(ctx, ev.Timecode)
	case mkv.Frame:
		if c.cur == nil || c.cur.complete {
			return failf(nil, api.AckInvalidMKVData, "frame outside of a cluster")
		}
		return c.cur.add(ctx, c, ev)
	case mkv.ClusterEnd:
		if c.cur != nil && ev.Complete {
			c.cur.complete = true
			c.source.end()
			c.piece = c.newPiece(c.o.Clock()) // a pause from now on does not make the fragment slow
		}
	}
	return nil
}

// declare takes a new set of tracks. It ends the fragment before, and drops the clocks of tracks
// that are gone: a body may declare any number of sets.
func (c *Connection) declare() error {
	if err := c.endFragment(media.NoTime, false); err != nil {
		return err
	}
	tracks := c.reader.Tracks()
	if len(tracks) > c.o.Limits.Tracks {
		return failf(nil, api.AckMoreThanAllowedTracks, "%d tracks, more than %d", len(tracks),
			c.o.Limits.Tracks)
	}
	c.doc = newDocument(tracks)
	c.lookAtTracks()
	clocks, hints := map[int]*trackClock{}, map[int]hint{}
	for i := range c.doc.tracks {
		t := &c.doc.tracks[i]
		clock := c.clocks[t.Number]
		if clock == nil || !same(&clock.track, t) {
			clock = &trackClock{Clock: media.NewClock(t), track: *t}
		}
		clocks[t.Number], hints[t.Number] = clock, c.hints[t.Number]
	}
	c.clocks, c.hints = clocks, hints
	return nil
}

// unfinished returns the fragment that an error is about: the current one, unless its cluster has
// ended.
func (c *Connection) unfinished() *fragment {
	if c.cur != nil && !c.cur.complete {
		return c.cur
	}
	return nil
}

// startCluster ends the fragment before and begins a new one.
func (c *Connection) startCluster(ctx context.Context, timecode int64) error {
	now := c.o.Clock()
	if c.doc == nil {
		return failf(nil, api.AckInvalidMKVData, "cluster before the tracks")
	}
	c.doc.settle(c.reader)
	if c.cur != nil {
		next := int64(media.NoTime)
		if _, err := c.producerTime(timecode); err == nil && c.cur.doc.scale == c.doc.scale {
			next = c.cur.base + timecode*c.doc.scale
		}
		if err := c.endFragment(next, false); err != nil {
			return err
		}
	}
	select {
	case <-c.o.Drain:
		c.source.drain() // awaitDrain may not have run yet
	default:
	}
	if !c.source.begin() {
		return ErrDrained
	}
	if limit := c.o.Limits.MaxConnection; now.Sub(c.began) > limit {
		return failf(nil, api.AckMaxConnectionDuration, "connection is older than %v", limit)
	}
	number, numbered, err := c.o.Numbers.next(ctx, c.o.Store, c.o.Stream.ID)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, store.ErrNotFound) && c.started == 0:
		return fail(nil, api.AckStreamNotActive, err)
	case errors.Is(err, store.ErrNotFound):
		return fail(nil, api.AckStreamDeleted, err)
	default: // the store gives no numbers while it takes no changes
		return fail(nil, api.AckArchivalError, err)
	}
	f := &fragment{doc: c.doc, number: number, numbered: numbered, timecode: timecode,
		arrived: now, tracks: make([]samples, len(c.doc.tracks))}
	defer func() {
		if c.cur != f {
			f.numbered()
		}
	}()
	if f.producer, err = c.producerTime(timecode); err != nil {
		return fail(f, api.AckInvalidProducerTimestamp, err)
	}
	if c.o.TimecodeType == api.TimecodeRelative {
		f.base = c.o.ProducerStart * int64(time.Millisecond)
	}
	if limit := now.Add(c.o.Limits.Future).UnixMilli(); f.producer > limit {
		return failf(f, api.AckInvalidProducerTimestamp,
			"producer timestamp %d ms is more than %v ahead", f.producer, c.o.Limits.Future)
	}
	if c.clusters > 0 && timecode <= c.previous {
		return failf(f, api.AckTimecodeLesserThanBefore, "timecode %d after %d", timecode,
			c.previous)
	}
	if f.tags, err = c.takeTags(); err != nil {
		return fail(f, api.AckFragmentMetadataLimit, err)
	}
	f.wants, c.wants = c.wants, Wants{}
	c.previous = timecode
	c.clusters++
	c.started++
	c.cur = f
	f.live = c.show(f)
	c.piece = c.newPiece(now)
	c.put(ack{kind: ackBuffering, number: number, timecode: timecode, since: now.UnixNano()})
	return nil
}

// show announces a new fragment at the live edge.
func (c *Connection) show(f *fragment) *live.Fragment {
	if c.o.Edge == nil {
		return nil
	}
	drafts := make([]media.Draft, len(f.doc.tracks))
	for i := range drafts {
		drafts[i] = c.clocks[f.doc.tracks[i].Number].Draft()
	}
	return c.o.Edge.Begin(c.o.Stream.ID, live.Head{Number: f.number, ProducerTimestamp: f.producer,
		ServerTimestamp: f.arrived.UnixMilli(), Timecode: f.timecode, Tracks: f.doc.tracks,
		Tags: slices.Clip(f.tags), Header: f.doc.header, Drafts: drafts})
}

// producerTime returns the producer timestamp of a cluster in milliseconds, rounded down.
func (c *Connection) producerTime(timecode int64) (int64, error) {
	hi, lo := bits.Mul64(uint64(max(timecode, 0)), uint64(c.doc.scale))
	ms := int64(lo / uint64(time.Millisecond))
	if timecode < 0 || hi != 0 || ms > maxMillis {
		return 0, errors.New("timecode is out of range")
	}
	if c.o.TimecodeType == api.TimecodeRelative {
		if c.o.ProducerStart < 0 || c.o.ProducerStart > maxMillis {
			return 0, errors.New("producer start timestamp is out of range")
		}
		ms += c.o.ProducerStart
	}
	if ms > maxMillis {
		return 0, errors.New("producer timestamp is out of range")
	}
	return ms, nil
}

// maxMillis is the end of the year 2199. Nanoseconds since 1970 fit an int64 until 2262.
const maxMillis = 7_258_118_399_999

// endFragment hands the current fragment, which is whole, to the committer. next is as for
// fragment.record. tail says that no cluster follows the tags read since, so that they are this
// fragment's.
func (c *Connection) endFragment(next int64, tail bool) error {
	if c.cur == nil {
		return nil
	}
	c.source.end()
	if tail {
		// The limit was checked separately for the tags before the cluster and those after it, as
		// the SDK counts them.
		for _, t := range c.pending {
			if !slices.Contains(c.cur.tags, t) {
				c.cur.tags = append(c.cur.tags, t)
			}
		}
		c.cur.wants.add(c.wants)
		c.pending, c.wants = nil, Wants{}
	}
	if c.cur.frames == 0 {
		f := c.cur
		c.drop()
		return failf(f, api.AckFramesMissingForTrack, "fragment without a frame")
	}
	return c.hand(next, false, true)
}

// hand passes the current fragment to the committer, waiting while too many are in flight.
func (c *Connection) hand(next int64, partial, acknowledge bool) error {
	f := c.cur
	c.cur, c.piece = nil, piece{}
	c.o.Memory.settle(c.claim, f.taken)
	c.cutOff = partial
	f.received = time.Unix(0, c.source.last.Load())
	for i := range f.tracks {
		c.hints[f.doc.tracks[i].Number] = hint{bytes: len(f.tracks[i].payload),
			frames: len(f.tracks[i].table) + 1}
	}
	rec, err := f.record(c.clocks, next, partial)
	if err != nil {
		f.release(c.o.Memory, c.claim.owner)
		c.became(resultDropped)
		return fail(f, api.AckInvalidMKVData, err)
	}
	if !partial {
		f.live.Whole(&rec.Fragment)
	}
	m := c.o.Metrics
	m.frames.Add(float64(f.frames))
	c.count(func(sum *Summary) { sum.Frames += int64(f.frames) })
	m.ingestion.Observe(f.received.Sub(f.arrived).Seconds())
	c.commits.jobs <- job{fragment: f, record: rec, acknowledge: acknowledge}
	return nil
}

// drop gives up the current fragment.
func (c *Connection) drop() {
	if c.cur == nil {
		return
	}
	c.cutOff = true
	c.o.Memory.settle(c.claim, c.cur.taken)
	c.cur.release(c.o.Memory, c.claim.owner)
	c.cur, c.piece = nil, piece{}
	c.became(resultDropped)
}

// became counts a fragment by its result.
func (c *Connection) became(result string) {
	c.o.Metrics.fragments.WithLabelValues(result).Inc()
	c.count(func(sum *Summary) {
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
func (c *Connection) put(a ack) {
	if !c.o.NoAcks && !c.failing.Load() {
		c.acks.put(a)
	}
}

var ackTypes = [...]api.AckType{
	ackIdle: api.AckIdle, ackBuffering: api.AckBuffering, ackReceived: api.AckReceived,
	ackPersisted: api.AckPersisted, ackError: api.AckError,
}

// ackSender returns what the writing goroutine calls to format and send an acknowledgement.
func (c *Connection) ackSender(w AckWriter) func(ack) error {
	var buf []byte
	return func(a ack) error {
		out := api.Ack{Type: ackTypes[a.kind], Timecode: a.timecode, ErrorID: a.errorID}
		if a.number != 0 {
			out.FragmentNumber = c.o.Stream.FormatNumber(a.number)
		}
		buf = api.AppendAck(buf[:0], out)
		if err := w.WriteAck(buf); err != nil {
			return err
		}
		c.o.Metrics.sent(out.Type, a.errorID, a.since, c.o.Clock().UnixNano())
		return nil
	}
}
