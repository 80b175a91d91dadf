package ingest

import (
	"context"
	"errors"
	"sync"

	"weir/internal/api"
	"weir/internal/store"
)

// job is a fragment to be made durable.
type job struct {
	fragment    *fragment
	record      *store.Record
	acknowledge bool // send RECEIVED and PERSISTED when it is
}

// committer makes fragments durable one after the other, so that within a connection commit order
// is ingest order.
type committer struct {
	conn    *Connection
	running context.Context // ends with the connection
	stop    context.CancelCauseFunc
	jobs    chan job // sends never block for good: after a failure jobs are taken and thrown away
	done    chan struct{}
	told    sync.WaitGroup // until the ERROR of a failure is queued

	// Owned by the committing goroutine until done is closed.
	failed error
}

// newCommitter starts the goroutine. ctx is for the store's calls. It must not end with the
// connection, because what was received must be stored. stop ends reading, and running with it.
func newCommitter(ctx, running context.Context, conn *Connection,
	stop context.CancelCauseFunc) *committer {
	c := &committer{conn: conn, running: running, stop: stop, done: make(chan struct{})}
	c.jobs = make(chan job, max(conn.o.Limits.InFlight-1, 0)) // run has one more
	go c.run(ctx)
	return c
}

// close waits for the jobs in flight and returns the failure of one.
func (c *committer) close() error {
	close(c.jobs)
	<-c.done
	c.told.Wait()
	return c.failed
}

func (c *committer) run(ctx context.Context) {
	defer close(c.done)
	for j := range c.jobs {
		if c.failed != nil {
			c.conn.became(resultDropped)
		} else if err := c.commit(ctx, j); err != nil {
			c.conn.became(resultDropped)
			c.fail(err)
		}
		j.fragment.release(c.conn.o.Memory, c.conn.claim.owner)
	}
}

// fail ends the connection. The producer is told after Options.Hold, not when it next sends
// something.
func (c *committer) fail(err *Error) {
	c.failed = err
	c.conn.failing.Store(true)
	c.told.Go(func() {
		c.conn.tell(c.running, err, c.conn.o.Hold(err))
		c.stop(err)
	})
}

// commit stores one fragment and acknowledges it.
func (c *committer) commit(ctx context.Context, j job) *Error {
	conn, f := c.conn, j.fragment
	info, result, err := conn.save(ctx, j)
	switch {
	case err == nil:
	case errors.Is(err, store.ErrNotFound):
		return fail(f, api.AckStreamDeleted, err)
	default:
		return fail(f, api.AckArchivalError, err)
	}
	f.live.Stored(info)
	now := conn.o.Clock()
	conn.became(result)
	if result != resultResent {
		conn.o.Stored()
		if f.wants != (Wants{}) && info.Location.Volume != "" {
			conn.o.Event(Event{Wants: f.wants, Stream: conn.o.Stream.ID, Fragment: info,
				Tags: f.tags})
		}
	}
	conn.o.Metrics.persist.Observe(now.Sub(f.received).Seconds())
	if !j.acknowledge {
		return nil
	}
	// Not earlier: after some errors the SDK does not resend a fragment that was RECEIVED
	// (DESIGN.md).
	conn.put(ack{kind: ackReceived, number: f.number, timecode: f.timecode,
		since: f.received.UnixNano()})
	// A stream with retention 0 keeps fragments in memory, which is not PERSISTED; such a fragment
	// has no volume.
	if info.Location.Volume != "" {
		conn.put(ack{kind: ackPersisted, number: info.Number, timecode: f.timecode,
			since: f.received.UnixNano()})
	}
	return nil
}

// save stores the fragment, or finds it stored already.
func (c *Connection) save(ctx context.Context, j job) (store.FragmentInfo, string, error) {
	id, rec := c.o.Stream.ID, j.record
	key := place{stream: id, at: rec.ProducerTimestamp}
	if c.o.TimecodeType == api.TimecodeRelative {
		key = place{stream: id, uid: j.fragment.doc.uid, at: rec.Timecode}
	}
	// Producers reconnect within milliseconds, while the fragments of the old connection are still
	// on their way to the disk.
	defer c.o.Resends.hold(key)()

	info, result, err := c.place(ctx, key, rec)
	if err == nil && key.uid != "" && c.arrivals == nil {
		c.o.Resends.add(id,
			saved{from: &c.origin, uid: key.uid, timecode: key.at, number: info.Number})
	}
	return info, result, err
}

// maxRaces is how often place tries again because another process stored a fragment there.
const maxRaces = 5

// place stores a fragment whose place is held, unless it is stored there already. If another
// process stores there too, the store says so, and place compares with that fragment as well.
func (c *Connection) place(ctx context.Context, key place,
	rec *store.Record) (info store.FragmentInfo, result string, err error) {
	for race := 0; ; race++ {
		var list []store.FragmentInfo
		list, rec.Arrival = c.possibleResends(ctx, key, rec)
		if race == maxRaces {
			rec.Arrival = nil // a duplicate does less harm than a loss
		}
		info, result, err = c.placeBeside(ctx, list, rec)
		if !errors.Is(err, store.ErrRaced) || rec.Arrival == nil {
			c.seen = max(c.seen, info.Sequence)
			return info, result, err
		}
	}
}

// placeBeside stores rec, unless it is a resend of a fragment in list.
func (c *Connection) placeBeside(ctx context.Context, list []store.FragmentInfo,
	rec *store.Record) (store.FragmentInfo, string, error) {
	id := c.o.Stream.ID
	for i := range list {
		switch old := &list[i]; c.compare(ctx, old, rec) {
		case stored:
			return *old, resultResent, nil
		case extends:
			if err := c.room(ctx, rec); err != nil {
				return *old, "", err
			}
			info, err := c.o.Store.Replace(ctx, id, old.Number, rec)
			if !errors.Is(err, store.ErrNotFound) {
				return info, resultReplaced, err
			}
			// Retention has deleted the old one, or somebody the stream: then Append says so.
		}
	}
	if err := c.room(ctx, rec); err != nil {
		return store.FragmentInfo{}, "", err
	}
	info, err := c.o.Store.Append(ctx, id, rec)
	if rec.Partial {
		return info, resultPartial, err
	}
	return info, resultStored, err
}

// room asks whether a fragment may be stored.
func (c *Connection) room(ctx context.Context, rec *store.Record) error {
	var bytes int64
	for _, run := range rec.Payload {
		bytes += int64(len(run))
	}
	return c.o.Room(ctx, bytes)
}
